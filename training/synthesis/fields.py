"""Smooth random fields: the common ingredient of bias fields, textures, warps and irregular outlines."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Field = NDArray[np.float32]


def smooth_field(shape: tuple[int, int], knots: float, rng: np.random.Generator) -> Field:
    """Standard normal values on a grid of about `knots` points along the longer side, interpolated to
    `shape` (rows, cols): float32, mean near 0, deviation somewhat below 1. More knots make a finer grain."""
    step = max(shape) / max(knots, 1.0)
    rows, cols = (max(2, round(side / step) + 1) for side in shape)
    coarse = rng.standard_normal((rows, cols), dtype=np.float32)
    return resized(coarse, shape, Image.Resampling.BICUBIC)


def resized(picture: Field, shape: tuple[int, int], how: Image.Resampling) -> Field:
    """`picture` (rows, cols) float32 resampled to `shape` (rows, cols); no turn, no flip, edges stay edges."""
    image = Image.fromarray(np.ascontiguousarray(picture, np.float32))
    return np.array(image.resize((shape[1], shape[0]), how), np.float32)


def bias_field(shape: tuple[int, int], strength: float, knots: float, rng: np.random.Generator) -> Field:
    """A positive multiplicative field exp(strength * smooth field), mean 1 (the log-normal bias of SynthSeg)."""
    field = np.exp(strength * smooth_field(shape, knots, rng))
    return np.asarray(field / field.mean(), np.float32)
