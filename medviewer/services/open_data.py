"""Opening what the user gives: one file or a folder of anything, each file read by what it contains."""

from __future__ import annotations

import importlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

from numpy.typing import NDArray

from medviewer.core.errors import InputRefused, UserError, WrongUsage
from medviewer.core.progress import Progress, silent
from medviewer.core.volume import Fact, Refused, ScanResult, SeriesEntry, Volume
from medviewer.services.file_kinds import WHAT_WORKS, FileKind, is_regular, kind_of, readable_files, why_not_a_scan
from medviewer.services.preflight import COPIES, announced, plan_loading, refusal_of, without_notice

MODALITIES = ("CT", "MR", "CR", "DX", "US", "MG", "XA", "RF", "PT", "NM", "OT")
_READERS = {
    "dicom": "medviewer.io.dicom_series",
    "nifti": "medviewer.io.nifti",
    "nrrd": "medviewer.io.nrrd_file",
    "metaimage": "medviewer.io.metaimage",
    "image": "medviewer.io.image_file",
}


@dataclass(frozen=True)
class Catalogue:
    """What a path holds: readable series with their header facts, and what was not read and why."""

    entries: tuple[SeriesEntry, ...] = ()
    refused: tuple[Refused, ...] = ()

    def find(self, series: str) -> SeriesEntry:
        """The entry with this id. Raises InputRefused listing the ids there are."""
        for entry in self.entries:
            if entry.id == series:
                return entry
        raise InputRefused(f"There is no series {series} here.", f"Choose one of: {_ids(self.entries)}")


def scan_path(path: Path | str, progress: Progress | None = None) -> Catalogue:
    """List every readable series below a file or folder, from headers only. Any thread.

    Raises InputRefused where the path does not exist, cannot be read, or the folder is empty. Files that cannot
    be read are in `refused`, also when none could.
    """
    progress = progress or silent()
    path = Path(path)
    try:
        found = _scan_folder(path, progress) if path.is_dir() else _scan_file(path, progress)
        return replace(found, entries=tuple(announced(entry) for entry in found.entries))
    except OSError as error:
        raise _cannot_open(path, error) from error


def load(entry: SeriesEntry, progress: Progress | None = None, *, copies: int = COPIES) -> Volume:
    """Read the voxels of an entry; a scan that is too large for the free memory is read reduced, and says so in its
    warnings, or refused before anything is read. `copies`: how many of the array must find room.

    Any thread; raises InputRefused.
    """
    progress = progress or silent()
    try:
        plan = plan_loading(entry, copies)
        entry = without_notice(entry)
        if plan.refusal:
            raise refusal_of(plan)
        if not plan.whole:
            from medviewer.io.reduced import load_reduced

            return load_reduced(entry, plan.factors, plan.notice, progress)
        volume: Volume = _reader(entry.format).load(entry, progress)
    except OSError as error:
        raise _cannot_open(entry.path, error) from error
    except MemoryError:
        raise InputRefused(
            f"{entry.title} does not fit into the memory.", "Close other programs or crop the scan first.",
            code="not-enough-memory",
        ) from None
    return volume


def open_volume(
    path: Path | str, series: str | None = None, progress: Progress | None = None, modality: str | None = None
) -> Volume:
    """Open the one series at a path, or the one with id `series`; `modality` overrides what the file says.

    Raises InputRefused where nothing can be read, or where there are several series and none was named (the
    message lists their ids); WrongUsage for an unknown modality.
    """
    progress = progress or silent()
    catalogue = scan_path(path, progress.part(0.0, 0.2))
    volume = load(_choose(Path(path), catalogue, series), progress.part(0.2, 1.0))
    return volume if modality is None else with_modality(volume, modality)


def with_modality(volume: Volume, modality: str) -> Volume:
    """The volume with the modality that the user states ("CT", "MR", "DX", "US" ...)."""
    value = modality.strip().upper()
    if value not in MODALITIES:
        raise WrongUsage(f"{modality} is not a modality.", f"Choose one of {', '.join(MODALITIES)}.")
    facts = dict(volume.facts) | {"modality": Fact(value, "user")}
    keeps_unit = value == "CT" or volume.units != "HU"
    return volume.with_changes(modality=value, facts=facts, units=volume.units if keeps_unit else None)


def thumbnail(entry: SeriesEntry, size: int = 96) -> NDArray[Any]:
    """A small picture, uint8 (rows, cols) or (rows, cols, 3) of at most `size`, of the middle slice. Any thread."""
    from medviewer.services.thumbnail import picture_of

    if entry.format == "dicom":
        picture: NDArray[Any] = _reader("dicom").load_thumbnail(entry, size)
        return picture
    return picture_of(entry, _reader(entry.format), size)


