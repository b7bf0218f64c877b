"""Phrases of the word lists and where a text holds them.

A phrase is words with spaces between them: `word` exactly; `word*` any word that starts so, `*word` that ends so,
`*word*` that holds it; `=Word` as the text writes it, capitals too; `a|b` either; `..` up to four words in between,
`...` up to twelve; `@structure`, `@side`, `@number`, `@time` any token of that class; `word$` only as the last word of
its clause. A phrase never reaches over the end of a sentence.
Every place of the text is compared with the few phrases that may begin there.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from medviewer.core.guards.reading import Token, fold

_GAPS = {"..": 4, "...": 12}  # words that may stand in between
_KEY = 3  # letters by which beginnings and endings are looked up
Classes = Sequence[frozenset[str]]
Element = tuple[str, ...]


class Span(NamedTuple):
    """Tokens `first` to `last`, both inside."""

    first: int
    last: int

    def overlaps(self, other: Span) -> bool:
        """Whether they share a token."""
        return self.first <= other.last and other.first <= self.last


@dataclass(frozen=True)
class Phrase:
    """One phrase as a row of elements, each the alternatives for one word."""

    elements: tuple[Element, ...]

    @classmethod
    def parse(cls, text: str) -> Phrase:
        """Raises ValueError for a phrase that is empty, begins or ends with a gap, or looks up under three letters."""
        elements = tuple(tuple(_spelled(part) for part in word.split("|")) for word in text.split())
        if not elements or any(element[0] in _GAPS for element in (elements[0], elements[-1])):
            raise ValueError(f"not a phrase: {text!r}")
        short = [part for part in elements[0] if "*" in part and len(part.strip("*")) < _KEY]
        if short:
            raise ValueError(f"{text!r} begins with fewer than {_KEY} letters before or after its *")
        return cls(elements)

    def end_at(self, tokens: Sequence[Token], classes: Classes, start: int) -> int | None:
        """The last token of the longest reading of the phrase that begins at `start`, else None."""
        ends = [start]  # places where the next element may stand, in order; few, as gaps are short
        for element in self.elements:
            if element[0] in _GAPS:
                ends = _after_gap(tokens, ends, start, _GAPS[element[0]])
                continue
            ends = [n + 1 for n in ends if _is_here(element, tokens, classes, n, start)]
            if not ends:
                return None
        return ends[-1] - 1


def _spelled(part: str) -> str:
    if part in _GAPS or part[0] in "@=":
        return part
    if part[-1] == "$":
        return f"{_spelled(part[:-1])}$"
    left, right = part.startswith("*"), part.endswith("*")
    return "*" * left + fold(part.strip("*")) + "*" * right


def _after_gap(tokens: Sequence[Token], places: Sequence[int], start: int, most: int) -> list[int]:
    last = min(places[-1] + most, len(tokens) - 1)
    reached = {n for place in places for n in range(place, min(place + most, last) + 1)}
    return [n for n in sorted(reached) if tokens[n].sentence == tokens[start].sentence] or [len(tokens)]


def _is_here(element: Element, tokens: Sequence[Token], classes: Classes, n: int, start: int) -> bool:
    if n >= len(tokens) or tokens[n].sentence != tokens[start].sentence:
        return False
    is_last = n + 1 == len(tokens) or tokens[n + 1].clause != tokens[n].clause
    return any(_fits(part.rstrip("$"), tokens[n], classes[n]) for part in element if is_last or part[-1] != "$")


def _fits(part: str, token: Token, classes: frozenset[str]) -> bool:
    word = token.text
    if part[0] == "@":
        return part[1:] in classes
    if part[0] == "=":
        return token.raw == part[1:]
    if part[-1] == "*":
        return word.startswith(part[:-1]) if part[0] != "*" else part.strip("*") in word
    return word.endswith(part[1:]) and len(word) > len(part) if part[0] == "*" else word == part


class Phrases:
    """A list of phrases, sorted by how they begin. Immutable; any thread."""

    def __init__(self, texts: Iterable[str]) -> None:
        self._by_key: dict[str, list[Phrase]] = {}
        for text in texts:
            phrase = Phrase.parse(text)
            for key in {_key(part) for part in phrase.elements[0]}:
                self._by_key.setdefault(key, []).append(phrase)

    def find(self, tokens: Sequence[Token], classes: Classes) -> list[Span]:
        """Where the phrases stand, the longest of those that begin at one token; in order."""
        found, by_key = [], self._by_key
        for start, token in enumerate(tokens):
            keys = [key for key in _keys_of(token.text, classes[start]) if key in by_key]
            if keys and (ends := self._ends(keys, tokens, classes, start)):
                found.append(Span(start, max(ends)))
        return found

    def _ends(self, keys: Iterable[str], tokens: Sequence[Token], classes: Classes, start: int) -> list[int]:
        ends = (phrase.end_at(tokens, classes, start) for key in keys for phrase in self._by_key[key])
        return [end for end in ends if end is not None]


@lru_cache(maxsize=50_000)
def _keys_of(word: str, classes: frozenset[str]) -> tuple[str, ...]:
    """Where the phrases that may begin with a word are looked up."""
    return (word, f"{word[:_KEY]}*", f"*{word[-_KEY:]}", "**", *(f"@{name}" for name in classes))


def _key(part: str) -> str:
    part = part.rstrip("$")
    if part[0] == "=":
        return fold(part[1:])
    if part[0] == "@" or "*" not in part:
        return part
    if part[0] == "*" == part[-1]:
        return "**"
    return f"{part[:_KEY].rstrip('*')}*" if part[-1] == "*" else f"*{part[-_KEY:]}"


def outside(found: Iterable[Span], exceptions: Sequence[Span]) -> list[Span]:
    """Those that share no token with an exception. Both in order."""
    kept, at = [], 0
    for span in found:
        while at < len(exceptions) and exceptions[at].last < span.first:
            at += 1
        if not any(span.overlaps(other) for other in exceptions[at : at + 8]):
            kept.append(span)
    return kept


def longest(found: Iterable[Span]) -> list[Span]:
    """Of those that share a token the longest, of equals the first; in order."""
    kept: list[Span] = []
    taken: set[int] = set()
    for span in sorted(found, key=lambda s: (s.first - s.last, s.first)):
        tokens = range(span.first, span.last + 1)
        if taken.isdisjoint(tokens):
            taken.update(tokens)
            kept.append(span)
    return sorted(kept)


def last_before(spans: Sequence[Span], token: int) -> Span | None:
    """The last of the spans (in order) that begins before a token."""
    at = bisect_left(spans, (token, 0)) - 1
    return spans[at] if at >= 0 else None
