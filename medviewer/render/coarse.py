"""Arrays for the 3D view: a reduced copy of the scan along patient axes, and surfaces of masks. No VTK; any thread."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medviewer.core.geometry import Affine, closest_axes, spacing_of
from medviewer.core.volume import Volume
from medviewer.render.masks import Mask, tight_box

# In software the first picture takes 0.1 s per million voxels (gradients), later ones far less.
MAX_VOXELS = {"software": 2_000_000, "hardware": 40_000_000}
_BOX_STEP, _BOX_MARGIN = 4, 8  # voxels
_SURFACE_CELLS = 1_500_000


@dataclass(frozen=True, eq=False)
class CoarseVolume:
    """A scan reduced by whole factors; axes ordered and flipped so that i, j, k grow to the left, back and head.

    `array` is Fortran-ordered (VTK reads it without a copy); `affine` maps its indices to LPS mm.
    """

    array: NDArray[Any]
    affine: Affine


@dataclass(frozen=True, eq=False)
class Surface:
    """A closed triangle surface: points in LPS mm (n, 3) float32, triangles (m, 3) int64, unit normals (n, 3)."""

    points: NDArray[np.float32]
    triangles: NDArray[np.int64]
    normals: NDArray[np.float32]


def reduced(volume: Volume, max_voxels: int = MAX_VOXELS["software"]) -> CoarseVolume:
    """Leave out the air around the patient, then average blocks until at most `max_voxels` remain; any thread.

    Raises ValueError for a volume in colour or without a place in space.
    """
    if volume.affine is None or volume.is_color:
        raise ValueError("3D needs a scalar volume with a place in space")
    box = _content_box(volume)
    crop = volume.array[box]
    factors = _factors((crop.shape[0], crop.shape[1], crop.shape[2]), volume.affine, max_voxels)
    array = block_mean(crop, factors)
    scale = np.diag([*factors, 1.0]).astype(float)
    scale[:3, 3] = (np.asarray(factors) - 1) / 2 + [span.start for span in box]
    return _along_patient(array, volume.affine @ scale)


def _content_box(volume: Volume) -> tuple[slice, slice, slice]:
    """Where there is more than air, with a margin, so that the voxels allowed are spent on the patient."""
    thin = volume.array[::_BOX_STEP, ::_BOX_STEP, ::_BOX_STEP]
    finite = np.nan_to_num(np.asarray(thin, np.float32))
    low, high = np.percentile(finite, (1, 99))
    found = tight_box(finite > (-300.0 if volume.units == "HU" else low + 0.05 * (high - low)))
    if found is None:
        found = ((0, thin.shape[0]), (0, thin.shape[1]), (0, thin.shape[2]))
    spans = []
    for (first, last), size in zip(found, volume.shape, strict=True):
        start = max(first * _BOX_STEP - _BOX_MARGIN, 0)
        spans.append(slice(start, min(last * _BOX_STEP + _BOX_MARGIN, size)))
    return spans[0], spans[1], spans[2]


def _factors(shape: tuple[int, int, int], affine: Affine, limit: int) -> tuple[int, int, int]:
    """Coarsen the finest axis until the volume is small enough."""
    factors, spacing = [1, 1, 1], np.asarray(spacing_of(affine))
    while np.prod([max(n // f, 1) for n, f in zip(shape, factors, strict=True)]) > limit:
        steps = [s * f if n // f > 8 else np.inf for s, f, n in zip(spacing, factors, shape, strict=True)]
        factors[int(np.argmin(steps))] += 1
    return factors[0], factors[1], factors[2]


def block_mean(array: NDArray[Any], factors: tuple[int, int, int]) -> NDArray[Any]:
    """Mean over whole blocks, slab by slab (little memory); integers stay integers, bool becomes float32 coverage."""
    if factors == (1, 1, 1):
        return array if array.dtype != np.bool_ else array.astype(np.float32)
    shape = tuple(max(n // f, 1) for n, f in zip(array.shape, factors, strict=True))
    kind = np.float32 if array.dtype.kind in "bf" else array.dtype
    out = np.empty(shape, kind, order="F")
    fi, fj, fk = factors
    for k in range(shape[2]):
        slab = array[: shape[0] * fi, : shape[1] * fj, k * fk : (k + 1) * fk].astype(np.float32)
        flat = slab.mean(axis=2) if slab.shape[2] else slab[..., 0]
        flat = flat.reshape(shape[0], -1, flat.shape[1]).mean(axis=1) if fi > 1 else flat
        out[:, :, k] = flat.reshape(shape[0], shape[1], -1).mean(axis=2) if fj > 1 else flat
    return out


def _along_patient(array: NDArray[Any], affine: Affine) -> CoarseVolume:
    order = closest_axes(affine)
    array = np.transpose(array, order)
    affine = affine[:, [*order, 3]].copy()
    for axis in range(3):
        if affine[axis, axis] < 0:
            array = np.flip(array, axis)
            affine[:3, 3] += affine[:3, axis] * (array.shape[axis] - 1)
            affine[:3, axis] *= -1
    return CoarseVolume(np.asfortranarray(array), affine)


def surface_of(mask: Mask, affine: Affine) -> Surface | None:
    """A smoothed surface of a mask (bool (i, j, k)); None for an empty mask. About 0.1-0.5 s; any thread."""
    from scipy.ndimage import gaussian_filter
    from skimage.measure import marching_cubes

    box = tight_box(mask)
    if box is None:
        return None
    crop = mask[tuple(slice(*span) for span in box)]
    shape = (crop.shape[0], crop.shape[1], crop.shape[2])
    factors = _factors(shape, affine, _SURFACE_CELLS)
    filled = np.pad(crop, [(0, -n % f) for n, f in zip(shape, factors, strict=True)])
    soft = gaussian_filter(np.pad(block_mean(filled, factors), 3), _sigma(affine, factors))
    level = 0.5 if soft.max() > 0.6 else 0.5 * float(soft.max())
    points, triangles, normals, _ = marching_cubes(soft, level)
    start = np.array([span[0] for span in box])
    index = (points - 3 + 0.5) * factors - 0.5 + start
    linear = affine[:3, :3]
    turned = normals @ np.linalg.inv(linear * factors)
    turned /= np.maximum(np.linalg.norm(turned, axis=1, keepdims=True), 1e-9)
    placed = (index @ linear.T + affine[:3, 3]).astype(np.float32)
    return Surface(placed, _outward(placed, triangles.astype(np.int64), turned), turned.astype(np.float32))


def _outward(
    points: NDArray[np.float32], triangles: NDArray[np.int64], normals: NDArray[Any]
) -> NDArray[np.int64]:
    """Triangles turned anticlockwise as seen from outside (OpenGL lights the front only)."""
    a, b, c = (points[triangles[:, n]] for n in range(3))
    agree = np.einsum("ij,ij->i", np.cross(b - a, c - a), normals[triangles[:, 0]])
    return triangles if agree.sum() >= 0 else np.ascontiguousarray(triangles[:, ::-1])


def _sigma(affine: Affine, factors: tuple[int, int, int]) -> list[float]:
    """The same smoothing in mm along every axis, about one voxel of the coarsest."""
    spacing = np.asarray(spacing_of(affine)) * factors
    return [float(min(0.9 * np.sqrt(spacing.max() * s) / s, 2.0)) for s in spacing]
