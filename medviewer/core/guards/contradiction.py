"""Statements of one report that cannot both hold."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from medviewer.core.guards.context import GuardContext
from medviewer.core.guards.statements import Statement
from medviewer.core.guards.words import GuardWords
from medviewer.core.report.document import Mark
from medviewer.core.terminology import Terminology

GUARD = "contradiction"
_MOST_COMPARED = 100  # statements about one thing: bounds the pairs of a report of any length
Pair = tuple[str, Statement, Statement]  # key of the reason, the two


def contradictions(statements: Sequence[Statement], context: GuardContext, words: GuardWords) -> dict[str, list[Mark]]:
    """Marks by the id of the finding; both sentences of a pair get one that cites the other."""
    found: dict[str, list[Mark]] = defaultdict(list)
    for key, one, other in _pairs(statements, context, words):
        for this, that in ((one, other), (other, one)):
            mark = words.mark(GUARD, key, context.language, this.span, other=_shortened(that.finding.text))
            if mark not in found[this.finding.id] and len(found[this.finding.id]) < 20:
                found[this.finding.id].append(mark)
    return dict(found)


def _shortened(text: str) -> str:
    line = " ".join("".join(c if c.isprintable() else " " for c in text[:200]).split())
    return line if len(line) <= 120 else f"{line[:119]}…"


def _pairs(statements: Sequence[Statement], context: GuardContext, words: GuardWords) -> Iterator[Pair]:
    groups: dict[tuple[str, str, str], list[Statement]] = defaultdict(list)
    for s in statements:
        place = s.place if s.kind == "attribute" else ""
        subject = s.subject.partition("/")[0] if s.kind == "presence" else s.subject
        groups[s.kind, f"{subject}@{place}", s.name].append(s)
    terminology = context.structures.terminology
    for (kind, _, _), group in groups.items():
        kept = group[:_MOST_COMPARED]
        if kind == "presence":
            yield from _present_and_absent(kept, terminology, words)
            yield from _two_sides(kept, terminology)
        elif kind == "attribute":
            yield from _opposite_poles(kept)
        else:
            yield from _two_values(kept)
    yield from _removed_organs(statements, terminology)


def _present_and_absent(group: Sequence[Statement], terminology: Terminology, words: GuardWords) -> Iterator[Pair]:
    for absent in (s for s in group if not s.holds):
        for present in (s for s in group if s.holds):
            covered = _covers_kind(absent.subject, present.subject) and _covers_side(absent.side, present.side)
            if covered and _covers_place(absent, present, terminology, words):
                yield "present_and_absent", present, absent


def _covers_kind(general: str, special: str) -> bool:
    """ "No lesion" denies "lesion/cyst" as well; "no cyst" does not deny a lesion."""
    return general == special or special.startswith(f"{general}/")


def _covers_place(absent: Statement, present: Statement, terminology: Terminology, words: GuardWords) -> bool:
    if absent.place and present.place:
        whole = words.settings["contradiction.wholes"].get(absent.place, absent.place)
        return absent.place == present.place or present.place in _parts(whole, terminology)
    if absent.place and not present.place:
        return False
    same_heading = absent.finding.heading == present.finding.heading
    return same_heading or absent.in_impression or present.in_impression


def _parts(term_id: str, terminology: Terminology) -> frozenset[str]:
    """Everything that belongs to a structure, at any depth."""
    seen: set[str] = set()
    open_ids = [term_id]
    while open_ids:
        one = open_ids.pop()
        if one in terminology and one not in seen:
            seen.add(one)
            open_ids += terminology.get(one).parts
    return frozenset(seen)


def _covers_side(absent: str, present: str) -> bool:
    return absent in ("", "both") or present == "both" or absent == present


def _two_sides(group: Sequence[Statement], terminology: Terminology) -> Iterator[Pair]:
    """A finding that the sections have on one side only and the impression on the other; or that one segment has on
    two sides."""
    for one in group:
        for other in group:
            alike = _covers_kind(one.subject, other.subject) or _covers_kind(other.subject, one.subject)
            opposite = alike and {one.side, other.side} == {"left", "right"} and one.holds and other.holds
            if opposite and one.finding.id != other.finding.id and _is_one_finding(one, other, group, terminology):
                yield "two_sides", one, other


def _is_one_finding(one: Statement, other: Statement, group: Sequence[Statement], terminology: Terminology) -> bool:
    segments = {e.segment_id for e in one.finding.evidence if e.segment_id}
    if segments & {e.segment_id for e in other.finding.evidence if e.segment_id}:
        return one.finding.id < other.finding.id
    if one.in_impression or not other.in_impression or not _are_related(one.place, other.place, terminology):
        return False
    near = [s for s in group if s.holds and not s.in_impression and _are_related(s.place, other.place, terminology)]
    in_sections = {s.side for s in near}
    return other.side not in in_sections and not in_sections & {"both", ""}


def _are_related(one: str, other: str, terminology: Terminology) -> bool:
    """The same place, a part of it, or one that is not told."""
    if not one or not other or one == other:
        return True
    return one in _parts(other, terminology) or other in _parts(one, terminology)


def _opposite_poles(group: Sequence[Statement]) -> Iterator[Pair]:
    for n, one in enumerate(group):
        for other in group[n + 1 :]:
            if one.side and other.side and one.side != other.side:
                continue
            differ = one.pole != other.pole and one.holds and other.holds
            denied = one.pole == other.pole and one.holds != other.holds
            if differ or denied:
                yield "opposite", one, other


def _two_values(group: Sequence[Statement]) -> Iterator[Pair]:
    """Two values of one quantity; rows of values in one sentence ("120 x 50 mm") say different quantities."""
    single = [s for s in group if sum(o.finding.id == s.finding.id and o.pole == s.pole for o in group) == 1]
    for n, one in enumerate(single):
        for other in single[n + 1 :]:
            differs = abs(one.number - other.number) > max(one.step, other.step)
            if one.pole == other.pole and one.side == other.side and differs and not _both_measured(one, other):
                yield "two_values", one, other


def _both_measured(one: Statement, other: Statement) -> bool:
    """Each points at a measurement of its own: the measurement guard looks after them."""
    ids = [{e.measurement_id for e in s.finding.evidence if e.measurement_id} for s in (one, other)]
    return bool(ids[0]) and bool(ids[1]) and not ids[0] & ids[1]


def _removed_organs(statements: Sequence[Statement], terminology: Terminology) -> Iterator[Pair]:
    """An organ that was removed and is described elsewhere; of a pair, the same side must be named."""
    removed: dict[tuple[str, str], Statement] = {}
    for s in statements:
        if s.kind == "attribute" and s.pole == "removed" and s.holds:
            removed.setdefault((s.subject, _own_side(s.subject, s.side, terminology)), s)
    told: set[tuple[str, str]] = set()
    for s in statements if removed else ():
        organ = s.place if s.kind == "presence" else s.subject
        gone = removed.get((organ, _own_side(organ, s.side, terminology)))
        pair = (gone.finding.id if gone else "", s.finding.id)
        if gone and s.pole != "removed" and s.holds and pair not in told and len(set(pair)) == 2:
            told.add(pair)
            yield "removed", gone, s


def _own_side(organ: str, side: str, terminology: Terminology) -> str:
    """The side of one of two organs ("?" where it is not told, which is no other's side); "" of a single one."""
    if organ not in terminology or terminology.get(organ).laterality != "paired":
        return ""
    return side if side in ("left", "right") else f"? {organ}"
