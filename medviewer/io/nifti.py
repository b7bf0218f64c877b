"""Reader for NIfTI-1 and NIfTI-2 (.nii, .nii.gz, .hdr/.img): header by nibabel, voxels read to the last byte."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medviewer.core.geometry import spacing_of
from medviewer.core.progress import Progress, silent
from medviewer.core.volume import Fact, Kind, ScanResult, SeriesEntry, Source, Volume
from medviewer.io.label_sidecar import is_label_map
from medviewer.io.modality_guess import guess
from medviewer.io.nifti_header import NiftiInfo, read_info
from medviewer.io.single_file import listed, readable
from medviewer.io.voxel_stream import read_array, read_first_slices, refuse_impossible_size, to_native


@dataclass(frozen=True)
class NiftiHandle:
    """Which time point of which file an entry means."""

    path: Path
    frame: int | None = None


def scan(path: Path, progress: Progress) -> ScanResult:
    """List what a NIfTI file holds: one entry, or one per time point of a 4D file. Never raises for a bad file."""

    def entries() -> list[SeriesEntry]:
        info = read_info(path)
        _refuse_impossible(info)
        sample = _sample(info, progress)
        frames: list[int | None] = [None] if info.frames == 1 else list(range(info.frames))
        return [_entry(path, info, sample, frame) for frame in frames]

    return listed(path, entries)


def load(entry: SeriesEntry, progress: Progress) -> Volume:
    """Read the voxels of one entry; the whole file is verified. Raises InputRefused."""
    handle: NiftiHandle = entry.handle
    with readable(handle.path):
        info = read_info(handle.path)
        stored = _read_frame(info, handle.frame or 0, progress)
    array, notes = _finish(stored, info)
    facts, units, warnings = _meaning(handle.path, None if info.is_colour else array)
    return Volume(
        array, info.affine, _modality(facts), units, _kind(info), facts=info.facts | facts,
        warnings=info.warnings + warnings + notes, id=entry.id, title=entry.title,
        source=Source("nifti", entry.path, tuple({handle.path: 0, info.data_path: 0})),
    )  # fmt: skip


def load_slice(entry: SeriesEntry) -> NDArray[Any]:
    """The middle native slice (i, j) or (i, j, 3), real values, for thumbnails: the rest is not verified."""
    handle: NiftiHandle = entry.handle
    info = read_info(handle.path)
    i, j, k = info.shape
    before = (handle.frame or 0) * info.frame_bytes + (k // 2) * (info.frame_bytes // k)
    shape = (info.channels, i, j, 1) if info.is_colour else (i, j, 1)
    stored = read_array(
        info.data_path, shape, info.dtype, info.encoding, info.offset, skip=before, progress=silent(), whole=False
    )
    array = _finish(_colour_last(stored) if info.is_colour else stored, info)[0]
    return np.asarray(array[:, :, 0])


def _entry(path: Path, info: NiftiInfo, sample: NDArray[Any] | None, frame: int | None) -> SeriesEntry:
    facts, units, warnings = _meaning(path, sample)
    identity, title = path.name, path.name
    if frame is not None:
        identity, title = f"{path.name}#t{frame:03d}", f"{path.name}, time point {frame + 1} of {info.frames}"
    return SeriesEntry(
        identity, "nifti", title, _kind(info), _modality(facts), info.shape, spacing_of(info.affine), info.affine,
        units, info.facts | facts, info.warnings + warnings, path=path, handle=NiftiHandle(path, frame),
    )  # fmt: skip


def _meaning(path: Path, sample: NDArray[Any] | None) -> tuple[dict[str, Fact], str | None, tuple[str, ...]]:
    """Modality and content: by the label sidecar of a mask, else by name and intensities."""
    if is_label_map(path):
        return {"modality": Fact(None, "unknown"), "content": Fact("label map", "file header")}, None, ()
    return guess(path.name, sample)


def _kind(info: NiftiInfo) -> Kind:
    return "image" if info.shape[2] == 1 else "volume"


def _modality(facts: dict[str, Fact]) -> str | None:
    value = facts["modality"].value
    return str(value) if value is not None else None


def _sample(info: NiftiInfo, progress: Progress) -> NDArray[Any] | None:
    """The first slices, as many as are cheap to read, for the modality estimate of a header scan."""
    if info.is_colour:
        return None
    stored = read_first_slices(info.data_path, info.shape, info.dtype, info.encoding, info.offset)
    progress.check_cancelled()
    return _finish(stored, info)[0]


def _read_frame(info: NiftiInfo, frame: int, progress: Progress) -> NDArray[Any]:
    _refuse_impossible(info)
    shape = (info.channels, *info.shape) if info.is_colour else info.shape
    before, after = frame * info.frame_bytes, (info.frames - 1 - frame) * info.frame_bytes
    stored = read_array(
        info.data_path, shape, info.dtype, info.encoding, info.offset, skip=before, rest=after, progress=progress
    )
    return _colour_last(stored) if info.is_colour else stored


def _refuse_impossible(info: NiftiInfo) -> None:
    needed = info.frame_bytes * info.frames
    refuse_impossible_size(info.data_path, needed, info.encoding, info.offset, info.peak_bytes)


def _colour_last(stored: NDArray[Any]) -> NDArray[Any]:
    """(channel, i, j, k) as NIfTI interleaves it, to (i, j, k, 3)."""
    return np.asfortranarray(np.moveaxis(stored[:3], 0, -1))


def _finish(stored: NDArray[Any], info: NiftiInfo) -> tuple[NDArray[Any], tuple[str, ...]]:
    """Native byte order, value scaling applied, no voxel without a number."""
    stored = to_native(stored)
    if (info.slope, info.intercept) != (1.0, 0.0):
        stored = _scaled(stored, info.slope, info.intercept)
    return replace_non_finite(stored)


def _scaled(stored: NDArray[Any], slope: float, intercept: float) -> NDArray[Any]:
    small = stored.dtype.kind in "iu" and stored.dtype.itemsize <= 2
    if small and slope == 1.0 and intercept.is_integer() and abs(intercept) < 1 << 30:
        return _shifted(stored, int(intercept))
    exact = stored.dtype.itemsize > 4 or (stored.dtype.kind in "iu" and stored.dtype.itemsize == 4)
    real: NDArray[Any] = np.multiply(stored, slope, dtype=np.float64 if exact else np.float32)
    np.add(real, intercept, out=real)
    return real


def _shifted(stored: NDArray[Any], shift: int) -> NDArray[Any]:
    """Stored integers plus an integer stay integers, in the smallest signed type that holds them."""
    low, high = int(stored.min()) + shift, int(stored.max()) + shift
    fits = low >= -32768 and high <= 32767
    shifted: NDArray[Any] = np.add(stored, shift, dtype=np.int32)
    return shifted.astype(np.int16) if fits else shifted


def replace_non_finite(array: NDArray[Any]) -> tuple[NDArray[Any], tuple[str, ...]]:
    """Voxels that hold no number (NaN, infinite) become the lowest number of the image, and a warning says so."""
    if array.dtype.kind != "f":
        return array, ()
    good = np.isfinite(array)
    bad = array.size - int(np.count_nonzero(good))
    if bad == 0:
        return array, ()
    lowest = array[good].min() if bad < array.size else array.dtype.type(0)
    array[~good] = lowest
    note = f"{bad} voxels hold no number (NaN or infinite); they are shown with the lowest value, {lowest:g}."
    return array, (note,)
