"""What was measured: one record per question, and the rows and means made of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .intervals import mean_interval

NOT_ASKED = ("not trained for this term",)


@dataclass(frozen=True)
class Score:
    """One prompt on one scan; `dice` is None where the structure is absent.

    `unit` is the patient, or the image where no patient is known (`unit_kind`); `kind` is "picture" or "volume".
    `nsd` counts 0 without a mask; `hd95` is None then, in `length` ("mm" or "px") else.
    """

    set: str
    modality: str
    structure: str
    dice: float | None
    presence: float | None
    found: bool
    answer: str
    key: str = ""
    unit: str = ""
    unit_kind: str = "images"
    kind: str = "picture"
    nsd: float | None = None
    hd95: float | None = None
    length: str = ""
    seconds: float = 0.0

    @property
    def absent(self) -> bool:
        return self.dice is None


def summarise(scores: Sequence[Score]) -> dict[str, Any]:
    """Rows per set and structure; per trained name and modality ("terms", without the phantom); absence figures."""
    groups: dict[tuple[str, str], list[Score]] = defaultdict(list)
    terms: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for score in scores:
        groups[score.set, score.structure].append(score)
        if score.dice is not None and score.set != "phantom":
            terms[score.structure][score.modality].append(score.dice)
    rows = [row_of(key, group) for key, group in sorted(groups.items())]
    absent = [s for s in scores if s.absent]
    return {
        "rows": [row for row in rows if row["n"]],
        "absent": {"n": len(absent), "found": sum(s.found for s in absent)},
        "absent_rows": [row for row in rows if row["absent_n"]],
        "terms": {t: {m: {"dice": round(float(np.mean(v)), 4), "n": len(v)} for m, v in per.items()}
                  for t, per in sorted(terms.items())},
    }


def row_of(key: tuple[str, str], group: Sequence[Score]) -> dict[str, Any]:
    """One set and structure: means over the scans that show it, and how often it was found where it is not."""
    seen = [s for s in group if not s.absent]
    absent = [s for s in group if s.absent]
    dice = [s.dice for s in seen if s.dice is not None]
    interval = mean_interval(dice, [s.unit for s in seen])
    far = [s.hd95 for s in seen if s.hd95 is not None]
    surface = [s.nsd for s in seen if s.nsd is not None]
    return {
        "set": key[0], "structure": key[1], "n": len(seen), "dice": _rounded(dice),
        "low": _short(interval.low), "high": _short(interval.high), "units": interval.units,
        "unit": seen[0].unit_kind if seen else "", "nsd": _rounded(surface),
        "hd95": _rounded(far), "hd95_median": _short(float(np.median(far))) if far else None,
        "hd95_n": len(far), "no_mask": sum(not s.found for s in seen), "length": seen[0].length if seen else "",
        "found": sum(s.found for s in seen), "not_trained": sum(s.answer in NOT_ASKED for s in seen),
        "absent_n": len(absent), "absent_found": sum(s.found for s in absent),
    }


def overall(report: dict[str, Any], counts: dict[str, int], least: int = 10) -> dict[str, Any]:
    """Mean over structures with at least `least` train rows of their mean Dice over all rows that show them."""
    means = {}
    for name, per_modality in report["terms"].items():
        if counts.get(name, 0) >= least:
            weights = [entry["n"] for entry in per_modality.values()]
            means[name] = float(np.average([entry["dice"] for entry in per_modality.values()], weights=weights))
    mean = float(np.mean(list(means.values()))) if means else None
    return {"least_train_rows": least, "structures": means, "mean_dice": mean}


def _rounded(values: Sequence[float]) -> float | None:
    return _short(float(np.mean(values))) if values else None


def _short(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
