"""What follows the tissues of a synthetic MR slice: resolution, noise, bias field, artefacts, skull stripping.

Pictures are float32 (rows, cols), about 0..1; nothing is moved, so the labels stay valid.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from ..transforms.corruptions import corrupt
from .fields import Field, bias_field, resized, smooth_field
from .lesions import brain_mask

_ARTEFACTS = ("ghosting", "gibbs_ringing", "mr_motion", "spike", "motion_blur")
Rng = np.random.Generator


def acquired(picture: Field, rng: Rng) -> Field:
    """The picture as scanned: partial volume, bias field, coarser samples along one axis or both with noise in them."""
    shape = (picture.shape[0], picture.shape[1])
    picture = ndimage.gaussian_filter(picture, rng.uniform(0.3, 0.9))
    if rng.random() < 0.9:
        picture = picture * bias_field(shape, rng.uniform(0.0, 0.45), rng.uniform(1.0, 4.0), rng)
    small = _sampling(shape, rng)
    if small != shape:
        picture = resized(picture, small, Image.Resampling.BOX)
    picture = _noisy(picture, rng)
    return resized(picture, shape, Image.Resampling.BICUBIC) if small != shape else picture


def _sampling(shape: tuple[int, int], rng: Rng) -> tuple[int, int]:
    """Samples along rows and columns: isotropic, a little coarser, or thick slices along one axis."""
    factors = np.ones(2)
    chance = rng.random()
    if chance < 0.35:
        factors[:] = rng.uniform(1.1, 2.2)
    elif chance < 0.6:
        factors[int(rng.integers(2))] = rng.uniform(1.5, 5.0)
    rows, cols = (max(8, round(side / factor)) for side, factor in zip(shape, factors, strict=True))
    return rows, cols


def _noisy(picture: Field, rng: Rng) -> Field:
    """Rician noise: strong in one picture of ten, nearly none in three of ten."""
    spread = float(rng.choice([0.004, 0.02, 0.035, 0.07], p=[0.3, 0.35, 0.25, 0.1]) * rng.uniform(0.6, 1.4))
    real, imaginary = spread * rng.standard_normal((2, *picture.shape), dtype=np.float32)
    return np.asarray(np.hypot(picture + real, imaginary), np.float32)


def with_artefact(picture: Field, rng: Rng, chance: float = 0.15) -> Field:
    """Now and then ghosts, ringing, motion or a spike, of the three lower severities of the corruptions."""
    if rng.random() >= chance:
        return picture
    name = _ARTEFACTS[int(rng.integers(len(_ARTEFACTS)))]
    return corrupt(picture.clip(0, 1), name, int(rng.integers(1, 4)), rng)


def stripped(picture: Field, label: NDArray[Any], rng: Rng) -> Field:
    """The brain alone on black, as after brain extraction: the cut runs some pixels outside or inside, with errors."""
    rough = rng.uniform(0.02, 0.12) * smooth_field((label.shape[0], label.shape[1]), rng.uniform(4.0, 14.0), rng)
    reach = rng.uniform(1.5, 4.0)
    near = ndimage.gaussian_filter(ndimage.binary_fill_holes(brain_mask(label)).astype(np.float32), reach)
    inside = ndimage.binary_fill_holes((near > 0.05) & (near + rough > rng.uniform(0.2, 0.5)))
    return np.where(inside, picture, np.float32(0))


def as_displayed(picture: Field, rng: Rng) -> NDArray[np.uint8]:
    """Robust percentiles to 0..255 and a gamma, as a reader or a publisher would window the slice."""
    low, high = 0.0, float(np.percentile(picture[::2, ::2], rng.uniform(97.5, 99.9)))
    high *= rng.uniform(0.9, 1.25)
    unit = ((picture - low) / max(high - low, 1e-3)).clip(0, 1)
    return np.asarray(unit ** np.exp(rng.normal(0, 0.18)) * 255, np.uint8)
