"""Whether a language model has fallen into writing the same again and again."""

from __future__ import annotations

from collections.abc import Sequence

LONGEST_PERIOD = 160  # tokens, some sentences
TIMES = 3
_LEAST = 48  # tokens that must be the same again, so that a row of dots or a table is none


def repeated_tail(tokens: Sequence[int]) -> int:
    """How many of the last tokens only repeat what stands before them; 0 where the text goes on. The shortest period
    that fills at least 48 tokens and occurs at least three times counts."""
    for period in range(1, min(LONGEST_PERIOD, len(tokens) // TIMES) + 1):
        tail = tokens[-max(TIMES * period, _LEAST + period) :]
        if len(tail) >= TIMES * period and len(tail) >= _LEAST and tail[period:] == tail[:-period]:
            return len(tail) - period
    return 0
