"""What the model is meant to reach (`configs/bars.toml`) beside what it reached.

A bar is passed or failed by the mean itself; whether the whole 95 % interval lies on the right side of the target is
told apart. With fewer than five patients (images, where no patients are known) there is neither interval nor verdict.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .clicks import CLICKS
from .intervals import LEAST_UNITS, Interval, mean_interval
from .jobs import Measured
from .presence import presence_row
from .scores import NOT_ASKED, Score
from .sides import SideAnswer

BARS = Path(__file__).parents[1] / "configs" / "bars.toml"
_DIRECTION = {True: ">=", False: "<="}


@dataclass(frozen=True)
class Bar:
    """One row of the table. `result` is None without cases; `clear`: the interval lies on the right side as a whole."""

    what: str
    target: float
    at_least: bool
    result: float | None
    n: int
    units: int
    unit: str
    low: float | None = None
    high: float | None = None
    verdict: str = "no cases"
    clear: bool | None = None
    note: str = ""

    @property
    def target_text(self) -> str:
        return f"{_DIRECTION[self.at_least]} {self.target:g}"


def judged(
    what: str, target: float, result: float | None, n: int, interval: Interval, unit: str, *, at_least: bool = True,
    reported: bool = False, note: str = "",
) -> Bar:
    """A bar with its verdict: "pass", "fail", "n < 5", "reported" or "no cases"."""
    low, high = interval.low, interval.high
    clear = None
    if low is not None and high is not None:
        clear = low >= target if at_least else high <= target
    verdict = "no cases"
    if result is not None and n:
        reached = result >= target if at_least else result <= target
        verdict = "reported" if reported else "n < 5" if interval.units < LEAST_UNITS else "pass" if reached else "fail"
        if verdict in ("reported", "n < 5"):
            note = "; ".join(part for part in ("at target" if reached else "below target", note) if part)
    return Bar(what, target, at_least, result, n, interval.units, unit, low, high, verdict, clear, note)


def bar_table(measured: Measured, extra: Mapping[str, Sequence[Mapping[str, Any]]], path: Path = BARS) -> list[Bar]:
    """Every bar, in the order of the file; `extra` holds the rows of "wordings" and "unknown" where measured."""
    with path.open("rb") as file:
        config = tomllib.load(file)
    limits: dict[str, float] = config["others"]
    named = {entry["structure"] for entry in config["dice"]}
    return [
        *(dice_bar(entry, measured.scores) for entry in config["dice"]),
        *_wording_bars(extra, limits, named), *presence_bars(measured.scores, limits), *_unknown_bars(extra, limits),
        *click_bars(measured, limits), side_bar(measured.sides, limits["sides_swapped"]),
    ]


def dice_bar(entry: Mapping[str, Any], scores: Sequence[Score]) -> Bar:
    """Mean Dice of one structure of one set."""
    key = entry.get("key", "")
    rows = [s for s in scores if (s.set, s.structure) == (entry["set"], entry["structure"]) and key in s.key]
    seen = [(s.dice, s.unit) for s in rows if s.dice is not None]
    values = [value for value, _ in seen]
    refused = sum(s.answer in NOT_ASKED for s in rows if not s.absent)
    bar = judged(
        f"{entry['what']}: Dice", entry["target"], _mean(values), len(values),
        mean_interval(values, [u for _, u in seen]), rows[0].unit_kind if rows else "images",
        reported=entry.get("reported", False), note=f"not trained in {refused}" if refused else "",
    )
    return bar


def presence_bars(scores: Sequence[Score], limits: Mapping[str, float]) -> list[Bar]:
    """False masks, ranking, calibration, over all questions of real scans."""
    real = [s for s in scores if s.set != "phantom"]
    row = presence_row("all", real)
    asked = row["present"] + row["absent_asked"]
    false = Interval(row["false_low"], row["false_high"], row["absent_units"])
    auc = Interval(row["auc_low"], row["auc_high"], row["units"])
    error = Interval(row["ece_low"], row["ece_high"], row["units"])
    note = f"{row['false_masks']} of {row['absent']}"
    return [
        judged("absent structures: false masks", limits["false_masks"], row["false_mask_rate"], row["absent"], false,
               "patients or images", at_least=False, note=note),
        judged("presence: area under the ROC curve", limits["presence_auc"], row["auc"], asked, auc,
               "patients or images"),
        judged("presence: expected calibration error", limits["calibration_error"],
               row["ece"] if row["absent"] else None, asked, error, "patients or images", at_least=False),
    ]


def click_bars(measured: Measured, limits: Mapping[str, float]) -> list[Bar]:
    """Error that one click removes (mean over scans), and Dice after five clicks (mean over sets)."""
    runs = measured.clicks
    falls = [(run.fall, run.unit) for run in runs if run.fall is not None]
    values = [fall for fall, _ in falls]
    after = {name: [run.dice[CLICKS] for run in runs if run.set == name] for name in {run.set for run in runs}}
    mean = _mean([float(np.mean(group)) for group in after.values()])
    note = f"{len(after)} sets"
    return [
        judged("one click after text: fall of the error volume", limits["one_click_fall"], _mean(values), len(values),
               mean_interval(values, [unit for _, unit in falls]), "patients or images"),
        judged("five clicks: Dice, mean over sets", limits["five_clicks_dice"], mean, len(runs),
               _set_interval(runs), "patients or images", note=note if runs else ""),
    ]


def _set_interval(runs: Sequence[Any]) -> Interval:
    """Scans weighted so that every set counts alike; patients are drawn."""
    from .intervals import interval_of

    sets = np.array([run.set for run in runs])
    dice = np.array([run.dice[CLICKS] for run in runs])

    def mean_over_sets(rows: np.ndarray[Any, Any]) -> float:
        return float(np.mean([dice[rows][sets[rows] == name].mean() for name in np.unique(sets[rows])]))

    return interval_of(mean_over_sets, [run.unit for run in runs])


def side_bar(answers: Sequence[SideAnswer], most: float) -> Bar:
    """Masks that lie on the wrong side."""
    found = [a for a in answers if a.found]
    swapped = sum(a.swapped for a in found)
    units = len({(a.set, a.key) for a in found})
    return judged("left and right swapped (3D and X-ray)", most, float(swapped) if found else None, len(found),
                  Interval(None, None, units), "scans", at_least=False,
                  note=f"of {len(answers)} prompts with a side" if answers else "")


def _wording_bars(
    extra: Mapping[str, Sequence[Mapping[str, Any]]], limits: Mapping[str, float], names: set[str]
) -> list[Bar]:
    """Mean over the unseen English wordings of the structures of the Dice bars; structures are drawn."""
    rows = [row for row in extra.get("wordings", ()) if row["structure"] in names]
    drops = [float(row["drop"]) for row in rows]
    interval = mean_interval(drops, [str(row["structure"]) for row in rows])
    missed = sum(row["read_as"] != row["structure"] for row in rows)
    note = f"{interval.units} structures, {missed} wordings not understood" if rows else ""
    return [judged("unseen wordings: mean drop of Dice", limits["wording_drop"], _mean(drops), len(drops), interval,
                   "structures", at_least=False, note=note)]


def _unknown_bars(extra: Mapping[str, Sequence[Mapping[str, Any]]], limits: Mapping[str, float]) -> list[Bar]:
    unknown = [bool(row["refused"]) for row in extra.get("unknown", ()) if not row["trained"]]
    trained = [bool(row["refused"]) for row in extra.get("unknown", ()) if row["trained"]]
    return [
        judged('untrained terms answered "not trained for this term"', limits["unknown_terms"], _mean(unknown),
               len(unknown), mean_interval(unknown, range(len(unknown))), "terms"),
        judged('trained terms wrongly answered "not trained"', limits["trained_terms_refused"], _mean(trained),
               len(trained), mean_interval(trained, range(len(trained))), "wordings", at_least=False),
    ]


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if len(values) else None
