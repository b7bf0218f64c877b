"""MR-like pictures made from a label map, in the manner of SynthSeg: random intensities per tissue."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

# FreeSurfer numbers to tissue classes; classes get the order of grey of a T1 or T2 image, then jitter
_CLASSES = {
    "csf": (4, 5, 14, 15, 24, 43, 44, 257),
    "gray": (3, 8, 10, 11, 12, 17, 18, 26, 42, 47, 49, 50, 51, 53, 54, 58),
    "deep": (13, 52, 28, 60),
    "white": (2, 7, 16, 41, 46, 85, 77),
}
_T1 = {"csf": 0.15, "gray": 0.5, "deep": 0.62, "white": 0.75}
_T2 = {"csf": 0.95, "gray": 0.55, "deep": 0.4, "white": 0.35}
_FLAIR = {"csf": 0.1, "gray": 0.6, "deep": 0.5, "white": 0.5}


def synthetic_picture(label: NDArray[Any], rng: np.random.Generator) -> NDArray[np.uint8]:
    """A label slice (rows, cols) of FreeSurfer numbers to a uint8 picture of the same shape."""
    levels = rng.uniform(0.05, 0.95, 1024)
    if rng.random() < 0.75:
        contrast = (_T1, _T1, _T2, _FLAIR)[int(rng.integers(4))]
        for name, numbers in _CLASSES.items():
            levels[list(numbers)] = contrast[name] + rng.normal(0, 0.06) + rng.normal(0, 0.025, len(numbers))
    levels[0] = 0.0 if rng.random() < 0.8 else rng.uniform(0, 0.3)
    picture = levels[np.minimum(label, 1023)]
    picture = picture + rng.normal(0, rng.uniform(0.01, 0.06), label.shape)
    picture = ndimage.gaussian_filter(picture, rng.uniform(0.3, 1.0))
    if rng.random() < 0.3:  # brain-extracted scans are common
        picture = np.where((label > 0) & (label < 500) & (label != 24), picture, 0.0)
    return (picture * _bias_field(label.shape, rng) * 255).clip(0, 255).astype(np.uint8)


def _bias_field(shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[np.float64]:
    rows = np.linspace(-1, 1, shape[0])[:, None]
    cols = np.linspace(-1, 1, shape[1])[None, :]
    a, b, c = rng.normal(0, 0.12, 3)
    return np.asarray(np.exp(a * rows + b * cols + c * rows * cols))
