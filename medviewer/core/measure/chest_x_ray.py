"""Heart width to chest width on a frontal X-ray.

The heart's width is that between its outermost points, right and left; the chest's the largest distance between the
outer edges of the lungs along one horizontal line. Ground: Truszkiewicz et al. 2021, doi:10.3390/jcm10092016.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from medviewer.core.geometry import closest_axes
from medviewer.core.measure.facts import Examination
from medviewer.core.measure.outcome import NotMeasurable, Outcome
from medviewer.core.measure.target import X_RAY, Points, Target


def refusal(examination: Examination) -> str:
    """The reason why the ratio is not called cardiothoracic; empty where the facts say PA, adult and erect."""
    if examination.projection != "PA":
        return "projection_not_pa" if examination.projection else "projection_unknown"
    if examination.position != "erect":
        return "position_not_erect" if examination.position else "position_unknown"
    if examination.age is None:
        return "age_unknown"
    return "" if examination.age >= 18 else "not_adult"


def cardiothoracic_ratio(heart: Target, lungs: list[Target], examination: Examination) -> Outcome:
    """The cardiothoracic ratio; refused unless the facts say PA, adult and erect."""
    reason = refusal(examination)
    if reason:
        raise NotMeasurable(reason)
    return width_ratio(heart, lungs, examination, "cardiothoracic")


def width_ratio(
    heart: Target, lungs: list[Target], examination: Examination, method: str = "width_of_pixels"
) -> Outcome:
    """Heart width to chest width in pixels, of any frontal image. `points`: right and left end of the heart, then of
    the chest."""
    axis = _across(heart, examination)
    for target in (heart, *lungs):
        target.require_whole(frozenset({axis}))
    heart_ends = _outermost(heart.crop, axis) + heart.start
    chest_ends = _widest_line(_united(lungs), axis)
    width, chest_width = (float(np.ptp(ends[:, axis])) for ends in (heart_ends, chest_ends))
    points = heart.place(np.concatenate([heart_ends, chest_ends]) - heart.start)
    return Outcome(width / chest_width, "1", method, points)


def _across(heart: Target, examination: Examination) -> int:
    """The pixel axis from side to side."""
    volume = heart.volume
    if volume.kind != "image" or (volume.modality or "").upper() not in X_RAY:
        raise NotMeasurable("not_x_ray")
    if examination.projection == "lateral":
        raise NotMeasurable("not_frontal")
    if volume.affine is not None:
        axis = closest_axes(volume.affine)[0]
        if axis == 2:
            raise NotMeasurable("not_frontal")
        return axis
    if volume.patient_orientation is None:
        return 0  # display convention: side to side along the columns
    axes = [n for n, letter in enumerate(volume.patient_orientation) if letter[:1] in ("L", "R")]
    if not axes:
        raise NotMeasurable("not_frontal")
    return axes[0]


def _outermost(mask: NDArray[np.bool_], axis: int) -> Points:
    """The outer faces farthest out at either end of `axis`, as indices (2, 3)."""
    index = np.argwhere(mask).astype(float)
    ends = index[[int(np.argmin(index[:, axis])), int(np.argmax(index[:, axis]))]]
    ends[:, axis] += (-0.5, 0.5)
    return np.asarray(ends)


def _united(lungs: list[Target]) -> NDArray[np.bool_]:
    if not lungs:
        raise NotMeasurable("lungs_missing")
    union = np.zeros(lungs[0].volume.shape, bool)
    for target in lungs:
        union |= target.segment.mask
    if len(lungs) == 1:
        _require_two_parts(union)
    return union


def _require_two_parts(lungs: NDArray[np.bool_]) -> None:
    """Refuses a single lung, and two that flow into each other."""
    from scipy import ndimage

    labels, count = ndimage.label(lungs, np.ones((3, 3, 3), bool))
    sizes = np.sort(np.bincount(labels.ravel())[1:])[::-1]
    if count < 2 or sizes[1] < 0.2 * sizes[0]:
        raise NotMeasurable("lungs_not_apart")


def _widest_line(lungs: NDArray[np.bool_], axis: int) -> Points:
    """Ends (2, 3) of the widest horizontal line from outer edge to outer edge of the lungs."""
    line = np.moveaxis(lungs, axis, 0)
    hit = line.any(0)
    first, last = line.argmax(0), len(line) - 1 - line[::-1].argmax(0)
    width = np.where(hit, last - first + 1, 0)
    row = int(np.argmax(width[:, 0]))
    ends = np.zeros((2, 3))
    ends[:, 1 - axis] = row
    ends[:, axis] = (first[row, 0] - 0.5, last[row, 0] + 0.5)
    return ends
