"""Guards: deterministic checks of every sentence of a report. A marked sentence cannot be signed unseen."""

from medviewer.core.guards.check import Memory, check_report, check_sentence
from medviewer.core.guards.context import Contrast, GuardContext, KnownSegment, context_of, terms_of
from medviewer.core.guards.structures import Structures
from medviewer.core.guards.words import FILES, GuardWords

__all__ = [
    "FILES",
    "Contrast",
    "GuardContext",
    "GuardWords",
    "KnownSegment",
    "Memory",
    "Structures",
    "check_report",
    "check_sentence",
    "context_of",
    "terms_of",
]
