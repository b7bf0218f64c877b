"""Which structures of the terminology a sentence names, where, and with which side of its own ("RUL")."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from medviewer.core.guards.reading import Token, read_tokens
from medviewer.core.terminology import Term, Terminology
from medviewer.core.terminology_text import stem
from medviewer.core.terminology_words import ADJECTIVES

_SHORTEST_PART = 4  # letters of a German structure at the head of a compound ("Milzvolumen")
_LONGEST_COMPOUND = 40
_END = ""  # key of a node's own term
_LINKS = ("", "s", "n", "en", "e")
Node = dict[str, Any]


@dataclass(frozen=True)
class Mention:
    """A structure named by tokens `first` to `last`. `rest`: what follows it inside a compound word ("volumen")."""

    term: Term
    first: int
    last: int
    side: str | None = None
    rest: str = ""


@dataclass(frozen=True, eq=False)
class Structures:
    """Names of all structures as a tree of word stems. Build once with `from_terminology`; any thread."""

    terminology: Terminology
    _tree: Node = field(default_factory=dict)
    _heads: dict[str, Term] = field(default_factory=dict)
    _no_rests: tuple[str, ...] = ()

    @classmethod
    def from_terminology(
        cls, terminology: Terminology, ignored: Collection[str] = (), no_rests: Collection[str] = ()
    ) -> Structures:
        """`ignored`: wordings that mean something else in a sentence ("ML" is a unit there). `no_rests`: ends of German
        compounds that name no structure ("nierenförmig")."""
        structures = cls(terminology, _no_rests=tuple(no_rests))
        for term in terminology:
            structures._add(term, frozenset(ignored))
        structures._add_adjectives()
        return structures

    def find(self, tokens: Sequence[Token]) -> list[Mention]:
        """The longest names, from the beginning on; no token is used twice."""
        found, at = [], 0
        while at < len(tokens):
            mention = self._longest(tokens, at) or self._compound(tokens[at].text, at)
            if mention:
                found.append(mention)
            at = mention.last + 1 if mention else at + 1
        return found

    def _longest(self, tokens: Sequence[Token], start: int) -> Mention | None:
        node, best = self._tree, None
        for n in range(start, len(tokens)):
            if tokens[n].sentence != tokens[start].sentence or (n > start and tokens[n].clause != tokens[start].clause):
                break
            node = node.get(_stem(tokens[n].text), {})
            if not node:
                break
            if _END in node and _is_written_so(node[_END], tokens[start : n + 1]):
                best = Mention(node[_END][0], start, n, node[_END][1])
        return best

    def _compound(self, word: str, at: int) -> Mention | None:
        """A German compound that begins with a structure; the longest beginning counts."""
        for cut in range(min(len(word), _LONGEST_COMPOUND) - 2, _SHORTEST_PART - 1, -1):
            term = self._heads.get(word[:cut])
            if term is not None and not word[cut:].startswith(self._no_rests or ("\0",)):
                return Mention(term, at, at, None, word[cut:])
        return None

    def with_names(self, further: Mapping[str, Sequence[str]]) -> Structures:
        """Itself, with further wordings by term id (plurals that no rule makes); unknown ids are left out."""
        for term_id, wordings in further.items():
            for wording in wordings if term_id in self.terminology else ():
                self._put(self.terminology.get(term_id), wording, None)
        return self

    def _add(self, term: Term, ignored: frozenset[str]) -> None:
        wordings = [term.name, term.name_de, *term.synonyms]
        for wording in wordings:
            if wording not in ignored:
                self._put(term, wording, None)
        for wording, side in term.sided_synonyms.items():
            self._put(term, wording, side)
        for wording in (term.name_de, *term.synonyms_de):
            tokens = read_tokens(wording)
            if len(tokens) == 1 and len(tokens[0].text) >= _SHORTEST_PART and wording[0].isupper():
                self._add_head(term, tokens[0].text)

    def _add_head(self, term: Term, word: str) -> None:
        for link in _LINKS:
            self._heads.setdefault(word + link, term)
        if word[-1] in "ae":
            self._heads.setdefault(word[:-1] + "en", term)

    def _put(self, term: Term, wording: str, side: str | None) -> None:
        tokens = read_tokens(wording)
        node = self._tree
        for token in tokens:
            node = node.setdefault(_stem(token.text), {})
        if tokens:
            node.setdefault(_END, (term, side, wording.isupper() and len(wording) <= 4))

    def _add_adjectives(self) -> None:
        for noun, adjective in _adjectives():
            known = self._tree.get(_stem(noun), {}).get(_END)
            if known:
                self._tree.setdefault(_stem(adjective), {}).setdefault(_END, (known[0], None, False))


def _adjectives() -> Iterator[tuple[str, str]]:
    for line in ADJECTIVES.strip().splitlines():
        noun, _, adjectives = line.partition(":")
        for adjective in adjectives.split():
            yield noun.strip(), adjective


def _is_written_so(entry: tuple[Term, str | None, bool], tokens: Sequence[Token]) -> bool:
    """Abbreviations count in capitals only: "la" is no atrium."""
    return not entry[2] or "".join(token.raw for token in tokens).isupper()


@lru_cache(maxsize=20_000)
def _stem(word: str) -> str:
    word = "t" + word[2:] if word[:2] == "th" and word[2:].isdigit() else word
    return stem(word)
