"""Analytic bodies painted into grids of any orientation, for the tests of measurements."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from medviewer.core.segmentation import Segment
from medviewer.core.volume import Volume

Points = NDArray[np.float64]
CENTRE = np.array((12.3, -34.5, 56.7))  # of every grid and, without an offset, of every body: LPS mm
Inside = Callable[[Points], NDArray[np.bool_]]


def at(x: float, y: float, z: float) -> Points:
    """A place at an offset from the centre."""
    return np.asarray(CENTRE + np.array((x, y, z)))


def rotation(seed: int, degrees: float | None = None) -> NDArray[np.float64]:
    """A random rotation; about a random axis by `degrees` where given."""
    rng = np.random.default_rng(seed)
    axis = rng.normal(size=3)
    axis /= np.linalg.norm(axis)
    angle = np.deg2rad(rng.uniform(0, 360) if degrees is None else degrees)
    cross = np.cross(np.eye(3), axis)
    return np.asarray(np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross)


def grid(
    half: tuple[float, float, float],
    spacing: tuple[float, float, float] = (1.0, 1.0, 1.0),
    order: tuple[int, int, int] = (0, 1, 2),
    flips: tuple[int, int, int] = (1, 1, 1),
    turn: NDArray[np.float64] | None = None,
) -> tuple[tuple[int, int, int], NDArray[np.float64]]:
    """(shape, affine) of a grid that reaches at least `half` mm from CENTRE along patient axes x, y, z.

    `spacing` belongs to x, y, z too; `order` says which patient axis the voxel axes i, j, k run along, `flips` whether
    backwards.
    """
    turn = np.eye(3) if turn is None else turn
    shape = tuple(int(np.ceil(2 * half[axis] / spacing[axis])) + 1 for axis in order)
    linear = np.zeros((3, 3))
    for voxel_axis, axis in enumerate(order):
        linear[axis, voxel_axis] = flips[voxel_axis] * spacing[axis]
    linear = turn @ linear
    affine = np.eye(4)
    affine[:3, :3] = linear
    affine[:3, 3] = CENTRE - linear @ ((np.array(shape) - 1) / 2)
    return (shape[0], shape[1], shape[2]), affine


def paint(shape: tuple[int, int, int], affine: NDArray[np.float64], inside: Inside) -> NDArray[np.bool_]:
    """Voxels whose centres (LPS mm) lie inside."""
    index = np.stack(np.meshgrid(*(np.arange(n) for n in shape), indexing="ij"), axis=-1).reshape(-1, 3)
    return inside(index @ affine[:3, :3].T + affine[:3, 3]).reshape(shape)


def ellipsoid(axes: tuple[float, float, float], centre: Points, turn: NDArray[np.float64] | None = None) -> Inside:
    """`axes`: half axes in mm, along the columns of `turn`."""
    frame = np.eye(3) if turn is None else turn
    return lambda p: np.asarray(((((p - centre) @ frame) / np.asarray(axes)) ** 2).sum(-1) <= 1)


def box(size: tuple[float, float, float], centre: Points, turn: NDArray[np.float64] | None = None) -> Inside:
    """`size`: edges in mm, along the columns of `turn`."""
    frame = np.eye(3) if turn is None else turn
    return lambda p: np.asarray((np.abs((p - centre) @ frame) <= np.asarray(size) / 2).all(-1))


def scan(
    mask: NDArray[np.bool_], affine: NDArray[np.float64] | None, modality: str | None = "CT", **more: object
) -> Volume:
    """A scan of zeros around a mask; HU for CT."""
    units = "HU" if modality == "CT" else None
    return Volume(np.zeros(mask.shape, np.int16), affine, modality, units, **more)  # type: ignore[arg-type]


def segment(mask: NDArray[np.bool_], term: str | None = None, **more: object) -> Segment:
    """A segment named after its structure."""
    return Segment(term or "mask", mask, term_id=term, **more)  # type: ignore[arg-type]
