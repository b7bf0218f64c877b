"""The corner check: the last gate before the voxels of a volume are given out, whatever led to its grid."""

from __future__ import annotations

import numpy as np

from medviewer.core.errors import InputRefused
from medviewer.core.volume import SeriesEntry
from medviewer.io.dicom_geometry import worst_corner
from medviewer.io.dicom_handle import Handle
from medviewer.io.dicom_resampling import CORNER_MM


def check_corners(entry: SeriesEntry) -> None:
    """Every slice's corners, from its own position, orientation and spacing, against the mapping that will be used.

    Raises `InputRefused` where they differ by more than 0.001 mm, or than what the entry's warnings tell of (positions
    that are stored rounded). Pictures without a place are not checked.
    """
    handle: Handle = entry.handle
    if handle.places is None:
        return
    worst = corner_error(entry)
    if not worst <= max(CORNER_MM, handle.deviation_mm * (1 + 1e-6)):
        raise InputRefused(
            f"The slices of {entry.title} lie up to {worst:.3f} mm beside the grid they were put on.",
            "This is a fault of medviewer: nothing is shown rather than a wrong place. Please report it.",
        )


def corner_error(entry: SeriesEntry) -> float:
    """Worst distance in mm of a corner, or of a resampled plane, from where it must be; infinite where they do not fit
    together at all."""
    handle: Handle = entry.handle
    pixels, affine = handle.frames[0].format, entry.affine_lps
    if handle.places is None or affine is None or len(handle.places) != len(handle.frames):
        return float("inf")
    if handle.plan is not None:
        plan = handle.plan
        moved = float(np.abs(plan.affine - affine).max())
        if plan.shape != entry.shape_xyz or len(plan.offsets) != len(handle.frames):
            return float("inf")
        return max(worst_corner(handle.places, pixels.rows, pixels.columns, plan.lps), plan.plane_error(), moved)
    if entry.shape_xyz != (pixels.columns, pixels.rows, len(handle.frames)):
        return float("inf")
    planes = affine[:3, 3] + affine[:3, 2] * np.arange(len(handle.frames))[:, None]

    def mapped(row: float, column: float) -> np.ndarray:  # type: ignore[type-arg]
        return np.asarray(planes + affine[:3, 0] * column + affine[:3, 1] * row)

    return worst_corner(handle.places, pixels.rows, pixels.columns, mapped)
