"""DICOM files, folders and DICOMDIRs: a fast header scan, then the pixels of one entry as a `Volume`.

pydicom is the reader of record; the plain cases are walked by hand for speed (see dicom_parser). Source files are
opened read-only. All functions may run on any thread.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medviewer.core.progress import Progress, silent
from medviewer.core.regularisation import Regularisation
from medviewer.core.volume import Refused, ScanResult, SeriesEntry, Source, Volume
from medviewer.io.decode_codecs import unsupported
from medviewer.io.decode_frames import Undecoded
from medviewer.io.dicom_arrivals import Times, arrival_note, census, folder_times
from medviewer.io.dicom_classes import not_an_image
from medviewer.io.dicom_corners import check_corners
from medviewer.io.dicom_entries import series_entries
from medviewer.io.dicom_files import candidates
from medviewer.io.dicom_handle import Handle
from medviewer.io.dicom_header import Header, NotReadable, read_header
from medviewer.io.dicom_irregular import MOST_MISSING
from medviewer.io.dicom_patients import identity_of
from medviewer.io.dicom_resample import read_plane, read_resampled
from medviewer.io.dicom_values import read_values

Array = NDArray[Any]
_MOST_LOST = 3  # slices that cannot be decoded; each may take a decoder's whole time limit


def scan(path: Path, progress: Progress | None = None) -> ScanResult:
    """Entries of a folder (with its subfolders), of a DICOMDIR, or of a single file and the series it belongs to.

    Reads headers only. Never raises for bad files: they are in `refused`, each with a reason and a hint.
    Raises `Cancelled` if the user cancelled.
    """
    path, progress = Path(path), progress or silent()
    files, refused, chosen = candidates(path)
    times = folder_times(files)
    headers, damaged = _read_headers(files, refused, progress)
    result = _warn_of_damaged(_assemble(headers, path, refused, times), damaged)
    if chosen is None:
        return result
    alone = [header for header in headers if header.path == chosen]
    return _around_file(result, chosen) or _alone(alone, path, result)


def _assemble(headers: Sequence[Header], path: Path, refused: Sequence[Refused], times: Times) -> ScanResult:
    series: list[list[SeriesEntry]] = []
    refusals = list(refused)
    for key, group in _series(headers).items():
        found = series_entries(group, key, path)
        refusals += found.refused
        if found.entries:
            counted = census(group, times)
            series.append([replace(e, handle=replace(e.handle, census=counted)) for e in found.entries])
    series.sort(key=lambda entries: _as_listed(entries[0]))
    return ScanResult(tuple(entry for entries in series for entry in entries), tuple(refusals))


def _as_listed(entry: SeriesEntry) -> tuple[str, str, float]:
    """Study by study, by series number, as a PACS lists them; ties keep their order."""
    number = entry.facts["series_number"].value
    return entry.patient.study_date, str(entry.facts["study_instance_uid"].value), float(number or 0)


def _read_headers(files: Sequence[Path], refused: list[Refused], progress: Progress) -> tuple[list[Header], list[Path]]:
    """(headers of images, files that may have been images but are damaged)."""
    headers, damaged = [], []
    for index, file in enumerate(files):
        if not index % 50:
            progress.report(index / len(files), "Looking through the files")
        try:
            header = read_header(file)
            kind, compression = not_an_image(header), unsupported(header.transfer_syntax, file.name)
            if kind is not None:
                refused.append(Refused(file, f"{file.name} is not an image: {kind}."))
            elif compression is not None:
                refused.append(Refused(file, str(compression)))
                damaged.append(file)
            else:
                headers.append(header)
        except NotReadable as error:
            refused.append(Refused(file, str(error)))
            damaged += [] if error.other_kind else [file]
    return headers, damaged


def _warn_of_damaged(result: ScanResult, damaged: Sequence[Path]) -> ScanResult:
    """An unreadable file may have been the first or last slice of a series beside it: nothing else would tell."""
    if not damaged:
        return result
    entries = []
    for entry in result.entries:
        folders = {ref.path.parent for ref in entry.handle.frames}
        lost = [path.name for path in damaged if path.parent in folders]
        what = f"An unreadable file ({', '.join(lost)}) lies" if len(lost) == 1 else f"{len(lost)} unreadable files lie"
        note = f"{what} beside this series and could not be read: the series may be incomplete."
        entries.append(replace(entry, warnings=(*entry.warnings, note)) if lost else entry)
    return ScanResult(tuple(entries), result.refused)


def _series(headers: Sequence[Header]) -> dict[str, list[Header]]:
    """Headers by series id, in the order of the files."""
    groups: dict[str, list[Header]] = defaultdict(list)
    for header in headers:
        groups[header.get("SeriesInstanceUID") or _stand_in_id(header)].append(header)
    return groups


def _stand_in_id(header: Header) -> str:
    """A stable id where the series UID was removed (anonymised files): made of the folder's name and the study."""
    parts = [header.path.parent.name, repr(identity_of(header))]
    for keyword in ("StudyInstanceUID", "Modality", "SeriesNumber", "SeriesDescription", "FrameOfReferenceUID"):
        parts.append(str(header.get(keyword)))
    return "no-uid-" + hashlib.sha1("|".join(parts).encode(), usedforsecurity=False).hexdigest()[:12]


