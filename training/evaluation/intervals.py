"""Percentile bootstrap that draws whole patients (or images) with replacement."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

DRAWS = 2_000
SEED = 20_251
LEAST_UNITS = 5  # with fewer, no interval is told and no bar is passed or failed
_SHARE = (2.5, 97.5)
Statistic = Callable[[NDArray[np.intp]], float | None]


@dataclass(frozen=True)
class Interval:
    """`low` and `high` of 95 %, None with fewer than five units; `units` is how many were drawn from."""

    low: float | None
    high: float | None
    units: int


def mean_interval(values: Sequence[float], units: Sequence[Hashable]) -> Interval:
    """Of the mean over all `values`, whose `units` (same length) are drawn whole."""
    numbers = _numbered(units)
    count = int(numbers.max(initial=-1)) + 1
    if count < LEAST_UNITS:
        return Interval(None, None, count)
    sums = np.bincount(numbers, np.asarray(values, float), count)
    sizes = np.bincount(numbers, minlength=count)
    drawn = np.random.default_rng(SEED).integers(0, count, (DRAWS, count))
    means = sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1)
    low, high = np.percentile(means, _SHARE)
    return Interval(float(low), float(high), count)


def interval_of(statistic: Statistic, units: Sequence[Hashable]) -> Interval:
    """Of any `statistic` of row numbers (n,); draws for which it is None are left out."""
    numbers = _numbered(units)
    count = int(numbers.max(initial=-1)) + 1
    if count < LEAST_UNITS:
        return Interval(None, None, count)
    rows = [np.flatnonzero(numbers == n) for n in range(count)]
    rng = np.random.default_rng(SEED)
    found = [statistic(np.concatenate([rows[n] for n in rng.integers(0, count, count)])) for _ in range(DRAWS)]
    kept = [value for value in found if value is not None]
    if not kept:
        return Interval(None, None, count)
    low, high = np.percentile(kept, _SHARE)
    return Interval(float(low), float(high), count)


def _numbered(units: Sequence[Hashable]) -> NDArray[np.intp]:
    order = {unit: number for number, unit in enumerate(dict.fromkeys(units))}
    return np.array([order[unit] for unit in units], np.intp)
