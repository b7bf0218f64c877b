"""Random windows, contrast, noise and blur; never an inversion (readers undo MONOCHROME1)."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from medviewer.models.preprocessing import SOFT_TISSUE, WIDE, to_unit


def hu_channels(voxels: NDArray[np.generic], rng: np.random.Generator) -> Tensor:
    """HU (rows, cols) to (2, rows, cols): mostly the windows of inference, jittered; else one random window twice,
    as published pictures have it."""
    if rng.random() < 0.65:
        soft, wide = _jitter(SOFT_TISSUE, rng), _jitter(WIDE, rng)
    else:
        low = rng.uniform(-1000, 20) if rng.random() < 0.5 else rng.uniform(-200, 20)
        soft = wide = (low, low + rng.uniform(200, 500 if low > -250 else 1800))
    return torch.from_numpy(np.stack([to_unit(voxels, soft), to_unit(voxels, wide)]))


def _jitter(window: tuple[float, float], rng: np.random.Generator) -> tuple[float, float]:
    width = window[1] - window[0]
    return window[0] + rng.normal(0, 0.06) * width, window[1] + rng.normal(0, 0.06) * width


def random_intensity(image: Tensor, rng: np.random.Generator) -> Tensor:
    """(2, s, s) in 0..1 to the same: gamma, contrast, brightness, blur, noise; now and then a lower resolution."""
    equal = bool(torch.equal(image[0], image[1]))
    image = image[:1] if equal else image
    if rng.random() < 0.7:
        image = image.clamp(0, 1) ** float(np.exp(rng.normal(0, 0.25)))
    if rng.random() < 0.7:
        image = image * float(np.exp(rng.normal(0, 0.12))) + float(rng.normal(0, 0.04)) * (image > 0)
    if equal and rng.random() < 0.2:  # a wider window than the publisher's
        image = image * float(rng.uniform(0.25, 0.8)) + float(rng.uniform(0.0, 0.45)) * (image > 0.01)
    if rng.random() < 0.25:
        image = _coarser(image, float(rng.uniform(1.3, 3.0)))
    if rng.random() < 0.4:
        image = image + torch.randn(image.shape) * float(rng.uniform(0.005, 0.06))
    image = image.clamp(0, 1)
    return image.expand(2, -1, -1) if equal else image


def _coarser(image: Tensor, factor: float) -> Tensor:
    small = F.interpolate(
        image[None], scale_factor=1 / factor, mode="bilinear", align_corners=False, antialias=True
    )
    return F.interpolate(small, image.shape[-2:], mode="bilinear", align_corners=False)[0]
