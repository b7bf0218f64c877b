"""A folder per case with a DICOM series and the DICOM SEG that refers to it."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from medviewer.core.errors import InputRefused, UserError
from medviewer.core.progress import silent
from medviewer.core.volume import SeriesEntry
from medviewer.io import dicom_series
from medviewer.io.dicom_header import NotReadable, read_header
from medviewer.io.dicom_seg_read import LABEL_MAP_CLASSES, SEG_CLASSES, open_seg
from medviewer.io.nrrd_header import read_info
from medviewer.io.training_set import plain_name

from .cases import CaseFile, CasesRefused, MaskFile, modality_token


def read_dicom_cases(folder: Path) -> list[CaseFile]:
    """One case per subfolder that holds DICOM files. Raises CasesRefused for those that are incomplete."""
    cases, problems = [], []
    for path in sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")):
        try:
            case = _case(path, folder)
        except UserError as error:
            problems.append(f"{path.name}: {error}")
            continue
        cases += [case] if case is not None else []
    if problems:
        raise CasesRefused(folder.name, problems)
    return cases


def names_in(path: Path) -> list[str]:
    """Names of the segments in a DICOM SEG or .seg.nrrd. Raises InputRefused."""
    if path.name.lower().endswith(".seg.nrrd"):
        return _names_in_nrrd(path)
    items: Any = open_seg(path).get("SegmentSequence") or []
    return _unique(path, [str(item.get("SegmentLabel") or f"Segment {item.get('SegmentNumber')}") for item in items])


def _names_in_nrrd(path: Path) -> list[str]:
    fields = read_info(path).fields
    names, number = [], 0
    while f"Segment{number}_ID" in fields:
        names.append(str(fields.get(f"Segment{number}_Name", fields[f"Segment{number}_ID"])))
        number += 1
    return _unique(path, names)


def _unique(path: Path, names: list[str]) -> list[str]:
    if not names:
        raise InputRefused(f"{path.name} names no segment.", "Export the segmentation again.")
    return list(dict.fromkeys(plain_name(name) for name in names))


def _case(path: Path, folder: Path) -> CaseFile | None:
    result = dicom_series.scan(path, silent())
    segmentations = [file for file in sorted(path.rglob("*")) if file.is_file() and _is_segmentation(file)]
    if not result.entries and not segmentations:
        return None
    if not segmentations:
        raise InputRefused("it has a DICOM series but no DICOM SEG.", "Put the segmentation into the same folder.")
    entry = _referenced(list(result.entries), segmentations)
    masks = tuple(MaskFile(file, "named") for file in segmentations)
    names = dict.fromkeys(name for file in segmentations for name in names_in(file))
    identity = entry.patient.id
    return CaseFile(
        key=path.relative_to(folder).as_posix(), image=path, masks=masks, names=tuple(names),
        modality=modality_token(entry.modality), folder=folder, series=entry.id,
        patient=hashlib.sha256(identity.encode()).hexdigest()[:12] if identity else "",
    )  # fmt: skip


def _is_segmentation(path: Path) -> bool:
    try:
        return read_header(path).get("SOPClassUID") in SEG_CLASSES + LABEL_MAP_CLASSES
    except NotReadable:
        return False


def _referenced(entries: list[SeriesEntry], segmentations: list[Path]) -> SeriesEntry:
    """The one series that all segmentations of a case refer to."""
    if not entries:
        raise InputRefused("it has a DICOM SEG but no series that can be read.", "Add the series it was made from.")
    wanted = {uid for file in segmentations for uid in _series_uids(file)}
    named = [entry for entry in entries if any(_is_of(entry.id, uid) for uid in wanted)]
    if wanted and not named:
        raise InputRefused("its DICOM SEG refers to a series that is not there.", "Add the series it was made from.")
    found = named if wanted else entries
    if len(found) != 1:
        raise InputRefused(f"it holds {len(found)} series that the DICOM SEG may mean, expected one.")
    return found[0]


def _series_uids(path: Path) -> set[str]:
    items: Any = open_seg(path).get("ReferencedSeriesSequence") or []
    return {str(item.get("SeriesInstanceUID")) for item in items if item.get("SeriesInstanceUID")}


def _is_of(entry_id: str, uid: str) -> bool:
    """Whether an entry is of this series: a series that was split has a suffix at its UID."""
    rest = entry_id.removeprefix(uid)
    return entry_id.startswith(uid) and (not rest or rest[0] not in "0123456789.")
