"""A language model's sentences in a report: under their headings, as drafts, with what the reader must know about them.

What a person decided is never touched, and the model's own impression never gets into the report here.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from medviewer.core.errors import WrongUsage
from medviewer.core.provenance import Provenance
from medviewer.core.report.audit import Moment, Reviewed
from medviewer.core.report.document import Finding, Report, Section
from medviewer.core.report.model_text import ModelDraft
from medviewer.core.report.template import OTHER

NOTICES = "notices"  # the parameter of a language model's provenance that holds what the reader was told


def with_model_sentences(reviewed: Reviewed, draft: ModelDraft, moment: Moment, other_title: str) -> Reviewed:
    """The report with the sentences of a model, undecided and unseen; the trail keeps the model's whole text.

    Asked again, the model's undecided sentences of before that it does not say any more are left out; one that is there
    already, or that a person decided about, does not come twice. `other_title`: of the heading for what belongs under
    no other one. Raises WrongUsage for a signed report.
    """
    report = reviewed.report
    if report.status != "draft":
        raise WrongUsage(f"This report is {report.status} and cannot be changed.",
                         "Open it again as a new version first.", code="report-step-refused")  # fmt: skip
    model = draft.findings[0].model if draft.findings else draft.provenance.model_id
    placed = _placed(_without_superseded(report, draft, model), _fresh(reviewed, draft, model), other_title)
    placed = _with_origin(placed, draft, moment)
    entry = reviewed.entry("model_sentences", moment, after=draft.text, origin="model", model=model)
    return reviewed.with_report(placed, entry)


def origins_of_models(report: Report) -> tuple[Provenance, ...]:
    """Where the sentences of language models came from."""
    return tuple(origin for origin in report.provenance if NOTICES in origin.parameters)


def notices_of_models(report: Report) -> tuple[str, ...]:
    """What the reader was told about the texts of language models; part of the limitations."""
    told = (str(line) for origin in origins_of_models(report) for line in origin.parameters[NOTICES])
    return tuple(dict.fromkeys(told))


# -- parts -----------------------------------------------------------------------------
def _of_model(findings: Iterable[Finding], model: str) -> list[Finding]:
    return [finding for finding in findings if finding.model == model]


def _fresh(reviewed: Reviewed, draft: ModelDraft, model: str) -> list[Finding]:
    """The sentences that are not in the report yet, nor were when a person changed them."""
    there = {f.id for f in reviewed.report.findings}
    known = {f.text for f in _of_model(reviewed.report.findings, model)}
    known |= {e.before for e in reviewed.trail if e.model == model and e.finding_id in there}
    return [finding for finding in draft.findings if finding.text not in known]


def _without_superseded(report: Report, draft: ModelDraft, model: str) -> Report:
    """Without the undecided sentences that the model does not say any more; those it says again point at the masks of
    now."""
    again = {finding.text: finding for finding in draft.findings}

    def renewed(findings: Iterable[Finding]) -> tuple[Finding, ...]:
        kept = []
        for f in findings:
            undecided = f.origin == "model" and f.model == model and f.state == "draft"
            if undecided and f.text in again:
                kept.append(f.with_changes(evidence=again[f.text].evidence))
            elif not undecided:
                kept.append(f)
        return tuple(kept)

    return report.with_changes(sections=tuple(_with_findings(s, renewed(s.findings)) for s in report.sections))


def _placed(report: Report, fresh: Iterable[Finding], other_title: str) -> Report:
    """Each sentence at the end of its heading; under "other" where the report has no such heading."""
    keys = {section.key for section in report.sections}
    by_heading: dict[str, list[Finding]] = {}
    for finding in fresh:
        heading = finding.heading if finding.heading in keys else OTHER
        by_heading.setdefault(heading, []).append(finding.with_changes(heading=heading))
    sections = report.sections
    if OTHER in by_heading and OTHER not in keys:
        sections = (*sections, Section(OTHER, other_title))
    return report.with_changes(
        sections=tuple(_with_findings(s, (*s.findings, *by_heading.get(s.key, ()))) for s in sections)
    )


def _with_findings(section: Section, findings: tuple[Finding, ...]) -> Section:
    if findings == section.findings:
        return section
    return replace(section, findings=findings, not_assessed=not any(f.state != "rejected" for f in findings))


def _with_origin(report: Report, draft: ModelDraft, moment: Moment) -> Report:
    """With the model among the origins and its notices among the limitations, in place of those of the model's last
    time."""
    before = [o for o in origins_of_models(report) if o.model_id == draft.provenance.model_id]
    stale = {str(line) for origin in before for line in origin.parameters[NOTICES]}
    parameters = {**draft.provenance.parameters, NOTICES: list(draft.notices)}
    origin = replace(draft.provenance, parameters=parameters, created=moment.when)
    kept = [line for line in report.limitations if line not in stale]
    return report.with_changes(
        limitations=(*kept, *(line for line in draft.notices if line not in kept)),
        provenance=(*(o for o in report.provenance if o not in before), origin),
    )
