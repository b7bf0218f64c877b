"""Where a mask lies, so that the views can be brought to it. Qt-free; `place_of` is called on a worker thread."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medviewer.api import Volume, lps_to_voxel, voxel_to_lps

_SAMPLE = 20_000
Position = tuple[float, float, float]


@dataclass(frozen=True, eq=False)
class Place:
    """Size of a mask, which slices of each axis it touches, and a voxel of it near its middle.

    `centre` is in LPS mm (voxel indices without affine), None for an empty mask.
    """

    voxels: int
    touched: tuple[NDArray[np.bool_], ...] = ()
    centre: Position | None = None


def place_of(mask: NDArray[np.bool_], volume: Volume) -> Place:
    """Look at a mask (i, j, k) on the grid of a volume."""
    touched = tuple(np.asarray(mask.any(axis=others)) for others in ((1, 2), (0, 2), (0, 1)))
    if not touched[0].any():
        return Place(0, touched)
    box = tuple(slice(int(np.argmax(t)), len(t) - int(np.argmax(t[::-1]))) for t in touched)
    index = np.argwhere(mask[box])
    sample = index[:: max(1, len(index) // _SAMPLE)]
    nearest = sample[int(np.argmin(((sample - index.mean(axis=0)) ** 2).sum(axis=1)))] + [s.start for s in box]
    point = nearest.astype(float) if volume.affine is None else voxel_to_lps(volume.affine, nearest)
    return Place(len(index), touched, (float(point[0]), float(point[1]), float(point[2])))


def in_sight(place: Place, volume: Volume, cursor: Position) -> bool:
    """Whether a slice through the cursor touches the mask: then some view shows it."""
    if volume.kind != "volume" or volume.affine is None or place.centre is None:
        return True
    voxel = np.rint(lps_to_voxel(volume.affine, cursor)).astype(int)
    return any(t[min(max(int(v), 0), len(t) - 1)] for t, v in zip(place.touched, voxel, strict=True))
