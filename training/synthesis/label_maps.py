"""MR pictures made from slices of brain label maps.

After SynthSeg (Billot et al. 2023, doi 10.1016/j.media.2023.102789) and Brain-ID (Liu et al. 2024, arXiv 2311.16914):
every tissue gets a level, grain and drift of a random contrast; then come bias field, resolution, noise, artefacts and
skull stripping. A network that learns from these has to find structures by shape and place, and works for contrasts
that it never saw.

Label slices are (rows, cols) of FreeSurfer numbers below 1024. All functions draw from the given generator alone.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from .contrasts import CODES, FAT, MUSCLE, RIM, Mixture, random_mixture
from .fields import Field, smooth_field
from .lesions import CORE, plant_tumour, rim
from .mr_artefacts import acquired, as_displayed, stripped, with_artefact

SOFT_TISSUE, SKIN, FLUID_AROUND = 507, 511, 24
STRIP_CHANCE = 0.4
Rng = np.random.Generator


def random_anatomy(label: NDArray[Any], rng: Rng, tumour_chance: float = 0.3) -> NDArray[Any]:
    """Another head from the same slice: a smooth deformation, and by chance a tumour (codes 900 and 901).

    Call it before prompts and masks are taken from the label; the shape (rows, cols) and type are kept.
    """
    moved = deformed(label, rng) if rng.random() < 0.8 else label
    return plant_tumour(moved, rng) if rng.random() < tumour_chance else moved


def deformed(label: NDArray[Any], rng: Rng) -> NDArray[Any]:
    """A smooth random displacement of up to a few pixels, coarse and fine; nearest labels."""
    shape = (label.shape[0], label.shape[1])
    y, x = np.mgrid[: shape[0], : shape[1]]
    knots, reach = rng.uniform(3.0, 9.0), rng.uniform(0.0, 0.018) * max(shape)
    rows = np.rint(y + reach * smooth_field(shape, knots, rng)).clip(0, shape[0] - 1).astype(np.intp)
    cols = np.rint(x + reach * smooth_field(shape, knots, rng)).clip(0, shape[1] - 1).astype(np.intp)
    return np.asarray(label[rows, cols])


def synthetic_picture(label: NDArray[Any], rng: Rng) -> NDArray[np.uint8]:
    """A label slice (rows, cols) of FreeSurfer numbers to a uint8 picture of the same shape."""
    codes = np.minimum(label, CODES - 1).astype(np.int16)
    tissues = _painted(_refined(codes, rng), random_mixture(rng), rng)
    picture = with_artefact(acquired(tissues, rng), rng)
    if rng.random() < STRIP_CHANCE:
        picture = stripped(picture, codes, rng)
    return as_displayed(picture, rng)


def _refined(codes: NDArray[np.int16], rng: Rng) -> NDArray[np.int16]:
    """Tissues that the map does not tell apart: fat below the skin and between muscles, the rim of a tumour's core; and
    variations of what surrounds the brain."""
    codes = codes.copy()
    _split_soft_tissue(codes, rng)
    core = codes == CORE
    if core.any() and rng.random() < 0.6:
        codes[rim(core, rng)] = RIM
    return codes


def _split_soft_tissue(codes: NDArray[np.int16], rng: Rng) -> None:
    soft = codes == SOFT_TISSUE
    if not soft.any() or rng.random() < 0.15:
        return
    skin = ndimage.uniform_filter((codes == SKIN).astype(np.float32), int(rng.integers(5, 15)))
    mixed = smooth_field((codes.shape[0], codes.shape[1]), rng.uniform(15.0, 50.0), rng)
    fat = (skin > 0.05) | (mixed > rng.uniform(0.1, 1.2))
    codes[soft & fat] = FAT
    codes[soft & ~fat] = MUSCLE


def _painted(codes: NDArray[np.int16], mixture: Mixture, rng: Rng) -> Field:
    """Mean level per tissue, with a fine grain and a slow drift whose strength the tissue sets; then the background."""
    shape = (codes.shape[0], codes.shape[1])
    grain = ndimage.gaussian_filter(rng.standard_normal(shape, dtype=np.float32), rng.uniform(0.5, 1.3)) * 2.2
    drift = smooth_field(shape, rng.uniform(8.0, 30.0), rng)
    picture = mixture.mean[codes] + mixture.grain[codes] * grain + mixture.drift[codes] * drift
    outside = codes == 0
    picture[outside] = _background(rng) * (1 + 0.3 * drift[outside])
    if rng.random() < 0.1:  # the fluid of the map holds membranes and vessels too
        around = codes == FLUID_AROUND
        picture[around] *= 1 + 0.4 * grain[around]
    return np.asarray(picture.clip(0.0, 1.5), np.float32)


def _background(rng: Rng) -> float:
    """Air is black; now and then the window leaves it grey, seldom it is bright (SynthSeg draws it freely)."""
    chance = rng.random()
    if chance < 0.8:
        return 0.0
    return float(rng.uniform(0.02, 0.12) if chance < 0.96 else rng.uniform(0.1, 0.9))
