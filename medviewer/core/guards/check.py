"""All guards over a sentence or a report: deterministic, no files, no models, no clock."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

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
    return _marks(finding, read_sentence(finding.text, context, words), context, words)


def _marks(finding: Finding, reading: Reading, context: GuardContext, words: GuardWords) -> tuple[Mark, ...]:
    return tuple(mark for guard in _GUARDS for mark in guard(finding, reading, context, words))


@dataclass(frozen=True)
class _Checked:
    """What one sentence says, and what is wrong with it by itself."""

    marks: tuple[Mark, ...]
    statements: tuple[Statement, ...]


_Key = tuple[Finding, bool]  # the sentence without what a person decided about it; whether the impression holds it


class Memory:
    """What was found in the sentences of the last report, so that those that did not change are not read again. It is
    used only while all that is known about the scan stays the same. Any thread: a report is taken over as a whole."""

    def __init__(self) -> None:
        self._last: tuple[GuardContext, GuardWords, Mapping[_Key, _Checked]] | None = None

    def known(self, context: GuardContext, words: GuardWords) -> Mapping[_Key, _Checked]:
        """What holds under this context."""
        last = self._last
        return last[2] if last is not None and last[1] is words and last[0] == context else {}

    def keep(self, context: GuardContext, words: GuardWords, checked: Mapping[_Key, _Checked]) -> None:
        """Remember this report instead of the one before."""
        self._last = context, words, checked


def check_report(report: Report, context: GuardContext, words: GuardWords, memory: Memory | None = None) -> Report:
    """The report with fresh marks on every sentence; earlier marks are replaced, rejected sentences have none.

    Measurements that the report holds itself are known beside those of the context. `memory`: of earlier checks.
    """
    own = {m.id: m for m in report.measurements}
    context = replace(context, measurements={**own, **context.measurements})
    impression = {f.id for f in report.impression}
    keys = {f.id: _key(f, f.id in impression) for f in report.findings if f.state != "rejected"}
    known = memory.known(context, words) if memory is not None else {}
    checked = {key: known.get(key) or _checked(*key, context, words) for key in keys.values()}
    if memory is not None:
        memory.keep(context, words, checked)
    clashes = contradictions([s for key in keys.values() for s in checked[key].statements], context, words)
    marks = {id_: (*checked[key].marks, *clashes.get(id_, ())) for id_, key in keys.items()}
    sections = tuple(replace(s, findings=_marked(s.findings, marks)) for s in report.sections)
    return report.with_changes(sections=sections, impression=_marked(report.impression, marks))


def _key(finding: Finding, in_impression: bool) -> _Key:
    """What the guards look at; state, seen and the like change nothing for them."""
    plain = finding.with_changes(marks=(), state="draft", seen=False, changed=False, model="", linked=())
    return plain, in_impression


def _checked(finding: Finding, in_impression: bool, context: GuardContext, words: GuardWords) -> _Checked:
    reading = read_sentence(finding.text, context, words)
    statements = Statements(finding, reading, context, words, in_impression).read()
    return _Checked(_marks(finding, reading, context, words), tuple(statements))


def _marked(findings: Iterable[Finding], marks: Mapping[str, tuple[Mark, ...]]) -> tuple[Finding, ...]:
    return tuple(f.with_changes(marks=marks.get(f.id, ())) for f in findings)
