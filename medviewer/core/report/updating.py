"""A draft after a mask was edited, added or removed: the program's sentences get the new numbers and are marked as
changed; a person's words are never touched."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from medviewer.core.report.audit import AuditEntry, Moment, Reviewed
from medviewer.core.report.document import Evidence, Finding, Measurement, Report, Section
from medviewer.core.report.drafting import DraftSource, draft_report
from medviewer.core.report.grouping import group_of
from medviewer.core.report.model_placing import notices_of_models, origins_of_models
from medviewer.core.report.signing import reopen

_Key = tuple[str, str, tuple[str, ...]]
_MISSING = "no "


def updated(reviewed: Reviewed, source: DraftSource, moment: Moment) -> Reviewed:
    """The report with the numbers of `source`, which is made of the masks and measurements of now.

    A measured sentence whose words change is written anew, marked as changed and undecided again; one whose mask is
    gone keeps its words and is marked as changed. Words of a person or a model that rest on such a number are marked,
    too. New masks give new sentences. Headings and texts stay, and so does what is told of a language model. Nothing
    happens where nothing changed; a signed report opens again as a new version first.
    """
    fresh = draft_report(source)
    now = {_key(f, fresh): f for f in fresh.findings}
    if _same(reviewed.report, fresh, now):
        return reviewed
    work = reviewed if reviewed.report.status == "draft" else reopen(reviewed, moment, "a mask was edited")
    report, entries = _rewritten(work, fresh, now, moment)
    return work.with_report(report, *entries)


def _key(finding: Finding, report: Report) -> _Key:
    """What a measured sentence is about: the group of its numbers, side and masks. What is not measured of a mask takes
    the place of its numbers where no sentence tells those."""
    numbers = {m.id: m for m in report.measurements}
    kind = _kind(finding, numbers)
    where = _where(finding)
    if kind.startswith(_MISSING):
        told = kind.removeprefix(_MISSING)
        others = (f for f in report.findings if f.id != finding.id and _kind(f, numbers) == told)
        kind = kind if any(_where(f) == where for f in others) else told
    return kind, *where


def _kind(finding: Finding, numbers: Mapping[str, Measurement]) -> str:
    """The group of the first number ("size"), with a mark where it has no value; empty without a number."""
    first = next((numbers[e.measurement_id] for e in finding.evidence if e.measurement_id in numbers), None)
    if first is None:
        return ""
    if not first.segment_ids:  # drawn by hand
        return f"{first.quantity} {first.points}"
    return f"{'' if first.value is not None else _MISSING}{group_of(first.quantity)}"


def _where(finding: Finding) -> tuple[str, tuple[str, ...]]:
    return finding.side or "", tuple(sorted({e.segment_id for e in finding.evidence if e.segment_id}))


def _same(report: Report, fresh: Report, now: Mapping[_Key, Finding]) -> bool:
    """Whether every number and every measured sentence is as it was."""
    before = {_number_key(m): replace(m, id="") for m in report.measurements}
    if before != {_number_key(m): replace(m, id="") for m in fresh.measurements}:
        return False
    return {_key(f, report) for f in _program_written(report) if f.heading != "impression"} >= now.keys()


def _program_written(report: Report) -> list[Finding]:
    """The sentences without those of a language model, which stand for none of the program's."""
    return [f for f in report.findings if f.origin != "model" and not f.model]


def _number_key(measurement: Measurement) -> tuple[str, str, tuple[str, ...]]:
    where = tuple(sorted(measurement.segment_ids)) or (str(measurement.points),)  # drawn by hand: where it was drawn
    return measurement.quantity, measurement.side or "", where


def _rewritten(
    work: Reviewed, fresh: Report, now: Mapping[_Key, Finding], moment: Moment
) -> tuple[Report, list[AuditEntry]]:
    report, entries = work.report, list[AuditEntry]()
    ids = _old_ids(report, fresh)
    changed = _changed_numbers(report, fresh)

    def renewed(finding: Finding) -> Finding:
        new = _renewed(finding, now.get(_key(finding, report)), changed, ids)
        if new != finding and (new.text != finding.text or new.changed != finding.changed):
            after = new.text if new.text != finding.text else ""
            entries.append(work.about("numbers_changed", moment, finding, after=after))
        return new

    known = {_key(f, report) for f in _program_written(report)}
    added = [_with_ids(f, ids) for key, f in now.items() if key not in known]
    sections = tuple(_section(s, [renewed(f) for f in s.findings], added) for s in report.sections)
    impression = tuple(renewed(f) for f in report.impression)
    numbers = tuple(replace(m, id=ids.get(m.id, m.id)) for m in fresh.measurements)
    missing = [s for s in fresh.sections if s.key not in {t.key for t in sections} and s.findings]
    return report.with_changes(
        sections=(*sections, *missing), impression=impression, measurements=numbers,
        limitations=tuple(dict.fromkeys((*fresh.limitations, *notices_of_models(report)))),
        provenance=(*fresh.provenance, *origins_of_models(report)),
    ), entries  # fmt: skip


def _old_ids(report: Report, fresh: Report) -> dict[str, str]:
    """The id that each number had before, so that evidence keeps pointing at it."""
    before = {_number_key(m): m.id for m in report.measurements}
    return {m.id: before[_number_key(m)] for m in fresh.measurements if _number_key(m) in before}


def _changed_numbers(report: Report, fresh: Report) -> set[str]:
    """Ids of numbers of before that are gone or different now."""
    now = {_number_key(m): replace(m, id="") for m in fresh.measurements}
    return {m.id for m in report.measurements if now.get(_number_key(m)) != replace(m, id="")}


def _renewed(finding: Finding, new: Finding | None, changed: set[str], ids: Mapping[str, str]) -> Finding:
    """The sentence with the words of now, if the program wrote it; else with a mark that its number changed."""
    touched = any(e.measurement_id in changed for e in finding.evidence)
    if finding.origin == "measured" and new is not None:
        evidence = _with_ids(new, ids).evidence
        if new.text == finding.text:
            return finding.with_changes(evidence=evidence)
        state = finding.state if finding.state == "rejected" else "draft"
        return finding.with_changes(text=new.text, evidence=evidence, changed=True, state=state)
    if not touched or finding.state == "rejected":
        return finding
    return finding.with_changes(changed=True, state="draft")


def _with_ids(finding: Finding, ids: Mapping[str, str]) -> Finding:
    return finding.with_changes(evidence=tuple(_evidence(e, ids) for e in finding.evidence))


def _evidence(evidence: Evidence, ids: Mapping[str, str]) -> Evidence:
    return replace(evidence, measurement_id=ids.get(evidence.measurement_id, evidence.measurement_id))


def _section(section: Section, findings: list[Finding], added: list[Finding]) -> Section:
    together = (*findings, *(f for f in added if f.heading == section.key))
    return replace(section, findings=together, not_assessed=not any(f.state != "rejected" for f in together))
