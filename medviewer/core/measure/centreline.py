"""The centreline of a tube such as the aorta, also where it bends back on itself.

Voxels are ordered by the distance walked inside the mask from one end; the middles of equal distances make a line,
which is then smoothed. (Level sets of the geodesic distance: Verroust and Lazarus 2000, doi:10.1007/PL00007213.)
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from medviewer.core.measure.outcome import NotMeasurable
from medviewer.core.measure.target import Mask, Points, Target

_NODES = 15_000  # voxels the graph may have; larger masks are thinned first
_STEP_MM = 2.0  # distance of the points of the line
_SMOOTH_MM = 8.0  # standard deviation of the smoothing along the line, before it is centred in its planes


def centreline(target: Target) -> Points:
    """Points (n, 3) in the mm of `Target.mm`, 2 mm apart, from one end of the largest part to the other.

    Raises NotMeasurable where the mask is not longer than wide.
    """
    nodes, graph = _graph(target)
    start = _farthest(graph, 0)
    away = _distances(graph, _farthest(graph, start))
    reached = np.isfinite(away)
    radius = _radius(target, float(away[reached].max()))
    if away[reached].max() < 3.0 * radius:
        raise NotMeasurable("too_short")
    line = _middles(nodes[reached], away[reached], max(_STEP_MM, 0.5 * radius))
    return resampled(smoothed(line, _SMOOTH_MM), _STEP_MM)


def _radius(target: Target, length: float) -> float:
    """Mean radius of a tube of this length and the mask's volume."""
    mm3 = target.count * float(abs(np.linalg.det(target.linear)))
    return float(np.sqrt(mm3 / (np.pi * max(length, 1e-6))))


def _graph(target: Target) -> tuple[Points, object]:
    """Places (n, 3) in mm of the voxels of a thinned mask, and the distances between neighbours as a sparse matrix."""
    from scipy import sparse

    thin, step = _thinned(target)
    number = np.full(thin.shape, -1, np.int64)
    index = np.argwhere(thin)
    number[thin] = np.arange(len(index))
    nodes = target.mm(index * step + (np.array(step) - 1) / 2)
    rows, columns = [], []
    for shift in _neighbours():
        one, other = _shifted(number, shift)
        both = (one >= 0) & (other >= 0)
        rows.append(one[both])
        columns.append(other[both])
    row, column = np.concatenate(rows), np.concatenate(columns)
    length = np.linalg.norm(nodes[row] - nodes[column], axis=1)
    return nodes, sparse.csr_array((length, (row, column)), shape=(len(nodes), len(nodes)))


def _thinned(target: Target) -> tuple[Mask, tuple[int, int, int]]:
    """The largest part in blocks of voxels, and the block's shape; blocks at least half full are kept."""
    from scipy import ndimage

    size = float((target.count * abs(np.linalg.det(target.linear)) / _NODES) ** (1 / 3))
    step = tuple(max(1, round(size / s)) for s in target.spacing)
    padded = np.pad(target.crop, [(0, -n % s) for n, s in zip(target.crop.shape, step, strict=True)])
    i, j, k = (n // s for n, s in zip(padded.shape, step, strict=True))
    blocks = padded.reshape(i, step[0], j, step[1], k, step[2]).mean((1, 3, 5)) >= 0.5
    labels, count = ndimage.label(blocks, np.ones((3, 3, 3), bool))
    if count == 0:
        raise NotMeasurable("too_small")
    return labels == 1 + int(np.argmax(np.bincount(labels.ravel())[1:])), (step[0], step[1], step[2])


def _neighbours() -> list[tuple[int, int, int]]:
    """Half of the 26 directions to a neighbour."""
    every = [(i, j, k) for i in (-1, 0, 1) for j in (-1, 0, 1) for k in (-1, 0, 1)]
    return [shift for shift in every if shift > (0, 0, 0)]


def _shifted(number: NDArray[np.int64], shift: tuple[int, int, int]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Two views of the array that lie `shift` apart."""
    here = tuple(slice(max(0, -s), n - max(0, s)) for s, n in zip(shift, number.shape, strict=True))
    there = tuple(slice(max(0, s), n - max(0, -s)) for s, n in zip(shift, number.shape, strict=True))
    return number[here], number[there]


def _distances(graph: object, start: int) -> NDArray[np.float64]:
    from scipy.sparse import csgraph

    return np.asarray(csgraph.dijkstra(graph, directed=False, indices=start))


def _farthest(graph: object, start: int) -> int:
    away = _distances(graph, start)
    return int(np.argmax(np.where(np.isfinite(away), away, -1.0)))


def _middles(nodes: Points, away: NDArray[np.float64], width: float) -> Points:
    """The mean place of the voxels of every span of walked distance."""
    number = np.floor(away / width).astype(int)
    count = np.bincount(number)
    full = count > 0
    sums = [np.bincount(number, weights=nodes[:, axis])[full] / count[full] for axis in range(3)]
    return np.stack(sums, axis=1)


def smoothed(line: Points, sigma_mm: float) -> Points:
    """The line, resampled at equal steps and smoothed; its ends keep their direction (odd reflection)."""
    from scipy import ndimage

    even = resampled(line, _STEP_MM)
    reach = min(len(even) - 1, int(4 * sigma_mm / _STEP_MM) + 1)
    padded = np.pad(even, ((reach, reach), (0, 0)), mode="reflect", reflect_type="odd")
    return np.asarray(ndimage.gaussian_filter1d(padded, sigma_mm / _STEP_MM, axis=0)[reach:-reach])


def resampled(line: Points, step: float) -> Points:
    """Points at equal steps along a line of points."""
    known = walked(line)
    places = np.linspace(0.0, known[-1], max(2, round(float(known[-1]) / step) + 1))
    return np.stack([np.interp(places, known, line[:, axis]) for axis in range(3)], axis=1)


def walked(line: Points) -> NDArray[np.float64]:
    """Length of the line up to each of its points."""
    return np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(line, axis=0), axis=1))])


def directions(line: Points) -> Points:
    """Unit tangents (n, 3) of a line of points."""
    tangent = np.gradient(line, axis=0)
    return np.asarray(tangent / np.maximum(np.linalg.norm(tangent, axis=1, keepdims=True), 1e-9))
