"""Is a structure there: false masks, ranking (area under the ROC curve), calibration of the probability.

Expected calibration error after Guo et al. 2017 (arXiv 1706.04599) of the probability that the structure is present,
in 15 bins of equal width, and in 15 bins of equally many questions ("adaptive").
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from .intervals import interval_of, mean_interval
from .scores import Score

BINS = 15
Values = NDArray[np.float64]


@dataclass(frozen=True)
class Bin:
    """Questions whose probability fell in one bin: how many, mean probability, share that were present."""

    count: int
    probability: float
    present: float


def roc_auc(probability: Values, present: NDArray[np.bool_]) -> float | None:
    """Chance that a present structure scores above an absent one (ties count half); None without both."""
    yes, no = int(present.sum()), int((~present).sum())
    if not yes or not no:
        return None
    ranks = stats.rankdata(probability)
    return float((ranks[present].sum() - yes * (yes + 1) / 2) / (yes * no))


def bins_of(probability: Values, present: NDArray[np.bool_], adaptive: bool = False) -> list[Bin]:
    """The filled bins, in the order of probability."""
    number = _bin_of(probability, adaptive)
    parts = [np.flatnonzero(number == n) for n in range(BINS)]
    return [Bin(len(p), float(probability[p].mean()), float(present[p].mean())) for p in parts if len(p)]


def _bin_of(probability: Values, adaptive: bool) -> NDArray[np.intp]:
    if not adaptive:
        return np.minimum((probability * BINS).astype(np.intp), BINS - 1)
    place = np.empty(len(probability), np.intp)
    place[np.argsort(probability, kind="stable")] = np.arange(len(probability))
    return place * BINS // max(1, len(probability))


def calibration_error(probability: Values, present: NDArray[np.bool_], adaptive: bool = False) -> float:
    """Mean distance between probability and what was true, weighted by the bins' sizes; 0 without questions."""
    surplus = np.bincount(_bin_of(probability, adaptive), probability - present, BINS)
    return float(np.abs(surplus).sum() / len(probability)) if len(probability) else 0.0


def presence_table(scores: Sequence[Score]) -> list[dict[str, Any]]:
    """One row each for all questions, pictures, volumes, and every set."""
    groups = {"all": list(scores), "picture": [s for s in scores if s.kind == "picture"],
              "volume": [s for s in scores if s.kind == "volume"]}
    for name in sorted({s.set for s in scores}):
        groups[name] = [s for s in scores if s.set == name]
    return [presence_row(name, group) for name, group in groups.items() if group]


def presence_row(name: str, scores: Sequence[Score]) -> dict[str, Any]:
    """False masks over all absent structures; ranking and calibration over the questions the model was asked."""
    absent = [s for s in scores if s.absent]
    asked = [s for s in scores if s.presence is not None]
    probability = np.array([s.presence for s in asked], float)
    present = np.array([not s.absent for s in asked], bool)
    units = [s.unit for s in asked]
    false = mean_interval([s.found for s in absent], [s.unit for s in absent])
    auc = interval_of(lambda rows: roc_auc(probability[rows], present[rows]), units)
    error = interval_of(lambda rows: calibration_error(probability[rows], present[rows]), units)
    return {
        "group": name, "present": int(present.sum()), "absent": len(absent), "absent_asked": int((~present).sum()),
        "false_masks": sum(s.found for s in absent), "units": len(set(units)), "absent_units": false.units,
        "false_mask_rate": _mean([s.found for s in absent]), "false_low": false.low, "false_high": false.high,
        "auc": roc_auc(probability, present), "auc_low": auc.low, "auc_high": auc.high,
        "ece": calibration_error(probability, present) if asked else None, "ece_low": error.low, "ece_high": error.high,
        "ece_adaptive": calibration_error(probability, present, adaptive=True) if asked else None,
    }


def reliability(scores: Sequence[Score]) -> list[Bin]:
    """The bins of equal width of all questions that the model was asked."""
    asked = [s for s in scores if s.presence is not None]
    return bins_of(np.array([s.presence for s in asked], float), np.array([not s.absent for s in asked], bool))


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if values else None
