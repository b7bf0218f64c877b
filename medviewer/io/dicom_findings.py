"""What was irregular about a stack of slices and what was done about it, in words for the user."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from medviewer.core.regularisation import Irregularity, Regularisation
from medviewer.io.dicom_frames import Frame
from medviewer.io.dicom_geometry import TILT_DEGREES, Array, even_blocks, rounding_allowance

_MOST_RUNS = 4  # of slice numbers that are listed one by one


@dataclass(frozen=True, eq=False)
class Findings:
    """The slices in order, their offsets (n, 3) along the grid's axes, and how the grid's planes are made of them."""

    frames: tuple[Frame, ...]
    offsets: Array
    below: NDArray[np.int64]
    weight: Array
    steps: tuple[float, float, float]
    skewed: tuple[float, float]

    def regularisation(self) -> Regularisation:
        """Reasons, sentence and facts; `outside` is known only when the voxels are read."""
        found = self._reasons()
        filled = self.interpolated()
        words = " and ".join(found.values()) or "irregular positions"
        return Regularisation(
            reasons=tuple(found),
            sentence=f"Resampled for {words}: {self._consequences(filled)}.",
            interpolated=filled,
            largest_shift_mm=self._largest_shift(),
        )

    def interpolated(self) -> tuple[int, ...]:
        """The planes (k) that no acquired slice lies on."""  # a single slice has a single plane, at 0
        depth, levels = self.offsets[:, 2], np.arange(len(self.below), dtype=float) * self.steps[2]
        nearest = _to_nearest(depth, levels) if len(depth) > 1 else levels
        return tuple(int(k) for k in np.flatnonzero(nearest > rounding_allowance(self.steps[2])))

    @property
    def missing(self) -> int:
        """How many slices are missing; 0 where the distances are uneven in another way."""
        gaps = np.diff(self.offsets[:, 2])
        if not len(gaps) or len(self.below) == len(self.frames):
            return 0
        whole = np.round(gaps / self.steps[2])
        even = np.abs(gaps - whole * self.steps[2]).max() <= 2 * rounding_allowance(self.steps[2])
        return 0 if not even or even_blocks(gaps, self.frames) else int(whole.sum()) - len(gaps)

    def _reasons(self) -> dict[Irregularity, str]:
        found = {}
        gaps = np.diff(self.offsets[:, 2])
        if np.abs(self.offsets[:, :2] - self.offsets[0, :2]).max() > 0.0:
            found[Irregularity.TILT] = self._tilt()
        if self.missing:
            found[Irregularity.GAP] = "1 missing slice" if self.missing == 1 else f"{self.missing} missing slices"
        elif len(self.below) != len(self.frames) or self._uneven(gaps):
            found[Irregularity.SPACING] = f"uneven slice distances ({gaps.min():.2f} to {gaps.max():.2f} mm)"
        if self.skewed[0]:
            angle = math.degrees(math.acos(self.skewed[0]))
            found[Irregularity.SHEAR] = f"rows and columns at {angle:.1f}° instead of 90°"
        return found

    @staticmethod
    def _uneven(gaps: Array) -> bool:
        return len(gaps) > 0 and bool(np.ptp(gaps) > 2 * rounding_allowance(float(np.median(gaps))))

    def _tilt(self) -> str:
        """One angle where the slices lean evenly, else how far they are shifted."""
        aside, depth = self.offsets[:, :2] - self.offsets[0, :2], self.offsets[:, 2]
        share = (depth - depth[0]) / (depth[-1] - depth[0])
        uneven = np.linalg.norm(aside - aside[-1] * share[:, None], axis=1).max()
        angle = math.degrees(math.atan2(float(np.linalg.norm(aside[-1])), float(depth[-1] - depth[0])))
        if uneven > rounding_allowance(self.steps[2]) or angle < TILT_DEGREES:
            return f"slices shifted sideways by up to {np.linalg.norm(aside, axis=1).max():.1f} mm"
        is_ct = self.frames[0].get("Modality") == "CT"
        return f"a gantry tilt of {angle:.1f}°" if is_ct else f"slices that lean by {angle:.1f}°"

    def _consequences(self, filled: Sequence[int]) -> str:
        parts = []
        if filled:
            parts.append(f"{_slices(filled, len(self.below))} interpolated between neighbours")
        if self.skewed[0] or np.abs(self.offsets[:, :2]).max() > 0.0:
            parts.append("slices were shifted to their places and voxels outside of them hold one fill value")
        return "; ".join(parts) or "values are interpolated between neighbouring slices"

    def _largest_shift(self) -> float:
        """Against slices stacked straight at their usual distance, as if nothing were irregular."""
        gaps = np.diff(self.offsets[:, 2])
        usual = float(np.median(gaps)) if len(gaps) else 0.0
        moved = self.offsets - self.offsets[0]
        moved[:, 2] -= np.arange(len(self.frames)) * usual
        rows = (self.frames[0].header.get("Rows") or 1) - 1
        slant = abs(self.skewed[0]) * rows * self.steps[1] / self.skewed[1]
        return round(float(np.linalg.norm(moved, axis=1).max()) + slant, 3)


def _to_nearest(depth: Array, levels: Array) -> Array:
    after = np.clip(np.searchsorted(depth, levels), 1, len(depth) - 1)
    return np.asarray(np.minimum(np.abs(levels - depth[after - 1]), np.abs(depth[after] - levels)))


def _slices(filled: Sequence[int], count: int) -> str:
    """1-based numbers as ranges where they are few: "slices 6-7 and 9 of 12 are"."""
    runs = [[k for _, k in group] for _, group in groupby(enumerate(filled), lambda pair: pair[1] - pair[0])]
    if len(runs) > _MOST_RUNS:
        return f"{len(filled)} of {count} slices are"
    words = [f"{run[0] + 1}" if len(run) == 1 else f"{run[0] + 1}-{run[-1] + 1}" for run in runs]
    listed = words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
    return f"slice {listed} of {count} is" if len(filled) == 1 else f"slices {listed} of {count} are"
