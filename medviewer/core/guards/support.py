"""Sentences that nothing supports, and wordings that only a person may use (clinical.md 14, 15)."""

from __future__ import annotations

from medviewer.core.guards.context import GuardContext
from medviewer.core.guards.phrases import longest
from medviewer.core.guards.sentence import MOST_MARKS, Reading
from medviewer.core.guards.words import GuardWords
from medviewer.core.report.document import Finding, Mark


def check_support(finding: Finding, reading: Reading, context: GuardContext, words: GuardWords) -> list[Mark]:
    """A mark where a sentence of program or model has no evidence, or a map only."""
    if finding.is_supported:
        return []
    key = "map_only" if finding.evidence else "no_evidence"
    return [words.mark("no evidence", key, context.language, (0, len(finding.text)))]


def check_normal(finding: Finding, reading: Reading, context: GuardContext, words: GuardWords) -> list[Mark]:
    """Marks for "normal" and its like in a sentence that no person wrote."""
    if finding.origin == "human":
        return []
    found = reading.find(words.phrases("normal.phrases"), words.phrases("normal.exceptions"))
    return [
        words.mark("normal", "not_human", context.language, reading.characters(span),
                   words=reading.words(span, finding.text))
        for span in longest(found)[:MOST_MARKS]
    ]  # fmt: skip
