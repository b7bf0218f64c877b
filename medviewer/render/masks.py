"""Mask layers of slice views: bounding boxes, outlines and fills in display pixels. numpy and Pillow; GUI thread."""

from __future__ import annotations

import weakref
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medviewer.core.segmentation import Color
from medviewer.render.raster import Bytes, Matrix, resample
from medviewer.render.slice_grid import SliceGrid

Mask = NDArray[np.bool_]
Box = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]


@dataclass(frozen=True, eq=False)
class MaskLayer:
    """One mask (bool (i, j, k) on the volume's grid) and how it is drawn.

    `fill` is the opacity of the inside (0 = outline only). A preview is dashed and lighter. `frame` limits a mask to
    one frame of a cine. `name` answers "what is under the cursor".
    """

    mask: Mask
    color: Color
    opacity: float = 1.0
    fill: float = 0.0
    preview: bool = False
    name: str = ""
    frame: int | None = None
    id: str = ""


class BoxCache:
    """Bounding boxes of masks, remembered as long as the mask lives."""

    def __init__(self) -> None:
        self._boxes: dict[int, tuple[weakref.ref[Mask], Box | None]] = {}

    def box(self, mask: Mask) -> Box | None:
        """((i0, i1), (j0, j1), (k0, k1)), ends excluded; None for an empty mask."""
        known = self._boxes.get(id(mask))
        if known is not None and known[0]() is mask:
            return known[1]
        box = tight_box(mask)
        key = id(mask)
        self._boxes[key] = (weakref.ref(mask, lambda _: self._boxes.pop(key, None)), box)
        return box


def tight_box(mask: Mask) -> Box | None:
    """The bounding box in one pass over the memory (fast for 1000-slice masks)."""
    fastest = int(np.argmin(np.abs(mask.strides)))
    flat = _any_along(mask, fastest)
    first, second = (axis for axis in range(3) if axis != fastest)
    spans: dict[int, tuple[int, int]] = {}
    for axis, hit in ((first, flat.any(axis=1)), (second, flat.any(axis=0))):
        where = np.flatnonzero(hit)
        if not len(where):
            return None
        spans[axis] = int(where[0]), int(where[-1]) + 1
    window = [slice(None)] * 3
    window[first], window[second] = slice(*spans[first]), slice(*spans[second])
    where = np.flatnonzero(mask[tuple(window)].any(axis=(first, second)))
    spans[fastest] = int(where[0]), int(where[-1]) + 1
    return spans[0], spans[1], spans[2]


def _any_along(mask: Mask, fastest: int) -> NDArray[np.bool_]:
    """Whether a row along the fastest axis holds anything; eight voxels at a time where rows allow it."""
    rows = np.moveaxis(mask, fastest, -1)
    if rows.strides[-1] != 1 or rows.shape[-1] % 8 or any(step % 8 for step in rows.strides[:-1]):
        return np.asarray(mask.any(axis=fastest))
    return np.asarray(np.bitwise_or.reduce(rows.view(np.uint64), axis=-1) != 0)


@dataclass(frozen=True)
class Patch:
    """A drawn mask: coverage of the inside (0..255) in the display rectangle that starts at (x, y)."""

    x: int
    y: int
    inside: Bytes


