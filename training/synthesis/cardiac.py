"""New contrasts for the few labelled slices of the heart: levels changed region by region, texture and edges kept."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from .fields import Field

Rng = np.random.Generator
STRONG_CHANCE = 0.25


def recolour_labels(picture: Field, codes: NDArray[Any], rng: Rng) -> Field:
    """A picture (rows, cols), float32 in 0..1, with another contrast between its labelled regions; same shape, range.

    Every code of `codes` (rows, cols; integers from 0, where 0 is what is not labelled; bit masks as they are) gets its
    own increasing curve p -> gain * (p ** gamma - middle) + level. The parameters change softly across borders, so that
    pixels with a share of both tissues stay between them. What is not labelled is changed less than what is.
    """
    codes = np.asarray(codes).astype(np.intp)
    picture = np.asarray(picture, np.float32)
    table = _curves(picture, codes, rng)
    softness = max(picture.shape) / 256 * rng.uniform(0.5, 1.4)
    gamma, gain, offset = (ndimage.gaussian_filter(column[codes], softness, mode="nearest") for column in table)
    return np.asarray(gain * picture.clip(0, 1) ** gamma + offset, np.float32).clip(0.0, 1.0)


def _curves(picture: Field, codes: NDArray[np.intp], rng: Rng) -> NDArray[np.float32]:
    """(3, codes): gamma, gain, offset. One draw for the whole picture, and one per region on top; regions of
    about the same grey (blood in both ventricles) move mostly together."""
    sizes = np.bincount(codes.ravel())
    sums = np.bincount(codes.ravel(), picture.ravel())
    present = np.flatnonzero(sizes)
    count = len(present)
    reach = 0.3 if rng.random() < STRONG_CHANCE else 0.1
    labelled = (present > 0).astype(float) * 0.7 + 0.3
    gamma = np.exp(rng.normal(0, 0.15) + rng.normal(0, 0.12, count))
    gain = np.exp(rng.normal(0, 0.12) + rng.normal(0, 0.25, count) * labelled)
    middle = (sums[present] / sizes[present]) ** gamma
    alike = np.stack([np.cos(np.pi * middle), np.sin(np.pi * middle)], axis=1) @ rng.normal(0, reach, 2)
    level = middle + rng.normal(0, 0.04) + (alike + rng.normal(0, 0.5 * reach, count)) * labelled
    level = np.where(present > 0, level.clip(0.05, 0.95), level.clip(0.0, 0.9))
    offset = level - gain * middle
    offset[present == 0] = offset[present == 0].clip(-0.15, 0.1)  # air stays dark
    table = np.zeros((3, len(sizes)), np.float32)
    table[:, present] = gamma, gain, offset
    return table
