"""Reads irregular slices onto the regular grid of a `Resampling`, slab by slab: the result and a few slices in memory.

Linear interpolation: inside each slice where it has to be shifted, and between neighbouring slices where none was
acquired. Values are float32 (colour: uint8), so that nothing is rounded a second time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medviewer.core.progress import Progress
from medviewer.io.dicom_handle import FrameRef
from medviewer.io.dicom_pixels import check_memory
from medviewer.io.dicom_resampling import CORNER_MM, EDGE_VOXELS, Resampling
from medviewer.io.dicom_values import read_values

SLAB = 16  # slices read at a time
Array = NDArray[Any]
Read = Callable[[Sequence[FrameRef], Progress], tuple[Array, tuple[str, ...]]]


@dataclass(frozen=True)
class Regular:
    """Voxels (i, j, k) in Fortran order (colour: a fourth axis), and the value of those no slice covers, or None."""

    array: Array
    outside: float | None


def read_resampled(refs: Sequence[FrameRef], plan: Resampling, padding: float | None, progress: Progress) -> Regular:
    """All slices on the grid. `padding` marks, in rescaled values, voxels that were not scanned.

    Raises `InputRefused` if slices are damaged or the grid does not fit into memory, `Cancelled`.
    """
    color, ni, nj, nk = refs[0].format.color, *plan.shape
    dtype = np.dtype(np.uint8 if color else _float_of(refs))
    shape = (nk, nj, ni, 3) if color else (nk, nj, ni)
    check_memory(shape, dtype.itemsize, "The regular grid of this series")
    out = np.empty(shape, dtype)
    holes, lowest, before = np.zeros(nk, bool), np.inf, None
    for a, values in _slices(refs, dtype, progress.part(0.0, 0.97)):
        lowest = min(lowest, float(values.min()))
        placed = in_plane(values, plan, a, padding)
        for k in np.flatnonzero((plan.below == a) & (plan.weight == 0.0)).tolist():
            holes[k] = _store(out, k, placed)
        for k in np.flatnonzero((plan.below == a - 1) & (plan.weight > 0.0)).tolist():
            assert before is not None
            holes[k] = _store(out, k, blend(before, placed, plan.weight[k], padding))
        before = placed
    outside = 0.0 if color else lowest if padding is None else padding
    for done, k in enumerate(np.flatnonzero(holes).tolist()):
        progress.report(0.97 + 0.03 * done / nk, "Reading slices")
        if not color:
            out[k][np.isnan(out[k])] = outside
    return Regular(out.transpose(2, 1, 0, 3) if color else out.transpose(2, 1, 0), outside if holes.any() else None)


def read_plane(refs: Sequence[FrameRef], plan: Resampling, k: int, padding: float | None, progress: Progress) -> Array:
    """Grid plane k alone, (columns, rows[, 3]); outside voxels hold the padding or the plane's lowest value."""
    a, weight = int(plan.below[k]), float(plan.weight[k])
    used = refs[a : a + 2] if weight else refs[a : a + 1]
    dtype = np.dtype(_float_of(refs))
    placed = [in_plane(values, plan, a + index, padding) for index, values in _slices(used, dtype, progress)]
    plane = blend(placed[0], placed[1], weight, padding) if weight else placed[0]
    color = refs[0].format.color
    lowest = 0.0 if color or np.isnan(plane).all() else float(np.nanmin(plane))
    plane = np.where(np.isnan(plane), lowest if padding is None else padding, plane)
    return np.asarray(np.rint(plane) if color else plane, np.uint8 if color else dtype).swapaxes(0, 1)


def _float_of(refs: Sequence[FrameRef]) -> type[np.floating[Any]]:
    """float32 holds 24 bits exactly."""
    return np.float64 if max(ref.format.bits_stored for ref in refs) > 24 else np.float32


