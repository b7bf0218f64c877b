"""Sizes of the masks of one study on its own grid, each with its measurement error.

The error covers the voxel grid and nothing else: a surface lies within half a voxel of where the mask ends.
A length has two ends: half a voxel at each, along the length, independent of each other (root of the sum of squares).
A volume or area: half a voxel for each voxel at the surface, all in the same direction, which is the worst case.
The error of a difference joins those of both studies as the root of the sum of squares.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from medviewer.core.comparison.rules import ComparisonRules
from medviewer.core.geometry import Affine
from medviewer.core.mask_patch import bounding_box
from medviewer.core.measure.allowed import AllowedTable
from medviewer.core.measure.measuring import Rules, measure_segment
from medviewer.core.measure.sides import divided
from medviewer.core.report.document import Measurement
from medviewer.core.segmentation import Segment
from medviewer.core.volume import Volume

_SURFACES = ("volume", "area")


@dataclass(frozen=True)
class Sizes:
    """Measurements of one study and, by their ids, the errors of those that have a number."""

    measurements: tuple[Measurement, ...]
    errors: dict[str, float]


def sizes_of(
    volume: Volume, segments: Sequence[Segment], measuring: Rules, rules: ComparisonRules,
    known: Iterable[Measurement] = (),
) -> Sizes:  # fmt: skip
    """The comparable sizes of every mask (bool i, j, k on the scan's own grid), with errors in the same unit.

    `known`: measurements that were made already and are taken over with their ids. Any thread. Raises ValueError for a
    mask on another grid.
    """
    own = replace(measuring, allowed=_comparable(measuring.allowed, rules), ranges=())
    spine = next((s.mask for s in segments if s.term_id == "spine"), None)
    made = {_key(m): m for m in known}
    found: list[Measurement] = []
    errors: dict[str, float] = {}
    for part in (part for segment in segments for part in divided(volume, segment, measuring.allowed, spine)):
        before = [m for m in made.values() if m.segment_ids == (part.id,) and m.side == part.side]
        for m in before or measure_segment(volume, part, own, spine=spine):
            if m.quantity in rules.quantities:
                found.append(m)
                error = error_of(volume, part.mask, m, rules.numbers["half_voxel"])
                errors |= {} if error is None else {m.id: error}
    return Sizes(tuple(found), errors)


def error_of(volume: Volume, mask: NDArray[np.bool_], measurement: Measurement, half: float) -> float | None:
    """The error of one measurement in its unit; None where it has no number."""
    if measurement.value is None:
        return None
    if measurement.quantity in _SURFACES:
        whole = int(np.count_nonzero(mask))
        flat = measurement.quantity == "area" and mask.ndim == 3
        return measurement.value * half * _surface_voxels(mask, flat) / max(whole, 1)
    if measurement.unit != "mm":
        return None
    return _length_error(volume, measurement, half)


def _length_error(volume: Volume, measurement: Measurement, half: float) -> float:
    """Half a voxel at both ends, along the line between its points."""
    linear = _linear(volume)
    ends = np.asarray(measurement.points, float)
    if len(ends) < 2 or volume.affine is None or np.allclose(ends[0], ends[-1]):
        width = float(np.linalg.norm(linear, axis=0).max())  # the direction is not known: the coarsest one
    else:
        along = (ends[-1] - ends[0]) / np.linalg.norm(ends[-1] - ends[0])
        width = float(np.abs(linear.T @ along).sum())
    return float(np.sqrt(2.0) * half * width)


def _linear(volume: Volume) -> Affine:
    """Steps of voxels in mm (3x3)."""
    if volume.affine is not None:
        return np.asarray(volume.affine[:3, :3], np.float64)
    regions = [(float(r["dx"]), float(r["dy"])) for r in volume.calibrated_regions]
    steps = volume.spacing_mm or (*(max(regions) if regions else (1.0, 1.0)), 0.0)
    return np.diag(np.asarray(steps, np.float64))


def _surface_voxels(mask: NDArray[np.bool_], flat: bool) -> int:
    """Voxels of the mask with a neighbour outside of it across a face; of a flat mask, within its plane."""
    box = bounding_box(mask)
    if box is None:
        return 0
    inside = np.pad(mask[box], 1)
    core = inside.copy()
    for axis in range(3):
        if flat and mask[box].shape[axis] == 1:
            continue
        core &= np.roll(inside, 1, axis) & np.roll(inside, -1, axis)
    return int(np.count_nonzero(inside & ~core))


def _comparable(allowed: AllowedTable, rules: ComparisonRules) -> AllowedTable:
    return AllowedTable({
        modality: {term: tuple(q for q in quantities if q in rules.quantities) for term, quantities in table.items()}
        for modality, table in allowed.rows.items()
    })  # fmt: skip


def _key(measurement: Measurement) -> tuple[str, str | None, tuple[str, ...]]:
    return measurement.quantity, measurement.side, measurement.segment_ids
