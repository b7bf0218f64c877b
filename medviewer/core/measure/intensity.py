"""What the scan shows inside a mask: Hounsfield units of a CT, arbitrary units of a magnetic resonance scan.

Voxels that were never scanned (pixel padding) take no part.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medviewer.core.measure.outcome import NotMeasurable, Outcome
from medviewer.core.measure.size import centre_index
from medviewer.core.measure.target import Target

Values = NDArray[np.float64]
_SHARES = (5, 50, 95)
_LEVELS = 1 << 20
RIM_MM = 5.0  # the parenchyma's mean leaves out this rim: partial volume, fat at the surface


@dataclass(frozen=True)
class _Statistics:
    median: float
    low: float  # 5th percentile
    high: float  # 95th percentile
    mean: float
    deviation: float  # n - 1


def median(target: Target) -> Outcome:
    """Median of the voxels."""
    return _outcome(target, _statistics(target).median, "all_voxels")


def low(target: Target) -> Outcome:
    """5th percentile of the voxels."""
    return _outcome(target, _statistics(target).low, "all_voxels")


def high(target: Target) -> Outcome:
    """95th percentile of the voxels."""
    return _outcome(target, _statistics(target).high, "all_voxels")


def mean(target: Target) -> Outcome:
    """Mean of the voxels."""
    return _outcome(target, _statistics(target).mean, "all_voxels")


def deviation(target: Target) -> Outcome:
    """Standard deviation of the voxels (n - 1)."""
    return _outcome(target, _statistics(target).deviation, "all_voxels")


def parenchyma(target: Target) -> Outcome:
    """Mean HU of the mask without its outer 5 mm: close to what regions of interest inside the organ would give."""
    _require_hu(target)
    target.require_volume()
    return _outcome(target, float(_values(target, _core(target)).mean(dtype=np.float64)), "mean_without_rim")


def _core(target: Target) -> NDArray[np.bool_]:
    """Voxels whose neighbours within 5 mm along every axis of the grid all belong to the mask."""
    from scipy import ndimage

    inside = target.crop.view(np.uint8)
    for axis, step in enumerate(target.spacing):
        width = 2 * int(np.ceil(RIM_MM / step)) + 1
        inside = ndimage.minimum_filter1d(inside, width, axis, mode="constant", cval=0)
    if np.count_nonzero(inside) < 100:
        raise NotMeasurable("too_small")
    return np.asarray(inside.view(np.bool_))


def _outcome(target: Target, value: float, method: str) -> Outcome:
    unit = "HU" if target.volume.units == "HU" else "1"
    return Outcome(value, unit, method, target.place(centre_index(target)))


def _require_hu(target: Target) -> None:
    if target.volume.units != "HU":
        raise NotMeasurable("not_hu")


def _statistics(target: Target) -> _Statistics:
    if (target.volume.modality or "").upper() == "CT":
        _require_hu(target)
    if "statistics" not in target.cache:
        target.cache["statistics"] = _described(_values(target, target.crop))
    return target.cache["statistics"]  # type: ignore[no-any-return]


def _described(values: NDArray[Any]) -> _Statistics:
    """Whole numbers are counted level by level: exact, and ten times faster than sorting them."""
    if not np.issubdtype(values.dtype, np.integer) or int(values.max()) - int(values.min()) > _LEVELS:
        exact = np.asarray(values, np.float64)
        low, median, high = np.percentile(exact, _SHARES)
        spread = float(exact.std(ddof=1)) if len(exact) > 1 else 0.0
        return _Statistics(float(median), float(low), float(high), float(exact.mean()), spread)
    first = int(values.min())
    counts = np.bincount(values.astype(np.int64) - first)
    levels = np.arange(first, first + len(counts), dtype=np.float64)
    number = len(values)
    mean = float((levels * counts).sum() / number)
    squares = float((counts * (levels - mean) ** 2).sum())
    low, median, high = (_percentile(levels, counts, share) for share in _SHARES)
    return _Statistics(median, low, high, mean, float(np.sqrt(squares / max(1, number - 1))))


def _percentile(levels: Values, counts: NDArray[np.intp], share: float) -> float:
    """The percentile between the two nearest ranks, as np.percentile gives it."""
    grown = np.cumsum(counts)
    rank = share / 100 * (int(grown[-1]) - 1)
    below, above = levels[np.searchsorted(grown, [np.floor(rank) + 1, np.ceil(rank) + 1])]
    return float(below + (above - below) * (rank - np.floor(rank)))


def _values(target: Target, chosen: NDArray[np.bool_]) -> NDArray[Any]:
    """Values of the scan at the chosen voxels of the crop, in any order."""
    volume = target.volume
    if volume.is_color:
        raise NotMeasurable("colour")
    box = tuple(slice(s, s + n) for s, n in zip(target.start, target.crop.shape, strict=True))
    array = volume.array[box]
    values = array.T[chosen.T] if volume.array.flags.f_contiguous else array[chosen]  # along memory
    if not np.issubdtype(values.dtype, np.integer):
        values = values[np.isfinite(values)]
    if volume.padding_value is not None:
        values = values[values != volume.padding_value]
    if not len(values):
        raise NotMeasurable("not_scanned")
    return values
