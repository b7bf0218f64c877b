"""Smooth implicit shapes for generated anatomy. Every shape is a distance in mm, negative inside.

Coordinates are arrays (broadcastable) of patient millimetres: x left, y posterior, z superior. Pure numpy.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Field = NDArray[Any]  # float32
Grid = tuple[Field, Field, Field]


def rotation(degrees_x: float = 0, degrees_y: float = 0, degrees_z: float = 0) -> NDArray[np.float64]:
    """Rotation matrix: about x first, then y, then z."""
    a, b, c = np.radians([degrees_x, degrees_y, degrees_z])
    rx = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    ry = np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
    rz = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    return np.asarray(rz @ ry @ rx)


def ellipsoid(grid: Grid, centre: ArrayLike, radii: ArrayLike, turn: NDArray[np.float64] | None = None) -> Field:
    """Approximate distance to an ellipsoid whose axes are the columns of `turn`."""
    c, r = np.asarray(centre, float), np.asarray(radii, float)
    x, y, z = (np.asarray(g - np.float32(v)) for g, v in zip(grid, c, strict=True))
    if turn is not None:
        t = turn.astype(np.float32)
        x, y, z = (t[0, a] * x + t[1, a] * y + t[2, a] * z for a in range(3))
    u, v, w = x / np.float32(r[0]), y / np.float32(r[1]), z / np.float32(r[2])
    k0 = np.sqrt(u * u + v * v + w * w)
    k1 = np.sqrt((u / np.float32(r[0])) ** 2 + (v / np.float32(r[1])) ** 2 + (w / np.float32(r[2])) ** 2)
    return np.asarray(k0 * (k0 - 1) / (k1 + np.float32(1e-6)), np.float32)


def superellipse(
    x: Field, y: Field, half_x: Field | np.float32, half_y: Field | np.float32, power: float = 2.4
) -> Field:
    """Radial distance to a superellipse tube around the z axis with z-dependent half axes."""
    p = np.float32(power)
    k0 = (np.abs(x / half_x) ** p + np.abs(y / half_y) ** p) ** np.float32(1 / power)
    k0 = np.maximum(k0, np.float32(1e-3))
    return np.asarray(np.hypot(x, y) * (1 - 1 / k0), np.float32)


def smooth_curve(
    points: ArrayLike, radii: ArrayLike, steps: int = 4
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Catmull-Rom curve through points (n, 3) with radii (n,), `steps` pieces per span."""
    p, r = np.asarray(points, float), np.asarray(radii, float)
    ext = np.vstack([2 * p[0] - p[1], p, 2 * p[-1] - p[-2]])
    t = np.arange(steps)[:, None] / steps
    pieces = []
    for n in range(len(p) - 1):
        a, b, c, d = ext[n : n + 4]
        pieces.append(
            0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)
        )
    curve = np.vstack([*pieces, p[-1:]])
    return curve, np.interp(np.linspace(0, len(p) - 1, len(curve)), np.arange(len(p)), r)


def tube(grid: Grid, points: ArrayLike, radii: ArrayLike, steps: int = 4) -> Field:
    """Distance to a smooth tube through `points` with varying radius."""
    curve, r = smooth_curve(points, radii, steps)
    x, y, z = grid
    best: Field | None = None
    for n in range(len(curve) - 1):
        a, d = curve[n].astype(np.float32), (curve[n + 1] - curve[n]).astype(np.float32)
        px, py, pz = x - a[0], y - a[1], z - a[2]
        t = np.clip((px * d[0] + py * d[1] + pz * d[2]) / np.float32(max(float(d @ d), 1e-6)), 0, 1)
        gap = np.sqrt((px - t * d[0]) ** 2 + (py - t * d[1]) ** 2 + (pz - t * d[2]) ** 2)
        gap = gap - (np.float32(r[n]) + t * np.float32(r[n + 1] - r[n]))
        best = gap if best is None else np.minimum(best, gap)
    assert best is not None
    return np.asarray(best, np.float32)


def both(*shapes: Field, blend: float = 0.0) -> Field:
    """Intersection, with edges rounded over `blend` mm."""
    result = shapes[0]
    for other in shapes[1:]:
        result = -_smooth_min(-result, -other, blend)
    return result


def either(*shapes: Field, blend: float = 0.0) -> Field:
    """Union, with seams filled over `blend` mm."""
    result = shapes[0]
    for other in shapes[1:]:
        result = _smooth_min(result, other, blend)
    return result


def without(shape: Field, *cut: Field, blend: float = 0.0) -> Field:
    """`shape` minus each of `cut`."""
    return both(shape, *(-c for c in cut), blend=blend)


def _smooth_min(a: Field, b: Field, blend: float) -> Field:
    if blend <= 0:
        return np.asarray(np.minimum(a, b), np.float32)
    k = np.float32(blend)
    h = np.maximum(k - np.abs(a - b), 0) / k
    return np.asarray(np.minimum(a, b) - h * h * k * np.float32(0.25), np.float32)


def profile(z: NDArray[np.float32], knots: Sequence[tuple[float, ...]], column: int = 1) -> Field:
    """Piecewise linear value along z, softened by averaging over 24 mm; knots are (z, value, ...) with rising z."""
    zs, vs = [k[0] for k in knots], [k[column] for k in knots]
    shifts = [np.interp(z + s, zs, vs) for s in (-12, -6, 0, 6, 12)]
    return np.asarray(np.mean(shifts, axis=0), np.float32)


def smooth_noise(
    rng: np.random.Generator, axes: Grid, wavelength: float, cells: tuple[int, int, int] = (9, 9, 9)
) -> Field:
    """Smooth random field of unit variance that depends on mm only (not on the voxel grid), from -c*w/2 to c*w/2."""
    field = rng.standard_normal(cells).astype(np.float32)
    for axis, coordinates in enumerate(axes):
        place = coordinates.ravel()[:, None] / wavelength + (cells[axis] - 1) / 2
        weights = np.exp(-((place - np.arange(cells[axis])) ** 2) / (2 * 0.6**2)).astype(np.float32)
        weights /= np.sqrt((weights**2).sum(1, keepdims=True)) + np.float32(1e-6)
        field = np.moveaxis(np.tensordot(weights, np.moveaxis(field, axis, 0), axes=(1, 0)), 0, axis)
    return np.asarray(field, np.float32)
