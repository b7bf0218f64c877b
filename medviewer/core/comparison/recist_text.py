"""The sentence of a RECIST 1.1 assessment and its numbers: a category where it is allowed, else mm and per cent."""

from __future__ import annotations

from collections.abc import Sequence

from medviewer.core.comparison.recist import RecistInput, RecistResult, recist
from medviewer.core.comparison.rules import ComparisonRules
from medviewer.core.comparison.sentences import signed
from medviewer.core.report.document import Evidence, Finding, Measurement
from medviewer.core.report.drafting import place_of
from medviewer.core.report.template import OTHER
from medviewer.core.report.wording import number
from medviewer.core.report.words import Words
from medviewer.core.segmentation import Segment
from medviewer.core.volume import Volume

RECIST = "recist_"  # how the quantities begin


def recist_finding(
    case: RecistInput, segments: Sequence[Segment], volume: Volume, words: Words, rules: ComparisonRules
) -> tuple[Finding, tuple[Measurement, ...]]:
    """The sentence, whose evidence are the targets' masks of the current study and the sums, and these numbers."""
    result = recist(case)
    numbers = _numbers(result)
    targets = {lesion.segment_id for lesion in case.lesions if lesion.segment_id}
    places = [_place(s, volume) for s in segments if s.id in targets]
    evidence = [Evidence("measurement", measurement_id=m.id, volume_id=volume.id) for m in numbers]
    text = recist_text(case, result, words, rules)
    return Finding(text, OTHER, (*places, *evidence), "measured"), numbers


def _place(segment: Segment, volume: Volume) -> Evidence:
    place = place_of(segment.mask, volume)
    return Evidence("segment", segment.id, "", place.position, volume.affine is not None, place.box, segment.frame,
                    volume.id)  # fmt: skip


def _numbers(result: RecistResult) -> tuple[Measurement, ...]:
    known = {
        "sum": (result.current_sum, "mm"), "baseline": (result.baseline_sum, "mm"), "nadir": (result.nadir_sum, "mm"),
        "from_baseline": (result.from_baseline_percent, "%"), "from_nadir": (result.from_nadir_percent, "%"),
        "from_nadir_mm": (result.from_nadir_mm, "mm"),
    }  # fmt: skip
    return tuple(
        Measurement(f"{RECIST}{name}", value, unit, "sum_of_targets")
        for name, (value, unit) in known.items() if value is not None
    )  # fmt: skip


def recist_text(case: RecistInput, result: RecistResult, words: Words, rules: ComparisonRules) -> str:
    """One sentence. Categories are named only where everything that they need is there."""
    language, text = words.language, rules.text
    values = {
        "current": _mm(result.current_sum, words), "baseline": _mm(result.baseline_sum, words),
        "nadir": _mm(result.nadir_sum, words), "from_baseline": _sign(result.from_baseline_percent, "%", words),
        "from_nadir": _sign(result.from_nadir_percent, "%", words),
        "from_nadir_mm": _sign(result.from_nadir_mm, "mm", words),
        "baseline_date": case.baseline.date if case.baseline else "",
        "nadir_date": case.nadir.date if case.nadir else "",
        "reasons": ", ".join(text(language, key) for key in result.reasons),
        "category": text(language, result.category) if result.category else "",
    }  # fmt: skip
    if result.category == "NE" or (result.category and result.current_sum is None):
        return text(language, "recist_not_evaluable", **values)
    if result.category:
        return text(language, "recist_category", **values)
    whole = None not in (result.current_sum, result.baseline_sum, result.nadir_sum)
    return text(language, "recist_numbers" if whole else "recist_nothing", **values)


def _mm(value: float | None, words: Words) -> str:
    return "" if value is None else number(value, "mm", words)


def _sign(value: float | None, unit: str, words: Words) -> str:
    return "" if value is None else signed(value, unit, words)
