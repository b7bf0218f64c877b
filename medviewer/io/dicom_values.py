"""From stored pixels to the values of a `Volume`: rescale, colour, and the smallest type that holds them exactly."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medviewer.core.progress import Progress
from medviewer.io.dicom_handle import FrameRef
from medviewer.io.dicom_pixels import check_memory, read_frames, stored_dtype

Array = NDArray[Any]


def read_values(refs: Sequence[FrameRef], progress: Progress) -> tuple[Array, tuple[str, ...]]:
    """(array (i, j, k) in Fortran order or RGB (i, j, k, 3), warnings). Raises `InputRefused`."""
    first = refs[0].format
    shape = (len(refs), first.rows, first.columns)
    name = refs[0].path.name if refs[0].frames > 1 or len(refs) == 1 else f"The series in {refs[0].path.parent.name}"
    if first.color:
        from medviewer.io.dicom_color import read_color

        check_memory((*shape, 3), 1, name)
        return read_color(refs, progress).transpose(2, 1, 0, 3), ()
    types = {stored_dtype(ref.format) for ref in refs}
    values = _gray(refs, shape, types, name, progress)
    return values.transpose(2, 1, 0), ()


def _gray(refs: Sequence[FrameRef], shape: tuple[int, ...], types: set[Any], name: str, progress: Progress) -> Array:
    dtype = np.dtype(np.result_type(*types))
    intercept = _common_intercept(refs)
    check_memory(shape, dtype.itemsize if intercept is not None else dtype.itemsize + 4, name)
    stored = np.empty(shape, dtype)
    if len(types) == 1 and intercept is not None:
        shift = _Shift(stored, intercept)
        read_frames(refs, stored, progress, shift.add)
        return shift.result()
    if len(types) == 1:
        read_frames(refs, stored, progress)
    else:
        _read_mixed(refs, stored, progress)
    return rescale(stored, refs)


def _common_intercept(refs: Sequence[FrameRef]) -> int | None:
    """The whole-numbered intercept that all frames share with slope 1, or None."""
    rescales = {(ref.slope, ref.intercept) for ref in refs}
    slope, intercept = refs[0].slope, refs[0].intercept
    return int(intercept) if len(rescales) == 1 and slope == 1.0 and float(intercept).is_integer() else None


def _read_mixed(refs: Sequence[FrameRef], stored: Array, progress: Progress) -> None:
    for k, ref in enumerate(refs):
        one = np.empty((1, *stored.shape[1:]), stored_dtype(ref.format))
        read_frames([ref], one, progress.part(k / len(refs), (k + 1) / len(refs)))
        stored[k] = one[0]


class _Shift:
    """Adds a whole number to all frames in place, each while it is in the cache, without losing a value.

    The sum wraps modulo 2**bits, which loses nothing; the extremes of the stored values tell afterwards in which type
    it reads right: the stored one, signed or unsigned, or a wider one.
    """

    def __init__(self, stored: Array, intercept: int) -> None:
        self.stored, self.intercept = stored, intercept
        self.low, self.high = np.empty(len(stored), np.int64), np.empty(len(stored), np.int64)
        self.wrapped = stored.view(f"u{stored.itemsize}")
        self.amount = self.wrapped.dtype.type(intercept % (1 << 8 * stored.itemsize))

    def add(self, k: int) -> None:
        """Shift frame k. Called once for each, from any thread."""
        self.low[k], self.high[k] = self.stored[k].min(), self.stored[k].max()
        if self.intercept:
            self.wrapped[k] += self.amount

    def result(self) -> Array:
        """The shifted values in the first type that holds them all."""
        low, high = int(self.low.min()) + self.intercept, int(self.high.max()) + self.intercept
        size, same = self.stored.itemsize, self.stored.dtype
        types = ([same] if not self.intercept else []) + [np.dtype(f"i{size}"), np.dtype(f"u{size}")]
        for dtype in types:
            if np.iinfo(dtype).min <= low and high <= np.iinfo(dtype).max:
                return np.asarray(self.wrapped.view(dtype))
        if self.intercept:
            self.wrapped -= self.amount
        wider = np.dtype({1: "i2", 2: "i4"}.get(size, "f4"))
        return np.asarray(self.stored.astype(wider) + wider.type(self.intercept))


def rescale(stored: Array, refs: Sequence[FrameRef]) -> Array:
    """stored * slope + intercept per frame: int16 where all of it is whole, equal and fits, else float32."""
    dtype = np.dtype(np.int16 if _stays_int16(stored, refs) else np.float32)
    out = np.empty(stored.shape, dtype)
    for k, ref in enumerate(refs):
        np.multiply(stored[k], dtype.type(ref.slope), out=out[k], dtype=dtype, casting="unsafe")
        out[k] += dtype.type(ref.intercept)
    return out


def _stays_int16(stored: Array, refs: Sequence[FrameRef]) -> bool:
    rescales = {(ref.slope, ref.intercept) for ref in refs}
    slope, intercept = refs[0].slope, refs[0].intercept
    if len(rescales) > 1 or not (float(slope).is_integer() and float(intercept).is_integer()):
        return False
    ends = [
        0,
        intercept,
        *(value * slope + part for value in (int(stored.min()), int(stored.max())) for part in (0, intercept)),
    ]
    return stored.itemsize <= 2 and min(ends) >= -32768 and max(ends) <= 32767


def thumbnail_of(image: Array, size: int, window: tuple[float, float] | None, inverted: bool) -> NDArray[np.uint8]:
    """A slice (i, j[, 3]) shrunk by picking pixels to at most `size` x `size`, windowed, as (rows, columns[, 3])."""
    step = max(1, -(-max(image.shape[:2]) // size))
    small = image[::step, ::step].swapaxes(0, 1)
    if small.ndim == 3:
        return np.ascontiguousarray(small, np.uint8)
    if window is None:
        low, high = (float(v) for v in np.percentile(small, (1.0, 99.0)))
    else:
        low, high = window[1] - window[0] / 2, window[1] + window[0] / 2
    gray = np.clip((small.astype(np.float32) - low) / max(high - low, 1e-6), 0.0, 1.0) * 255.0
    return np.asarray(255 - gray if inverted else gray, np.uint8)
