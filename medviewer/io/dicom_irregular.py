"""Irregular slices: what is wrong with them, and a `Resampling` that mends it, or the reason why nothing can.

Mended are gaps, uneven distances, tilts and rows that are not at right angles to the columns. Not mended are slices
turned against each other, gaps so wide that nothing true can be put into them, and leanings beyond a scanner's.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from medviewer.io.dicom_findings import Findings
from medviewer.io.dicom_frames import Frame
from medviewer.io.dicom_geometry import (
    ORTHONORMAL,
    Array,
    NotAGrid,
    Stack,
    along_normal,
    axes,
    corner_deviation,
    jitter_note,
    rounding_allowance,
)
from medviewer.io.dicom_resampling import CORNER_MM, Resampling, extent, mixing

WIDEST_GAP = 5.5  # slice distances; beyond it a series is split
MOST_MISSING = 0.30  # of the planes of the grid
STEEPEST = 45.0  # degrees
FINEST_GAP = 0.1  # of the median distance: closer slices are not one acquisition
FINEST = 0.5  # of the median distance: the grid's planes lie no closer


def build_regularised(frames: Sequence[Frame]) -> Stack:
    """Slices that form no regular grid, with the plan that makes one of them. Raises `NotAGrid` with the reason."""
    ordered, depth = along_normal(frames)
    _check_distances(depth)
    directions, skewed = _directions(ordered[0])
    positions = np.array([frame.position for frame in ordered], float)
    offsets = np.linalg.solve(directions, (positions - positions[0]).T).T
    offsets[:, 2] = depth - depth[0]
    _check_lean(offsets)
    count, spread = _levels(offsets[:, 2])
    offsets[:, 2] = _on_planes(offsets[:, 2], spread)
    plan = _plan(ordered, directions, offsets, skewed, (count, spread))
    worst = corner_deviation(ordered, plan.lps)
    if worst > rounding_allowance(plan.steps[2]):
        raise NotAGrid(f"the slices are turned against each other, by up to {worst:.2f} mm at their corners")
    _check_plan(plan)
    return Stack(ordered, plan.affine, (plan.regularisation.sentence, *jitter_note(worst)), plan, worst)


def _check_distances(depth: Array) -> None:
    gaps = np.diff(depth)
    if len(gaps) and gaps.min() < FINEST_GAP * float(np.median(gaps)):
        raise NotAGrid(f"the distance between slices varies from {gaps.min():.2f} to {gaps.max():.2f} mm")
    if len(gaps) > 1 and gaps.max() > WIDEST_GAP * float(np.median(gaps)):
        raise NotAGrid(
            f"a gap of {gaps.max():.2f} mm between slices that are {np.median(gaps):.2f} mm apart is too wide"
        )


def _check_lean(offsets: Array) -> None:
    depth = float(offsets[-1, 2])
    angle = math.degrees(math.atan2(_sideways(offsets), depth)) if len(offsets) > 1 else 0.0
    if angle > STEEPEST:
        raise NotAGrid(f"the slices lean by {angle:.1f} degrees, more than any scanner tilts")


def _check_missing(missing: int, acquired: int) -> None:
    if missing > MOST_MISSING * (acquired + missing):
        raise NotAGrid(f"{missing} of {acquired + missing} slices are missing, too many to be filled in")


def far_parts(frames: Sequence[Frame]) -> list[tuple[Frame, ...]]:
    """The blocks between gaps too wide to be filled; one block where there is no such gap."""
    ordered, depth = along_normal(frames)
    gaps = np.diff(depth)
    if len(gaps) < 2:
        return [ordered]
    wide = np.flatnonzero(gaps > WIDEST_GAP * np.median(gaps))
    edges = [0, *(int(edge) + 1 for edge in wide), len(ordered)]
    return [ordered[begin:end] for begin, end in pairwise(edges)]


def _directions(frame: Frame) -> tuple[Array, tuple[float, float]]:
    """(unit directions of the grid as columns, (part of the column direction along the rows, across them))."""
    row, column = axes(frame)
    along = float(row @ column)
    if abs(along) <= ORTHONORMAL:
        normal = np.cross(row, column)
        return np.column_stack([row, column, normal / np.linalg.norm(normal)]), (0.0, 1.0)
    across = column - along * row
    length = float(np.linalg.norm(across))
    return np.column_stack([row, across / length, np.cross(row, across / length)]), (along, length)


def _levels(depth: Array) -> tuple[int, float]:
    """(number of grid planes, their distance): the first and the last slice lie exactly on a plane."""
    if len(depth) == 1:
        return 1, 0.0
    gaps, whole = np.diff(depth), float(depth[-1])
    base = _base(gaps)
    if base is not None:
        count = int(np.round(gaps / base).sum()) + 1
        return count, whole / (count - 1)
    finest = max(float(gaps.min()), FINEST * float(np.median(gaps)))
    count = math.ceil(whole / finest - 1e-6) + 1
    return count, whole / (count - 1)


def _on_planes(depth: Array, spread: float) -> Array:
    """Slices that miss the planes of the grid by no more than positions are rounded lie on them, untouched by others.

    What they miss stays in the deviation that the warnings tell of.
    """
    if not spread:
        return depth
    planes = np.round(depth / spread) * spread
    return planes if np.abs(depth - planes).max() <= rounding_allowance(spread) else depth


def _base(gaps: Array) -> float | None:
    """The one distance of which all gaps are multiples, within rounding; None if there is none."""
    base = float(np.median(gaps[gaps < 1.5 * gaps.min()]))
    multiples = np.round(gaps / base)
    return base if np.abs(gaps - multiples * base).max() <= 2 * rounding_allowance(base) else None


def _plan(
    frames: tuple[Frame, ...], directions: Array, offsets: Array, skewed: tuple[float, float], levels: tuple[int, float]
) -> Resampling:
    spacing, (along, across), (count, spread) = frames[0].spacing, skewed, levels
    assert spacing is not None
    columns, rows = frames[0].header.get("Columns") or 1, frames[0].header.get("Rows") or 1
    steps = (float(spacing[1]), float(spacing[0]) * across, spread or _thickness(frames[0]))
    skew = float(spacing[0]) * along
    if _sideways(offsets) <= rounding_allowance(steps[2]):
        offsets = offsets * np.array([0.0, 0.0, 1.0])  # rounded positions, not a tilt
    starts = offsets[:, 0, None] + np.array([0.0, (rows - 1) * skew])
    before_i, ni = extent(float(starts.min()), float(starts.max()) + (columns - 1) * steps[0], steps[0])
    before_j, nj = extent(float(offsets[:, 1].min()), float(offsets[:, 1].max()) + (rows - 1) * steps[1], steps[1])
    lead = np.array([before_i * steps[0], before_j * steps[1], 0.0])
    below, weight = mixing(offsets[:, 2], np.arange(count, dtype=float) * steps[2])
    findings = Findings(frames, offsets, below, weight, steps, skewed)
    _check_missing(findings.missing, len(frames))
    return Resampling(
        shape=(ni, nj, count),
        axes=directions,
        origin=np.array(frames[0].position, float) - directions @ lead,
        steps=steps,
        offsets=offsets + lead,
        skew=skew,
        below=below,
        weight=weight,
        regularisation=findings.regularisation(),
    )


def _thickness(frame: Frame) -> float:
    for keyword in ("SpacingBetweenSlices", "SliceThickness"):
        value = frame.get(keyword)
        if value is not None and math.isfinite(value) and abs(value) > 0:
            return float(abs(value))
    return 1.0


def _sideways(offsets: Array) -> float:
    return float(np.linalg.norm(offsets[:, :2] - offsets[0, :2], axis=1).max())


def _check_plan(plan: Resampling) -> None:
    """The mapping against itself; a failure here is a defect, and better a refusal than a wrong volume."""
    if plan.plane_error() > CORNER_MM:
        raise NotAGrid("the slices cannot be brought onto a regular grid exactly")
