"""Volumes whose voxel value tells its place: value = 3x + 5y + 7z (LPS mm), in every orientation."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medviewer.core.geometry import voxel_to_lps
from medviewer.core.segmentation import Segment
from medviewer.core.volume import Source, Volume

GRADIENT = np.array([3.0, 5.0, 7.0])
SHAPE = (9, 8, 7)
ORIGIN = (-20.5, -31.25, 40.75)


def oriented(
    permutation: tuple[int, ...], signs: tuple[int, ...], spacing: tuple[float, ...] = (1.5, 2.0, 3.25)
) -> Any:
    """An affine to LPS mm whose voxel axes run along patient axes."""
    affine = np.eye(4)
    affine[:3, :3] = np.eye(3)[:, permutation] * signs * spacing
    affine[:3, 3] = ORIGIN
    return affine


def oblique(degrees: tuple[float, float, float] = (25.0, -17.0, 8.0)) -> Any:
    """An affine turned about all three axes, with three different spacings."""
    a, b, c = np.radians(degrees)
    about_x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    about_y = np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
    about_z = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    affine = np.eye(4)
    affine[:3, :3] = about_z @ about_y @ about_x * (0.7, 1.9, 4.3)
    affine[:3, 3] = ORIGIN
    return affine


ALL_48 = {
    "".join("xyz"[p] + ("+" if s > 0 else "-") for p, s in zip(permutation, signs, strict=True)): oriented(
        permutation, signs
    )
    for permutation in itertools.permutations(range(3))
    for signs in itertools.product((1, -1), repeat=3)
}
AFFINES = ALL_48 | {"oblique": oblique(), "oblique left-handed": oblique() @ np.diag([1, 1, -1, 1])}


def field(shape: tuple[int, int, int], affine: NDArray[np.float64]) -> NDArray[np.float32]:
    """The value that belongs at every voxel (i, j, k)."""
    index = np.stack(np.indices(shape), axis=-1)
    return np.asfortranarray((voxel_to_lps(affine, index) @ GRADIENT).astype(np.float32))


def volume(affine: NDArray[np.float64], shape: tuple[int, int, int] = SHAPE, **changes: Any) -> Volume:
    """A volume in memory with the field's values, rounded to integers as CT has them."""
    array = np.asfortranarray(np.rint(field(shape, affine)).astype(np.int16))
    source = Source("nifti", Path("somewhere.nii.gz"))
    return Volume(array, affine, "CT", "HU", id="oracle", title="oracle", source=source).with_changes(**changes)


def error(read: Volume) -> float:
    """How far the voxel values are from what belongs at the place the volume gives them."""
    assert read.affine is not None
    return float(np.abs(read.array.astype(float) - field(read.shape, read.affine)).max())


def segments(of: Volume) -> list[Segment]:
    """Two overlapping, lopsided segments and an empty one."""
    first = np.zeros(of.shape, np.bool_)
    first[1:6, 2:7, 1:4] = True
    first[1, 2, 1] = False
    second = np.zeros(of.shape, np.bool_)
    second[4:8, 1:4, 2:6] = True
    empty = np.zeros(of.shape, np.bool_)
    return [
        Segment("Left kidney", first, (200, 30, 40), term_id="kidney", side="left"),
        Segment("Milz (müde)", second, (10, 220, 90), term_id="spleen"),
        Segment("Aorta", empty, (1, 2, 250)),
    ]


def places(mask: NDArray[np.bool_], affine: NDArray[np.float64]) -> NDArray[np.float64]:
    """LPS positions of a mask's voxels, rounded to 0.01 mm and sorted, to compare masks of any orientation."""
    points = np.round(voxel_to_lps(affine, np.argwhere(mask)), 2) + 0.0
    return points[np.lexsort(points.T)]
