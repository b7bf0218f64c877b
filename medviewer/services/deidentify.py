"""De-identifies DICOM files into a new folder, all or nothing. Pixels are not cleaned, and it says so."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medviewer.core.errors import InputRefused, OutputNotWritten, UserError
from medviewer.core.progress import Progress, silent
from medviewer.services.log import record_defect

if TYPE_CHECKING:
    from medviewer.io.deidentify_dataset import Cleaner
    from medviewer.io.deidentify_file import Copied, Loaded

PIXELS_SENTENCE = (
    "Pixels are NOT cleaned: text drawn into the image and the face in head scans stay. "
    "Look at the images before you give them away."
)


@dataclass(frozen=True)
class NotCopied:
    """A file of the input that is not in the output. `path` is for the user's eyes only: names can hold names."""

    path: Path
    reason: str
    kind: str


@dataclass
class DeidentifyReport:
    """What was done. `risks` counts files per sentence about what their pixels may show."""

    target: Path
    files: int = 0
    patients: set[str] = field(default_factory=set)
    studies: set[str] = field(default_factory=set)
    series: set[str] = field(default_factory=set)
    codes: set[str] = field(default_factory=set)
    echoes: int = 0
    risks: Counter[str] = field(default_factory=Counter)
    not_copied: list[NotCopied] = field(default_factory=list)

    def as_document(self) -> dict[str, Any]:
        """The report as JSON values."""
        return {
            "out": str(self.target),
            "files": self.files,
            "patients": len(self.patients),
            "studies": len(self.studies),
            "series": len(self.series),
            "codes": sorted(self.codes),
            "texts_repeating_an_identity": self.echoes,
            "pixels_cleaned": False,
            "notice": PIXELS_SENTENCE,
            "pixel_risks": dict(self.risks),
            "not_copied": [{"path": str(n.path), "kind": n.kind, "reason": n.reason} for n in self.not_copied],
        }

    def lines(self) -> tuple[str, ...]:
        """The report for people."""
        counts = f"patients {len(self.patients)}, studies {len(self.studies)}, series {len(self.series)}"
        lines = [f"De-identified files: {self.files} ({counts}), in {self.target}"]
        if self.echoes:
            lines.append(f"Texts that repeated a name or number, removed as well: {self.echoes}")
        lines.append(PIXELS_SENTENCE)
        lines += [f"  in {count} of them: {risk}" for risk, count in self.risks.most_common()]
        if self.not_copied:
            lines.append(f"Not copied: {len(self.not_copied)}")
            lines += [f"  {item.path}: {item.reason}" for item in self.not_copied]
        return tuple(lines)


def deidentify(
    sources: Sequence[Path],
    target: Path,
    progress: Progress | None = None,
    *,
    shift_dates: bool = False,
    keep_characteristics: bool = False,
) -> DeidentifyReport:
    """Copy the DICOM files of `sources` (files and folders) to the new or empty folder `target` without identities.

    PS3.15 Annex E, Basic Application Level Confidentiality Profile. UIDs are replaced consistently within the call,
    by a key that is not kept. `target` appears only when everything is written and read back; after an error or a
    cancel it is not there. Sources are only read. Any thread. Raises InputRefused where nothing can be de-identified,
    OutputNotWritten for a target that is inside a source, not empty or not writable, and Cancelled.
    """
    from medviewer.io.atomic import atomic_folder
    from medviewer.io.deidentify_dataset import Cleaner
    from medviewer.io.deidentify_names import NewNames
    from medviewer.io.deidentify_rules import Options, Rules

    progress = progress or silent()
    target = target.expanduser()
    check_target(sources, target)
    report = DeidentifyReport(target)
    cleaner = Cleaner(Rules(Options(shift_dates, keep_characteristics)), NewNames())
    with atomic_folder(target) as folder:
        run = _Run(folder, cleaner, report)
        run.copy_all(_files(sources, report), progress)
        if not report.files:
            raise _nothing(sources, report)
        _refuse_full(target)  # what came into it meanwhile must not go with the old folder
    return report


def check_target(sources: Sequence[Path], target: Path) -> None:
    """Raises InputRefused for a missing source, OutputNotWritten for a target that cannot be used."""
    full = target.resolve()
    for source in sources:
        if not source.exists():
            raise InputRefused(f'"{source}" does not exist.', "Check the path.")
        folder = source.is_dir() or len(sources) > 1  # beside one single file is no harm
        root = source.resolve() if source.is_dir() else source.resolve().parent
        if full == root or (folder and root in full.parents) or full in root.parents:
            raise OutputNotWritten(
                f"{target.name} and the folder with the originals lie inside each other.",
                "Choose a new folder somewhere else, so that originals and copies cannot be mixed up.",
            )
    _refuse_full(target)


