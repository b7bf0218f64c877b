"""How alike two masks are: Dice, normalised surface Dice, 95th percentile of the surface distance.

A surface is the voxels of a mask with a face outside it (the image border counts as outside); distances run between
voxel centres, found exactly with a k-d tree. Surface Dice after Nikolov et al. 2021 (doi:10.2196/26151), with surface
voxels counted alike; HD95 is the larger of the two directed percentiles.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from medviewer.core.volume import Volume

Mask = NDArray[np.bool_]
TOLERANCE_MM = 2.0  # of a volume
TOLERANCE_SHARE = 0.01  # of a picture's longer side
_NO_MASK = (0.0, None)


@dataclass(frozen=True)
class Scale:
    """Length of a voxel step along (i, j, k) in `unit` ("mm" or "px"), and the tolerance of the surface Dice in it."""

    step: tuple[float, float, float]
    tolerance: float
    unit: str


def scale_of(volume: Volume) -> Scale:
    """mm for a volume with a spacing, pixels for everything else."""
    spacing = volume.spacing_mm
    if volume.shape[2] > 1 and spacing is not None and min(spacing) > 0:
        return Scale(spacing, TOLERANCE_MM, "mm")
    return Scale((1.0, 1.0, 1.0), TOLERANCE_SHARE * max(volume.shape[:2]), "px")


def dice(mask: Mask, truth: Mask) -> float:
    """Dice coefficient; 1 where both are empty."""
    total = int(mask.sum()) + int(truth.sum())
    return 1.0 if total == 0 else 2.0 * int((mask & truth).sum()) / total


def surface_scores(mask: Mask, truth: Mask, scale: Scale) -> tuple[float, float | None]:
    """(surface Dice, HD95 in the scale's unit) of two masks (i, j, k); (0, None) where only one of them is empty, and
    (1, 0) where both are."""
    if not mask.any() or not truth.any():
        return (1.0, 0.0) if mask.any() == truth.any() else _NO_MASK
    ours, theirs = (surface_points(each, scale.step) for each in (mask, truth))
    there = cKDTree(theirs).query(ours)[0]
    back = cKDTree(ours).query(theirs)[0]
    near = int((there <= scale.tolerance).sum()) + int((back <= scale.tolerance).sum())
    furthest = max(float(np.percentile(there, 95)), float(np.percentile(back, 95)))
    return near / (len(there) + len(back)), furthest


def surface_points(mask: Mask, step: tuple[float, float, float]) -> NDArray[np.float64]:
    """Centres (n, 3) of the surface voxels of a mask that is not empty, in the unit of `step`."""
    box = ndimage.find_objects(mask.astype(np.uint8))[0]
    padded = np.pad(mask[box], [(1, 1), (1, 1), (0, 0) if mask.shape[2] == 1 else (1, 1)])
    shape = ndimage.generate_binary_structure(3, 1)
    if mask.shape[2] == 1:  # a picture has no faces towards other slices
        shape = shape & np.array([False, True, False])
    edge = padded & ~ndimage.binary_erosion(padded, shape)
    return np.argwhere(edge) * np.asarray(step)+ _offset(mask, box, step)


def _offset(mask: Mask, box: tuple[slice, ...], step: tuple[float, float, float]) -> NDArray[np.float64]:
    pad = np.array([1, 1, 0 if mask.shape[2] == 1 else 1])
    return (np.array([part.start for part in box]) - pad) * np.asarray(step)