def _slices(refs: Sequence[FrameRef], dtype: np.dtype[Any], progress: Progress) -> Iterator[tuple[int, Array]]:
    """(index, values (rows, columns[, 3]) as floats) of every slice, read in slabs."""
    kind = dtype if dtype.kind == "f" else np.dtype(np.float32)
    for begin in range(0, len(refs), SLAB):
        end = min(begin + SLAB, len(refs))
        values, _ = read_values(refs[begin:end], progress.part(begin / len(refs), end / len(refs)))
        for k in range(end - begin):
            yield begin + k, values[:, :, k].swapaxes(0, 1).astype(kind)


def _store(out: Array, k: int, plane: Array) -> bool:
    """Put a plane into the result; True if some of its voxels lie outside of the slices."""
    hole = bool(np.isnan(plane).any())
    if out.dtype == np.uint8:
        plane = np.rint(np.nan_to_num(plane, nan=0.0)).clip(0, 255)
    out[k] = plane
    return hole


def blend(first: Array, second: Array, share: Any, padding: float | None) -> Array:
    """Linear between two values; NaN (outside) where either is. Padding is not a value: beside it the nearer counts."""
    share = np.asarray(share, first.dtype)
    found = first * (1 - share)
    found += second * share
    if padding is None or first.ndim != 2:
        return np.asarray(found)
    empty = (first == first.dtype.type(padding)) | (second == second.dtype.type(padding))
    nearer = np.where(share < 0.5, first, second)
    return np.where(empty & ~np.isnan(found), nearer, found)


def in_plane(values: Array, plan: Resampling, a: int, padding: float | None) -> Array:
    """Slice `a` (rows, columns[, 3]) on the grid's (j, i); NaN where the slice does not reach."""
    ni, nj = plan.shape[:2]
    u, v = plan.offsets[a, 0] / plan.steps[0], plan.offsets[a, 1] / plan.steps[1]
    tolerance = CORNER_MM / 2 / max(plan.steps[:2])
    if not plan.skew and max(abs(u), abs(v)) <= tolerance and values.shape[:2] == (nj, ni):
        return values
    from_row = _snapped(np.arange(nj) - v, tolerance)  # the slice's own row at each j
    begins = u + from_row * (plan.skew / plan.steps[0])  # where that row begins, in columns of the grid
    rows = _lerp(values, from_row, padding)
    if not plan.skew:
        return _across(rows, _snapped(np.arange(ni) - u, tolerance), padding)
    out = np.empty((nj, ni, *values.shape[2:]), values.dtype)
    for j in range(nj):
        out[j] = _lerp(rows[j, :, None], np.arange(ni) - begins[j], padding)[:, 0]
    return out


def _snapped(at: NDArray[np.float64], tolerance: float) -> NDArray[np.float64]:
    """Whole numbers where the difference is below what matters, so that a shift by whole pixels copies."""
    whole = np.rint(at)
    return np.where(np.abs(at - whole) <= tolerance, whole, at)


def _across(values: Array, at: NDArray[np.float64], padding: float | None) -> Array:
    if len(at) == values.shape[1] and np.array_equal(at, np.arange(len(at))):
        return values
    return np.ascontiguousarray(np.swapaxes(_lerp(np.swapaxes(values, 0, 1), at, padding), 0, 1))


def _lerp(values: Array, at: NDArray[np.float64], padding: float | None) -> Array:
    """Values along the first axis at fractional indices; NaN beyond the ends."""
    last = len(values) - 1
    below = np.clip(np.floor(at), 0, max(last - 1, 0)).astype(np.int64)
    share = (at - below).astype(values.dtype)
    found = values[below]
    if share.any() and last:
        second = values[below + 1]
        whole = np.flatnonzero((share == 0.0) | (share == 1.0))  # NaN * 0 would spread what is outside to exact copies
        column = share.reshape(-1, *[1] * (values.ndim - 1))
        copies = np.where(column[whole] == 0.0, found[whole], second[whole])
        found = blend(found, second, column, padding)
        found[whole] = copies
    found[(at < -EDGE_VOXELS) | (at > last + EDGE_VOXELS)] = np.nan
    return np.asarray(found, values.dtype)
