"""From slices to one regular grid, or the reason why they are none. All positions are LPS millimetres.

The rule is a corner check: the four corner voxels of every slice, computed from that slice's own position, orientation
and spacing, must lie where the volume's affine puts them. Nothing is resampled and nothing is interpolated.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from medviewer.io.dicom_frames import Frame, is_finite

CORNER_MM = 1e-3  # a difference beyond this is worth a warning
JITTER_MM, JITTER_SHARE = 0.05, 0.02  # beyond this, or this share of the slice distance, it is another geometry
TILT_DEGREES = 0.05
ORTHONORMAL = 1e-3

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
    """Slices in the order of k (along row direction x column direction) with their affine to LPS mm."""

    frames: tuple[Frame, ...]
    affine: Array
    warnings: tuple[str, ...] = ()


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
    if min(frame.spacing) <= 0:
        raise NotAGrid(f"{name} states a pixel spacing of {frame.spacing[0]:g} x {frame.spacing[1]:g} mm")
    row, column = axes(frame)
    if abs(np.linalg.norm(row) - 1) > ORTHONORMAL or abs(np.linalg.norm(column) - 1) > ORTHONORMAL:
        raise NotAGrid(f"the image orientation of {name} is not made of unit vectors")
    if abs(row @ column) > ORTHONORMAL:
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


def build_stack(frames: Sequence[Frame]) -> Stack:
    """Sort along the normal and check. Raises `NotAGrid` with the reason."""
    for frame in frames:
        check_frame(frame)
    normal = normal_of(frames[0])
    positions = np.array([frame.position for frame in frames], float)
    along = positions @ normal
    order = np.argsort(along, kind="stable")
    ordered = tuple(frames[index] for index in order)
    if len(ordered) == 1:
        return _single(ordered[0], normal)
    positions, along = positions[order], along[order]
    _check_steps(along, ordered)
    step = (positions[-1] - positions[0]) / (len(ordered) - 1)
    _check_tilt(step, normal, len(ordered) - 1)
    affine = _affine(ordered[0], step)
    warnings = _check_corners(ordered, positions, affine)
    return Stack(ordered, affine, warnings)


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
    parts = _even_blocks(gaps, frames)
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


def _even_blocks(gaps: Array, frames: tuple[Frame, ...]) -> list[tuple[Frame, ...]]:
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


def _check_corners(frames: tuple[Frame, ...], positions: Array, affine: Array) -> tuple[str, ...]:
    """Worst distance between a stated corner and the affine's. Raises `NotAGrid` beyond rounding."""
    orientations = np.array([frame.orientation for frame in frames], float)
    spacings = np.array([frame.spacing for frame in frames], float)
    width = (frames[0].header.get("Columns") or 1) - 1
    height = (frames[0].header.get("Rows") or 1) - 1
    worst, index = 0.0, np.arange(len(frames))[:, None]
    for i, j in ((0, 0), (width, 0), (0, height), (width, height)):
        stated = positions + orientations[:, :3] * (spacings[:, 1:] * i) + orientations[:, 3:] * (spacings[:, :1] * j)
        ours = affine[:3, 3] + affine[:3, 0] * i + affine[:3, 1] * j + affine[:3, 2] * index
        worst = max(worst, float(np.linalg.norm(stated - ours, axis=1).max()))
    if worst > rounding_allowance(float(np.linalg.norm(affine[:3, 2]))):
        raise NotAGrid(f"the slices lie up to {worst:.2f} mm beside a regular grid")
    if worst > CORNER_MM:
        return (f"Slice positions differ by up to {worst:.3f} mm from an even grid.",)
    return ()
