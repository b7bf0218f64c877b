"""Whether a scan fits into the memory, before it is loaded: as it is, reduced, or not at all.

Nothing is taken that is not free: free memory is what the machine, its container and the limit of this process leave
(`services.memory`), without swap. Scans that are too large are read reduced where that can be done in slabs (volumes of
DICOM, NIfTI, NRRD and MetaImage, packed or not), so that never more than a few slabs and the result are in memory. What
cannot be reduced (colour, cine loops, label maps, resampled series) is refused.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from medviewer.core.errors import InputRefused, UserError
from medviewer.core.volume import SeriesEntry
from medviewer.io.footprint import ReadingCost, reading_cost
from medviewer.services.memory import available_memory

_MARGIN = 200_000_000  # bytes for everything else that happens meanwhile
_SHARE = 0.9  # of the free memory that one scan may take
_MASK_BYTES = 1  # per voxel, of the first segment
COPIES = 2  # the scan, and the one that plugins work on, or that is compared after it was written
_LARGEST_FACTOR, _LEAST_VOXELS = 8, 16
_BEGIN = "Too large for the free memory"  # how every notice of this begins

Factors = tuple[int, int, int]


@dataclass(frozen=True)
class Plan:
    """How to read an entry: factors (1, 1, 1) as it is, others reduced (see `notice`); `refusal`: why not at all."""

    factors: Factors = (1, 1, 1)
    notice: str = ""
    refusal: str = ""

    @property
    def whole(self) -> bool:
        return self.factors == (1, 1, 1) and not self.refusal


def plan_loading(entry: SeriesEntry, copies: int = COPIES, free: int | None = None) -> Plan:
    """Decide how to read an entry. `copies`: how many of the array must find room. `free`: bytes that may be taken,
    default what there is now. Raises like the readers."""
    free = available_memory() if free is None else free
    budget = _SHARE * (free - _MARGIN)
    voxels = math.prod(entry.shape_xyz)
    if voxels * 16 * (1 + copies) < budget:  # no format takes more
        return Plan()
    cost = reading_cost(entry)
    if max(cost.peak, copies * cost.held + _MASK_BYTES * voxels) <= budget:
        return Plan()
    needed = max(cost.peak, copies * cost.held + _MASK_BYTES * voxels) / _SHARE + _MARGIN
    sizes = f"{_BEGIN} (it needs {_gigabytes(needed)}, {_gigabytes(free)} are free)"
    factors = _factors(entry, cost, copies, budget) if cost.reducible else None
    if factors is None:
        return Plan(refusal=f"{entry.title} is too large for the free memory: it needs {_gigabytes(needed)}, "
                            f"{_gigabytes(free)} are free.")
    blocks = " × ".join(str(f) for f in factors)
    return Plan(factors, f"{sizes}: reduced {blocks}, each voxel is the mean of {math.prod(factors)}. "
                         "Small structures may vanish, and measurements are coarser.")


def refusal_of(plan: Plan) -> InputRefused:
    """The error for an entry that cannot be read."""
    return InputRefused(plan.refusal, "Close other scans or programs, or crop the scan first.",
                        code="not-enough-memory")


def without_notice(entry: SeriesEntry) -> SeriesEntry:
    """The entry without what `announced` added."""
    kept = tuple(warning for warning in entry.warnings if not warning.startswith(_BEGIN))
    return entry if len(kept) == len(entry.warnings) else replace(entry, warnings=kept)


def announced(entry: SeriesEntry) -> SeriesEntry:
    """The entry, with a warning where it is too large now."""
    try:
        plan = plan_loading(entry)
    except (UserError, OSError):
        return entry  # reading it will say so
    if plan.whole:
        return entry
    told = plan.notice or f"{_BEGIN}: {plan.refusal.rpartition(': ')[2]}"
    return replace(entry, warnings=(told, *entry.warnings))


def _factors(entry: SeriesEntry, cost: ReadingCost, copies: int, budget: float) -> Factors | None:
    """The smallest blocks that fit, as close to cubes as the voxels allow; None where even the largest do not."""
    spacing = [step if step > 0 else 1.0 for step in entry.spacing_mm or (1.0, 1.0, 1.0)]
    factors = [1, 1, 1]
    while True:
        if _reduced_bytes(entry, cost, factors, copies) <= budget:
            return (factors[0], factors[1], factors[2])
        free_axes = [
            axis for axis in range(3)
            if factors[axis] < _LARGEST_FACTOR and entry.shape_xyz[axis] // (factors[axis] + 1) >= _LEAST_VOXELS
        ]  # fmt: skip
        if not free_axes:
            return None
        finest = min(free_axes, key=lambda axis: (spacing[axis] * factors[axis], axis))
        factors[finest] += 1


def _reduced_bytes(entry: SeriesEntry, cost: ReadingCost, factors: list[int], copies: int) -> float:
    """At its worst: what reading takes for the coarse grid, and two slabs with their means."""
    share = 1 / math.prod(factors)
    i, j, _ = entry.shape_xyz
    slabs = factors[2] * cost.slice_peak * 2 + 8 * i * j
    return max(cost.peak * share + slabs, (copies * cost.held + _MASK_BYTES * math.prod(entry.shape_xyz)) * share)


def _gigabytes(count: float) -> str:
    return f"{count / 1e9:.1f} GB"
