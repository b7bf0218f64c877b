"""How much memory reading an entry takes, from its header alone."""

from __future__ import annotations

import math
from dataclasses import dataclass

from medviewer.core.volume import SeriesEntry


@dataclass(frozen=True)
class ReadingCost:
    """Bytes: `peak` while it is read (conversions included), `held` by the array afterwards, `slice_peak` to read one
    of its slices (k) alone; `reducible`: `medviewer.io.reduced` can read it in slabs."""

    peak: int
    held: int
    slice_peak: int
    reducible: bool


def reading_cost(entry: SeriesEntry) -> ReadingCost:
    """Cost of `load`. Reads the header again for files; raises InputRefused or OSError like the readers."""
    finder = {"dicom": _dicom, "nifti": _nifti, "nrrd": _nrrd, "metaimage": _metaimage}.get(entry.format, _other)
    return finder(entry)


def _cost(entry: SeriesEntry, peak: float, held: float, reducible: bool) -> ReadingCost:
    """From bytes per voxel."""
    voxels = math.prod(entry.shape_xyz)
    plane = entry.shape_xyz[0] * entry.shape_xyz[1]
    content = entry.facts.get("content")
    possible = reducible and entry.kind == "volume" and not (content is not None and content.value == "label map")
    return ReadingCost(int(peak * voxels), int(held * voxels), int(peak * plane), possible)


def _dicom(entry: SeriesEntry) -> ReadingCost:
    frames = entry.handle.frames
    stored = max(ref.format.bits_allocated for ref in frames) / 8
    if frames[0].format.color:
        return _cost(entry, 6, 3, False)
    rescales = {(ref.slope, ref.intercept) for ref in frames}
    whole = len(rescales) == 1 and all(s == 1.0 and float(i).is_integer() for s, i in rescales)
    held = stored if whole else max(4.0, stored)
    peak = stored if whole else stored + held
    resampled = entry.handle.plan is not None  # reads plane by plane into a new grid of float32 or int16
    return _cost(entry, peak + 4 if resampled else peak, max(held, 4) if resampled else held, not resampled)


def _nifti(entry: SeriesEntry) -> ReadingCost:
    from medviewer.io.nifti_header import read_info

    info = read_info(entry.handle.path)
    voxels = math.prod(info.shape)
    plain = (info.slope, info.intercept) == (1.0, 0.0)
    held = info.dtype.itemsize if plain else max(4, info.dtype.itemsize)
    return _cost(entry, info.peak_bytes / voxels, 3 if info.is_colour else held, not info.is_colour)


def _metaimage(entry: SeriesEntry) -> ReadingCost:
    from medviewer.io.metaimage_header import read_info

    info = read_info(entry.handle.path)
    held = info.dtype.itemsize * min(info.channels, 3)
    return _cost(entry, info.peak_bytes / math.prod(info.shape), held, info.channels == 1)


def _nrrd(entry: SeriesEntry) -> ReadingCost:
    from medviewer.io.nrrd_header import read_info

    info = read_info(entry.handle.path)
    stored = math.prod(info.sizes) * info.dtype.itemsize / math.prod(info.shape)
    several = info.extra is not None
    packed = info.encoding in ("raw", "zlib", "bzip2")
    return _cost(entry, stored * 3 if several else stored + 1, stored, packed and not several)


def _other(entry: SeriesEntry) -> ReadingCost:
    return _cost(entry, 12, 3, False)
