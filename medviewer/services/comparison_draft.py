"""The comparison in a report: change sentences in the draft, its words and facts, and what stays when it goes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from medviewer.core.comparison import Comparison, PriorStudy, RecistInput
from medviewer.core.comparison.recist_text import RECIST, recist_finding
from medviewer.core.comparison.sentences import CHANGE
from medviewer.core.report.audit import AuditEntry, Moment, Reviewed
from medviewer.core.report.document import Finding, Measurement, Report
from medviewer.core.report.drafting import DraftSource
from medviewer.core.report.words import Words
from medviewer.services.comparison import compared, rules

PRIOR = "prior"  # the fact of a report that there is an earlier study, and which


def compared_source(
    source: DraftSource, study: PriorStudy | None, recist: RecistInput | None = None
) -> tuple[DraftSource, Comparison | None]:
    """The source of a draft with the words, sentences and numbers of the comparison; unchanged without a prior."""
    if study is None:
        return source, None
    usable = [s for s in source.segments if source.usable(s)]
    language = source.words.language
    found = compared(source.volume, usable, study, source.template, language, source.measurements)
    findings, numbers = found.findings, found.measurements
    if recist is not None:
        sentence, sums = recist_finding(recist, usable, source.volume, source.words, rules())
        findings, numbers = (*findings, sentence), (*numbers, *sums)
    return replace(
        source, prior=found.text, notes=(*source.notes, *found.notes), changes=findings, change_numbers=numbers
    ), found


def with_comparison(report: Report, comparison: Comparison | None) -> Report:
    """The report with the fact that it was compared."""
    facts = {name: value for name, value in report.facts.items() if name != PRIOR}
    if comparison is not None:
        known = comparison.study.facts
        facts[PRIOR] = " ".join(part for part in (known.modality, known.date or "undated") if part)
    return report.with_changes(facts=facts)


def has_been_compared(
    reviewed: Reviewed, report: Report, comparison: Comparison | None, words: Words, moment: Moment
) -> Reviewed:
    """After a new draft: the comparison paragraph of now, unless a person wrote it; a prior that is new to the report
    stands in the audit trail."""
    if comparison is None and PRIOR not in report.facts:
        return reviewed.with_report(report)
    entries = () if comparison is None or PRIOR in report.facts else (prior_entry(reviewed, comparison, moment),)
    by_hand = any(e.action == "change_text" and e.where == "comparison" for e in reviewed.trail)
    text = comparison.text if comparison is not None else words.phrase("no_prior")
    renewed = report if by_hand else report.with_changes(comparison=text)
    return reviewed.with_report(with_comparison(renewed, comparison), *entries)


def prior_entry(reviewed: Reviewed, comparison: Comparison, moment: Moment) -> AuditEntry:
    """That a prior was used, and why although its identity differs."""
    study = comparison.study
    told = " ".join(part for part in (study.facts.modality, study.facts.date or "undated") if part)
    note = f"{', '.join(study.differing)} differs: {study.reason}" if study.differing else study.reason
    return reviewed.entry("change_text", moment, where=PRIOR, after=told, note=note)


def without_changes(reviewed: Reviewed) -> Reviewed:
    """The report without the program's change sentences that nobody decided about; what a person accepted or wrote
    stays, and the guards mark it."""
    report = reviewed.report
    if PRIOR not in report.facts or report.status != "draft":
        return reviewed
    numbers = {m.id: m for m in report.measurements}
    sections = []
    for section in report.sections:
        kept = tuple(f for f in section.findings if not _is_undecided_change(f, numbers))
        sections.append(replace(section, findings=kept, not_assessed=not kept))
    return reviewed.with_report(report.with_changes(sections=tuple(sections)))


def _is_undecided_change(finding: Finding, numbers: Mapping[str, Measurement]) -> bool:
    if finding.origin != "measured" or finding.state != "draft":
        return False
    quantities = [numbers[e.measurement_id].quantity for e in finding.evidence if e.measurement_id in numbers]
    return any(q.endswith(CHANGE) or q.startswith(RECIST) for q in quantities)