def mask_patch(
    mask: Mask,
    box: Box,
    grid: SliceGrid,
    index: int,
    matrix: Matrix,
    size: tuple[int, int],
    *,
    smooth: bool,
    margin: int,
) -> Patch | None:
    """Coverage of a mask on slice `index`, with `margin` display pixels around the window so that edges stay closed."""
    if not box[grid.slice_axis][0] <= index < box[grid.slice_axis][1]:
        return None
    (u0, u1), (v0, v1) = box[grid.u_axis], box[grid.v_axis]
    crop = np.asarray(grid.extract(mask, index)[v0:v1, u0:u1], bool)
    rows, columns = np.flatnonzero(crop.any(axis=1)), np.flatnonzero(crop.any(axis=0))
    if not len(rows):
        return None
    crop = crop[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    u0, v0 = u0 + int(columns[0]), v0 + int(rows[0])
    scale = float(np.sqrt(abs(np.linalg.det(matrix[:, :2]))))
    rim = 2 + int(2 / scale)  # at least two display pixels, so that the whole edge lies inside
    picture = np.pad(np.where(crop, np.uint8(255), np.uint8(0)), rim)
    moved = np.column_stack([matrix[:, :2], matrix[:, 2] + matrix[:, :2] @ (u0 - rim, v0 - rim)])
    rectangle = _display_rectangle(moved, picture.shape, size, margin)
    if rectangle is None:
        return None
    x0, y0, x1, y1 = rectangle
    moved[:, 2] -= (x0, y0)
    drawn = resample(picture, moved, (x1 - x0, y1 - y0), smooth=smooth)
    if smooth:
        drawn = _sharpen(drawn, scale)
    return Patch(x0, y0, drawn)


def _display_rectangle(
    matrix: Matrix, shape: tuple[int, ...], size: tuple[int, int], margin: int
) -> tuple[int, int, int, int] | None:
    rows, columns = shape
    corners = np.array([[u, v, 1.0] for u in (-0.5, columns - 0.5) for v in (-0.5, rows - 0.5)]) @ matrix.T
    low = np.maximum(np.floor(corners.min(axis=0)), -margin).astype(int)
    high = np.minimum(np.ceil(corners.max(axis=0)), np.asarray(size) + margin).astype(int)
    if (high - low < 1).any():
        return None
    return int(low[0]), int(low[1]), int(high[0]), int(high[1])


def _sharpen(drawn: Bytes, scale: float) -> Bytes:
    """A crisp, antialiased edge at half coverage; where the picture shrinks every covered pixel counts, so that no
    small mask vanishes."""
    levels = np.arange(256, dtype=np.float32)
    table = levels / scale**2 if scale < 1.0 else (levels - 127.5) * scale + 127.5
    return np.take(np.clip(table, 0, 255).astype(np.uint8), drawn)


def erode(inside: Bytes, radius: int) -> Bytes:
    """Smallest coverage within `radius` pixels (a square); nothing is covered outside."""
    height, width = inside.shape
    padded = np.pad(inside, radius)
    rows = padded[:height].copy()
    for shift in range(1, 2 * radius + 1):
        np.minimum(rows, padded[shift : shift + height], out=rows)
    least = rows[:, :width].copy()
    for shift in range(1, 2 * radius + 1):
        np.minimum(least, rows[:, shift : shift + width], out=least)
    return least


def blend(picture: Bytes, patch: Patch, layer: MaskLayer, line: int) -> None:
    """Draw a patch into a B, G, R, A picture in place: fill, and an outline of `line` pixels inside the edge."""
    x0, y0 = max(patch.x, 0), max(patch.y, 0)
    x1 = min(patch.x + patch.inside.shape[1], picture.shape[1])
    y1 = min(patch.y + patch.inside.shape[0], picture.shape[0])
    if x1 <= x0 or y1 <= y0:
        return
    window = (slice(y0 - patch.y, y1 - patch.y), slice(x0 - patch.x, x1 - patch.x))
    inside = patch.inside[window]
    edge = np.minimum(inside, 255 - erode(patch.inside, line)[window])
    if layer.fill > 0:
        filled = np.take((np.arange(256) * layer.fill).astype(np.uint8), inside)
        rows, columns = np.nonzero(np.maximum(edge, filled))
        floor = filled[rows, columns].astype(np.float32)
    else:
        rows, columns = np.nonzero(edge)
        floor = np.zeros(len(rows), np.float32)
    alpha = edge[rows, columns].astype(np.float32)
    rows, columns = rows + y0, columns + x0
    if layer.preview:
        alpha *= _dashes(columns, rows, line)
    alpha = np.maximum(alpha, floor) * np.float32(layer.opacity / 255.0)
    color = np.array(_lighter(layer.color) if layer.preview else layer.color, np.float32)[::-1]
    below = picture[rows, columns, :3].astype(np.float32)
    picture[rows, columns, :3] = below + (color - below) * alpha[:, None]


def _dashes(x: NDArray[np.int64], y: NDArray[np.int64], line: int) -> NDArray[np.float32]:
    """Dashes that stay where they are when a mask is redrawn."""
    period = 4 * line
    on = ((x // period + y // period) % 2 == 0) | ((x + y) % (2 * period) < period)
    return np.where(on, np.float32(1.0), np.float32(0.25))


def _lighter(color: Color) -> tuple[float, float, float]:
    red, green, blue = (c + (255 - c) * 0.45 for c in color)
    return red, green, blue
