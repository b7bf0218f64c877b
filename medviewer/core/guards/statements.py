"""What a sentence states, in a form that two sentences can be compared by: presence, attributes, values."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from medviewer.core.guards.context import GuardContext
from medviewer.core.guards.numbers import UNITS, quantities
from medviewer.core.guards.phrases import Span, last_before
from medviewer.core.guards.sentence import ABNORMAL, Reading
from medviewer.core.guards.structures import Mention
from medviewer.core.guards.words import GuardWords
from medviewer.core.report.document import Finding

Kind = Literal["presence", "attribute", "value"]
_NEAR = 5  # tokens between a finding and the organ after it


@dataclass(frozen=True)
class Statement:
    """`subject`: an entity ("effusion"), or an organ's term id; `place`: the organ's term id or "".

    `name`: group of an attribute or quantity of a value; `pole`: "present", "large", ...; `holds` is False where it is
    denied. `number`, `step`: of a value, in the base unit of its dimension.
    """

    kind: Kind
    subject: str
    place: str
    side: str
    name: str
    pole: str
    holds: bool
    finding: Finding
    span: tuple[int, int]
    in_impression: bool = False
    number: float = 0.0
    step: float = 0.0


class Statements:
    """Reads one finding's statements. `in_impression`: the sentence stands in the impression."""

    def __init__(
        self, finding: Finding, reading: Reading, context: GuardContext, words: GuardWords, in_impression: bool = False
    ) -> None:
        self._finding, self._reading, self._words = finding, reading, words
        self._context, self._in_impression = context, in_impression
        self._findings: set[int] = set()  # tokens at which findings begin
        self._doubts = frozenset(reading.tokens[s.first].clause for s in self._places("doubts"))
        self._lists = frozenset(reading.tokens[s.first].sentence for s in self._places("list_words"))

    def read(self) -> list[Statement]:
        """All statements, those about presence first."""
        presence = sorted(self._presence(), key=lambda s: s.span)
        found = [*presence, *self._attributes(presence), *self._organ_words(), *self._described()]
        return [*found, *self._values()]

    def _places(self, name: str) -> list[Span]:
        return self._reading.places(f"contradiction.{name}", self._words)

    def _presence(self) -> Iterator[Statement]:
        taken: set[int] = set()
        for entity, place, span, holds in (*self._named_findings(), *self._entities()):
            if taken.isdisjoint(range(span.first, span.last + 1)):
                taken |= set(range(span.first, span.last + 1))
                yield from self._present(entity, place, span, holds)

    def _named_findings(self) -> Iterator[tuple[str, str, Span, bool]]:
        """Findings that bring their place ("gallstone") or their denial ("steinfrei"): entity, place, span, holds."""
        settings = self._words.settings
        terms, told = settings["contradiction.terms"], settings["contradiction.words"]
        denials = settings["contradiction.denials"]
        for mention in self._reading.mentions:
            entity, _, place = terms.get(mention.term.id, "").partition("@")
            if entity:
                yield entity, place, Span(mention.first, mention.last), True
        for n, token in enumerate(self._reading.tokens):
            entity, _, place = told.get(token.text, denials.get(token.text, "")).partition("@")
            if entity:
                yield entity, place, Span(n, n), token.text not in denials

    def _entities(self) -> Iterator[tuple[str, str, Span, bool]]:
        """Findings by their phrases; kinds ("hernia/inguinal") before what they are a kind of."""
        names = sorted(self._words.below("contradiction.entities"), key=lambda name: "/" not in name)
        for entity in names:
            for span in self._places(f"entities.{entity}"):
                yield entity, "", span, True

    def _present(self, entity: str, place: str, span: Span, holds: bool) -> Iterator[Statement]:
        self._findings.add(span.first)
        denied = not holds or self._is_denied(span)
        if self._reading.tokens[span.first].clause in self._doubts or (denied and self._is_limited(span)):
            return
        place = place or self._place_of(span)
        if not denied and not place:
            place = str(self._words.settings["contradiction.defaults"].get(entity, ""))
        yield self._statement("presence", entity, place, self._side_of(span), "presence", "present", not denied, span)

    def _is_limited(self, span: Span) -> bool:
        """ "No large effusion" denies no small one."""
        before = last_before(self._reading.negations, span.first)
        limit = last_before(self._places("limits"), span.first + 1)
        near = limit is not None and self._reading.same_clause(limit.first, span.first)
        return limit is not None and near and (before is None or limit.first >= before.first)

    def _attributes(self, presence: list[Statement]) -> Iterator[Statement]:
        for group, span, pole in self._poles():
            subject, place = self._subject_of(group, span, presence)
            if subject:
                holds = not self._is_denied(span)
                yield self._statement("attribute", subject, place, self._side_of(span), group, pole, holds, span)

    def _poles(self) -> Iterator[tuple[str, Span, str]]:
        """Group, place and pole of each attribute; of two that share words the longer counts ("normal groß")."""
        found = sorted((path.partition(".")[0], span, path.partition(".")[2])
                       for path in self._words.below("contradiction.attributes")
                       for span in self._places(f"attributes.{path}"))  # fmt: skip
        for n, (group, span, pole) in enumerate(found):
            near = found[max(n - 3, 0) : n] + found[n + 1 : n + 4]
            longer = [
                s for g, s, _ in near if g == group and s.overlaps(span) and s.last - s.first > span.last - span.first
            ]
            if not longer:
                yield group, span, pole

    def _subject_of(self, group: str, span: Span, presence: list[Statement]) -> tuple[str, str]:
        """What an attribute is said of: for a count the finding beside it, else the organ."""
        if group == "size" and self._findings & {span.last + 1, span.last + 2, span.last + 3}:
            return "", ""  # a "small cyst" in the liver is no small liver
        if group != "count":
            mention = self._organ_near(span) or self._only_organ(span)
            return (mention.term.id if mention else self._heading_place(), "")
        near = _nearest(presence, self._reading.characters(span)[0])
        return (near.subject, near.place) if near else ("", "")

    def _organ_words(self) -> Iterator[Statement]:
        """Words that hold organ and attribute: "hepatomegaly", "cholecystectomy"."""
        table = self._words.settings["contradiction.organ_words"]
        for n, token in enumerate(self._reading.tokens):
            known = table.get(token.text)
            if known:
                term, group, pole = known
                side = self._side_of(Span(n, n))
                yield self._statement(
                    "attribute", term, "", side, group, pole, not self._is_denied(Span(n, n)), Span(n, n)
                )

    def _described(self) -> Iterator[Statement]:
        """Organs that the sentence says something of: one that was removed cannot be."""
        gone = frozenset(self._reading.tokens[span.first].clause for span in self._places("gone"))
        stumps = {span.first for span in self._places("stumps")}
        for m in self._reading.organs:
            clause = self._reading.tokens[m.first].clause
            if clause not in gone | self._reading.negated_clauses and m.first not in stumps:
                span = Span(m.first, m.last)
                yield self._statement("attribute", m.term.id, "", self._side_of(span), "named", "named", True, span)

    def _values(self) -> Iterator[Statement]:
        findings = {self._reading.tokens[m.first].clause for m in self._reading.mentions if _is_abnormal(m)}
        findings |= {self._reading.tokens[span.first].clause for name in self._words.below("contradiction.entities")
                     for span in self._places(f"entities.{name}")}  # fmt: skip
        for q in quantities(self._reading, self._context.language, self._words):
            mention = self._organ_near(q.span) or self._only_organ(q.span)
            if mention is None or q.relation != "equal" or self._is_of_finding(q.span, mention, findings):
                continue
            dimension, factor = UNITS[q.unit]
            yield Statement(
                "value", mention.term.id, "", self._side_of(q.span), self._quantity(q.span, dimension), dimension, True,
                self._finding, self._reading.characters(q.span), self._in_impression, q.value * factor, q.step * factor,
            )  # fmt: skip

    def _is_of_finding(self, span: Span, organ: Mention, findings: set[int]) -> bool:
        """Whether a value is that of a finding: one in its clause, or, away from the organ, in any clause between."""
        tokens = self._reading.tokens
        first, last = sorted((tokens[span.first].clause, tokens[organ.first].clause))
        return any(clause in findings for clause in range(first, last + 1))

    def _quantity(self, span: Span, dimension: str) -> str:
        """The quantity named in the clause; volumes need no word."""
        if dimension == "volume":
            return "volume"
        names = [(place.first, name) for name in self._words.below("contradiction.quantities")
                 if (place := self._in_clause(f"quantities.{name}", span))]  # fmt: skip
        return max(names)[1] if names else ""

    def _in_clause(self, name: str, span: Span) -> Span | None:
        """Before the number, or right after its unit ("90 mm long")."""
        place = last_before(self._places(name), span.last + 3)
        return place if place and self._reading.same_clause(place.first, span.first) else None

    def _statement(
        self, kind: Kind, subject: str, place: str, side: str, name: str, pole: str, holds: bool, span: Span
    ) -> Statement:
        where = self._reading.characters(span)
        return Statement(kind, subject, place, side, name, pole, holds, self._finding, where, self._in_impression)

    def _is_denied(self, span: Span) -> bool:
        """A negation before it in its clause or, in a list with "or", its sentence; or one right after it."""
        reading = self._reading
        before = last_before(reading.negations, span.first)
        if before and reading.same_clause(before.first, span.first):
            return True
        sentence = reading.tokens[span.first].sentence
        if before and sentence in self._lists and reading.tokens[before.first].sentence == sentence:
            return True
        after = last_before(self._places("denied_after"), span.last + 6)
        return bool(after and after.first > span.last and reading.same_clause(after.first, span.first))

    def _place_of(self, span: Span) -> str:
        mention = self._organ_near(span)
        return mention.term.id if mention else self._heading_place()

    def _organ_near(self, span: Span) -> Mention | None:
        """The organ that holds the words (a compound), stands soon after them, before them, or later in the clause."""
        organs = self._reading.organs
        at = _index_from(organs, span.first)
        after = organs[at] if at < len(organs) and self._in_same(organs[at], span) else None
        before = organs[at - 1] if at and self._in_same(organs[at - 1], span) else None
        if after and ((after.first - span.last <= _NEAR and not _follows(before, span)) or self._is_joined(span)):
            return after
        return before or after

    def _only_organ(self, span: Span) -> Mention | None:
        """The organ of another clause, where the sentence names just one: "spleen, volume 90 ml"."""
        sentence = self._reading.tokens[span.first].sentence
        near = self._reading.organs_by_sentence.get(sentence, [])
        return near[0] if len({m.term.id for m in near}) == 1 else None

    def _is_joined(self, span: Span) -> bool:
        """A preposition follows: "vertebral fracture of L2" is at L2."""
        following = self._reading.tokens[span.last + 1 : span.last + 2]
        return bool(following) and following[0].text in self._words.settings["contradiction.joins"]

    def _in_same(self, mention: Mention, span: Span) -> bool:
        return self._reading.same_clause(mention.first, span.first)

    def _heading_place(self) -> str:
        return str(self._words.settings["contradiction.headings"].get(self._finding.heading, ""))

    def _side_of(self, span: Span) -> str:
        """The only side of the clause; of several the nearest before; else what the finding records."""
        reading = self._reading
        clause = reading.tokens[span.first].clause
        sides = reading.sides_by_clause.get(clause, [])
        if len(set(sides)) == 1:
            return sides[0]
        return reading.side_before(span.first) if sides else self._finding.side or ""


def _is_abnormal(mention: Mention) -> bool:
    return mention.term.category.value == ABNORMAL


def _index_from(organs: tuple[Mention, ...], token: int) -> int:
    return bisect_left(organs, token, key=lambda m: m.first)


def _follows(before: Mention | None, span: Span) -> bool:
    """The words stand right behind an organ: "liver enlarged"."""
    return before is not None and span.first - before.last <= 1


def _nearest(presence: list[Statement], character: int) -> Statement | None:
    """The statement that begins nearest to a place of the text; they are in order."""
    at = bisect_left(presence, character, key=lambda s: s.span[0])
    near = presence[max(at - 1, 0) : at + 1]
    return min(near, key=lambda s: abs(s.span[0] - character), default=None)
