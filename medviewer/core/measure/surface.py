"""Where a mask ends, and the two of its points that lie farthest apart.

A voxel is a small box: the mask ends at the centres of the outer faces of its voxels, half a voxel beyond the centres.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import ConvexHull

Mask = NDArray[np.bool_]
Points = NDArray[np.float64]
_CHUNK = 2000


def outer_faces(mask: Mask, axes: tuple[int, ...]) -> Points:
    """Centres of the first and the last outer face of every line of voxels along each of `axes`: indices (n, 3). They
    hold every corner of the convex hull of all outer faces."""
    found = []
    for axis in axes:
        line = np.moveaxis(mask, axis, 0)
        hit = line.any(0)
        others = np.argwhere(hit).astype(float)
        first = line.argmax(0)[hit] - 0.5
        last = len(line) - 0.5 - line[::-1].argmax(0)[hit]
        found += [np.insert(others, axis, place, axis=1) for place in (first, last)]
    return np.concatenate(found)


def all_faces(mask: Mask) -> Points:
    """Centres of all outer faces of the voxels: indices (n, 3)."""
    padded = np.pad(mask, 1)
    found = []
    for axis in range(3):
        change = np.argwhere(np.diff(padded.view(np.int8), axis=axis) != 0).astype(float) - 1.0
        change[:, axis] += 0.5
        found.append(change)
    return np.concatenate(found)


def farthest_pair(points: Points, columns: tuple[int, ...] = (0, 1, 2)) -> tuple[float, int, int]:
    """(distance, index, index) of the two points (n, m) that lie farthest apart; `columns` are those in which they
    differ.

    Exact: both are corners of the convex hull (quickhull: Barber, Dobkin, Huhdanpaa 1996, doi:10.1145/235815.235821).
    """
    kept = _may_be_farthest(points)
    if len(kept) > 50:
        kept = kept[ConvexHull(_independent(points[kept], columns)).vertices]
    return _largest_distance(points, kept)


def _independent(points: Points, columns: tuple[int, ...]) -> Points:
    """As many coordinates as the points span: qhull refuses flat sets."""
    if points.shape[1] == len(columns):
        return points
    centred = points - points.mean(0)
    _, _, axes = np.linalg.svd(centred.T @ centred)
    return np.asarray(centred @ axes[: len(columns)].T)


def _may_be_farthest(points: Points) -> NDArray[np.intp]:
    """Indices of the points far enough from the middle to be an end of the longest distance."""
    middle = (points.min(0) + points.max(0)) / 2
    reach = np.linalg.norm(points - middle, axis=1)
    one = int(np.argmax(reach))
    known = 0.0
    for _ in range(4):  # to and fro: a lower bound of the distance that is nearly always the distance itself
        away = np.linalg.norm(points - points[one], axis=1)
        one = int(np.argmax(away))
        known = max(known, float(away[one]))
    return np.flatnonzero(reach >= known - float(reach.max()) - 1e-9)


def _largest_distance(points: Points, kept: NDArray[np.intp]) -> tuple[float, int, int]:
    chosen = points[kept] - points[kept].mean(0)
    squares = (chosen**2).sum(1)
    best = (-1.0, 0, 0)
    for begin in range(0, len(chosen), _CHUNK):
        part = slice(begin, begin + _CHUNK)
        distance = squares[part, None] + squares[None, :] - 2.0 * (chosen[part] @ chosen.T)
        one, other = divmod(int(np.argmax(distance)), distance.shape[1])
        if distance[one, other] > best[0]:
            best = (float(distance[one, other]), begin + one, other)
    one, other = int(kept[best[1]]), int(kept[best[2]])
    return float(np.linalg.norm(points[one] - points[other])), one, other
