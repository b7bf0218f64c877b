"""Random windows, contrast, noise and blur; never an inversion (readers undo MONOCHROME1)."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from medviewer.models.preprocessing import SOFT_TISSUE, WIDE, to_unit
from medviewer.models.tissue_window import tissue_window

from .corruptions import CORRUPTIONS, corrupt


def hu_channels(voxels: NDArray[np.generic], rng: np.random.Generator) -> Tensor:
    """HU (3, rows, cols), a slice and its neighbours, to (4, rows, cols): mostly the windows of inference, jittered;
    else one random window, as published pictures have it."""
    if rng.random() < 0.65:
        soft, wide = _jitter(SOFT_TISSUE, rng), _jitter(WIDE, rng)
    else:
        low = rng.uniform(-1000, 20) if rng.random() < 0.5 else rng.uniform(-200, 20)
        soft = wide = (low, low + rng.uniform(200, 500 if low > -250 else 1800))
    narrow = to_unit(voxels, soft)
    return torch.from_numpy(np.stack([narrow[0], to_unit(voxels[0], wide), *narrow[1:]]))


def _jitter(window: tuple[float, float], rng: np.random.Generator) -> tuple[float, float]:
    width = window[1] - window[0]
    return window[0] + rng.normal(0, 0.06) * width, window[1] + rng.normal(0, 0.06) * width


def random_intensity(image: Tensor, modality: str, rng: np.random.Generator) -> Tensor:
    """(4, s, s) in 0..1 to the same: a monotone curve, gamma, contrast, brightness, blur, noise; now and then a lower
    resolution or one of the corruptions of the modality."""
    single = bool(torch.equal(image[0], image[1])) and bool(torch.equal(image[0], image[2]))
    image = image[:1] if single else image
    if rng.random() < 0.7:
        image = image.clamp(0, 1) ** float(np.exp(rng.normal(0, 0.25)))
    if rng.random() < 0.25:
        image = _curved(image, rng)
    if rng.random() < 0.7:
        image = image * float(np.exp(rng.normal(0, 0.12))) + float(rng.normal(0, 0.04)) * (image > 0)
    if single and rng.random() < 0.3:
        image = _other_window(image, rng)
    if modality == "XR":
        image = _as_x_ray(image, rng)
    if rng.random() < 0.25:
        image = _coarser(image, float(rng.uniform(1.3, 3.0)))
    if single and rng.random() < 0.15:
        image = _corrupted(image, modality, rng)
    if rng.random() < 0.35:
        noise = torch.from_numpy(rng.standard_normal(tuple(image.shape), dtype=np.float32))
        image = image + noise * float(rng.uniform(0.005, 0.06))
    image = image.clamp(0, 1)
    return image.expand(4, -1, -1) if single else image


def in_tissue_window(image: Tensor) -> Tensor:
    """CT (4, s, s) in 0..1: where one wide window was used for all, the narrow channels get that of soft tissue."""
    if not torch.equal(image[0], image[1]):
        return image
    low, high = tissue_window(image[0].numpy(), (0.0, 1.0))
    narrow = ((image - low) / (high - low)).clamp(0, 1)
    return torch.stack([narrow[0], image[1], narrow[2], narrow[3]])


def _as_x_ray(image: Tensor, rng: np.random.Generator) -> Tensor:
    """Clouds in the lungs, and the local contrast that makers of X-ray units raise, each to another degree."""
    if rng.random() < 0.45:
        image = _hazed(image, rng)
    return _locally_raised(image, rng) if rng.random() < 0.4 else image


def _locally_raised(image: Tensor, rng: np.random.Generator) -> Tensor:
    """Multi-scale unsharp masking: details of one scale stand out, coarse brightness is partly evened out."""
    reach = int(rng.integers(2, max(3, image.shape[-1] // 8)))
    mean = F.avg_pool2d(image[None], 2 * reach + 1, 1, reach, count_include_pad=False)[0]
    mean = F.avg_pool2d(mean[None], 2 * reach + 1, 1, reach, count_include_pad=False)[0]
    detail = (image - mean) * float(rng.uniform(0.3, 2.0))
    evened = image + float(rng.uniform(0.0, 0.6)) * (0.5 - mean)
    return torch.where(image > 0.005, (evened + detail).clamp(0.0, 1.0), image)


def _hazed(image: Tensor, rng: np.random.Generator) -> Tensor:
    """Cloudy opacities as of pneumonia, or a darker or brighter half: lungs are not always black."""
    knots = int(rng.integers(3, 9))
    coarse = torch.from_numpy(rng.normal(0, 1, (1, 1, knots, knots))).float()
    cloud = F.interpolate(coarse, image.shape[-2:], mode="bicubic", align_corners=True)[0]
    opacity = (cloud - float(rng.uniform(-0.3, 0.8))).clamp(0, 1) * float(rng.uniform(0.15, 0.6))
    target = float(rng.uniform(0.5, 0.85))
    return image + opacity * (target - image).clamp(min=0) * (image > 0.01)


def _curved(image: Tensor, rng: np.random.Generator) -> Tensor:
    """A random increasing curve through (0, 0) and (1, 1)."""
    rises = rng.uniform(0.35, 1.65, 5)
    heights = np.concatenate([[0.0], np.cumsum(rises) / rises.sum()])
    curve = np.interp(image.clamp(0, 1).numpy(), np.linspace(0, 1, 6), heights)
    return torch.from_numpy(curve.astype(np.float32))


def _other_window(image: Tensor, rng: np.random.Generator) -> Tensor:
    """As if the publisher had used a wider window (low contrast), or a narrower one (clipped)."""
    if rng.random() < 0.55:
        return image * float(rng.uniform(0.25, 0.85)) + float(rng.uniform(0.0, 0.45)) * (image > 0.01)
    low, high = rng.uniform(0.0, 0.2), rng.uniform(0.75, 1.0)
    return ((image - low) / (high - low)).clamp(0, 1)


def _corrupted(image: Tensor, modality: str, rng: np.random.Generator) -> Tensor:
    names = sorted(name for name, modalities in CORRUPTIONS.items() if modality in modalities)
    if not names:
        return image
    picture = image[0].clamp(0, 1).numpy()
    changed = corrupt(picture, names[int(rng.integers(len(names)))], int(rng.integers(1, 4)), rng)
    return torch.from_numpy(np.ascontiguousarray(changed, np.float32))[None]


def _coarser(image: Tensor, factor: float) -> Tensor:
    small = F.interpolate(
        image[None], scale_factor=1 / factor, mode="bilinear", align_corners=False, antialias=True
    )
    return F.interpolate(small, image.shape[-2:], mode="bilinear", align_corners=False)[0]
