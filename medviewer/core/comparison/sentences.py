"""What a report says of a comparison: one sentence for each change, the comparison paragraph, lines for the limits."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from medviewer.core.comparison.changes import Change
from medviewer.core.comparison.matching import Match
from medviewer.core.comparison.mismatches import thickness
from medviewer.core.comparison.rules import ComparisonRules
from medviewer.core.comparison.study import PriorStudy, StudyFacts
from medviewer.core.measure.measuring import Rules
from medviewer.core.plain_text import one_line
from medviewer.core.report.document import Evidence, Finding, Measurement
from medviewer.core.report.drafting import place_of
from medviewer.core.report.template import UNLISTED, Template
from medviewer.core.report.wording import decimals, number, structure_name, unit_text
from medviewer.core.report.words import Words
from medviewer.core.segmentation import Segment
from medviewer.core.terminology import Terminology
from medviewer.core.volume import Volume

BEFORE, CHANGE, PERCENT, ERROR = "_before", "_change", "_change_percent", "_change_error"  # ends of quantities


@dataclass(frozen=True, eq=False)
class Wording:
    """In which words a comparison is told, and by which rules it is measured."""

    template: Template
    words: Words
    terms: Terminology
    rules: ComparisonRules
    measuring: Rules

    def text(self, key: str, **values: str) -> str:
        return self.rules.text(self.words.language, key, **values)

    def name(self, term_id: str | None, fallback: str, side: str | None) -> str:
        """What the report calls a structure."""
        term = self.terms.get(term_id) if term_id and term_id in self.terms else None
        return structure_name(term, fallback, side, self.words, self.template)

    def date(self, facts: StudyFacts) -> str:
        return facts.date or self.text("no_date")


@dataclass(frozen=True, eq=False)
class Told:
    """The changes with their texts, and the sentences and numbers that a report takes over."""

    changes: tuple[Change, ...]
    findings: tuple[Finding, ...]
    measurements: tuple[Measurement, ...]


@dataclass(eq=False)
class Writer:
    """Writes the sentences of one comparison. `segments`: masks of the current study, on its grid."""

    volume: Volume
    segments: Sequence[Segment]
    current: StudyFacts
    prior: StudyFacts
    wording: Wording
    _places: dict[str, Evidence] = field(default_factory=dict)

    def told(self, changes: Iterable[Change]) -> Told:
        """Every change with its text; a finding for those that the template writes of the structure."""
        findings: list[Finding] = []
        numbers: list[Measurement] = []
        done: list[Change] = []
        for group in _groups(changes):
            text = self._text(group)
            finding_id = ""
            if any(self._is_written(change) for change in group):
                finding, own = self._finding(group, text)
                findings.append(finding)
                numbers += own
                finding_id = finding.id
            done += [replace(change, text=text, finding_id=finding_id) for change in group]
        return Told(tuple(done), tuple(findings), tuple(numbers))

    def _is_written(self, change: Change) -> bool:
        rule = self.wording.template.terms.get(change.match.term_id)
        return change.quantity in (rule.quantities if rule else UNLISTED)

    def _text(self, group: Sequence[Change]) -> str:
        change, wording, words = group[0], self.wording, self.wording.words
        side = change.current.side or change.match.side
        values = {
            "structure": wording.name(change.match.term_id, change.match.name, side),
            "date": wording.date(self.current), "prior_date": wording.date(self.prior), "unit": unit_text(change.unit),
            "quantity": words.named("quantities", change.quantity),
        }  # fmt: skip
        if change.verdict == "not given":
            names = _listed((words.named("quantities", c.quantity) for c in group), words)
            reason = wording.text(change.reason, prior_date=values["prior_date"])
            return wording.text("change_not_given", list=names, reason=reason, **values)
        values |= _numbers(change, words)
        from_zero = "change" if change.percent is not None else "change_from_zero"
        return wording.text("change_none" if change.verdict == "none" else from_zero, **values)

    def _finding(self, group: Sequence[Change], text: str) -> tuple[Finding, list[Measurement]]:
        change = group[0]
        own = [m for c in group for m in _measurements(c, self.prior)]
        shown = [change.current, *own] if change.current.value is not None else own
        side = change.current.side or change.match.side
        place = self._evidence(change.match.current_id)
        evidence = (
            replace(place, measurement_id=own[0].id),
            *(replace(place, kind="measurement", measurement_id=m.id, box=None) for m in shown),
        )
        terms = (change.match.term_id,) if change.match.term_id else ()
        heading = self.wording.template.heading_of(change.match.term_id)
        return Finding(text, heading, evidence, "measured", term_ids=terms, side=side), own

    def _evidence(self, segment_id: str) -> Evidence:
        if segment_id not in self._places:
            segment = next(s for s in self.segments if s.id == segment_id)
            place = place_of(segment.mask, self.volume)
            self._places[segment_id] = Evidence(
                "segment", segment_id, "", place.position, self.volume.affine is not None, place.box, segment.frame,
                self.volume.id,
            )  # fmt: skip
        return self._places[segment_id]


def _groups(changes: Iterable[Change]) -> list[list[Change]]:
    """A change by itself; those without a number of one mask and reason together."""
    found: dict[tuple[str, ...], list[Change]] = {}
    for change in changes:
        without = change.verdict == "not given"
        key = (change.match.current_id, change.current.side or "", change.reason if without else f"={change.quantity}")
        found.setdefault(key, []).append(change)
    return list(found.values())


def _numbers(change: Change, words: Words) -> dict[str, str]:
    """The numbers of a sentence; a difference carries its sign."""
    unit = change.unit
    plain = {"value": change.current.value, "before": change.prior.value, "error": change.error}
    signs = {"difference": (change.difference, unit), "percent": (change.percent, "%")}
    return {
        **{key: number(value, unit, words) for key, value in plain.items() if value is not None},
        **{key: signed(value, own, words) for key, (value, own) in signs.items() if value is not None},
    }


def signed(value: float, unit: str, words: Words) -> str:
    """ "+12", "-3.4"; a value that is written as zero has no sign."""
    text = words.number(f"{abs(value):.{decimals(value, unit)}f}")
    if not text.strip("0.,"):
        return text
    return f"{'+' if value > 0 else '-'}{text}"


def _measurements(change: Change, prior: StudyFacts) -> list[Measurement]:
    """The change, its per cent, its error and the earlier value as numbers of the report. They belong to the mask of
    the prior, for they say nothing of the current mask by itself, and carry the prior's date among their notes."""
    side = change.current.side or change.match.side
    base = Measurement(
        f"{change.quantity}{CHANGE}", change.difference, change.unit, "difference_of_studies" if change.error else "",
        (change.match.prior_id,), change.match.term_id, side, reason=change.reason,
        flags=(prior.date,) if prior.date else (),
    )  # fmt: skip
    if change.verdict == "not given":
        return [base]
    pairs = (
        (PERCENT, change.percent, "%", base.method), (ERROR, change.error, change.unit, "error_of_studies"),
        (BEFORE, change.prior.value, change.unit, change.prior.method),
    )  # fmt: skip
    more = [
        Measurement(f"{change.quantity}{end}", value, unit, method, base.segment_ids, base.term_id, side,
                    flags=base.flags)
        for end, value, unit, method in pairs if value is not None
    ]  # fmt: skip
    return [base, *more]


