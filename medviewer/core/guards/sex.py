"""Organs and words that belong to the other sex than the one the scan records."""

from __future__ import annotations

from medviewer.core.guards.context import GuardContext
from medviewer.core.guards.phrases import longest
from medviewer.core.guards.sentence import MOST_MARKS, Reading
from medviewer.core.guards.words import GuardWords
from medviewer.core.report.document import Finding, Mark

GUARD = "sex"
_OTHER = {"M": "female", "F": "male"}


def check_sex(finding: Finding, reading: Reading, context: GuardContext, words: GuardWords) -> list[Mark]:
    """Marks for organs of the other sex. An unknown or other recorded sex checks nothing."""
    other = _OTHER.get(context.sex.strip().upper()[:1])
    if other is None:
        return []
    found = reading.find(words.phrases(f"sex.{other}"), words.phrases("sex.exceptions"))
    return [
        words.mark(GUARD, f"organ_{other}", context.language, reading.characters(span),
                   words=reading.words(span, finding.text))
        for span in longest(found)[:MOST_MARKS]
    ]  # fmt: skip
