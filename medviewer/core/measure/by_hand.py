"""Numbers of what a person drew: lengths, two diameters, angles, and rectangles or ellipses in one slice.

Points are as everywhere in a report: LPS mm where the scan has a place in the patient, else voxel indices. Lengths are
in mm only where the scan is calibrated at that place; an ultrasound's own regions count, across two of them there is no
number. No reference range is ever applied: the method differs from that of masks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from medviewer.core.geometry import voxel_to_lps
from medviewer.core.measure import intensity, size
from medviewer.core.measure.outcome import NotMeasurable, Outcome
from medviewer.core.measure.target import Target, scale_of, target_of
from medviewer.core.report.document import Measurement, Point
from medviewer.core.segmentation import Segment
from medviewer.core.volume import Volume

Kind = Literal["length", "bidirectional", "angle", "cobb", "rectangle", "ellipse"]
POINTS: dict[Kind, int] = {"length": 2, "bidirectional": 4, "angle": 3, "cobb": 4, "rectangle": 2, "ellipse": 2}
METHOD = "by_hand"  # every method of a hand measurement begins so
_VALUES: dict[str, Callable[[Target], Outcome]] = {
    "intensity_mean": intensity.mean, "intensity_sd": intensity.deviation, "intensity_median": intensity.median,
}  # fmt: skip


@dataclass(frozen=True)
class HandDrawing:
    """What was drawn. `points`: two ends; two ends of one and then of the other diameter; an end, the corner and an end
    of an angle; two ends of each line of a Cobb angle; two opposite corners of the box around a region, which lies in
    the slice (k) of the first one. `side` is that of the structure, if it was named."""

    kind: Kind
    points: tuple[Point, ...]
    term_id: str = ""
    side: str | None = None


def measure_by_hand(volume: Volume, drawing: HandDrawing) -> tuple[Measurement, ...]:
    """The numbers of one drawing; None with the reason where the scan does not allow one.

    Any thread. Raises ValueError for another number of points, and for places outside of the scan.
    """
    if len(drawing.points) != POINTS[drawing.kind]:
        raise ValueError(f"{drawing.kind} needs {POINTS[drawing.kind]} points")
    index = _indices(volume, drawing.points)
    if (index < -0.5).any() or (index > np.array(volume.shape) - 0.5).any():
        raise ValueError("a point lies outside of the scan")
    if drawing.kind in ("rectangle", "ellipse"):
        return _region(volume, drawing, index)
    try:
        places, unit = _places(volume, index)
    except NotMeasurable as refusal:
        return tuple(_refused(name, drawing, refusal.reason) for name in _names(drawing.kind))
    return _drawn(volume, drawing, index, places, unit)


def _names(kind: Kind) -> tuple[str, ...]:
    return {"length": ("length",), "bidirectional": ("long_axis", "short_axis")}.get(kind, ("angle",))


def _indices(volume: Volume, points: tuple[Point, ...]) -> NDArray[np.float64]:
    if volume.affine is None:
        return np.asarray(points, float)
    return np.asarray(voxel_to_lps(np.asarray(np.linalg.inv(volume.affine), np.float64), np.asarray(points, float)))


def _places(volume: Volume, index: NDArray[np.float64]) -> tuple[NDArray[np.float64], str]:
    """The points in mm (their origin anywhere), or in pixels where the scan is not calibrated there."""
    low, high = np.rint(index.min(0)).astype(int), np.rint(index.max(0)).astype(int)
    i, j, k = (slice(int(a), int(b) + 1) for a, b in zip(low, high, strict=True))
    linear, unit = scale_of(volume, (i, j, k))
    return index @ linear.T, unit


def _drawn(
    volume: Volume, drawing: HandDrawing, index: NDArray[np.float64], places: NDArray[np.float64], unit: str
) -> tuple[Measurement, ...]:
    flags = ("at the detector",) if unit == "mm" and volume.spacing_note == "at the detector" else ()
    slices = {int(np.rint(k)) for k in index[:, 2]}
    at = slices.pop() if len(slices) == 1 else None

    def made(quantity: str, value: float, unit: str, points: tuple[Point, ...]) -> Measurement:
        return Measurement(quantity, value, unit, f"{METHOD}_{drawing.kind}", (), drawing.term_id, drawing.side, points,
                           at, flags=flags if unit == "mm" else ())  # fmt: skip

    points = drawing.points
    if drawing.kind == "length":
        return (made("length", float(np.linalg.norm(places[1] - places[0])), unit, points),)
    if drawing.kind == "bidirectional":
        lengths = [(float(np.linalg.norm(places[n + 1] - places[n])), points[n : n + 2]) for n in (0, 2)]
        (short, first), (long, second) = sorted(lengths, key=lambda pair: pair[0])
        return (made("long_axis", long, unit, second), made("short_axis", short, unit, first))
    if drawing.kind == "angle":
        return (made("angle", _angle(places[0] - places[1], places[2] - places[1]), "deg", points),)
    between = _angle(places[1] - places[0], places[3] - places[2])
    return (made("angle", min(between, 180.0 - between), "deg", points),)


def _angle(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Degrees between two directions. Raises ValueError where one has no length."""
    lengths = float(np.linalg.norm(one)) * float(np.linalg.norm(other))
    if lengths == 0:
        raise ValueError("two points of an angle coincide")
    return float(np.rad2deg(np.arccos(np.clip(float(one @ other) / lengths, -1.0, 1.0))))


def _region(volume: Volume, drawing: HandDrawing, index: NDArray[np.float64]) -> tuple[Measurement, ...]:
    """Area, mean, standard deviation and median of a region of one slice."""
    level = int(np.rint(index[0, 2]))
    low, high = index[:, :2].min(0), index[:, :2].max(0)
    i, j = np.mgrid[: volume.shape[0], : volume.shape[1]]
    if drawing.kind == "rectangle":
        inside = (i >= low[0]) & (i <= high[0]) & (j >= low[1]) & (j <= high[1])
    else:
        centre, half = (low + high) / 2, np.maximum((high - low) / 2, 0.5)
        inside = ((i - centre[0]) / half[0]) ** 2 + ((j - centre[1]) / half[1]) ** 2 <= 1
    mask = np.zeros(volume.shape, bool)
    mask[:, :, level] = inside
    kept = Segment("region", mask, term_id=drawing.term_id or None, side=drawing.side, frame=level)
    return tuple(_of_region(volume, kept, drawing, name, level) for name in ("area", *_VALUES))


def _of_region(volume: Volume, segment: Segment, drawing: HandDrawing, name: str, level: int) -> Measurement:
    try:
        target = target_of(volume, segment)
        found = size.area_of_slice(target) if name == "area" else _VALUES[name](target)
    except NotMeasurable as refusal:
        return _refused(name, drawing, refusal.reason)
    return Measurement(name, found.value, found.unit, f"{METHOD}_{drawing.kind}", (), drawing.term_id, drawing.side,
                       drawing.points, level)  # fmt: skip


def _refused(name: str, drawing: HandDrawing, reason: str) -> Measurement:
    unit = {"angle": "deg", "area": "mm2"}.get(name, "HU" if name in _VALUES else "mm")
    method = f"{METHOD}_{drawing.kind}"
    return Measurement(name, None, unit, method, (), drawing.term_id, drawing.side, drawing.points, reason=reason)
