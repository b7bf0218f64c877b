"""A sentence's side against the side of what it points at, and of the structure that it names."""

from __future__ import annotations

from dataclasses import dataclass

from medviewer.core.guards.context import GuardContext
from medviewer.core.guards.phrases import Span
from medviewer.core.guards.sentence import ABNORMAL, MOST_MARKS, Reading
from medviewer.core.guards.structures import Mention
from medviewer.core.guards.words import GuardWords
from medviewer.core.report.document import Finding, Mark
from medviewer.core.terminology import Term

GUARD = "laterality"
_NEAR = 3  # tokens between a side and its structure
Sided = tuple[str, str]  # term id, side


@dataclass(frozen=True)
class _Claim:
    span: Span
    side: str
    mention: Mention | None

    @property
    def needed(self) -> frozenset[str]:
        return frozenset({"left", "right"}) if self.side == "both" else frozenset({self.side})


def check_laterality(finding: Finding, reading: Reading, context: GuardContext, words: GuardWords) -> list[Mark]:
    """Marks for sides that contradict the evidence, the structure named, or that nobody has confirmed."""
    claims = _claims(reading, words)
    if not claims:
        return []
    evidence = _evidence_sides(finding, context)
    doubtful = [] if context.sides_confirmed or finding.origin == "human" else claims
    against = _against_evidence(claims, evidence, _Asides(reading, words), context)
    wrong = doubtful or against or _against_anatomy(claims, words)
    key = "side_unconfirmed" if doubtful else "side_differs"
    return [
        words.mark(GUARD, key, context.language, reading.characters(c.span), side=reading.words(c.span, finding.text),
                   evidence=_told(evidence))
        for c in wrong[:MOST_MARKS]
    ]  # fmt: skip


def _told(evidence: tuple[Sided, ...]) -> str:
    return ", ".join(sorted({side for _, side in evidence})) or "-"


def _claims(reading: Reading, words: GuardWords) -> list[_Claim]:
    """The sides that say where something is; not directions, references or angles."""
    beside = words.phrases("laterality.no_claim").find(reading.tokens, reading.classes)
    sides = {span.first for span, _ in reading.sides}
    taken = [
        s for s in beside if s.first not in sides or reading.same_clause(s.first, s.last)
    ]  # "(left) of the kidney"
    at, found = 0, []
    for span, side in reading.sides:
        while at < len(taken) and taken[at].last < span.first:
            at += 1
        if not any(span.overlaps(other) for other in taken[at : at + 4]):
            found.append(_Claim(span, side, _mention_of(span, reading)))
    return found


def _mention_of(span: Span, reading: Reading) -> Mention | None:
    """The structure that a side belongs to: right after it, else before it, else later in the clause."""
    inside = reading.mention_from(span.first)
    if inside and inside.first <= span.last:
        return inside
    after, before = reading.mention_after(span.last), reading.mention_before(span.first)
    if after and after.first - span.last <= _NEAR:
        return after
    return before or after


def _evidence_sides(finding: Finding, context: GuardContext) -> tuple[Sided, ...]:
    """Every structure with its side that the sentence points at; "both" counts as left and as right."""
    found = [(s.term_id, s.side) for s in context.segments_of(finding) if s.side]
    found += [(m.term_id, m.side) for m in context.linked_measurements(finding) if m.side]
    if finding.side and not found:
        found += [(term, finding.side) for term in finding.term_ids or ("",)]
    return tuple((term, one) for term, side in found for one in (("left", "right") if side == "both" else (side,)))


def _against_evidence(
    claims: list[_Claim], evidence: tuple[Sided, ...], asides: _Asides, context: GuardContext
) -> list[_Claim]:
    held = evidence or _abnormal_segments(claims, context)
    if not held:
        return []
    wrong = [c for c in claims if not c.needed <= _sides_for(c, held, bool(evidence))]
    if len(wrong) == len(claims):
        return wrong
    terms = {term for term, _ in held}
    return [c for c in wrong if not asides.hold(c) and not _is_another_organ(c, terms)]


class _Asides:
    """Beside a side that fits the evidence, another may stand in a clause that denies a finding ("none on the left"),
    that tells of a history, a device or a complaint, or with a structure that the terminology does not hold."""

    def __init__(self, reading: Reading, words: GuardWords) -> None:
        self._reading = reading
        aside = reading.find(words.phrases("laterality.asides"))
        spared = reading.find(words.phrases("laterality.spared"))
        self._clauses = {reading.tokens[n].clause for span in (*aside, *spared) for n in (span.first, span.last)}
        self._clauses |= reading.negated_clauses
        self._fillers = frozenset(words.settings["laterality.fillers"])

    def hold(self, claim: _Claim) -> bool:
        """Whether the side stands in such a clause or beside such a structure."""
        if self._reading.tokens[claim.span.first].clause in self._clauses:
            return True
        near = (claim.span.first - 1, claim.span.last + 1)
        return claim.mention is None and any(self._names(n, claim) for n in near)

    def _names(self, n: int, claim: _Claim) -> bool:
        tokens = self._reading.tokens
        inside = 0 <= n < len(tokens) and self._reading.same_clause(n, claim.span.first)
        return inside and not tokens[n].is_number and tokens[n].text not in self._fillers


def _sides_for(claim: _Claim, held: tuple[Sided, ...], any_term: bool) -> frozenset[str]:
    """Sides of the structure that the claim names, else (`any_term`) of all evidence, else whatever it claims."""
    term = claim.mention.term.id if claim.mention else ""
    own = frozenset(side for known, side in held if known == term)
    return own or (frozenset(side for _, side in held) if any_term else claim.needed)


def _abnormal_segments(claims: list[_Claim], context: GuardContext) -> tuple[Sided, ...]:
    """Sides of all known segments of the abnormal structures that are named: a cyst that is outlined on the right
    only. An organ may be there without having been outlined, so organs do not count."""
    named = {c.mention.term.id for c in claims if c.mention and _is_abnormal(c.mention.term)}
    known = [s for s in context.segments.values() if s.term_id in named]
    if not all(segment.side for segment in known):
        return ()
    return tuple((s.term_id, side) for s in known for side in _both(s.side or ""))


def _both(side: str) -> tuple[str, ...]:
    return ("left", "right") if side == "both" else (side,)


def _is_abnormal(term: Term) -> bool:
    return term.category.value == ABNORMAL


def _is_another_organ(claim: _Claim, terms: set[str]) -> bool:
    """Beside a side that fits the evidence, an organ that the evidence is not about may have another."""
    mention = claim.mention
    return mention is not None and mention.term.id not in terms and not _is_abnormal(mention.term)


def _against_anatomy(claims: list[_Claim], words: GuardWords) -> list[_Claim]:
    """A side right beside a structure that lies on the other one ("right spleen"), or two sides of one ("left RUL")."""
    natural = words.settings["laterality.natural"]
    wrong = []
    for claim in claims:
        mention = claim.mention
        if mention is None or not _adjoins(claim.span, mention):
            continue
        own = mention.side or natural.get(mention.term.id)
        if own and claim.side != own:
            wrong.append(claim)
    return wrong


def _adjoins(span: Span, mention: Mention) -> bool:
    return span.last + 1 == mention.first or mention.last + 1 == span.first
