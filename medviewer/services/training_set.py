"""Accepted segments as a training set: a folder with images, masks and `dataset.json`, to which cases are added.

Nothing that names the patient is written: files are called by a hash of the voxels, headers hold the geometry alone,
and the patient is a code that only this computer's key could give again. Pixels are copied as they are.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from filelock import FileLock, Timeout

from medviewer.core.errors import Cancelled, OutputNotWritten, UserError
from medviewer.core.progress import Progress, silent
from medviewer.core.segmentation import Segment
from medviewer.core.volume import Volume
from medviewer.io import training_set as document_file
from medviewer.io.atomic import not_written
from medviewer.services.folders import user_folder
from medviewer.services.training_case import IMAGES, MASKS, Item, items_of, title_of
from medviewer.services.training_document import SetDocument
from medviewer.services.training_writer import write_item

PIXELS_SENTENCE = (
    "Pixels are copied as they are: text drawn into the image and the face in head scans stay. "
    "Look at the images before you give them away."
)
_LOCK = ".medviewer-training-set.lock"
_LOCK_SECONDS = 2.0


class HasSegments(Protocol):
    """A scan with what was accepted on it: of a scene, or of a session's state."""

    @property
    def volume(self) -> Volume: ...
    @property
    def segments(self) -> Sequence[Segment]: ...


@dataclass(frozen=True, eq=False)
class TrainingCase:
    """One scan and its accepted segments; immutable, for any thread."""

    volume: Volume
    segments: tuple[Segment, ...]


