"""From slices to one regular grid, or the reason why they are none. All positions are LPS millimetres.

The rule is a corner check: the four corner voxels of every slice, computed from that slice's own position, orientation
and spacing, must lie where the volume's affine puts them. Nothing is resampled here; see dicom_irregular for that.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from medviewer.io.dicom_frames import Frame, is_finite
from medviewer.io.dicom_resampling import CORNER_MM, Resampling

JITTER_MM, JITTER_SHARE = 0.05, 0.02  # beyond this, or this share of the slice distance, it is another geometry
TILT_DEGREES = 0.05
ORTHONORMAL, MOST_SKEWED = 1e-3, 0.5  # cosines between rows and columns: beyond the second nothing is mended
FARTHEST_MM, WIDEST_PIXEL_MM = 1e7, 1e3

Array = NDArray[np.float64]


class NotAGrid(Exception):
    """The slices form no regular grid. The message is one sentence.

    `duplicates`: positions repeat. `parts`: blocks of slices that are each evenly spaced, where the spacing changes
    between them (as in a head CT with thinner slices at the base of the skull).
    """

    def __init__(self, reason: str, duplicates: bool = False, parts: Sequence[tuple[Frame, ...]] = ()) -> None:
        super().__init__(reason)
        self.duplicates = duplicates
        self.parts = parts


@dataclass(frozen=True)
class Stack:
    """Slices along row direction x column direction with an affine to LPS mm: theirs, or that of the grid of `plan`.

    Without `plan` slice k is grid plane k. `deviation` is the worst distance (mm) of a corner from its place in the
    grid; beyond `CORNER_MM` it is told in `warnings`.
    """

    frames: tuple[Frame, ...]
    affine: Array
    warnings: tuple[str, ...] = ()
    plan: Resampling | None = None
    deviation: float = 0.0


def check_frame(frame: Frame) -> None:
    """Raise `NotAGrid` unless the frame's own position, orientation and spacing make sense."""
    name = frame.header.path.name
    if not frame.placed:
        raise NotAGrid(
            f"{name} does not state where it lies in the patient (no image position, orientation or spacing)"
        )
    if not (is_finite(frame.position) and is_finite(frame.orientation) and is_finite(frame.spacing)):
        raise NotAGrid(f"{name} states a position, orientation or spacing that is no finite number")
    assert frame.spacing is not None
    assert frame.position is not None
    if max(map(abs, frame.position)) > FARTHEST_MM:
        raise NotAGrid(f"{name} states a position that no scanner reaches")
    if not 0 < min(frame.spacing) <= max(frame.spacing) < WIDEST_PIXEL_MM:
        raise NotAGrid(f"{name} states a pixel spacing of {frame.spacing[0]:g} x {frame.spacing[1]:g} mm")
    row, column = axes(frame)
    if abs(np.linalg.norm(row) - 1) > ORTHONORMAL or abs(np.linalg.norm(column) - 1) > ORTHONORMAL:
        raise NotAGrid(f"the image orientation of {name} is not made of unit vectors")
    if abs(row @ column) > MOST_SKEWED:
        raise NotAGrid(f"the rows and columns of {name} are far from perpendicular")


def _check_perpendicular(frame: Frame) -> None:
    row, column = axes(frame)
    if abs(row @ column) > ORTHONORMAL:
        name = frame.header.path.name
        raise NotAGrid(f"the rows and columns of {name} are not perpendicular in the image orientation it states")


def axes(frame: Frame) -> tuple[Array, Array]:
    """Unit directions of rising column index (i) and rising row index (j)."""
    orientation = np.asarray(frame.orientation, float)
    return orientation[:3], orientation[3:]


def normal_of(frame: Frame) -> Array:
    """The direction in which slices are ordered: row direction x column direction."""
    row, column = axes(frame)
    cross = np.cross(row, column)
    return np.asarray(cross / max(float(np.linalg.norm(cross)), 1e-12))


def along_normal(frames: Sequence[Frame]) -> tuple[tuple[Frame, ...], Array]:
    """The frames in their order along the normal, and where each lies along it. Raises `NotAGrid`."""
    for frame in frames:
        check_frame(frame)
    depth = np.array([frame.position for frame in frames], float) @ normal_of(frames[0])
    order = np.argsort(depth, kind="stable")
    return tuple(frames[index] for index in order), depth[order]


def build_stack(frames: Sequence[Frame]) -> Stack:
    """Sort along the normal and check. Raises `NotAGrid` with the reason."""
    ordered, along = along_normal(frames)
    normal = normal_of(ordered[0])
    if len(ordered) == 1:
        _check_perpendicular(ordered[0])
        return _single(ordered[0], normal)
    _check_steps(along, ordered)
    _check_perpendicular(ordered[0])
    first, last = (np.array(frame.position, float) for frame in (ordered[0], ordered[-1]))
    step = (last - first) / (len(ordered) - 1)
    _check_tilt(step, normal, len(ordered) - 1)
    affine = _affine(ordered[0], step)
    worst = _check_corners(ordered, affine)
    return Stack(ordered, affine, jitter_note(worst), deviation=worst)


def _affine(first: Frame, step: Array) -> Array:
    row, column = axes(first)
    assert first.spacing is not None
    affine = np.eye(4)
    affine[:3, 0] = row * first.spacing[1]
    affine[:3, 1] = column * first.spacing[0]
    affine[:3, 2] = step
    affine[:3, 3] = first.position
    return affine


