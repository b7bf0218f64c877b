"""Reader for MetaImage (.mha, .mhd): own header reading and whole data, because ITK fills missing data with zeros."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medviewer.core.geometry import spacing_of
from medviewer.core.progress import Progress, silent
from medviewer.core.volume import Kind, ScanResult, SeriesEntry, Source, Volume
from medviewer.io.metaimage_header import MetaInfo, read_info
from medviewer.io.modality_guess import guess
from medviewer.io.nifti import replace_non_finite
from medviewer.io.single_file import listed, readable
from medviewer.io.voxel_stream import read_array, read_first_slices, refuse_impossible_size, to_native


@dataclass(frozen=True)
class MetaImageHandle:
    """Which time point of which file an entry means."""

    path: Path
    frame: int | None = None


def scan(path: Path, progress: Progress) -> ScanResult:
    """List what a MetaImage file holds: one entry, or one per time point. Never raises for a bad file."""

    def entries() -> list[SeriesEntry]:
        info = read_info(path)
        _refuse_impossible(info)
        sample = _sample(info)
        progress.check_cancelled()
        frames: list[int | None] = [None] if info.frames == 1 else list(range(info.frames))
        return [_entry(info, sample, frame) for frame in frames]

    return listed(path, entries)


def load(entry: SeriesEntry, progress: Progress) -> Volume:
    """Read the voxels of one entry; packed data is verified to its checksum. Raises InputRefused."""
    handle: MetaImageHandle = entry.handle
    with readable(handle.path):
        info = read_info(handle.path)
        array, notes = replace_non_finite(_read(info, handle.frame or 0, progress))
    facts, units, warnings = guess(handle.path.name, None if array.ndim == 4 else array)
    modality = facts["modality"].value
    return Volume(
        array, info.affine, str(modality) if modality else None, units, _kind(info), spacing_mm=info.spacing,
        facts=info.facts | facts, warnings=info.warnings + warnings + notes, id=entry.id, title=entry.title,
        source=Source("metaimage", entry.path, tuple({handle.path: 0, info.data_path: 0})),
    )  # fmt: skip


def load_slice(entry: SeriesEntry) -> NDArray[Any]:
    """The middle native slice (i, j) or (i, j, 3), for thumbnails: the rest is not verified. Raises InputRefused."""
    handle: MetaImageHandle = entry.handle
    info = read_info(handle.path)
    i, j, k = info.shape
    before = (handle.frame or 0) * info.frame_bytes + (k // 2) * (info.frame_bytes // k)
    shape = (info.channels, i, j) if info.channels > 1 else (i, j)
    stored = to_native(
        read_array(
            info.data_path, shape, info.dtype, info.encoding, info.offset, skip=before, progress=silent(), whole=False
        )
    )
    return replace_non_finite(np.moveaxis(stored[:3], 0, -1) if info.channels > 1 else stored)[0]


def _read(info: MetaInfo, frame: int, progress: Progress) -> NDArray[Any]:
    _refuse_impossible(info)
    shape = (info.channels, *info.shape) if info.channels > 1 else info.shape
    before, after = frame * info.frame_bytes, (info.frames - 1 - frame) * info.frame_bytes
    stored = to_native(
        read_array(
            info.data_path, shape, info.dtype, info.encoding, info.offset, skip=before, rest=after, progress=progress
        )
    )
    return np.asfortranarray(np.moveaxis(stored[:3], 0, -1)) if info.channels > 1 else stored


def _refuse_impossible(info: MetaInfo) -> None:
    needed = info.frame_bytes * info.frames
    refuse_impossible_size(info.data_path, needed, info.encoding, info.offset, info.peak_bytes)


def _sample(info: MetaInfo) -> NDArray[Any] | None:
    if info.channels > 1:
        return None
    return read_first_slices(info.data_path, info.shape, info.dtype, info.encoding, info.offset)


def _kind(info: MetaInfo) -> Kind:
    return "image" if info.shape[2] == 1 else "volume"


def _entry(info: MetaInfo, sample: NDArray[Any] | None, frame: int | None) -> SeriesEntry:
    name = info.path.name
    facts, units, warnings = guess(name, sample)
    spacing = spacing_of(info.affine) if info.affine is not None else info.spacing
    identity, title = (name, name) if frame is None else (f"{name}#t{frame:03d}", f"{name}, time point {frame + 1}")
    modality = facts["modality"].value
    return SeriesEntry(
        identity, "metaimage", title, _kind(info), str(modality) if modality else None, info.shape, spacing,
        info.affine, units, info.facts | facts, info.warnings + warnings, path=info.path,
        handle=MetaImageHandle(info.path, frame),
    )  # fmt: skip
