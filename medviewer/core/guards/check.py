"""All guards over a sentence or a report: deterministic, no files, no models, no clock."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from medviewer.core.guards.context import GuardContext
from medviewer.core.guards.contradiction import contradictions
from medviewer.core.guards.laterality import check_laterality
from medviewer.core.guards.measurement import check_measurements
from medviewer.core.guards.modality import check_modality
from medviewer.core.guards.prior import check_prior
from medviewer.core.guards.sentence import Reading, read_sentence
from medviewer.core.guards.sex import check_sex
from medviewer.core.guards.statements import Statement, Statements
from medviewer.core.guards.support import check_normal, check_support
from medviewer.core.guards.words import GuardWords
from medviewer.core.report.document import Finding, Mark, Report

Guard = Callable[[Finding, Reading, GuardContext, GuardWords], list[Mark]]
_GUARDS: tuple[Guard, ...] = (
    check_laterality,
    check_prior,
    check_measurements,
    check_modality,
    check_sex,
    check_support,
    check_normal,
)


def check_sentence(finding: Finding, context: GuardContext, words: GuardWords) -> tuple[Mark, ...]:
    """The marks of one sentence by itself (contradictions need `check_report`). Linear in its length; any thread."""
    return _checked(finding, context, words)[0]


def _checked(finding: Finding, context: GuardContext, words: GuardWords) -> tuple[tuple[Mark, ...], Reading]:
    reading = read_sentence(finding.text, context, words)
    return tuple(mark for guard in _GUARDS for mark in guard(finding, reading, context, words)), reading


def check_report(report: Report, context: GuardContext, words: GuardWords) -> Report:
    """The report with fresh marks on every sentence; earlier marks are replaced, rejected sentences have none.

    Measurements that the report holds itself are known beside those of the context.
    """
    own = {m.id: m for m in report.measurements}
    context = replace(context, measurements={**own, **context.measurements})
    kept = [f for f in report.findings if f.state != "rejected"]
    checked = {f.id: _checked(f, context, words) for f in kept}
    impression = {f.id for f in report.impression}
    statements: list[Statement] = []
    for f in kept:
        statements += Statements(f, checked[f.id][1], context, words, f.id in impression).read()
    clashes = contradictions(statements, context, words)
    marks = {f.id: (*checked[f.id][0], *clashes.get(f.id, ())) for f in kept}
    sections = tuple(replace(s, findings=_marked(s.findings, marks)) for s in report.sections)
    return report.with_changes(sections=sections, impression=_marked(report.impression, marks))


def _marked(findings: Iterable[Finding], marks: Mapping[str, tuple[Mark, ...]]) -> tuple[Finding, ...]:
    return tuple(f.with_changes(marks=marks.get(f.id, ())) for f in findings)