def _choose(path: Path, catalogue: Catalogue, series: str | None) -> SeriesEntry:
    if series is not None:
        return catalogue.find(series)
    if len(catalogue.entries) == 1:
        return catalogue.entries[0]
    if not catalogue.entries:
        raise nothing_readable(path, catalogue.refused)
    raise InputRefused(
        f"{path.name} holds {len(catalogue.entries)} series.", f"Name one of: {_ids(catalogue.entries)}"
    )


def nothing_readable(path: Path, refused: Sequence[Refused]) -> InputRefused:
    """The reason of the file that was named, else of the first refused one, and how many more there are."""
    if not refused:
        return InputRefused(f"{path.name} holds no scan.", WHAT_WORKS)
    own = [item for item in refused if item.path.resolve() == path.resolve()]
    message, _, hint = (own or refused)[0].reason.partition(". ")
    others = f" {len(refused) - 1} more files were refused." if len(refused) > 1 and not own else ""
    return InputRefused(message.rstrip(".") + "." + others, hint or WHAT_WORKS)


def _ids(entries: Sequence[SeriesEntry]) -> str:
    return ", ".join(entry.id for entry in entries) or "(none)"


def _reader(format_name: str) -> ModuleType:
    return importlib.import_module(_READERS[format_name])


def _scan_file(path: Path, progress: Progress) -> Catalogue:
    if not is_regular(path):
        raise InputRefused(f"{path.name} is not a file with a scan (a device or pipe).", WHAT_WORKS)
    kind = kind_of(path)
    if kind in (FileKind.UNKNOWN, FileKind.COMPANION):
        return Catalogue(refused=(Refused(path, why_not_a_scan(path)),))
    result = _scan_with(kind, path, progress)
    return Catalogue(result.entries, result.refused)


def _scan_with(kind: FileKind, path: Path, progress: Progress) -> ScanResult:
    try:
        result: ScanResult = _reader(kind.value).scan(path, progress)
    except UserError as error:
        if error.exit_status != InputRefused.exit_status:
            raise
        return ScanResult(refused=(Refused(path, str(error)),))
    return result


def _scan_folder(folder: Path, progress: Progress) -> Catalogue:
    next(folder.iterdir(), None)  # a folder that may not be listed raises here, not silently as empty
    kinds, refused = _sort(folder, progress.part(0.0, 0.3))
    if not kinds and not refused:
        raise InputRefused(f"The folder {folder.name} is empty.", "Choose the folder that holds the scan's files.")
    entries: list[SeriesEntry] = []
    if FileKind.DICOM in kinds.values():
        dicom = _scan_with(FileKind.DICOM, folder, progress.part(0.3, 0.8))
        entries += dicom.entries
        refused += [item for item in dicom.refused if kinds.get(item.path, FileKind.DICOM) is FileKind.DICOM]
    others = [(path, kind) for path, kind in kinds.items() if kind not in (FileKind.DICOM, FileKind.COMPANION)]
    rest = progress.part(0.8, 1.0)
    for number, (path, kind) in enumerate(others):
        result = _scan_with(kind, path, rest.part(number / len(others), (number + 1) / len(others)))
        entries += result.entries
        refused += result.refused
    return Catalogue(tuple(_unique_ids(folder, entries)), tuple(_once(refused)))


def _sort(folder: Path, progress: Progress) -> tuple[dict[Path, FileKind], list[Refused]]:
    """The kind of every file below a folder; what nothing can read is refused at once."""
    kinds: dict[Path, FileKind] = {}
    refused: list[Refused] = []
    for path in readable_files(folder):
        progress.report(0.5, "Looking at the files")
        try:
            kind = kind_of(path) if is_regular(path) else FileKind.UNKNOWN
            if kind is FileKind.UNKNOWN:
                refused.append(Refused(path, why_not_a_scan(path)))
            else:
                kinds[path] = kind
        except OSError as error:
            refused.append(Refused(path, str(_cannot_open(path, error))))
    return kinds, refused


def _unique_ids(folder: Path, entries: Sequence[SeriesEntry]) -> list[SeriesEntry]:
    """Files of the same name in several folders get their path as id."""
    count = Counter(entry.id for entry in entries)
    return [
        replace(entry, id=_path_id(folder, entry)) if count[entry.id] > 1 and entry.format != "dicom" else entry
        for entry in entries
    ]


def _path_id(folder: Path, entry: SeriesEntry) -> str:
    mark = entry.id.removeprefix(entry.path.name)
    return entry.path.relative_to(folder).as_posix() + mark


def _once(refused: Sequence[Refused]) -> list[Refused]:
    return list({item.path: item for item in reversed(refused)}.values())[::-1]


def _cannot_open(path: Path, error: OSError) -> InputRefused:
    if isinstance(error, FileNotFoundError):
        return InputRefused(f"There is no file or folder {path}.", "Check the name; it may have been moved.")
    if isinstance(error, PermissionError):
        return InputRefused(f"{path.name} may not be read.", "Ask for permission, or copy it to a folder of your own.")
    return InputRefused(f"{path.name} cannot be read: {error.strerror or error}.", "Check the drive and the name.")
