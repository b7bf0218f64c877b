"""From stored values to network input: intensity windows and letterboxing. Training uses the same functions."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

SOFT_TISSUE = (-50.0, 250.0)  # HU: window 300, centre 100; measured better here than 400/40
HEAD = (0.0, 300.0)  # HU: blood brighter than brain, as the published head CT pictures have it
WIDE = (-1000.0, 800.0)  # HU: lung and bone apart
Range = tuple[float, float]


class Letterbox(NamedTuple):
    """How a slice (rows, cols) lies in the square: it fills `height` x `width` pixels from (`top`, `left`)."""

    rows: int
    cols: int
    top: int
    left: int
    height: int
    width: int
    size: int


def robust_range(values: NDArray[np.generic], low: float = 0.5, high: float = 99.5) -> Range:
    """Percentiles of the values, of the part above the minimum where much is background. Never empty."""
    sample = np.asarray(values).reshape(-1)[:: max(1, values.size // 500_000)].astype(np.float32)
    sample = sample[np.isfinite(sample)]
    if sample.size == 0:
        return 0.0, 1.0
    floor = float(sample.min())
    foreground = sample[sample > floor]
    top = float(np.percentile(foreground if foreground.size else sample, high))
    bottom = float(np.percentile(sample, low))
    return (bottom, top) if top > bottom else (bottom, bottom + 1.0)


def to_unit(values: NDArray[np.generic], window: Range) -> NDArray[np.float32]:
    """Values to 0..1 over a window (low, high); NaN becomes 0."""
    low, high = window
    scaled = (np.asarray(values, np.float32) - np.float32(low)) * np.float32(1.0 / (high - low))
    return np.nan_to_num(np.clip(scaled, 0.0, 1.0), copy=False)


def letterbox_of(rows: int, cols: int, spacing: tuple[float, float], size: int) -> Letterbox:
    """The largest centred rectangle of the slice's true proportions; `spacing` is mm per (row, column)."""
    tall, wide = rows * spacing[0], cols * spacing[1]
    scale = size / max(tall, wide)
    height = min(size, max(1, round(tall * scale)))
    width = min(size, max(1, round(wide * scale)))
    return Letterbox(rows, cols, (size - height) // 2, (size - width) // 2, height, width, size)


def into_box(images: Tensor, box: Letterbox) -> Tensor:
    """(n, c, rows, cols) to (n, c, size, size), antialiased, zero outside."""
    fitted = F.interpolate(
        images, (box.height, box.width), mode="bilinear", align_corners=False, antialias=True
    )
    right, bottom = box.size - box.left - box.width, box.size - box.top - box.height
    return F.pad(fitted, (box.left, right, box.top, bottom))


def out_of_box(maps: Tensor, box: Letterbox) -> Tensor:
    """Maps (n, s, s), s = size or a fraction of it, back to the slice grid (n, rows, cols)."""
    if maps.shape[-1] != box.size:
        maps = F.interpolate(maps[:, None], (box.size, box.size), mode="bilinear", align_corners=False)[:, 0]
    inner = maps[:, box.top : box.top + box.height, box.left : box.left + box.width]
    shrinks = box.height > box.rows or box.width > box.cols
    back = F.interpolate(
        inner[:, None], (box.rows, box.cols), mode="bilinear", align_corners=False, antialias=shrinks
    )
    return back[:, 0]


def input_side(modality: str, rows: int, cols: int) -> int:
    """Side of the network's input for slices of (rows, cols) pixels: fine for X-rays, whose clavicles are thin, and no
    larger than small slices need. The smallest is for MR crops; a whole body on so few pixels was never trained."""
    longest = max(rows, cols)
    if modality == "XR":
        return 320
    if longest <= 64 and modality != "CT":
        return 128
    return 192 if longest <= 200 else 256


def to_input(unit: Tensor) -> Tensor:
    """0..1 intensities (n, c, s, s) to the network's range."""
    return unit * 2.0 - 1.0
