"""From a slice of voxels to display pixels: window, resampling, mask outlines. numpy and Pillow only; any thread."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Bytes = NDArray[np.uint8]
Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class Look:
    """How stored values become grey: window (width, centre), inversion, DICOM's SIGMOID instead of a ramp."""

    window: tuple[float, float]
    inverted: bool = False
    sigmoid: bool = False


def to_grey(values: NDArray[np.generic], look: Look) -> Bytes:
    """Stored values (any shape) to grey 0..255 by the window."""
    width, centre = look.window
    if not values.dtype.isnative:
        values = values.astype(values.dtype.newbyteorder("="))
    if values.dtype.kind in "iu" and values.dtype.itemsize <= 2:
        return np.asarray(np.take(_table(values.dtype, look), values.view(_unsigned(values.dtype))))
    steps = (values.astype(np.float32) - np.float32(centre)) * np.float32(1.0 / max(width, 1e-6))
    shares = 1.0 / (1.0 + np.exp(np.clip(-4.0 * steps, -60, 60))) if look.sigmoid else steps + np.float32(0.5)
    grey = (np.clip(np.nan_to_num(shares, nan=0.0), 0.0, 1.0) * np.float32(255.0)).astype(np.uint8)
    return np.asarray(255 - grey if look.inverted else grey, np.uint8)


def _unsigned(dtype: np.dtype[np.generic]) -> type[np.unsignedinteger]:
    return np.uint8 if dtype.itemsize == 1 else np.uint16


def _table(dtype: np.dtype[np.generic], look: Look) -> Bytes:
    """Grey of every value of a small integer type, indexed by the value's bits."""
    count = 256 if dtype.itemsize == 1 else 65536
    values = np.arange(count, dtype=_unsigned(dtype)).view(dtype).astype(np.float32)
    return to_grey(values, look)


def resample(picture: Bytes, matrix: Matrix, size: tuple[int, int], *, smooth: bool) -> Bytes:
    """Draw a picture (rows v, columns u[, 3]) into a window of `size` (width, height); black outside.

    `matrix` (2x3) maps picture pixel (u, v), integers at pixel centres, to display coordinates.
    """
    linear = matrix[:, :2]
    if abs(linear[0, 1]) < 1e-9 and abs(linear[1, 0]) < 1e-9:
        return _resample_straight(picture, matrix, size, smooth)
    if abs(linear[0, 0]) < 1e-9 and abs(linear[1, 1]) < 1e-9:
        swapped = matrix[:, [1, 0, 2]]
        return _resample_straight(np.ascontiguousarray(picture.swapaxes(0, 1)), swapped, size, smooth)
    return _resample_sheared(picture, matrix, size, smooth)


def _resample_straight(picture: Bytes, matrix: Matrix, size: tuple[int, int], smooth: bool) -> Bytes:
    """Axes stay parallel to the screen: Pillow's resize, which also averages where the picture shrinks."""
    out = np.zeros((size[1], size[0], *picture.shape[2:]), np.uint8)
    across = _span(matrix[0, 0], matrix[0, 2], picture.shape[1], size[0])
    down = _span(matrix[1, 1], matrix[1, 2], picture.shape[0], size[1])
    if across is None or down is None:
        return out
    (x0, x1, u0, u1), (y0, y1, v0, v1) = across, down
    method = Image.Resampling.BILINEAR if smooth else Image.Resampling.NEAREST
    image = Image.fromarray(np.ascontiguousarray(picture))
    drawn = np.asarray(image.resize((x1 - x0, y1 - y0), method, (u0, v0, u1, v1), reducing_gap=2.0))
    drawn = drawn[:: -1 if matrix[1, 1] < 0 else 1, :: -1 if matrix[0, 0] < 0 else 1]
    out[y0:y1, x0:x1] = drawn
    return out


def _span(step: float, origin: float, count: int, size: int) -> tuple[int, int, float, float] | None:
    """Display pixels that lie wholly on the picture, and the part of the picture (from its edge) they show."""
    ends = sorted((origin - 0.5 * step, origin + (count - 0.5) * step))
    first, last = max(int(np.ceil(ends[0] - 1e-6)), 0), min(int(np.floor(ends[1] + 1e-6)), size)
    if last <= first:
        return None
    edges = sorted(((x - origin) / step + 0.5) for x in (first, last))
    return first, last, max(edges[0], 0.0), min(edges[1], float(count))


def _resample_sheared(picture: Bytes, matrix: Matrix, size: tuple[int, int], smooth: bool) -> Bytes:
    """Any other map, for scans with a tilted gantry."""
    image = Image.fromarray(np.ascontiguousarray(picture))
    scale = float(np.sqrt(abs(np.linalg.det(matrix[:, :2]))))
    factor = max(int(0.75 / max(scale, 1e-6)), 1) if smooth else 1
    edge_map = np.column_stack([matrix[:, :2], matrix[:, 2] - matrix[:, :2] @ (0.5, 0.5)])  # from pixel corners
    if factor > 1:
        image = image.reduce(factor)
        edge_map = np.column_stack([edge_map[:, :2] * factor, edge_map[:, 2]])
    inverse = np.linalg.inv(np.vstack([edge_map, [0.0, 0.0, 1.0]]))[:2]
    method = Image.Resampling.BILINEAR if smooth else Image.Resampling.NEAREST
    return np.asarray(image.transform(size, Image.Transform.AFFINE, inverse.ravel().tolist(), method))


def block_mean_2d(values: NDArray[np.generic], factor: int) -> NDArray[np.generic]:
    """Mean over whole blocks of rows and columns (a colour axis stays); integers stay integers."""
    high, wide = min(factor, values.shape[0]), min(factor, values.shape[1])
    rows, columns = values.shape[0] // high, values.shape[1] // wide
    kind = np.float32 if values.dtype.kind == "f" else np.int64 if values.dtype.itemsize > 2 else np.int32
    crop = np.ascontiguousarray(values[: rows * high, : columns * wide])
    total = crop.reshape(rows, high, *crop.shape[1:]).sum(axis=1, dtype=kind)
    total = total.reshape(rows, columns, wide, *values.shape[2:]).sum(axis=2, dtype=kind)
    mean = total / np.float32(high * wide)
    return np.asarray(mean if values.dtype.kind == "f" else np.rint(mean)).astype(values.dtype)


def grey_to_bgra(grey: Bytes) -> Bytes:
    """Grey (h, w) or RGB (h, w, 3) to opaque B, G, R, A (h, w, 4), the layout of a 32-bit Qt image."""
    if grey.ndim == 3:
        out = np.full((*grey.shape[:2], 4), 255, np.uint8)
        out[..., :3] = grey[..., ::-1]
        return out
    return np.asarray(_GREY_WORDS[grey]).view(np.uint8).reshape(*grey.shape, 4)


_GREY_WORDS = (np.arange(256, dtype=np.uint32) * 0x010101) | np.uint32(0xFF000000)