def _single(frame: Frame, normal: Array) -> Stack:
    for keyword in ("SpacingBetweenSlices", "SliceThickness"):
        value = frame.get(keyword)
        if value is not None and math.isfinite(value) and abs(value) > 0:
            return Stack((frame,), _affine(frame, normal * abs(value)))
    note = "One slice without a recorded thickness: 1 mm is assumed."
    return Stack((frame,), _affine(frame, normal), (note,))


def _check_steps(along: Array, frames: tuple[Frame, ...]) -> None:
    """Even spacing along the normal, nothing missing, nothing twice."""
    gaps = np.diff(along)
    real = gaps[gaps > CORNER_MM]
    typical = float(np.median(real)) if real.size else 0.0
    if gaps.min() < max(CORNER_MM, JITTER_SHARE * typical):
        where = int(np.argmin(gaps))
        raise NotAGrid(
            f"{_names(frames, where)} lie at the same position ({along[where]:.2f} mm along the slice axis)",
            duplicates=True,
        )
    if np.abs(gaps - typical).max() <= rounding_allowance(typical):
        return
    varies = f"the distance between slices varies from {gaps.min():.2f} to {gaps.max():.2f} mm"
    parts = even_blocks(gaps, frames)
    if parts:
        raise NotAGrid(varies, parts=parts)
    base = float(np.median(gaps[gaps < 1.5 * gaps.min()]))
    multiples = np.round(gaps / base)
    if multiples.max() > 1 and np.abs(gaps - multiples * base).max() <= 2 * rounding_allowance(base):
        where = int(np.argmax(multiples > 1))
        missing = int(multiples.sum()) - len(gaps)
        raise NotAGrid(
            f"{missing} slice{'s are' if missing > 1 else ' is'} missing, "
            f"the first gap is between {_names(frames, where)} ({gaps[where]:.2f} mm instead of {base:.2f} mm)"
        )
    raise NotAGrid(varies)


def even_blocks(gaps: Array, frames: tuple[Frame, ...]) -> list[tuple[Frame, ...]]:
    """Two or three blocks of at least four evenly spaced slices, each slice in one; none where that is not so."""
    edges = [0]
    for index in range(1, len(gaps)):
        if abs(gaps[index] - gaps[edges[-1]]) > rounding_allowance(float(gaps[index])):
            edges.append(index)
    edges.append(len(gaps))
    if not 3 <= len(edges) <= 4 or min(np.diff(edges)) < 4:
        return []
    starts = [0, *(edge + 1 for edge in edges[1:-1]), len(frames)]
    return [frames[begin:end] for begin, end in pairwise(starts)]


def rounding_allowance(step: float) -> float:
    """Positions are often stored rounded; this much (mm) is taken for rounding."""
    return max(JITTER_MM, JITTER_SHARE * step)


def _names(frames: tuple[Frame, ...], where: int) -> str:
    first, second = frames[where], frames[where + 1]
    if first.header.path == second.header.path:
        return f"frames {first.index + 1} and {second.index + 1} of {first.header.path.name}"
    return f"{first.header.path.name} and {second.header.path.name}"


def _check_tilt(step: Array, normal: Array, steps: int) -> None:
    along = float(step @ normal)
    aside = float(np.linalg.norm(step - along * normal))
    angle = math.degrees(math.atan2(aside, along))
    if angle > TILT_DEGREES and aside * steps > rounding_allowance(along):
        raise NotAGrid(f"the slices are sheared by {angle:.1f} degrees (gantry tilt)")


def _check_corners(frames: tuple[Frame, ...], affine: Array) -> float:
    """Worst distance between a stated corner and the affine's. Raises `NotAGrid` beyond rounding."""
    planes = affine[:3, 3] + affine[:3, 2] * np.arange(len(frames))[:, None]
    worst = corner_deviation(frames, lambda row, column: planes + affine[:3, 0] * column + affine[:3, 1] * row)
    if worst > rounding_allowance(float(np.linalg.norm(affine[:3, 2]))):
        raise NotAGrid(f"the slices lie up to {worst:.2f} mm beside a regular grid")
    return worst


def corner_deviation(frames: Sequence[Frame], mapped: Callable[[float, float], Array]) -> float:
    """Worst distance in mm between the corners that slices state and where `mapped(row, column)` puts them (n, 3)."""
    header = frames[0].header
    return worst_corner(places_of(frames), header.get("Rows") or 1, header.get("Columns") or 1, mapped)


def places_of(frames: Sequence[Frame]) -> Array:
    """What every slice states itself: position, row direction, column direction, row and column spacing, (n, 11)."""
    return np.array([(*f.position, *f.orientation, *f.spacing) for f in frames], np.float64)  # type: ignore[misc]


def worst_corner(places: Array, rows: int, columns: int, mapped: Callable[[float, float], Array]) -> float:
    """`corner_deviation` from `places_of`, for slices of rows x columns pixels (PS3.3 C.7.6.2.1.1)."""
    worst = 0.0
    for row in (0, rows - 1):
        for column in (0, columns - 1):
            stated = places[:, :3] + places[:, 3:6] * (places[:, 10:] * column) + places[:, 6:9] * places[:, 9:10] * row
            worst = max(worst, float(np.linalg.norm(stated - mapped(row, column), axis=1).max()))
    return worst


def jitter_note(worst: float) -> tuple[str, ...]:
    """What is told about positions that are rounded."""
    return (f"Slice positions differ by up to {worst:.3f} mm from an even grid.",) if worst > CORNER_MM else ()
