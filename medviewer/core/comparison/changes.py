"""The change of every size of matched masks, from numbers that were measured on each study's own grid."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from medviewer.core.comparison.matching import Match
from medviewer.core.comparison.rules import ComparisonRules
from medviewer.core.comparison.sizes import Sizes
from medviewer.core.comparison.study import PriorStudy
from medviewer.core.report.document import Measurement

Verdict = Literal["larger", "smaller", "none", "not given"]
_CUT = "cut_by_edge"
_INCOMPLETE = "incomplete"


@dataclass(frozen=True)
class Change:
    """One size of one structure in both studies.

    `difference` (current minus prior, in `unit`) and `percent` (of the prior) are None where no change is given; then
    `reason` says why. `error` is the measurement error of the difference. A difference below it has the verdict "none":
    no measurable change. `text` and `finding_id` are filled in with the sentences.
    """

    match: Match
    quantity: str
    unit: str
    current: Measurement
    prior: Measurement
    error: float | None = None
    difference: float | None = None
    percent: float | None = None
    verdict: Verdict = "not given"
    reason: str = ""
    text: str = ""
    finding_id: str = ""


def changes_of(
    matches: Iterable[Match], current: Sizes, prior: PriorStudy, rules: ComparisonRules
) -> tuple[Change, ...]:
    """A change, or the reason why there is none, for every size that both studies list of a matched pair."""
    ours, theirs = _by_segment(current.measurements), _by_segment(prior.measurements)
    found = []
    for match in matches:
        if not match.is_pair:
            continue
        for one in _ordered(ours.get(match.current_id, ()), rules):
            other = _same_quantity(theirs.get(match.prior_id, ()), one)
            if other is not None:
                found.append(change_of(match, one, other, current.errors, prior.errors))
    return tuple(found)


def change_of(
    match: Match, one: Measurement, other: Measurement, errors: Mapping[str, float], prior_errors: Mapping[str, float]
) -> Change:
    """The change of one size. A mask that the scan cuts gives none (clinical.md 3)."""
    reason = _reason(one, other)
    error = _joined(errors.get(one.id), prior_errors.get(other.id))
    if not reason and error is None:
        reason = "not_measured"
    if reason or one.value is None or other.value is None or error is None:
        return Change(match, one.quantity, one.unit, one, other, reason=reason or "not_measured")
    difference = one.value - other.value
    percent = 100.0 * difference / other.value if other.value > 0 else None
    verdict: Verdict = "none" if abs(difference) < error else "larger" if difference > 0 else "smaller"
    return Change(match, one.quantity, one.unit, one, other, error, difference, percent, verdict)


def _reason(one: Measurement, other: Measurement) -> str:
    for measurement, key in ((one, "cut_current"), (other, "cut_prior")):
        if measurement.reason == _CUT or _INCOMPLETE in measurement.flags:
            return key
    if one.value is None or other.value is None or one.unit != other.unit or one.unit == "px":
        return "not_measured"
    return "method_differs" if one.method != other.method else ""


def _joined(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else math.hypot(one, other)


def _by_segment(measurements: Iterable[Measurement]) -> dict[str, list[Measurement]]:
    found: dict[str, list[Measurement]] = {}
    for measurement in measurements:
        if len(measurement.segment_ids) == 1:
            found.setdefault(measurement.segment_ids[0], []).append(measurement)
    return found


def _ordered(measurements: Iterable[Measurement], rules: ComparisonRules) -> list[Measurement]:
    known = [m for m in measurements if m.quantity in rules.quantities]
    return sorted(known, key=lambda m: rules.quantities.index(m.quantity))


def _same_quantity(measurements: Sequence[Measurement], one: Measurement) -> Measurement | None:
    return next((m for m in measurements if (m.quantity, m.side) == (one.quantity, one.side)), None)