# -- the paragraph and the limits -------------------------------------------------------
def comparison_text(
    current: StudyFacts, prior: PriorStudy, mismatches: Sequence[str], wording: Wording
) -> str:
    """The comparison paragraph: which study, its slices and contrast, how it was measured and registered, and in what
    the two differ."""
    words, facts = wording.words, prior.facts
    unknown = words.named("origins", "unknown")

    def both(name: str) -> str:
        one, other = getattr(current, name), getattr(facts, name)
        if not (one or other) and name == "weighting":
            return ""
        return wording.text(name, one=words.translated(one) or unknown, other=words.translated(other) or unknown)

    kind = "spacing" if facts.thickness_is_spacing else "thickness"
    known = facts.slice_thickness_mm is not None
    slices = wording.text(kind, value=thickness(facts, words)) if known else wording.text("thickness_unknown")
    study = wording.text("study" if facts.date else "study_undated", modality=facts.modality or unknown,
                         date=facts.date, thickness=slices)  # fmt: skip
    phase, weighting = both("phase"), both("weighting")
    told = wording.text(
        "comparison", study=study, phase=phase, weighting=weighting, method=wording.text("error_method"),
        registration=registration_text(prior, wording),
    )  # fmt: skip
    rest = [line for line in mismatches if line not in (phase, weighting)]
    return " ".join([told, wording.text("mismatch_lead", list=" ".join(rest))] if rest else [told])


def registration_text(prior: PriorStudy, wording: Wording) -> str:
    """What is said of the registration, or that there is none."""
    registration = prior.registration
    if registration is None:
        return wording.text("reg_none")
    return registration.statement(wording.words.language) or wording.text("reg_not_checked")


def notes_of(
    matches: Iterable[Match], prior: PriorStudy, wording: Wording
) -> Iterator[str]:
    """Lines for the limitations: whose identity differs and why it was used, and what was not compared."""
    date = wording.date(prior.facts)
    language, rules = wording.words.language, wording.rules
    if prior.differing:
        fields = rules.listed(language, prior.differing)
        yield wording.text("identity_reason", list=fields, prior_date=date, reason=one_line(prior.reason, 300))
    if prior.unknown:
        yield wording.text("identity_unknown", list=rules.listed(language, prior.unknown))
    if prior.sides_doubtful:
        yield wording.text("prior_sides", prior_date=date)
    alone: dict[str, list[str]] = {}
    for match in matches:
        if not match.is_pair:
            alone.setdefault(match.reason, []).append(wording.name(match.term_id, match.name, match.side))
    for reason, names in alone.items():
        yield wording.text(reason, list=rules.listed(language, names), prior_date=date)


def _listed(names: Iterable[str], words: Words) -> str:
    known = list(dict.fromkeys(names))
    if len(known) < 2:
        return "".join(known)
    return f"{', '.join(known[:-1])} {words.phrase('and')} {known[-1]}"