def _around_file(result: ScanResult, chosen: Path) -> ScanResult | None:
    """Only the entries that contain the file the user opened; None if none does."""
    entries = []
    for entry in result.entries:
        paths = {ref.path for ref in entry.handle.frames}
        if chosen in paths:
            note = f"{chosen.name} is one of {len(paths)} files of this series; the whole series is offered."
            entries.append(replace(entry, warnings=(*entry.warnings, note)) if len(paths) > 1 else entry)
    return ScanResult(tuple(entries)) if entries else None


def _alone(headers: Sequence[Header], path: Path, result: ScanResult) -> ScanResult:
    """The file by itself, where its series cannot be opened; the reason stays as a warning."""
    single = _assemble(headers, path, (), {})
    if not single.entries or not result.refused:
        return ScanResult((), result.refused)
    note = f"Only this file is shown, because its series cannot be opened: {result.refused[0].reason}"
    return ScanResult(tuple(replace(e, warnings=(*e.warnings, note)) for e in single.entries), result.refused)


def load(entry: SeriesEntry, progress: Progress | None = None) -> Volume:
    """The voxels of one entry. Raises `InputRefused` if they are damaged or too many, `Cancelled`.

    A few slices that cannot be decoded are left out as if their files were missing, with a warning that names them;
    the volume is then resampled over the gap, or is shorter.
    """
    progress, frames = progress or silent(), len(entry.handle.frames)
    while True:
        try:
            return _load(entry, progress)
        except Undecoded as error:
            entry = _without(entry, error, frames)


def _without(entry: SeriesEntry, error: Undecoded, frames: int) -> SeriesEntry:
    """The series, once of `frames` slices, without the one that cannot be decoded. Raises the error if that fails."""
    refs = entry.handle.frames
    paths = list(dict.fromkeys(ref.path for ref in refs if ref.path != error.path))
    lost = frames - len(paths)
    if entry.kind != "volume" or len(paths) != len(refs) - 1 or lost > min(_MOST_LOST, MOST_MISSING * frames):
        raise error
    found = _assemble([read_header(path) for path in paths], entry.path, (), {}).entries
    if len(found) != 1 or found[0].kind != "volume" or len(found[0].handle.frames) != len(paths):
        raise error
    note = f"{error.message} It was left out of this series."
    warnings = dict.fromkeys((*found[0].warnings, *entry.warnings, note))
    return replace(found[0], id=entry.id, title=entry.title, warnings=tuple(warnings))


def _load(entry: SeriesEntry, progress: Progress) -> Volume:
    handle: Handle = entry.handle
    check_corners(entry)
    if handle.plan is None:
        values, warnings = read_values(handle.frames, progress)
        return volume_of(entry, handle, values, (*warnings, *arrival_note(handle.census)), None)
    regular = read_resampled(handle.frames, handle.plan, handle.padding, progress)
    done = replace(handle.plan.regularisation, outside=regular.outside)
    return volume_of(entry, handle, regular.array, arrival_note(handle.census), done)


def _source(entry: SeriesEntry, handle: Handle) -> Source:
    """Files in the order of k; a resampled volume has planes that are no single image, so it names no instances."""
    refs = handle.frames
    one_file = len({ref.path for ref in refs}) == 1
    files = (refs[0].path,) if one_file else tuple(ref.path for ref in refs)
    source = Source("dicom", entry.path, files, handle.series_uid)
    if handle.plan is not None:
        return source
    numbers = tuple(ref.index + 1 for ref in refs) if refs[0].frames > 1 else ()
    return replace(
        source,
        instance_uids=handle.instance_uids,
        frame_numbers=numbers,
        instance_numbers=handle.instance_numbers,
    )


def volume_of(
    entry: SeriesEntry, handle: Handle, values: Array, warnings: tuple[str, ...], done: Regularisation | None
) -> Volume:
    return Volume(
        array=values,
        affine=entry.affine_lps,
        modality=entry.modality,
        units=entry.units,
        kind=entry.kind,
        spacing_mm=entry.spacing_mm,
        spacing_note=handle.spacing_note,
        facts=entry.facts,
        warnings=(*entry.warnings, *warnings),
        id=entry.id,
        title=entry.title,
        patient=entry.patient,
        source=_source(entry, handle),
        patient_orientation=handle.patient_orientation,
        window=handle.window,
        inverted=handle.inverted,
        frame_time_ms=handle.frame_time_ms,
        calibrated_regions=handle.calibrated_regions,
        regularisation=done,
    )


def load_slice(entry: SeriesEntry, k: int) -> Array:
    """Slice or frame k alone, rescaled: (columns, rows), or (columns, rows, 3) RGB. Raises `InputRefused`.

    Where the series is resampled, voxels outside of all slices may hold another fill value than in the volume.
    """
    handle: Handle = entry.handle
    if handle.plan is not None:
        return read_plane(handle.frames, handle.plan, k, handle.padding, silent())
    values, _ = read_values(handle.frames[k : k + 1], silent())
    return np.asarray(values[:, :, 0])


def load_thumbnail(entry: SeriesEntry, size: int = 96) -> NDArray[np.uint8]:
    """A small picture of the middle slice, (rows, columns) or (rows, columns, 3), for a list. Raises `InputRefused`."""
    from medviewer.io.dicom_values import thumbnail_of

    handle: Handle = entry.handle
    return thumbnail_of(load_slice(entry, entry.shape_xyz[2] // 2), size, handle.window, handle.inverted)
