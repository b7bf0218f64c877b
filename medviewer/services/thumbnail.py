"""Small pictures for the list of series."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medviewer.core.geometry import Affine, direction_letter
from medviewer.core.volume import SeriesEntry

_WINDOW_CT = (400.0, 40.0)
_TO_RIGHT, _DOWN = ("L", "P"), ("P", "I")


def picture_of(entry: SeriesEntry, reader: ModuleType, size: int) -> NDArray[Any]:
    """uint8 picture of an entry of a reader by its `load_slice` (the middle native slice)."""
    rows_first = _as_seen(reader.load_slice(entry), entry.affine_lps)
    return _windowed(_reduced(rows_first, size), entry.units)


def _as_seen(slice_ij: NDArray[Any], affine: Affine | None) -> NDArray[Any]:
    """(i, j) to (rows, cols), turned so that patient left or back is on the right, feet or back below."""
    picture = slice_ij.swapaxes(0, 1)
    if affine is None:
        return picture
    right, down = direction_letter(affine[:3, 0]), direction_letter(affine[:3, 1])
    if right in "SI" or down in "LR":
        picture, right, down = picture.swapaxes(0, 1), down, right
    if right not in _TO_RIGHT:
        picture = picture[:, ::-1]
    return picture if down in _DOWN else picture[::-1]


def _reduced(picture: NDArray[Any], size: int) -> NDArray[Any]:
    step = max(1, -(-max(picture.shape[:2]) // size))
    return picture[::step, ::step]


def _windowed(picture: NDArray[Any], units: str | None) -> NDArray[Any]:
    if picture.ndim == 3:
        return np.ascontiguousarray(picture, np.uint8)
    values = picture.astype(np.float32)
    if units == "HU":
        width, centre = _WINDOW_CT
        low, high = centre - width / 2, centre + width / 2
    else:
        low, high = (float(v) for v in np.percentile(values, (1.0, 99.5)))
    scaled = (values - low) / max(high - low, 1e-6)
    return np.ascontiguousarray(np.clip(scaled, 0, 1) * 255, np.uint8)