def _refuse_full(target: Path) -> None:
    if target.is_dir() and any(target.iterdir()):
        raise OutputNotWritten(f"The folder {target.name} is not empty.", "Choose a new or an empty folder.")


@dataclass
class _Run:
    """Copies file by file; names in the output are counters."""

    folder: Path
    cleaner: Cleaner
    report: DeidentifyReport
    _numbers: dict[tuple[str, ...], int] = field(default_factory=dict)
    _counts: Counter[tuple[str, ...]] = field(default_factory=Counter)

    def copy_all(self, files: Sequence[Path], progress: Progress) -> None:
        for number, path in enumerate(files):
            progress.report(number / len(files), f"De-identifying {number + 1} of {len(files)}")
            self._copy(path)
        progress.report(1.0, "Writing to the disk")

    def _copy(self, path: Path) -> None:
        from medviewer.io.deidentify_file import NotCleanable, clean, load

        try:
            loaded = load(path)
            done = clean(loaded, self.cleaner)
        except NotCleanable as error:
            self._leave_out(path, str(error), error.kind)
        except OSError as error:
            self._leave_out(path, f"It cannot be read ({error.strerror}).", "unreadable")
        except Exception as error:  # one odd file must not end the run; it is left out and named
            record_defect(error)
            self._leave_out(path, f"It is irregular and could not be cleaned ({type(error).__name__}).", "unreadable")
        else:
            self._write(path, loaded, done)

    def _write(self, path: Path, loaded: Loaded, done: Copied) -> None:
        from medviewer.io.deidentify_file import NotCleanable, write

        target = self._name_for(done)
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            write(loaded, target)
        except (OSError, UserError):
            raise
        except NotCleanable as error:
            target.unlink(missing_ok=True)
            self._leave_out(path, str(error), error.kind)
        except Exception as error:
            target.unlink(missing_ok=True)
            record_defect(error)
            self._leave_out(path, f"It is irregular and cannot be written ({type(error).__name__}).", "unreadable")
        else:
            self._count(done)

    def _leave_out(self, path: Path, reason: str, kind: str) -> None:
        self.report.not_copied.append(NotCopied(path, reason, kind))

    def _name_for(self, done: Copied) -> Path:
        patient = self._number(("patient", done.patient), ())
        study = self._number(("study", done.study), (done.patient,))
        series = self._number(("series", done.series), (done.patient, done.study))
        self._counts["file", done.series] += 1
        name = f"{self._counts['file', done.series]:05d}.dcm"
        return self.folder / f"patient{patient:03d}" / f"study{study:02d}" / f"series{series:03d}" / name

    def _number(self, key: tuple[str, ...], within: tuple[str, ...]) -> int:
        """The counter of a patient, study or series, given at its first file."""
        full = (*key, *within)
        if full not in self._numbers:
            self._counts[key[0], *within] += 1
            self._numbers[full] = self._counts[key[0], *within]
        return self._numbers[full]

    def _count(self, done: Copied) -> None:
        report = self.report
        report.files += 1
        report.patients.add(done.patient)
        report.studies.add(done.study)
        report.series.add(done.series)
        report.codes.update(done.codes)
        report.echoes += done.echoes
        report.risks.update(done.risks)


def _files(sources: Sequence[Path], report: DeidentifyReport) -> list[Path]:
    """Every file below the sources in a stable order; links to folders are not followed."""
    found: list[Path] = []

    def unreadable(error: OSError) -> None:
        reason = f"It cannot be read ({error.strerror})."
        report.not_copied.append(NotCopied(Path(error.filename), reason, "unreadable"))

    for source in sources:
        if not source.is_dir():
            found.append(source)
            continue
        for root, folders, names in os.walk(source, onerror=unreadable):
            folders.sort()
            found += [Path(root, name) for name in sorted(names)]
    return list(dict.fromkeys(found))


def _nothing(sources: Sequence[Path], report: DeidentifyReport) -> UserError:
    reason = report.not_copied[0].reason if report.not_copied else "There are no files."
    return InputRefused(f"No file of {sources[0].name} could be de-identified.", reason)
