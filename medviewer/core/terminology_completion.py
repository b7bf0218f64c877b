"""Completing what is being typed, and naming what is most alike an unknown wording."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass

from medviewer.core.terminology_term import Term
from medviewer.core.terminology_text import fold, spellings, tokens


@dataclass(frozen=True)
class _Offer:
    text: str
    term: Term
    language: str
    is_name: bool


class Offers:
    """Wordings to complete and to suggest from."""

    def __init__(self, terms: Iterable[Term]) -> None:
        self._offers = [offer for term in terms for offer in _offers_of(term)]
        self._grams = [_grams(fold(offer.text)) for offer in self._offers]
        starts: list[
            tuple[str, int, int]
        ] = []  # folded text from a word on, 0 whole or 1 inner word, number of the offer
        for number, offer in enumerate(self._offers):
            for folded in spellings(offer.text):
                starts.append((folded, 0, number))
                starts += [(folded[m + 1 :], 1, number) for m in range(len(folded)) if folded[m] in " -/"]
        self._starts = sorted(starts)

    def starting(self, prefix: str, n: int, paired_in: str | None) -> list[str]:
        """Offers that start with `prefix`; `paired_in` a language keeps its wordings of paired structures only."""
        sought = fold(prefix).strip()
        if not sought or n <= 0:
            return []
        ranked = []
        for place in range(bisect_left(self._starts, (sought, 0, 0)), len(self._starts)):
            text, inner, number = self._starts[place]
            if not text.startswith(sought):
                break
            offer = self._offers[number]
            if paired_in is None or (offer.term.laterality == "paired" and offer.language == paired_in):
                ranked.append((inner, not offer.is_name, number))
        return self._first([number for _, _, number in sorted(ranked)], n)

    def _first(self, numbers: list[int], n: int) -> list[str]:
        chosen: dict[str, str] = {}
        for number in numbers:
            text = self._offers[number].text
            chosen.setdefault(fold(text), text)
            if len(chosen) >= n:
                break
        return list(chosen.values())

    def alike(self, text: str, n: int) -> list[str]:
        sought = _grams(" ".join(tokens(fold(text))))
        scores: dict[str, float] = {}
        for offer, grams in zip(self._offers, self._grams, strict=True):
            shared = len(sought & grams)
            if shared:
                score = shared / (len(sought) + len(grams) - shared)
                scores[offer.term.name] = max(scores.get(offer.term.name, 0.0), score)
        good = [name for name, score in sorted(scores.items(), key=lambda s: -s[1]) if score >= 0.22]
        return good[:n]


def _offers_of(term: Term) -> list[_Offer]:
    english = [_Offer(text, term, "en", text == term.name) for text in (term.name, *term.synonyms_en)]
    german = [_Offer(text, term, "de", text == term.name_de) for text in (term.name_de, *term.synonyms_de)]
    return english + german


def _grams(folded: str) -> frozenset[str]:
    padded = f"  {folded} "
    return frozenset(padded[i : i + 3] for i in range(len(padded) - 2))
