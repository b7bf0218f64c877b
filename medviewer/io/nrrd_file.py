"""Reader for NRRD scans (.nrrd, .nhdr). Segmentations (.seg.nrrd) are masks and are read by `read_nrrd_seg`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medviewer.core.errors import InputRefused
from medviewer.core.geometry import spacing_of
from medviewer.core.progress import Progress, silent
from medviewer.core.volume import Fact, Kind, ScanResult, SeriesEntry, Source, Volume
from medviewer.io.modality_guess import guess
from medviewer.io.nifti import replace_non_finite
from medviewer.io.nrrd_header import NrrdInfo, check_size, read_info, read_middle_slice, read_sample, read_stored
from medviewer.io.single_file import listed, readable

_COLOUR_KINDS = {"RGB-color", "RGBA-color", "3-color", "4-color"}
_FRAME_KINDS = {"time", "list", "domain", "space", "???", "none"}
_SEGMENTATION = "{0} is a segmentation, not a scan. Open its scan first, then drop this file on it."


@dataclass(frozen=True)
class NrrdHandle:
    """Which frame (time point, list item) of which file an entry means."""

    path: Path
    frame: int | None = None


def scan(path: Path, progress: Progress) -> ScanResult:
    """List what an NRRD file holds: one entry, or one per time point. Never raises for a bad file."""

    def entries() -> list[SeriesEntry]:
        info = read_info(path)
        check_size(info)
        if info.is_segmentation:
            raise InputRefused(_SEGMENTATION.format(path.name))
        frames, sample = _frames(info), read_sample(info)
        progress.check_cancelled()
        return [_entry(info, sample, frame) for frame in frames]

    return listed(path, entries)


def load(entry: SeriesEntry, progress: Progress) -> Volume:
    """Read the voxels of one entry; packed data is verified to its checksum. Raises InputRefused."""
    handle: NrrdHandle = entry.handle
    with readable(handle.path):
        info = read_info(handle.path)
        stored = read_stored(info, progress)
    array, notes = replace_non_finite(_select(info, stored, handle.frame))
    facts, units, warnings = guess(handle.path.name, None if array.ndim == 4 else array)
    modality = facts["modality"].value
    return Volume(
        array, info.affine, str(modality) if modality else None, units, _kind(info), spacing_mm=info.spacing,
        facts=info.facts | facts, warnings=info.warnings + warnings + notes, id=entry.id, title=entry.title,
        source=Source("nrrd", entry.path, tuple({handle.path: 0, info.data_path: 0})),
    )  # fmt: skip


def load_slice(entry: SeriesEntry) -> NDArray[Any]:
    """The middle native slice (i, j) or (i, j, 3), for thumbnails: of scalar images only it is read."""
    handle: NrrdHandle = entry.handle
    info = read_info(handle.path)
    middle = read_middle_slice(info)
    if middle is None:
        volume = _select(info, read_stored(info, silent()), handle.frame)
        middle = volume[:, :, volume.shape[2] // 2]
    return replace_non_finite(middle.copy())[0]


def _frames(info: NrrdInfo) -> list[int | None]:
    if info.extra is None or _is_colour(info):
        return [None]
    if info.extra_kind in _FRAME_KINDS:
        return list(range(info.sizes[info.extra]))
    raise InputRefused(
        f"{info.path.name} holds {info.extra_kind} values, which is not supported.", "Save one scalar image per file."
    )


def _is_colour(info: NrrdInfo) -> bool:
    if info.extra is None or info.dtype != np.uint8:
        return False
    size = info.sizes[info.extra]
    return size in (3, 4) and (info.extra_kind in _COLOUR_KINDS or (info.extra_kind == "vector" and info.extra == 0))


def _select(info: NrrdInfo, stored: NDArray[Any], frame: int | None) -> NDArray[Any]:
    if info.extra is None:
        return stored
    if _is_colour(info):
        return np.asfortranarray(stored[..., :3])
    return np.asfortranarray(stored[..., frame or 0])


def _kind(info: NrrdInfo) -> Kind:
    return "image" if info.shape[2] == 1 else "volume"


def _entry(info: NrrdInfo, sample: NDArray[Any] | None, frame: int | None) -> SeriesEntry:
    name = info.path.name
    facts, units, warnings = guess(name, sample)
    spacing = spacing_of(info.affine) if info.affine is not None else info.spacing
    identity, title = (name, name) if frame is None else (f"{name}#t{frame:03d}", f"{name}, time point {frame + 1}")
    modality = facts["modality"].value
    all_facts: dict[str, Fact] = info.facts | facts
    return SeriesEntry(
        identity, "nrrd", title, _kind(info), str(modality) if modality else None, info.shape, spacing, info.affine,
        units, all_facts, info.warnings + warnings, path=info.path, handle=NrrdHandle(info.path, frame),
    )  # fmt: skip
