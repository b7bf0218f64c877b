"""The plan by which irregular slices become a regular grid: geometry only, no voxels. All lengths are mm, LPS.

The grid's axes are the row direction, the direction in the slice at right angles to it, and the normal of the slices.
Grid planes are therefore parallel to the acquired slices: a tilt costs a shift inside each slice, a gap an average of
two neighbours, and nothing is interpolated twice along the same direction.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medviewer.core.regularisation import Regularisation

CORNER_MM = 1e-3  # a place differs beyond this
EDGE_VOXELS = 1e-3  # as far as this beside its edge a slice still covers a voxel

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Resampling:
    """Where each acquired slice lies in the regular grid, and which slices make each grid plane.

    `axes` are the unit directions of i, j, k as columns; `offsets` (n, 3) is the place of the first pixel of every
    acquired slice along them, seen from voxel (0, 0, 0); `skew` is how far along the row direction each further row
    begins. Grid plane k is slice `below[k]`, mixed with the next one by the share `weight[k]`. Picklable.
    """

    shape: tuple[int, int, int]
    axes: Array
    origin: Array
    steps: tuple[float, float, float]
    offsets: Array
    skew: float
    below: NDArray[np.int64]
    weight: Array
    regularisation: Regularisation

    @property
    def affine(self) -> Array:
        """Grid voxel (i, j, k) to LPS mm."""
        affine = np.eye(4)
        affine[:3, :3] = self.axes * np.array(self.steps)
        affine[:3, 3] = self.origin
        return affine

    @property
    def shifts(self) -> bool:
        """Are slices moved inside their planes, so that some voxels lie outside of every slice?"""
        return bool(self.skew) or bool(np.abs(self.offsets[:, :2]).max() > CORNER_MM)

    def lps(self, row: float, column: float) -> Array:
        """Where the mapping puts the pixel (row, column) of every acquired slice, (n, 3)."""
        local = self.offsets + np.array([column * self.steps[0] + row * self.skew, row * self.steps[1], 0.0])
        return np.asarray(self.origin + local @ self.axes.T)

    def plane_error(self) -> float:
        """How far, in mm, the mix of slices lies from the grid plane that it fills, at worst."""
        depth = self.offsets[:, 2]
        after = np.minimum(self.below + 1, len(depth) - 1)
        mixed = (1.0 - self.weight) * depth[self.below] + self.weight * depth[after]
        return float(np.abs(mixed - np.arange(self.shape[2]) * self.steps[2]).max())


def mixing(depth: Array, levels: Array) -> tuple[NDArray[np.int64], Array]:
    """(slice at or below, share of the next one) for every level along the normal; `depth` ascends."""
    below = np.clip(np.searchsorted(depth, levels + CORNER_MM / 2, side="right") - 1, 0, len(depth) - 1)
    after = np.minimum(below + 1, len(depth) - 1)
    gap = np.maximum(depth[after] - depth[below], CORNER_MM)
    weight = np.clip((levels - depth[below]) / gap, 0.0, 1.0)
    here, there = weight * gap <= CORNER_MM / 2, (1.0 - weight) * gap <= CORNER_MM / 2
    return np.asarray(np.where(there, after, below), np.int64), np.where(here | there, 0.0, weight)


def extent(lowest: float, highest: float, step: float) -> tuple[int, int]:
    """(voxels before the first slice's first pixel, voxels in all) that cover lowest..highest around it."""
    lead = max(0, math.ceil(-lowest / step - EDGE_VOXELS))
    return lead, lead + max(0, math.ceil(highest / step - EDGE_VOXELS)) + 1
