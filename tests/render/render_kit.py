"""A small body whose picture is known, stored in any of the 48 axis orders and directions."""

from __future__ import annotations

from itertools import permutations, product

import numpy as np

from medviewer.core.volume import Volume
from medviewer.render.slice_view import SliceView

SHAPE = (24, 20, 16)  # left-right, front-back, feet-head, voxels
SPACING = (2.0, 3.0, 5.0)
ORIGIN = (-20.0, -30.0, 100.0)
ORIENTATIONS = [(p, f) for p in permutations(range(3)) for f in product((False, True), repeat=3)]


def body_values() -> np.ndarray:
    """int16 values, indexed [left, back, head]: every plane and half differs."""
    x, y, z = np.meshgrid(*(np.arange(n) for n in SHAPE), indexing="ij")
    values = 10 * x + 3 * y + 7 * z
    values[2:6, 3:6, 3:5] = 800  # right, front, feet
    values[18:20, 14:18, 11:14] = 500  # left, back, head
    return values.astype(np.int16)


def body(permutation: tuple[int, ...] = (0, 1, 2), flips: tuple[bool, ...] = (False, False, False)) -> Volume:
    """The same anatomy with voxel axes permuted and flipped, the affine telling so."""
    affine = np.diag([*SPACING, 1.0])
    affine[:3, 3] = ORIGIN
    array, affine = stored(body_values(), affine, permutation, flips)
    return Volume(array, affine, modality="CT", units="HU", window=(900.0, 450.0))


def stored(array, affine, permutation, flips):
    """Permute and flip an array and its affine together."""
    array = np.transpose(array, permutation)
    affine = affine[:, [*permutation, 3]].copy()
    for axis, flipped in enumerate(flips):
        if flipped:
            array = np.flip(array, axis)
            affine[:3, 3] += affine[:3, axis] * (array.shape[axis] - 1)
            affine[:3, axis] *= -1
    return np.array(array, order="F"), affine


PLANES = ("axial", "coronal", "sagittal")
LETTERS = {
    "axial": {"left": "R", "right": "L", "top": "A", "bottom": "P"},
    "coronal": {"left": "R", "right": "L", "top": "S", "bottom": "I"},
    "sagittal": {"left": "A", "right": "P", "top": "S", "bottom": "I"},
}


def shown(volume: Volume, plane: str, size: int = 200, **settings: object) -> SliceView:
    view = SliceView(plane)
    view.set_volume(volume)
    view.set_size(size, size)
    for name, value in settings.items():
        setattr(view, name, value)
    return view