@dataclass
class TrainingSetReport:
    """What was done. `left_out`: title of a scan and why it is not in the set; titles are for the user's eyes only."""

    folder: Path
    labels: tuple[str, ...] = ()
    added: list[str] = field(default_factory=list)
    replaced: list[str] = field(default_factory=list)
    left_out: list[tuple[str, str]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def as_document(self) -> dict[str, Any]:
        """The report as JSON values."""
        return {
            "out": str(self.folder),
            "labels": list(self.labels),
            "added": self.added,
            "replaced": self.replaced,
            "left_out": [{"scan": title, "reason": reason} for title, reason in self.left_out],
            "warnings": self.warnings,
            "pixels_cleaned": False,
            "notice": PIXELS_SENTENCE,
        }

    def lines(self) -> tuple[str, ...]:
        """The report for people."""
        cases = "1 case" if len(self.added) == 1 else f"{len(self.added)} cases"
        done = f"Saved and checked: {cases} added, {len(self.replaced)} replaced in {self.folder}"
        left = [f"Left out: {title}: {reason}" for title, reason in self.left_out]
        return (done, f"Labels: {', '.join(self.labels)}", *left, *self.warnings, PIXELS_SENTENCE)


def cases_of(scans: Iterable[HasSegments]) -> list[TrainingCase]:
    """The scans that have segments. Call it on the thread that owns the scene; nothing is copied."""
    return [TrainingCase(scan.volume, tuple(scan.segments)) for scan in scans if scan.segments]


def check_target(folder: Path) -> SetDocument:
    """The data set in a folder, a new one where it is absent or empty. Raises OutputNotWritten for any other folder,
    InputRefused for a damaged `dataset.json`."""
    folder = Path(folder)
    try:
        if folder.exists() and not folder.is_dir():
            raise OutputNotWritten(f"{folder} is a file.", "Choose a folder.")
        if not folder.parent.is_dir():
            raise OutputNotWritten(f"The folder {folder.parent} does not exist.", "Create it first.")
        document = document_file.read_document(folder) if folder.is_dir() else {}
        if not document_file.is_ours(document) and _is_used(folder):
            raise OutputNotWritten(
                f"{folder} holds other files, not a training set of this program.",
                "Choose a new or empty folder, or a training set that was exported here.",
            )
    except OSError as error:
        raise not_written(folder, error) from error
    return SetDocument.of(document, folder)


def export_training_set(
    cases: Sequence[TrainingCase],
    folder: Path,
    progress: Progress | None = None,
    *,
    name: str = "",
    licence: str = "",
    only_corrected: bool = False,
) -> TrainingSetReport:
    """Add the segments of scans to the training set in `folder`, each scan (each annotated frame of a cine) a case.

    A case that is there already is replaced as a whole. Every file is read back and compared before it takes its name;
    a stop at any moment leaves whole cases. `only_corrected` leaves out masks that are a model's alone. Any thread.

    Raises OutputNotWritten (nothing to save, labels that contradict the set, drive), InputRefused for a damaged set,
    Cancelled, after which the cases that were complete are kept.
    """
    folder, progress = Path(folder), progress or silent()
    report = TrainingSetReport(folder)
    check_target(folder)
    items = _items(cases, folder, only_corrected, report)
    try:
        for part in (folder, folder / IMAGES, folder / MASKS):
            part.mkdir(exist_ok=True)
        with FileLock(folder / _LOCK, timeout=_LOCK_SECONDS):
            _write_all(items, check_target(folder), progress, report, name, licence)
    except Timeout as error:
        raise OutputNotWritten(f"Another export is writing to {folder}.", "Wait until it has ended.") from error
    except OSError as error:
        raise not_written(folder, error) from error
    return report


def _items(cases: Sequence[TrainingCase], folder: Path, only_corrected: bool, report: TrainingSetReport) -> list[Item]:
    items: list[Item] = []
    for case in cases:
        try:
            items += items_of(case.volume, case.segments, folder, only_corrected)
        except UserError as error:
            report.left_out.append((title_of(case.volume), str(error)))
    if items:
        return items
    if report.left_out:
        raise OutputNotWritten(f"No scan can be exported: {report.left_out[0][1]}")
    raise OutputNotWritten(
        "There is nothing to export.",
        "Correct a mask first, or export those of the model too." if only_corrected else "Accept a mask first.",
    )


def _write_all(
    items: Sequence[Item],
    document: SetDocument,
    progress: Progress,
    report: TrainingSetReport,
    name: str,
    licence: str,
) -> None:
    document.describe(name, licence)
    for item in items:
        document.agree(item)  # all of them before the first file is written
    key = _patient_key()
    for number, item in enumerate(items):
        try:
            part = progress.part(number / len(items), (number + 1) / len(items))
            part.report(0.0, f"Saving case {number + 1} of {len(items)}")
            known = write_item(item, document, _code(item.volume, key), part)
        except Cancelled as error:
            raise Cancelled(f"Cancelled. {number} of {len(items)} cases were saved.") from error
        (report.replaced if known else report.added).append(item.id)
        report.warnings += [warning for warning in item.warnings if warning not in report.warnings]
    report.labels = tuple(document.labels)


def _is_used(folder: Path) -> bool:
    """Whether a folder holds anything but what an export makes before its first case."""
    return folder.is_dir() and any(_counts(path) for path in folder.iterdir() if not path.name.startswith("."))


def _counts(path: Path) -> bool:
    made = path.name in (IMAGES, MASKS) and path.is_dir()
    return not made or any(not inner.name.startswith(".") for inner in path.iterdir())


# -- the patient's code -----------------------------------------------------------------------------------------------
def _patient_key() -> bytes:
    """A random key of this computer's user: the same patient gets the same code, which nobody else can compute."""
    path = user_folder("data") / "training_set.key"
    try:
        key = path.read_bytes()
        if len(key) == 32:
            return key
    except OSError:
        pass
    key = os.urandom(32)
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(key)
    except OSError:  # then codes agree within this export alone
        pass
    return key


def _code(volume: Volume, key: bytes) -> str:
    """A code for the patient; "" where the scan names none."""
    identity = " ".join(volume.patient.id.split())
    return f"p-{hmac.new(key, identity.encode(), hashlib.sha256).hexdigest()[:12]}" if identity else ""
