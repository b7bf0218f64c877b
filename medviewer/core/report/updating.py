"""A draft after a mask was edited, added or removed: the program's sentences get the new numbers and are marked as
changed; a person's words are never touched."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from medviewer.core.report.audit import AuditEntry, Moment, Reviewed
from medviewer.core.report.document import Evidence, Finding, Measurement, Report, Section
from medviewer.core.report.drafting import DraftSource, draft_report
from medviewer.core.report.signing import reopen

_Key = tuple[str, str, tuple[str, ...]]


def updated(reviewed: Reviewed, source: DraftSource, moment: Moment) -> Reviewed:
    """The report with the numbers of `source`, which is made of the masks and measurements of now.

    A measured sentence whose words change is written anew, marked as changed and undecided again; one whose mask is
    gone keeps its words and is marked as changed. Words of a person or a model that rest on such a number are marked,
    too. New masks give new sentences. Headings and texts stay. Nothing happens where nothing changed; a signed report
    opens again as a new version first.
    """
    fresh = draft_report(source)
    now = {_key(f, fresh): f for f in fresh.findings}
    if _same(reviewed.report, fresh, now):
        return reviewed
    work = reviewed if reviewed.report.status == "draft" else reopen(reviewed, moment, "a mask was edited")
    report, entries = _rewritten(work, fresh, now, moment)
    return work.with_report(report, *entries)


def _key(finding: Finding, report: Report) -> _Key:
    """What a measured sentence is about: quantity, side and masks."""
    quantities = {m.id: m.quantity for m in report.measurements}
    quantity = next((quantities[e.measurement_id] for e in finding.evidence if e.measurement_id in quantities), "")
    return quantity, finding.side or "", tuple(sorted({e.segment_id for e in finding.evidence if e.segment_id}))


def _same(report: Report, fresh: Report, now: Mapping[_Key, Finding]) -> bool:
    """Whether every number and every measured sentence is as it was."""
    before = {_number_key(m): replace(m, id="") for m in report.measurements}
    if before != {_number_key(m): replace(m, id="") for m in fresh.measurements}:
        return False
    return {_key(f, report) for f in report.findings if f.heading != "impression"} >= now.keys()


def _number_key(measurement: Measurement) -> tuple[str, str, tuple[str, ...]]:
    return measurement.quantity, measurement.side or "", tuple(sorted(measurement.segment_ids))


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

    known = {_key(f, report) for f in report.findings}
    added = [_with_ids(f, ids) for key, f in now.items() if key not in known]
    sections = tuple(_section(s, [renewed(f) for f in s.findings], added) for s in report.sections)
    impression = tuple(renewed(f) for f in report.impression)
    numbers = tuple(replace(m, id=ids.get(m.id, m.id)) for m in fresh.measurements)
    missing = [s for s in fresh.sections if s.key not in {t.key for t in sections} and s.findings]
    return report.with_changes(
        sections=(*sections, *missing), impression=impression, measurements=numbers, limitations=fresh.limitations,
        provenance=fresh.provenance,
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
