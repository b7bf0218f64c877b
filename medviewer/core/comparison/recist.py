"""RECIST 1.1 (Eisenhauer et al. 2009, doi:10.1016/j.ejca.2008.10.026): a category only where all it needs is there.

A person marks the targets and answers what no mask can tell. Everything else gives mm and per cent and no category.
Pure functions; lengths in mm, long axes (of nodes: short axes) as measured on each study's own grid.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from medviewer.core.comparison.rules import ComparisonRules
from medviewer.core.report.document import Language

Category = Literal["", "CR", "PR", "SD", "PD", "NE"]
NonTarget = Literal["", "none", "CR", "non-CR/non-PD", "PD", "NE"]
MOST_TARGETS, MOST_PER_ORGAN = 5, 2
SMALLEST_MM, SMALLEST_NODE_MM, NODE_GONE_MM = 10.0, 15.0, 10.0
THICKEST_MM = 5.0
PARTIAL_PERCENT, PROGRESS_PERCENT, PROGRESS_MM = 30.0, 20.0, 5.0
_SLACK = 1e-9  # floating point only: exactly 30 % is 30 %


@dataclass(frozen=True)
class TimePoint:
    """A study that takes part. `slice_thickness_mm` None: not known."""

    label: str
    date: str = ""
    slice_thickness_mm: float | None = None


@dataclass(frozen=True)
class TargetLesion:
    """A lesion that a person (`marked_by`) chose as target. None: not measured at that time."""

    name: str
    organ: str
    baseline_mm: float | None
    nadir_mm: float | None
    current_mm: float | None
    node: bool = False
    segment_id: str = ""
    marked_by: str = ""


@dataclass(frozen=True)
class RecistInput:
    """All that a category rests on. `new_lesions` None and `non_target` "": the question was not answered. `nadir` is
    the study with the smallest sum so far, which may be the baseline."""

    current: TimePoint
    baseline: TimePoint | None = None
    nadir: TimePoint | None = None
    lesions: tuple[TargetLesion, ...] = ()
    new_lesions: bool | None = None
    non_target: NonTarget = ""


@dataclass(frozen=True)
class RecistResult:
    """Sums in mm and their change; None where a lesion lacks a number. `target` is the response of the target lesions
    alone, `category` the overall one; both "" where `reasons` (keys of the comparison file) says what is missing."""

    category: Category = ""
    target: Category = ""
    reasons: tuple[str, ...] = ()
    baseline_sum: float | None = None
    nadir_sum: float | None = None
    current_sum: float | None = None
    from_baseline_percent: float | None = None
    from_nadir_percent: float | None = None
    from_nadir_mm: float | None = None
    rules: ComparisonRules | None = field(default=None, repr=False)

    def lines(self, language: Language = "en") -> tuple[str, ...]:
        """The reasons in words; as keys where the result was made without rules."""
        return self.reasons if self.rules is None else tuple(self.rules.text(language, key) for key in self.reasons)


def recist(case: RecistInput, rules: ComparisonRules | None = None) -> RecistResult:
    """The category, or the sums without one and the reasons. Raises nothing."""
    baseline, nadir, current = (_sum(case, name) for name in ("baseline_mm", "nadir_mm", "current_mm"))
    change = None if nadir is None or current is None else current - nadir
    reasons = tuple(_reasons(case, baseline, nadir))
    target: Category = "" if reasons else _target(case, baseline, nadir, current)
    category: Category = "" if reasons else _overall(target, case.non_target, bool(case.new_lesions))
    return RecistResult(
        category, target, reasons, baseline, nadir, current,
        _percent(baseline, current), _percent(nadir, current), change, rules,
    )  # fmt: skip


def _sum(case: RecistInput, name: str) -> float | None:
    values = [getattr(lesion, name) for lesion in case.lesions]
    return float(sum(values)) if values and None not in values else None


def _percent(before: float | None, now: float | None) -> float | None:
    return None if before is None or now is None or before <= 0 else 100.0 * (now - before) / before


def _reasons(case: RecistInput, baseline: float | None, nadir: float | None) -> Iterator[str]:
    """What a category lacks, as keys of the comparison file."""
    counts = Counter(lesion.organ.strip().casefold() for lesion in case.lesions)
    points = [point for point in (case.baseline, case.nadir, case.current) if point is not None]
    lacks = {
        "recist_no_baseline": case.baseline is None,
        "recist_no_nadir": case.nadir is None,
        "recist_no_targets": not case.lesions,
        "recist_not_marked": any(not lesion.marked_by.strip() for lesion in case.lesions),
        "recist_too_many": len(case.lesions) > MOST_TARGETS,
        "recist_per_organ": any(number > MOST_PER_ORGAN for number in counts.values()),
        "recist_no_organ": "" in counts,
        "recist_not_measured": bool(case.lesions) and (baseline is None or nadir is None),
        "recist_too_small": any(_is_too_small(lesion) for lesion in case.lesions),
        "recist_thickness": any(p.slice_thickness_mm is None or p.slice_thickness_mm > THICKEST_MM for p in points),
        "recist_nadir": baseline is not None and nadir is not None and nadir > baseline + _SLACK,
        "recist_new_unanswered": case.new_lesions is None,
        "recist_non_target_unanswered": not case.non_target,
    }
    return (key for key, applies in lacks.items() if applies)


def _is_too_small(lesion: TargetLesion) -> bool:
    """Whether a lesion was too small at baseline to be a target."""
    least = SMALLEST_NODE_MM if lesion.node else SMALLEST_MM
    return lesion.baseline_mm is not None and lesion.baseline_mm < least - _SLACK


def _target(case: RecistInput, baseline: float | None, nadir: float | None, current: float | None) -> Category:
    if baseline is None or nadir is None or current is None or baseline <= 0:
        return "NE"
    if all(_is_gone(lesion) for lesion in case.lesions):
        return "CR"
    grown = current - nadir
    if grown >= PROGRESS_MM - _SLACK and grown >= nadir * PROGRESS_PERCENT / 100 - _SLACK:
        return "PD"
    return "PR" if baseline - current >= baseline * PARTIAL_PERCENT / 100 - _SLACK else "SD"


def _is_gone(lesion: TargetLesion) -> bool:
    """A target that disappeared; a node below 10 mm in its short axis."""
    now = lesion.current_mm
    return now is not None and (now < NODE_GONE_MM if lesion.node else now <= 0)


def _overall(target: Category, non_target: NonTarget, new: bool) -> Category:
    """Table 1 of RECIST 1.1: time point response of patients with target lesions."""
    if new or "PD" in (target, non_target):
        return "PD"
    if target in ("NE", "SD"):
        return target
    if target == "CR":
        return "CR" if non_target in ("none", "CR") else "PR"
    return "PR"
