"""The surface of a mask: slightly smoothed marching cubes at the level that keeps the mask's volume."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medviewer.core.geometry import Affine

_SIGMA_VOXELS = 0.7
_MARGIN = 3  # voxels of background around the mask: more than the smoothing reaches, so that the surface closes
_CLOSE_ENOUGH = 0.01  # of the volume; 0.02 is what is promised
_LOWEST = 0.01


@dataclass(frozen=True, eq=False)
class Surface:
    """Triangles of one closed surface: vertices (n, 3) in LPS mm, faces (m, 3) with normals outwards."""

    vertices: NDArray[np.float64]
    faces: NDArray[np.int64]


def surface_of(mask: NDArray[np.bool_], affine: Affine) -> Surface:
    """The closed surface of a mask (i, j, k), its volume within 2 % of the voxels'; no triangles for an empty mask."""
    cropped, origin = _cropped(mask)
    if cropped is None:
        return Surface(np.zeros((0, 3)), np.zeros((0, 3), np.int64))
    count = int(np.count_nonzero(cropped))
    vertices, faces = _fitting(cropped, count)
    if np.linalg.det(affine[:3, :3]) < 0:
        faces = faces[:, ::-1]
    return Surface((vertices + origin) @ affine[:3, :3].T + affine[:3, 3], faces)


def enclosed(vertices: NDArray[np.float64], faces: NDArray[np.int64]) -> float:
    """Volume enclosed by a closed surface, in the vertices' units; positive where normals point outwards."""
    a, b, c = (vertices[faces[:, corner]] for corner in range(3))
    return float(np.einsum("ij,ij->i", a, np.cross(b, c)).sum() / 6.0)


def _cropped(mask: NDArray[np.bool_]) -> tuple[NDArray[np.float32] | None, NDArray[np.float64]]:
    used = [np.flatnonzero(mask.any(axis=tuple(o for o in range(3) if o != axis))) for axis in range(3)]
    if not all(len(u) for u in used):
        return None, np.zeros(3)
    box = tuple(slice(int(u[0]), int(u[-1]) + 1) for u in used)
    field = np.pad(np.ascontiguousarray(mask[box]).astype(np.float32), _MARGIN)
    return field, np.array([float(u[0]) - _MARGIN for u in used])


def _fitting(binary: NDArray[np.float32], count: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Smoothed where that keeps the volume, else the plain mask with the level that does."""
    from scipy.ndimage import gaussian_filter

    found = _from_smooth(gaussian_filter(binary, _SIGMA_VOXELS, mode="constant", truncate=3.0), count)
    if found is None:
        found = _from_plain(binary, count)
    return found if found is not None else _surface(binary, 0.5)


def _from_smooth(field: NDArray[np.float32], count: int) -> tuple[NDArray[np.float64], NDArray[np.int64]] | None:
    """The level above which as many voxels lie as the mask has, corrected by what the surface then encloses."""
    band = np.sort(field[(field > _LOWEST) & (field < 1 - _LOWEST)])
    inside = int(np.count_nonzero(field >= 1 - _LOWEST))
    wanted = float(count)
    for _ in range(4):
        position = len(band) - round(wanted) + inside
        if not 0 <= position < len(band) or band[position] >= band[-1]:
            return None
        vertices, faces = _surface(field, float(band[position]))
        ratio = enclosed(vertices, faces) / count
        if abs(ratio - 1) < _CLOSE_ENOUGH:
            return vertices, faces
        wanted += count * (1 - ratio)
    return None


def _from_plain(binary: NDArray[np.float32], count: int) -> tuple[NDArray[np.float64], NDArray[np.int64]] | None:
    """Bisect the level until the surface of the plain mask encloses `count` voxels."""
    low, high = 1e-4, 1 - 1e-4
    for _ in range(24):
        level = (low + high) / 2
        vertices, faces = _surface(binary, level)
        ratio = enclosed(vertices, faces) / count
        if abs(ratio - 1) < _CLOSE_ENOUGH:
            return vertices, faces
        low, high = (level, high) if ratio > 1 else (low, level)
    return None


def _surface(field: NDArray[Any], level: float) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    from skimage.measure import marching_cubes

    vertices, faces, _, _ = marching_cubes(field, level, allow_degenerate=True)
    vertices, faces = vertices.astype(np.float64), faces.astype(np.int64)
    return (vertices, faces) if enclosed(vertices, faces) >= 0 else (vertices, faces[:, ::-1])
