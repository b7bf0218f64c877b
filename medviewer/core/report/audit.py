"""The audit trail of a report: what the program said, what a person changed, and when. Entries are never changed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from medviewer.core.report.document import Finding, Report, Section

Action = Literal[
    "accept", "edit", "reject", "seen", "dismiss_mark", "insert_impression", "remove_impression", "add_sentence",
    "change_text", "numbers_changed", "model_sentences", "sign", "reopen",
]  # fmt: skip


@dataclass(frozen=True)
class Moment:
    """Who does something, and when (ISO 8601, UTC). The clock and the name are the caller's."""

    who: str
    when: str


@dataclass(frozen=True)
class AuditEntry:
    """One step. `before` and `after` are texts of the sentence or field, or states; `origin`, `model` and `marks` say
    what the program had said before. `report_id` and `version` name the version it was done to."""

    action: Action
    who: str
    when: str
    report_id: str
    version: int
    finding_id: str = ""
    where: str = ""  # heading of the sentence, or name of the changed field
    before: str = ""
    after: str = ""
    origin: str = ""
    model: str = ""
    marks: tuple[str, ...] = ()
    note: str = ""

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self) | {"marks": list(self.marks)}


@dataclass(frozen=True)
class Reviewed:
    """A report with everything that was done to it, all versions together, oldest first."""

    report: Report
    trail: tuple[AuditEntry, ...] = ()
    earlier: tuple[Report, ...] = field(default=())  # the signed versions before this one, oldest first

    def finding(self, finding_id: str) -> Finding:
        """The sentence with this id; KeyError where there is none."""
        for finding in self.report.findings:
            if finding.id == finding_id:
                return finding
        raise KeyError(finding_id)

    def entry(self, action: Action, moment: Moment, **details: Any) -> AuditEntry:
        """A new entry about this version."""
        return AuditEntry(action, moment.who, moment.when, self.report.id, self.report.version, **details)

    def about(self, action: Action, moment: Moment, finding: Finding, **details: Any) -> AuditEntry:
        """A new entry about a sentence, with what the program had said."""
        return self.entry(
            action, moment, finding_id=finding.id, where=finding.heading,
            before=details.pop("before", finding.text), origin=finding.origin, model=finding.model,
            marks=tuple(f"{mark.guard}: {mark.reason}" for mark in finding.marks), **details,
        )  # fmt: skip

    def with_report(self, report: Report, *entries: AuditEntry) -> Reviewed:
        """The changed report and the entries that say so."""
        return Reviewed(report, (*self.trail, *entries), self.earlier)


def replaced(report: Report, findings: Iterable[Finding]) -> Report:
    """The report with sentences replaced by those of the same id."""
    new = {finding.id: finding for finding in findings}
    sections = tuple(
        section if not new.keys() & {f.id for f in section.findings}
        else _with_findings(section, tuple(new.get(f.id, f) for f in section.findings))
        for section in report.sections
    )  # fmt: skip
    impression = tuple(new.get(f.id, f) for f in report.impression)
    return report.with_changes(sections=sections, impression=impression)


def _with_findings(section: Section, findings: tuple[Finding, ...]) -> Section:
    """A heading under which everything was rejected is not assessed any more."""
    return replace(section, findings=findings, not_assessed=not any(f.state != "rejected" for f in findings))
