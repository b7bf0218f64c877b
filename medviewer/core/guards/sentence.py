"""A finding's text as the guards read it: words, structures, sides, negated parts. Read once, used by every guard."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

from medviewer.core.guards.context import GuardContext
from medviewer.core.guards.phrases import Phrases, Span, outside
from medviewer.core.guards.reading import Token, read_tokens
from medviewer.core.guards.structures import Mention
from medviewer.core.guards.words import GuardWords

ABNORMAL = "49755003"  # SNOMED CT: morphologically abnormal structure, the category of findings
MOST_MARKS = 20  # of one guard in one sentence: more tell a reader nothing


@dataclass(frozen=True, eq=False)
class Reading:
    """`classes`: for each token what it is ("structure", "side", "number", "time"). `sides`: where sides are named,
    with "left", "right" or "both"; sides inside names ("left ventricle") are left out."""

    tokens: tuple[Token, ...]
    classes: tuple[frozenset[str], ...]
    mentions: tuple[Mention, ...]
    sides: tuple[tuple[Span, str], ...]
    negations: tuple[Span, ...]
    _places: dict[str, list[Span]] = field(default_factory=dict)

    @cached_property
    def negated_clauses(self) -> frozenset[int]:
        """Numbers of the clauses that hold a negation."""
        return frozenset(self.tokens[span.first].clause for span in self.negations)

    @cached_property
    def organs(self) -> tuple[Mention, ...]:
        """The mentions of anatomical structures, without findings."""
        return tuple(m for m in self.mentions if m.term.category.value != ABNORMAL)

    @cached_property
    def organs_by_sentence(self) -> dict[int, list[Mention]]:
        """The organs named in each sentence, in order."""
        found: dict[int, list[Mention]] = {}
        for mention in self.organs:
            found.setdefault(self.tokens[mention.first].sentence, []).append(mention)
        return found

    @cached_property
    def sides_by_clause(self) -> dict[int, list[str]]:
        """The sides named in each clause, in order."""
        found: dict[int, list[str]] = {}
        for span, side in self.sides:
            found.setdefault(self.tokens[span.first].clause, []).append(side)
        return found

    def find(self, phrases: Phrases, exceptions: Phrases | None = None) -> list[Span]:
        """Where the phrases stand and no exception does."""
        found = phrases.find(self.tokens, self.classes)
        return outside(found, exceptions.find(self.tokens, self.classes)) if found and exceptions else found

    def characters(self, span: Span) -> tuple[int, int]:
        """The characters of the text that a span of tokens covers."""
        return self.tokens[span.first].start, self.tokens[span.last].end

    def words(self, span: Span, text: str) -> str:
        """The words of a span as they are written, for a reason."""
        start, end = self.characters(span)
        return " ".join("".join(c if c.isprintable() else " " for c in text[start:end][:80]).split())

    def mention_before(self, token: int) -> Mention | None:
        """The last structure named before a token in its clause."""
        at = bisect_right(self.mentions, token - 1, key=lambda m: m.last) - 1
        mention = self.mentions[at] if at >= 0 else None
        return mention if mention and self.same_clause(mention.first, token) else None

    def mention_from(self, token: int) -> Mention | None:
        """The first structure that begins at a token or later in its clause."""
        at = bisect_left(self.mentions, token, key=lambda m: m.first)
        mention = self.mentions[at] if at < len(self.mentions) else None
        return mention if mention and self.same_clause(mention.first, token) else None

    def mention_after(self, token: int) -> Mention | None:
        """The next structure named after a token in its clause."""
        following = token + 1 < len(self.tokens) and self.same_clause(token + 1, token)
        return self.mention_from(token + 1) if following else None

    def side_before(self, token: int) -> str:
        """The last side named before a token in its clause, or ""."""
        at = bisect_left(self.sides, token, key=lambda item: item[0].first) - 1
        if at < 0 or not self.same_clause(self.sides[at][0].first, token):
            return ""
        return self.sides[at][1]

    def places(self, path: str, words: GuardWords) -> list[Span]:
        """Where the phrases of a list stand; looked up once."""
        if path not in self._places:
            self._places[path] = self.find(words.phrases(path))
        return self._places[path]

    def same_clause(self, one: int, other: int) -> bool:
        """Whether two tokens stand in one clause."""
        return self.tokens[one].clause == self.tokens[other].clause


def read_sentence(text: str, context: GuardContext, words: GuardWords) -> Reading:
    """Read a text against the structures of the context. Linear in its length."""
    tokens = read_tokens(text, words.settings["reading.breaks"], words.settings["reading.abbreviations"])
    mentions = tuple(context.structures.find(tokens))
    classes = _classes(tokens, mentions, frozenset(words.settings["reading.times"]))
    sides = _sides(tokens, classes, mentions, words)
    for span, _ in sides:
        classes[span.first] |= {"side"}
    negations = words.phrases("reading.negations").find(tokens, classes)
    return Reading(tokens, tuple(classes), mentions, tuple(sides), tuple(negations))


def _classes(
    tokens: Sequence[Token], mentions: Sequence[Mention], times: frozenset[str]
) -> list[frozenset[str]]:
    classes = [_class_of(token, times) for token in tokens]
    for mention in mentions:
        for n in range(mention.first, mention.last + 1):
            classes[n] |= {"structure"}
    return classes


def _class_of(token: Token, times: frozenset[str]) -> frozenset[str]:
    """A number, a time or neither; a year is both. `times` with a "=" hold as they are written ("=May")."""
    if token.is_number:
        year = len(token.text) == 4 and token.text[:2] in ("19", "20") and token.text.isdigit()
        return frozenset({"number", "time"}) if year else frozenset({"number"})
    return frozenset({"time"}) if token.text in times or f"={token.raw}" in times else frozenset()


def _sides(
    tokens: Sequence[Token], classes: Sequence[frozenset[str]], mentions: Sequence[Mention], words: GuardWords
) -> list[tuple[Span, str]]:
    found = [(Span(m.first, m.last), m.side) for m in mentions if m.side]
    for side in ("left", "right", "both"):
        spans = words.phrases(f"laterality.sides.{side}").find(tokens, classes)
        found += [(span, side) for span in spans]
    found += _single_letters(tokens, classes)
    found.sort()
    names = [Span(m.first, m.last) for m in mentions if m.term.laterality == "name"]
    names += words.phrases("laterality.names").find(tokens, classes)
    kept = set(outside([span for span, _ in found], sorted(names)))
    return [(span, side) for span, side in found if span in kept]


def _single_letters(tokens: Sequence[Token], classes: Sequence[frozenset[str]]) -> list[tuple[Span, str]]:
    """A capital L or R right before a structure."""
    sides = {"L": "left", "R": "right"}
    return [(Span(n, n), sides[token.raw]) for n, token in enumerate(tokens[:-1])
            if token.raw in sides and "structure" in classes[n + 1]]  # fmt: skip
