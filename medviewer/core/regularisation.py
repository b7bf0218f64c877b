"""How the grid of a volume differs from the slices that were acquired."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Irregularity(StrEnum):
    """Why slices do not lie on a regular grid. The values are the words the user reads."""

    TILT = "gantry tilt"
    GAP = "missing slices"
    SPACING = "uneven slice spacing"
    SHEAR = "row and column directions that are not at right angles"
    ROTATION = "slices turned against each other"
    MEMORY = "too large for the memory"  # blocks of voxels were averaged


@dataclass(frozen=True)
class Regularisation:
    """A volume was resampled onto a regular grid. It stays visible: banner, `info --json`, every export.

    `sentence` is the whole message for the user and holds no file names, for instance "Resampled for a gantry tilt of
    15.4°: ..."; `interpolated` are the 0-based k of planes that no acquired slice lies on; `outside` is the value of
    voxels that no acquired slice covers, None if there are none; `largest_shift_mm` is how far a slice lies from where
    a plain stack of slices at their usual distance would put it.
    """

    reasons: tuple[Irregularity, ...]
    sentence: str
    interpolated: tuple[int, ...] = ()
    outside: float | None = None
    largest_shift_mm: float = 0.0
