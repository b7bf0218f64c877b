"""Patient geometry. Everything is LPS millimetres (DICOM PS3.3 C.7.6.2.1.1): +x left, +y posterior, +z superior."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Affine = NDArray[np.float64]
RAS_FROM_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
_LETTERS = (("L", "R"), ("P", "A"), ("S", "I"))


def flip_ras_lps(affine: ArrayLike) -> Affine:
    """Turn an affine to RAS mm (NIfTI) into one to LPS mm, or back; the operation is its own inverse."""
    return np.asarray(RAS_FROM_LPS @ np.asarray(affine, float))


def spacing_of(affine: Affine) -> tuple[float, float, float]:
    """Length in mm of one step along each voxel axis (i, j, k)."""
    i, j, k = np.linalg.norm(np.asarray(affine, float)[:3, :3], axis=0)
    return float(i), float(j), float(k)


def voxel_to_lps(affine: Affine, ijk: ArrayLike) -> NDArray[np.float64]:
    """Voxel indices (..., 3) to LPS mm (..., 3). Integer indices are voxel centres."""
    points = np.asarray(ijk, float)
    return np.asarray(points @ affine[:3, :3].T + affine[:3, 3])


def lps_to_voxel(affine: Affine, lps: ArrayLike) -> NDArray[np.float64]:
    """LPS mm (..., 3) to continuous voxel indices (..., 3)."""
    return voxel_to_lps(np.asarray(np.linalg.inv(affine), np.float64), lps)


def direction_letter(direction: ArrayLike) -> str:
    """The letter (L R P A S I) of the patient axis that a direction in LPS points to most."""
    vector = np.asarray(direction, float)
    axis = int(np.argmax(np.abs(vector)))
    return _LETTERS[axis][0 if vector[axis] >= 0 else 1]


def axis_letters(affine: Affine) -> str:
    """Where voxel indices i, j, k grow towards, for instance "LPS"."""
    return "".join(direction_letter(affine[:3, axis]) for axis in range(3))


def closest_axes(affine: Affine) -> tuple[int, int, int]:
    """Voxel axes closest to the patient's x (left-right), y (front-back), z (feet-head); a permutation of 0, 1, 2."""
    unit = np.abs(affine[:3, :3] / np.maximum(np.linalg.norm(affine[:3, :3], axis=0), 1e-12))
    best, order = -1.0, (0, 1, 2)
    for candidate in ((0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)):
        score = sum(float(unit[row, axis]) for row, axis in enumerate(candidate))
        if score > best + 1e-9:
            best, order = score, candidate
    return order


def position_text(lps: ArrayLike) -> str:
    """A position with letters and unsigned mm, for instance "L 78 A 126 S 357 mm"."""
    parts = []
    for value, (positive, negative) in zip(np.asarray(lps, float), _LETTERS, strict=True):
        parts.append(f"{positive if value >= 0 else negative} {abs(value):.0f}")
    return " ".join(parts) + " mm"


def volume_corners(shape: tuple[int, int, int], affine: Affine) -> NDArray[np.float64]:
    """The eight corner voxel centres in LPS mm, shape (8, 3)."""
    last = [max(n - 1, 0) for n in shape]
    index = [[i, j, k] for i in (0, last[0]) for j in (0, last[1]) for k in (0, last[2])]
    return voxel_to_lps(affine, index)
