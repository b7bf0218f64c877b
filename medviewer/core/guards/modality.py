"""Words that another kind of examination speaks, contrast that nobody knows of, structures outside the template."""

from __future__ import annotations

from collections.abc import Iterator

from medviewer.core.guards.context import GuardContext
from medviewer.core.guards.phrases import Span, longest, outside
from medviewer.core.guards.sentence import MOST_MARKS, Reading
from medviewer.core.guards.structures import Mention
from medviewer.core.guards.words import GuardWords
from medviewer.core.report.document import Finding, Mark

GUARD = "modality"


def check_modality(finding: Finding, reading: Reading, context: GuardContext, words: GuardWords) -> list[Mark]:
    """Marks for vocabulary, contrast and body part that do not fit the examination."""
    kind = words.settings["modality.kinds"].get(context.modality.strip().upper(), "")
    found = [("wrong_words", span) for span in longest(_foreign_words(reading, kind, words))]
    found += [("wrong_contrast", span) for span in longest(_contrast_words(reading, context, kind, words))]
    found += [("wrong_region", Span(m.first, m.last)) for m in _foreign_structures(reading, context, words)]
    return [
        words.mark(GUARD, key, context.language, reading.characters(span), words=reading.words(span, finding.text),
                   modality=context.modality or "-", template=context.template)
        for key, span in sorted(found, key=lambda item: item[1])[:MOST_MARKS]
    ]  # fmt: skip


def _foreign_words(reading: Reading, kind: str, words: GuardWords) -> list[Span]:
    """What the other kinds speak and this one does not; names of other examinations unless they are asked for."""
    foreign = words.settings["modality.foreign"].get(kind, [])
    found = [span for name in foreign for span in
             reading.find(words.phrases(f"modality.words.{name}"), words.phrases("modality.exceptions"))]  # fmt: skip
    asked = _clauses(reading, words.phrases("modality.elsewhere").find(reading.tokens, reading.classes))
    for name, phrases in words.below("modality.examinations").items() if kind else ():
        if name != kind:
            spans = reading.find(phrases, words.phrases("modality.exceptions"))
            found += [span for span in spans if reading.tokens[span.first].sentence not in asked]
    return sorted(set(found))


def _contrast_words(reading: Reading, context: GuardContext, kind: str, words: GuardWords) -> list[Span]:
    """Enhancement and phases where no contrast is a fact; the name of an outlined segment is no claim."""
    if context.contrast == "yes":
        return []
    found = reading.find(words.phrases("modality.contrast"), words.phrases("modality.contrast_exceptions"))
    if kind == "US":  # there it is the sound that is enhanced, and Doppler shows vessels
        found = outside(found, reading.find(words.phrases("modality.contrast_us_exceptions")))
    outlined = {segment.term_id for segment in context.segments.values()}
    return outside(found, [Span(m.first, m.last) for m in reading.mentions if m.term.id in outlined])


def _foreign_structures(reading: Reading, context: GuardContext, words: GuardWords) -> Iterator[Mention]:
    regions = words.settings["modality.templates"].get(context.template)
    if regions is None or not regions["regions"]:
        return
    elsewhere = _clauses(reading, reading.find(words.phrases("modality.elsewhere")))
    exempt = set(_tokens_of(reading.find(words.phrases("modality.not_imaged"))))
    exempt |= set(_tokens_of(reading.find(words.phrases("modality.words.signal"))))  # T2 is no vertebra there
    for mention in reading.mentions:
        known = mention.term.id in (*context.listed, *regions["also"], *words.settings["modality.placeless"])
        fits = known or set(mention.term.region) & set(regions["regions"])
        asked = reading.tokens[mention.first].sentence in elsewhere
        if mention.term.region and not (fits or asked or mention.first in exempt or _is_origin(mention, words)):
            yield mention


def _is_origin(mention: Mention, words: GuardWords) -> bool:
    """ "Prostatakarzinom" names where a disease came from."""
    return mention.rest.startswith(tuple(words.settings["modality.origins"]))


def _clauses(reading: Reading, spans: list[Span]) -> set[int]:
    return {reading.tokens[span.first].sentence for span in spans}


def _tokens_of(spans: list[Span]) -> Iterator[int]:
    for span in spans:
        yield from range(span.first, span.last + 1)
