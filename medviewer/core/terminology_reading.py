"""A second, looser reading of a wording: equal words, adjectives, kinds of thing, German compounds, French.

Every word of the wording is still accounted for: a word is replaced by its equal ("hepatic" by "liver"), split
("Hirntumor"), or left out where it only says what kind of thing the structure is ("clavicular bone"). What is read this
way is always told to the user. A wording that two terms could mean is not read.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import combinations

from medviewer.core.terminology_term import Side, Term
from medviewer.core.terminology_text import CARRIERS, LEFT, NEGATIONS, RIGHT, SIDE_OF, spellings, stem, tokens
from medviewer.core.terminology_words import ADJECTIVES, EQUALS, FRENCH_CARRIERS, KINDS, table

Key = tuple[str, ...]
Hit = tuple[Term, Side | None]
_LINKS = ("", "s", "n", "en", "e", "es")
_SIDE_STEMS = (("links", LEFT), ("rechts", RIGHT))
_LATIN_NOUNS = {"a": "arteria ", "v": "vena ", "m": "musculus ", "n": "nervus "}
_LATIN = re.compile(r"^([avmn])\1?\. ")
_INSIDE = "intra"
_MOST_SEEN = 20_000
_LEAST = 4  # letters of a compound's part


class LooseReading:
    """The second index. Its answers never change after construction; safe from any thread."""

    def __init__(self, terms: Iterable[Term]) -> None:
        terms = tuple(terms)
        adjectives, equals = table(ADJECTIVES), table(EQUALS)
        own = {word: name for word, name in _one_word(terms).items() if word not in equals.values()}
        self._lemma = {stem(word): stem(lemma) for word, lemma in {**own, **adjectives, **equals}.items()}
        self._adjectives = {stem(word) for word in adjectives}
        self._short = {stem(short): name for short, name in _abbreviations(terms).items()}
        self._kinds = {stem(word): _ids(ids) for word, ids in KINDS.items()}
        self._simple = set(self._lemma) | set(self._lemma.values())
        self._seen: dict[str, Key] = {}
        self._index: dict[Key, Hit | None] = {}
        for term in terms:
            self._add(term)

    def look_up(self, words: Key) -> Hit | None:
        """The term that these words name (`tokens` of a folded text); None if there is none or more than one."""
        for content in self._contents(words):
            stems = {stem(word) for word in content}
            inside = any(word.startswith(_INSIDE) for word in content)
            if len(stems) == 1 and (inside or stems <= self._adjectives):
                continue  # "femoral": the bone, the artery or the nerve
            key = self._key(content)
            hit = self._index.get(key) if inside else self._of_key(key)
            if hit is not None:
                return hit
        return None

    def apart(self, words: Key) -> Key:
        """The words with a side that is written together with its noun ("Linksventrikel") as a word of its own."""
        return tuple(part for word in words for part in self._side_apart(word))

    def is_compound(self, word: str) -> bool:
        """Made of two known words ("Lungenherz"), so no slip for another word."""
        return len(self._lemmas(word)) > 1

    def _side_apart(self, word: str) -> Key:
        for written, side in _SIDE_STEMS:
            if word.startswith(written) and stem(word[len(written) :]) in self._simple:
                return side, word[len(written) :]
        return (word,)

    def _contents(self, words: Key) -> Iterator[Key]:
        """The words without carriers; then also without the French ones."""
        english = tuple(word for word in words if word not in CARRIERS)
        french = tuple(word for word in english if word not in FRENCH_CARRIERS)
        yield from (content for content in dict.fromkeys((english, french)) if content)

    def _of_key(self, key: Key) -> Hit | None:
        hit = self._index.get(key)
        if hit is not None:
            return hit
        kinds = [word for word in key if word in self._kinds]
        for size in range(1, len(kinds) + 1):
            for dropped in combinations(kinds, size):
                hit = self._index.get(tuple(word for word in key if word not in dropped))
                if hit is not None and all(_fits(hit[0], self._kinds[word]) for word in dropped):
                    return hit
        return None

    def _key(self, words: Key) -> Key:
        many = len(words) > 1
        return tuple(sorted({lemma for word in words for lemma in self._expanded(word, many)}))

    def _expanded(self, word: str, among_others: bool) -> Key:
        """Abbreviations are written out beside other words only ("LV wall")."""
        name = self._short.get(stem(word), ()) if among_others else ()
        return tuple(lemma for part in name for lemma in self._lemmas(part)) or self._lemmas(word)

    def _lemmas(self, word: str) -> Key:
        """A word's equal, or those of the two words that it is made of."""
        known = self._seen.get(word)
        if known is None:
            known = self._lemmas_afresh(word)
            if len(self._seen) < _MOST_SEEN:
                self._seen[word] = known
        return known

    def _lemmas_afresh(self, word: str) -> Key:
        known = self._lemma.get(stem(word.removeprefix(_INSIDE)))  # "intrahepatic" is in the liver
        if known is not None:
            return (known,)
        if stem(word) in self._simple or word in SIDE_OF or word in NEGATIONS:
            return (stem(word),)
        halves = {
            (self._lemma_of(word[:at]), self._lemma_of(word[at + len(link) :]))
            for at in range(_LEAST, len(word) - _LEAST + 1)
            for link in _LINKS
            if word.startswith(link, at) and self._is_part(word[:at]) and self._is_part(word[at + len(link) :])
        }
        return halves.pop() if len(halves) == 1 else (stem(word),)

    def _is_part(self, word: str) -> bool:
        return len(word) >= _LEAST and stem(word) in self._simple and stem(word) not in self._adjectives

    def _lemma_of(self, word: str) -> str:
        return self._lemma.get(stem(word), stem(word))

    def _add(self, term: Term) -> None:
        sided: list[tuple[str, Side | None]] = [(wording, None) for wording in term.wordings]
        for wording, side in (*sided, *term.sided_synonyms.items()):
            for spelled in spellings(wording):
                words = tokens(_LATIN.sub(lambda m: _LATIN_NOUNS[m[1]], spelled))
                key = self._key(tuple(word for word in words if word not in CARRIERS) or words)
                known = self._index.setdefault(key, (term, side))
                if known is not None and (known[0].id, known[1]) != (term.id, side):
                    self._index[key] = None


def _one_word(terms: Iterable[Term]) -> dict[str, str]:
    """Every other single word for a structure whose name is one word: "hepatic" and "leber" to "liver"."""
    found: dict[str, str] = {}
    for term in terms:
        if not term.name.isalpha():
            continue
        for wording in term.wordings:
            for spelled in spellings(wording):
                if spelled.isalpha() and len(spelled) >= _LEAST and wording != term.name:
                    found.setdefault(spelled, term.name)
    return found


def _abbreviations(terms: Iterable[Term]) -> dict[str, Key]:
    """Abbreviation to the words of its structure's name; those of two structures are left out."""
    found: dict[str, Key] = {}
    for term in terms:
        for wording in (*term.synonyms, term.name):
            if wording.isupper() and wording.isalpha() and 2 <= len(wording) <= 4 and wording.lower() not in CARRIERS:
                name = tokens(spellings(term.name)[0])
                found[wording.lower()] = name if found.get(wording.lower(), name) == name else ()
    return found


def _ids(text: str) -> frozenset[str] | None:
    return None if text == "*" else frozenset(text.split())


def _fits(term: Term, ids: frozenset[str] | None) -> bool:
    return ids is None or term.id in ids
