"""Names of structures: what a prompt may ask for, in English and German, with DICOM codes and colours."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from medviewer.core.terminology_completion import Offers
from medviewer.core.terminology_reading import LooseReading
from medviewer.core.terminology_term import Code, IntensityRange, Laterality, Side, Term
from medviewer.core.terminology_text import (
    BOTH,
    CARRIERS,
    LEFT,
    RIGHT,
    SIDE_OF,
    distance,
    fold,
    is_typo,
    key_of,
    spellings,
    stem,
    tokens,
)

__all__ = ["Code", "IntensityRange", "Laterality", "Side", "Term", "TermMatch", "Terminology"]

Key = tuple[str, ...]
_SIDE_WORDS = (LEFT, RIGHT, BOTH)
_DOUBLED = re.compile(r"([a-z])\1")
_PLURAL = re.compile(r"[^isu]s$")
_MOST_WORDS = 16  # longer wordings are sentences, not misspelt names
_ENGLISH_SIDES = ("left", "right", "both", "lt", "rt", "l", "r", "bilateral")


@dataclass(frozen=True)
class TermMatch:
    """A wording that was understood.

    `side` is None for both or no side. `sides_given` is True if the wording named a side outside the name.
    `corrected` is the wording as it was read where a typing error was mended, else "".
    """

    term: Term
    side: Side | None = None
    sides_given: bool = False
    corrected: str = ""

    @property
    def side_not_applicable(self) -> bool:
        """A side was asked of a structure that has none."""
        return self.sides_given and self.term.laterality != "paired"


class Terminology:
    """All terms and the indices to find them. Immutable after construction; safe from any thread."""

    def __init__(self, terms: Iterable[Term], known_words: Iterable[str] = ()) -> None:
        self._terms = {term.id: term for term in terms}
        self._keys: dict[Key, tuple[Term, Side | None]] = {}
        self._joined: dict[str, tuple[Term, Side | None]] = {}
        self._vocabulary: dict[str, set[str]] = {}  # first letter -> words
        self._stems: set[str] = {stem(word) for word in known_words}
        self._words: set[str] = set(known_words)
        for term in self._terms.values():
            self._add(term)
        self._known = self._words | set(known_words)
        self._by_length: dict[int, list[str]] = {}
        for joined in self._joined:
            self._by_length.setdefault(len(joined), []).append(joined)
        self._offers = Offers(self._terms.values())
        self._loose_reading = LooseReading(self._terms.values())

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Terminology:
        """From the parsed terminology file. Raises ValueError if an id or a wording is claimed twice."""
        terms = [Term.from_dict(entry) for entry in data["structures"]]
        ids = [term.id for term in terms]
        if len(set(ids)) != len(ids):
            raise ValueError("an id occurs twice in the terminology")
        unknown = {part for term in terms for part in term.parts} - set(ids)
        if unknown:
            raise ValueError(f"unknown parts in the terminology: {sorted(unknown)}")
        return cls(terms, data.get("known_words", ()))

    def __iter__(self) -> Iterator[Term]:
        return iter(self._terms.values())

    def __len__(self) -> int:
        return len(self._terms)

    def __contains__(self, term_id: object) -> bool:
        return term_id in self._terms

    def get(self, term_id: str) -> Term:
        """The term with this id; KeyError if there is none."""
        return self._terms[term_id]

    def names(self) -> list[str]:
        """English display names in the order of the file (common structures first)."""
        return [term.name for term in self._terms.values()]

    def find(self, text: str) -> TermMatch | None:
        """The term a wording names, with its side; None if the wording is not known.

        Case, plural, word order, diacritics, carrier phrases ("show me the") and small typing errors do not matter;
        a wording with any further word is not known.
        """
        for spelled in spellings(text):
            words = tokens(spelled)
            match = self._exact(words) or self._loose(words) or self._mended(words) or self._mended_whole(words)
            if match:
                return match
        return None

    def complete(self, prefix: str, n: int = 8) -> list[str]:
        """Up to `n` wordings that start with `prefix`, then those with a word that does.

        A leading side word is kept and limits the offers to paired structures in its language.
        """
        side, rest = _leading_side(prefix)
        german = bool(side) and fold(side).strip(" .") not in _ENGLISH_SIDES
        language = None if not side else "de" if german else "en"
        offered = self._offers.starting(rest, n, language)
        return [f"{side}{text}" for text in offered]

    def suggest(self, text: str, n: int = 3) -> list[str]:
        """Names of the terms in a list ("liver and spleen"), then those most alike `text`; may be empty."""
        parts = re.split(r"\b(?:and|und|or|oder)\b|[,&+/]", text) if len(text) <= 200 else []
        listed = [match.term.name for part in parts if (match := self.find(part))] if len(parts) > 1 else []
        return list(dict.fromkeys([*listed, *self._offers.alike(text, n)]))[:n]

    def _add(self, term: Term) -> None:
        sided: list[tuple[str, Side | None]] = [(w, None) for w in term.wordings]
        sided += [(w, side) for w, side in term.sided_synonyms.items()]
        for wording, side in sided:
            for spelled in spellings(wording):
                self._index(term, side, tokens(spelled), wording not in term.aliases)

    def _index(self, term: Term, side: Side | None, words: Key, teaches: bool) -> None:
        """`teaches`: its words count as rightly spelt; a data set's label ("Cerebelum") does not teach."""
        key = key_of(words)
        owner = self._keys.setdefault(key, (term, side))
        if owner[0].id != term.id:
            raise ValueError(f"{' '.join(words)!r} is claimed by {owner[0].id} and {term.id}")
        self._joined.setdefault("".join(words), (term, side))
        for word in words if teaches else ():
            self._words.add(word)
            self._stems.add(stem(word))
            if len(word) >= 4 and word not in _SIDE_WORDS:
                self._vocabulary.setdefault(word[0], set()).add(word)

    def _exact(self, words: Key) -> TermMatch | None:
        """Sides inside the name first; then the wording without its sides."""
        return _matched(words, self._look_up)

    def _loose(self, words: Key) -> TermMatch | None:
        """The same by equal words; told as a correction."""
        if len(words) > _MOST_WORDS:
            return None
        match = _matched(self._loose_reading.apart(words), self._loose_reading.look_up)
        return replace(match, corrected=" ".join(filter(None, (match.side, match.term.name)))) if match else None

    def _look_up(self, words: Key) -> tuple[Term, Side | None] | None:
        return self._keys.get(key_of(words)) or self._joined.get("".join(words))

    def _mended(self, words: Key) -> TermMatch | None:
        """Replace unknown words by the only known word they can be a slip for."""
        if len(words) > _MOST_WORDS:
            return None
        choices = [self._choices(word) for word in words]
        if all(choice == (word,) for choice, word in zip(choices, words, strict=True)):
            return None
        wordings: list[Key] = [()]
        for choice in choices:
            wordings = [(*head, word) for head in wordings for word in choice][:64]
        matches = [(wording, match) for wording in wordings if (match := self._exact(wording) or self._loose(wording))]
        if len({(m.term.id, m.side) for _, m in matches}) != 1:
            return None
        wording, match = matches[0]
        return TermMatch(match.term, match.side, match.sides_given, " ".join(wording))

    def _mended_whole(self, words: Key) -> TermMatch | None:
        """Words written apart or together, with one slip ("gal bladder"); never where every word is known."""
        content = tuple(word for word in words if word not in CARRIERS and word not in _SIDE_WORDS)
        if all(self._is_word(word) for word in content):
            return None
        whole = "".join(content)
        if len(whole) < 9 or len(words) > _MOST_WORDS:
            return None
        alike = [known for size in (-1, 0, 1) for known in self._by_length.get(len(whole) + size, ())]
        near = {known for known in alike if is_typo(whole, known) and distance(whole, known, 1) <= 1}
        hits = {self._joined[known][0].id: known for known in near if self._joined[known][1] is None}
        if len(hits) != 1:
            return None
        (known,) = hits.values()
        match = self._exact((*(word for word in words if word in _SIDE_WORDS), known))
        return replace(match, corrected=" ".join(self._wording_of(known))) if match else None

    def _wording_of(self, joined: str) -> Key:
        term = self._joined[joined][0]
        return next(
            (tokens(s) for w in term.wordings for s in spellings(w) if "".join(tokens(s)) == joined), (joined,)
        )

    def _choices(self, word: str) -> Key:
        if word in SIDE_OF or len(word) < 4 or self._is_word(word):
            return (word,)
        single = _DOUBLED.sub(r"\1", word)
        if single != word and len(single) >= 3 and stem(single) in self._stems:
            return (single,)
        swapped = {f"{word[:n]}{word[n + 1]}{word[n]}{word[n + 2:]}" for n in range(1, len(word) - 1)}
        right = tuple(w for w in swapped if w in self._words or (len(w) > 4 and w.removesuffix("s") in self._words))
        if len(right) == 1:
            return right
        return self._slips(word) or (self._slips(word[:-1]) if _PLURAL.search(word) else ()) or (word,)

    def _is_word(self, word: str) -> bool:
        return word in self._known or stem(word) in self._stems or self._loose_reading.is_compound(word)

    def _slips(self, word: str) -> Key:
        near = self._vocabulary.get(word[0], set()) | self._vocabulary.get(word[1], set())
        return tuple(sorted(known for known in near if is_typo(word, known)))[:8]


def _matched(words: Key, look_up: Callable[[Key], tuple[Term, Side | None] | None]) -> TermMatch | None:
    hit = look_up(words)
    if hit:
        return TermMatch(hit[0], hit[1])
    given = {word for word in words if word in _SIDE_WORDS}
    hit = look_up(tuple(word for word in words if word not in _SIDE_WORDS)) if given else None
    return _with_side(hit, given) if hit else None


def _with_side(hit: tuple[Term, Side | None], given: set[str]) -> TermMatch | None:
    """The match with the given side; None where the wording itself means the other side ("left RUL")."""
    term, own = hit
    side: Side | None = None
    if BOTH not in given and len(given) == 1:
        side = "left" if LEFT in given else "right"
    if own and own != side:
        return None
    return TermMatch(term, side, sides_given=True)


def _leading_side(prefix: str) -> tuple[str, str]:
    """Split "Rechte Nie" into "Rechte " and "Nie"; no split without a following word."""
    stripped = prefix.lstrip()
    first, gap, rest = stripped.partition(" ")
    if gap and fold(first).rstrip(".") in SIDE_OF:
        return f"{first} ", rest
    return "", stripped
