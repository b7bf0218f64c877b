"""Where a mask lies: on which side of the middle, and how far and in which direction from another mask."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from medviewer.core.geometry import voxel_to_lps
from medviewer.core.measure.outcome import NotMeasurable, Outcome
from medviewer.core.measure.size import centre_index
from medviewer.core.measure.surface import all_faces
from medviewer.core.measure.target import Points, Target
from medviewer.core.midline import Midline, find_midline

NEAR_MIDLINE_MM = 5.0  # an estimated middle is no better than this
CROSSES = 0.95  # a smaller share on the main side: the mask crosses the middle


def side_share(target: Target, spine: NDArray[np.bool_] | None = None) -> Outcome:
    """Share of the mask (%) on the side that holds more of it, judged against the middle of the head or body at that
    level.

    `side` is the patient's. Flags: "crosses midline" below 95 %, "near midline" where the centre of gravity lies within
    5 mm of the middle, which is an estimate.
    """
    volume = target.volume
    if volume.kind == "cine" or volume.affine is None or not volume.orientation_recorded:
        raise NotMeasurable("orientation_unknown")
    middle = find_midline(volume, spine)
    if middle is None:
        raise NotMeasurable("midline_unknown")
    offset = _offset(target, middle)
    left = float((offset > 0).mean())
    share, side = max((left, "left"), (1.0 - left, "right"))
    flags = ["crosses midline"] if share < CROSSES else []
    if abs(float(offset.mean())) < NEAR_MIDLINE_MM:
        flags.append("near midline")
    method = "midline_of_spine" if spine is not None and "spine" in middle.note else "midline_of_body"
    return Outcome(100.0 * share, "%", method, target.place(centre_index(target)), side=side, flags=tuple(flags))


def _offset(target: Target, middle: Midline) -> NDArray[np.float64]:
    """mm to the patient's left of the middle, of every voxel of the mask."""
    assert target.volume.affine is not None
    points = voxel_to_lps(target.volume.affine, np.argwhere(target.crop) + target.start)
    return np.asarray(points[:, 0] - middle.at(points[:, 2]))


def distance(one: Target, other: Target) -> Outcome:
    """The smallest distance between the outer faces of two masks, in mm; 0 with the flag "overlap" where they share
    voxels."""
    for target in (one, other):
        target.require_volume()
    if _overlap(one, other):
        return Outcome(0.0, "mm", "nearest_faces", (), flags=("overlap",))
    first, second = (_faces_lps(target) for target in (one, other))
    gap, here, there = _nearest(first, second)
    return Outcome(gap, "mm", "nearest_faces", (_point(here), _point(there)))


def _overlap(one: Target, other: Target) -> bool:
    """Whether two masks of one scan share a voxel."""
    if one.volume.shape != other.volume.shape:
        raise ValueError("the masks lie on different grids")
    begin = np.maximum(one.start, other.start)
    end = np.minimum(np.add(one.start, one.crop.shape), np.add(other.start, other.crop.shape))
    if (begin >= end).any():
        return False
    return bool((_part(one, begin, end) & _part(other, begin, end)).any())


def _part(target: Target, begin: NDArray[np.intp], end: NDArray[np.intp]) -> NDArray[np.bool_]:
    """The mask between two corners, in voxels of the scan."""
    return target.crop[tuple(slice(b - s, e - s) for b, e, s in zip(begin, end, target.start, strict=True))]


def _faces_lps(target: Target) -> Points:
    if "all_faces" not in target.cache:
        faces = all_faces(target.crop)
        target.cache["all_faces"] = target.mm(faces + target.start)
    return target.cache["all_faces"]  # type: ignore[no-any-return]


def _nearest(first: Points, second: Points) -> tuple[float, Points, Points]:
    """The nearest pair of two sets of points. Points farther from the other set's box than a known pair cannot be in
    it."""
    from scipy.spatial import cKDTree

    thin, _ = cKDTree(second[:: max(1, len(second) // 2000)]).query(first[:: max(1, len(first) // 2000)])
    bound = float(thin.min())
    first, second = _within(first, second, bound), _within(second, first, bound)
    gaps, index = cKDTree(second).query(first)
    best = int(np.argmin(gaps))
    return float(gaps[best]), first[best], second[int(index[best])]


def _within(points: Points, others: Points, bound: float) -> Points:
    low, high = others.min(0), others.max(0)
    beyond = np.maximum(np.maximum(low - points, points - high), 0.0)
    return points[np.linalg.norm(beyond, axis=1) <= bound + 1e-9]


def _point(mm: Points) -> tuple[float, float, float]:
    return float(mm[0]), float(mm[1]), float(mm[2])


def offset_sideways(one: Target, other: Target) -> Outcome:
    """How far the centre of `one` lies to the patient's left or right of the centre of `other`, in mm."""
    shift, points = _shift(one, other)
    return Outcome(abs(shift[0]), "mm", "between_centres", points, side="left" if shift[0] > 0 else "right")


def offset_upwards(one: Target, other: Target) -> Outcome:
    """How far the centre of `one` lies above or below the centre of `other` in the patient, in mm; a flag says
    which."""
    shift, points = _shift(one, other)
    return Outcome(abs(shift[2]), "mm", "between_centres", points, flags=("above" if shift[2] > 0 else "below",))


def _shift(one: Target, other: Target) -> tuple[Points, tuple[tuple[float, float, float], ...]]:
    for target in (one, other):
        if target.volume.affine is None or target.volume.kind == "cine":
            raise NotMeasurable("orientation_unknown")
        target.require_orientation()
    points = (*one.place(centre_index(one)), *other.place(centre_index(other)))
    return np.subtract(points[0], points[1]), points
