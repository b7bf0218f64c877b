"""A sentence as folded words that know where they stand in the text; time and memory grow linearly with its length.

Folding: lower case, umlauts as ae, oe, ue, no other diacritics, digits of every script as 0-9, any space as a space.
Invisible format characters (zero width, direction marks) are dropped, control characters count as spaces.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection
from dataclasses import dataclass
from functools import lru_cache

_DASHES = "-‐‑‒–—―−"
_SIGNS = {**dict.fromkeys(_DASHES, "-"), "×": "x", "✕": "x", "’": "'", "٫": ".", "٬": ",", "⁄": "/", "≤": "<", "≥": ">"}
_UMLAUTS = {"a": "ae", "o": "oe", "u": "ue"}
_DIAERESIS = "\u0308"
_TOKEN = re.compile(r"\d+(?:[.,]\d+)*|(?<=[\d ])x(?= ?\d)|[^\W\d_]+\d*|[%°]|[-.,;!?()\[\]\n/<>]")
_ENDS_SENTENCE = frozenset(".!?;\n")
_ENDS_CLAUSE = frozenset(",()[]")


@dataclass(frozen=True)
class Token:
    """One word or number. `start`, `end`: characters of the original text. `dash`: a dash stands before it; `minus`:
    that dash can only be a sign; `relation`: "<" or ">" stands before it; `slash`: a slash does."""

    text: str
    raw: str
    start: int
    end: int
    clause: int
    sentence: int
    dash: bool = False
    minus: bool = False
    relation: str = ""
    slash: bool = False

    @property
    def is_number(self) -> bool:
        """Whether it is written in digits."""
        return self.text[0].isdigit()


def fold_with_places(text: str) -> tuple[str, list[int]]:
    """The folded text, and for each of its characters the index in `text` that it came from."""
    folded: list[str] = []
    places: list[int] = []
    for index, char in enumerate(text):
        if char == _DIAERESIS and folded and folded[-1] in _UMLAUTS:
            folded.append("e")
            places.append(index)
            continue
        for part in _folded(char):
            folded.append(part)
            places.append(index)
    return "".join(folded), places


@lru_cache(maxsize=4096)
def _folded(char: str) -> str:
    category = unicodedata.category(char)
    if char in _SIGNS:
        return _SIGNS[char]
    if char == "\n" or category == "Zp":
        return "\n"
    if category in ("Cc", "Zs", "Zl"):
        return " "
    if category in ("Cf", "Mn", "Me", "Cs"):
        return ""
    if category == "Nd":
        return str(unicodedata.digit(char))
    return _letters(char)


def _letters(char: str) -> str:
    decomposed = unicodedata.normalize("NFKD", char)
    base = "".join(c for c in decomposed if not unicodedata.combining(c)).casefold()
    spelled = _UMLAUTS.get(base) if _DIAERESIS in decomposed else None
    return (spelled or base).replace("⁄", "/")


def fold(text: str) -> str:
    """The folded text alone."""
    return fold_with_places(text)[0]


def read_tokens(text: str, breaks: Collection[str] = (), abbreviations: Collection[str] = ()) -> tuple[Token, ...]:
    """The words and numbers of a text in order.

    A new clause starts at a comma, bracket, free-standing dash and at the words `breaks`; a new sentence at a
    full stop (not after `abbreviations` or one letter), semicolon, line end. Words may be joined by a hyphen.
    """
    reader = _Reader(text, frozenset(breaks), frozenset(abbreviations))
    return reader.read()


class _Reader:
    """Goes once through the text."""

    def __init__(self, text: str, breaks: frozenset[str], abbreviations: frozenset[str]) -> None:
        self._text, self._breaks, self._abbreviations = text, breaks, abbreviations
        self._folded, self._places = fold_with_places(text)
        self._tokens: list[Token] = []
        self._clause = self._sentence = self._dashes = 0
        self._dash_end = -1
        self._relation = ""
        self._slash = False

    def read(self) -> tuple[Token, ...]:
        for match in _TOKEN.finditer(self._folded):
            word = match[0]
            if word == "-":
                self._note_dash(match.start(), match.end())
            elif word in "<>":
                self._relation = word
            elif word in _ENDS_SENTENCE or word in _ENDS_CLAUSE:
                self._note_mark(word)
            elif word == "/":
                self._slash = True
            else:
                self._take(word, match.start(), match.end())
        return tuple(self._tokens)

    def _note_dash(self, start: int, end: int) -> None:
        alone = self._folded[start - 1 : start] == " " == self._folded[end : end + 1]
        if alone and not self._after_number():
            self._clause += 1
        self._dashes, self._dash_end = self._dashes + 1, end

    def _after_number(self) -> bool:
        return bool(self._tokens) and (self._tokens[-1].is_number or self._dashes > 0)

    def _note_mark(self, mark: str) -> None:
        last = self._tokens[-1].text if self._tokens else ""
        if mark == "." and ((len(last) == 1 and last.isalpha()) or last in self._abbreviations):
            return
        self._clause += 1
        self._sentence += mark in _ENDS_SENTENCE

    def _take(self, word: str, start: int, end: int) -> None:
        if word in self._breaks:
            self._clause += 1
        first, last = self._places[start], self._places[end - 1] + 1
        place = (first, last, self._clause, self._sentence)
        signs = (self._dashes > 0, self._is_minus(start), self._relation, self._slash)
        self._tokens.append(Token(word, self._text[first:last], *place, *signs))
        self._dashes, self._relation, self._slash = 0, "", False

    def _is_minus(self, start: int) -> bool:
        """A dash that touches the number, and no range or hyphen: "of -45", "-100 - -50"."""
        if not self._dashes or self._dash_end != start:
            return False
        glued = start > 1 and self._folded[start - 2].isalnum()
        after_number = bool(self._tokens) and self._tokens[-1].is_number
        return not glued and (self._dashes > 1 or not after_number)
