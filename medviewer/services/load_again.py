"""Reading a scan for the second time on the grid of the first, whatever memory is free now."""

from __future__ import annotations

import math

from medviewer.core.errors import InputRefused
from medviewer.core.progress import Progress
from medviewer.core.volume import SeriesEntry, Volume

_LARGEST_FACTOR = 8


def load_as(entry: SeriesEntry, shape: tuple[int, int, int], progress: Progress) -> Volume:
    """Read an entry as it is, or reduced by the blocks that gave `shape` when memory was short.

    Masks of then fit on it again. Any thread. Raises InputRefused, also (code "not-enough-memory") where the scan was
    read whole then and fits only reduced now.
    """
    from medviewer.services import open_data

    factors = _factors(entry.shape_xyz, shape)
    if factors is not None:
        from medviewer.io.reduced import load_reduced
        from medviewer.services.preflight import without_notice

        return load_reduced(without_notice(entry), factors, _sentence(factors), progress)
    volume = open_data.load(entry, progress)
    if volume.shape != shape and _factors(shape, volume.shape) is not None:
        raise InputRefused(
            f"{entry.path.name} does not fit into the free memory as it was when the work was saved.",
            "Close other scans or programs, then open it again. The work is kept.",
            code="not-enough-memory",
        )
    return volume


def _factors(whole: tuple[int, int, int], reduced: tuple[int, int, int]) -> tuple[int, int, int] | None:
    """The blocks that made one grid from the other; None where it is not a reduced one."""
    if min(reduced) < 1 or whole == reduced:
        return None
    i, j, k = (n // m for n, m in zip(whole, reduced, strict=True))
    fits = all(1 <= f <= _LARGEST_FACTOR and n // f == m for n, m, f in zip(whole, reduced, (i, j, k), strict=True))
    return (i, j, k) if fits else None


def _sentence(factors: tuple[int, int, int]) -> str:
    blocks = " × ".join(str(f) for f in factors)
    return (
        f"Reduced {blocks} as when the work was saved, because it was too large for the free memory: each voxel is the "
        f"mean of {math.prod(factors)}. Small structures may vanish, and measurements are coarser."
    )
