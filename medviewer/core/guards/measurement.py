"""Every number with a unit against the measurements of the sentence's evidence (clinical.md 1)."""

from __future__ import annotations

from dataclasses import dataclass

from medviewer.core.guards.context import GuardContext
from medviewer.core.guards.numbers import UNITS, Quantity, quantities
from medviewer.core.guards.phrases import Span, last_before
from medviewer.core.guards.sentence import MOST_MARKS, Reading, read_sentence
from medviewer.core.guards.words import GuardWords
from medviewer.core.report.document import Finding, Mark, Measurement

GUARD = "measurement"
_SLACK = 1e-6


@dataclass(frozen=True)
class _Named:
    """What a number is said of: the structure and side before it in its clause."""

    term: str
    side: str


def check_measurements(finding: Finding, reading: Reading, context: GuardContext, words: GuardWords) -> list[Mark]:
    """Marks for numbers that no measurement of the evidence has, of that structure and side, as rounded in the text.

    A human's sentence without measurements is left alone: people measure on their own.
    """
    held = [m for m in context.measurements_of(finding) if m.value is not None and m.unit in UNITS]
    if finding.origin == "human" and not held:
        return []
    written = quantities(reading, context.language, words)
    wrong = [q for q in written if not _is_held(q, held, reading, context, words)]
    if wrong:
        allowed = _of_ranges(context.measurements_of(finding), context, words)
        wrong = [q for q in wrong if not any(_same(q, other) for other in allowed)]
    key = "number_differs" if held else "number_without_measurement"
    return [
        words.mark(GUARD, key, context.language, reading.characters(q.span), words=reading.words(q.span, finding.text),
                   measured=_told(held, q))
        for q in wrong[:MOST_MARKS]
    ]  # fmt: skip


def _told(held: list[Measurement], quantity: Quantity) -> str:
    """The measurements of the same dimension, for the reason."""
    same = [m for m in held if UNITS[m.unit][0] == UNITS[quantity.unit][0]]
    return ", ".join(f"{m.value:g} {m.unit}" for m in same[:3]) or "-"


def _is_held(
    quantity: Quantity, held: list[Measurement], reading: Reading, context: GuardContext, words: GuardWords
) -> bool:
    matching = [m for m in held if _matches(quantity, m)]
    if not matching:
        return False
    named = _named(quantity.span, reading)
    axis = _axis(quantity.span, reading, words)
    terms, sides = {m.term_id for m in held}, {m.side for m in held}
    return any(
        (named.term not in terms or m.term_id in ("", named.term) or named.term in _related(m, context))
        and (named.side not in sides or m.side in (None, named.side))
        and (not axis or m.quantity in (axis, "") or m.quantity not in ("long_axis", "short_axis"))
        for m in matching
    )


def _related(measurement: Measurement, context: GuardContext) -> set[str]:
    """The structures of a measurement of several ("liver minus spleen")."""
    ids = measurement.segment_ids
    return {context.segments[one].term_id for one in ids if one in context.segments} if len(ids) > 1 else set()


def _named(span: Span, reading: Reading) -> _Named:
    mention = reading.mention_before(span.first)
    return _Named(mention.term.id if mention else "-", reading.side_before(span.first))


def _axis(span: Span, reading: Reading, words: GuardWords) -> str:
    """ "long_axis" or "short_axis" where the words right before the number say so."""
    for name in ("long_axis", "short_axis"):
        place = last_before(reading.places(f"measurement.axes.{name}", words), span.first)
        if place and span.first - place.last <= 4 and reading.same_clause(place.first, span.first):
            return name
    return ""


def _matches(quantity: Quantity, measurement: Measurement) -> bool:
    dimension, factor = UNITS[quantity.unit]
    other, own = UNITS[measurement.unit]
    if dimension != other or measurement.value is None:
        return False
    value = measurement.value * own / factor
    if quantity.relation == "below":
        return value <= quantity.value
    if quantity.relation == "above":
        return value >= quantity.value
    step = _round_step(quantity) if quantity.relation == "about" else quantity.step
    return abs(value - quantity.value) <= step / 2 + _SLACK


def _round_step(quantity: Quantity) -> float:
    """Of "about 1200" the last digit that is not zero counts; "about 3.0" is meant to the tenth."""
    step = quantity.step
    if step < 1:
        return 2 * step
    while quantity.value and quantity.value % (step * 10) == 0:
        step *= 10
    return step


def _of_ranges(measurements: tuple[Measurement, ...], context: GuardContext, words: GuardWords) -> list[Quantity]:
    """The numbers of the reference ranges that apply: they may be cited."""
    texts = [m.range_text for m in measurements if m.range_text]
    return [q for text in texts for q in quantities(read_sentence(text, context, words), context.language, words)]


def _same(one: Quantity, other: Quantity) -> bool:
    (a, first), (b, second) = UNITS[one.unit], UNITS[other.unit]
    return a == b and abs(one.value * first - other.value * second) <= _SLACK
