"""Wordings that compare with an earlier examination where there is none (clinical.md 28)."""

from __future__ import annotations

from collections.abc import Iterable

from medviewer.core.guards.context import GuardContext
from medviewer.core.guards.phrases import Span, longest
from medviewer.core.guards.sentence import MOST_MARKS, Reading
from medviewer.core.guards.words import GuardWords
from medviewer.core.report.document import Finding, Mark

GUARD = "prior"


def check_prior(finding: Finding, reading: Reading, context: GuardContext, words: GuardWords) -> list[Mark]:
    """Marks for every comparison wording; none where a prior is loaded. A human's sentence is held to it as well."""
    if context.has_prior:
        return []
    return [
        words.mark(GUARD, "no_prior", context.language, reading.characters(span),
                   words=reading.words(span, finding.text))
        for span in longest(_claims(reading, words))[:MOST_MARKS]
    ]  # fmt: skip


def _claims(reading: Reading, words: GuardWords) -> list[Span]:
    """Claims of change or sameness, and mentions of earlier examinations that are neither denied nor asked for."""
    exceptions = words.phrases("prior.exceptions")
    always = reading.find(words.phrases("prior.always"))
    claims = reading.find(words.phrases("prior.phrases"), exceptions)
    mentions = reading.find(words.phrases("prior.references"), exceptions)
    if not (always or claims or mentions):
        return []
    absent = _sentences(reading, reading.find(words.phrases("prior.absent")))
    asked = _sentences(reading, reading.find(words.phrases("prior.asked")))
    breaks = _breaks(reading, words)
    kept = [s for s in (*claims, *mentions) if not _is_before_break(s, absent, breaks, reading)]
    kept = [s for s in kept if s not in mentions or reading.tokens[s.first].sentence not in asked]
    return sorted({*always, *kept})


def _sentences(reading: Reading, spans: Iterable[Span]) -> frozenset[int]:
    return frozenset(reading.tokens[span.first].sentence for span in spans)


def _breaks(reading: Reading, words: GuardWords) -> dict[int, int]:
    """The first "but" of each sentence: what follows it stands for itself."""
    known = frozenset(words.settings["reading.breaks"])
    found: dict[int, int] = {}
    for n, token in enumerate(reading.tokens):
        if token.text in known:
            found.setdefault(token.sentence, n)
    return found


def _is_before_break(span: Span, sentences: frozenset[int], breaks: dict[int, int], reading: Reading) -> bool:
    sentence = reading.tokens[span.first].sentence
    return sentence in sentences and span.first < breaks.get(sentence, len(reading.tokens))
