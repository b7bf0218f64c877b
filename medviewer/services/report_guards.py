"""The guards over a report with the shipped word lists: build the context, check the report. Any thread."""

from __future__ import annotations

from collections.abc import Iterable

from medviewer.core import guards
from medviewer.core.guards import GuardContext, Memory
from medviewer.core.report.document import Finding, Mark, Report
from medviewer.core.report.template import Template
from medviewer.core.segmentation import Segment
from medviewer.core.volume import Volume
from medviewer.services.guard_words import guard_structures, guard_words

_MEMORY = Memory()


def guard_context(
    report: Report,
    *,
    volume: Volume | None = None,
    template: Template | None = None,
    segments: Iterable[Segment] = (),
    has_prior: bool = False,
    sides_confirmed: bool = True,
) -> GuardContext:
    """What the sentences of a report are held against: see `medviewer.core.guards.context_of`. The first call of a
    process reads the terminology (about a third of a second)."""
    return guards.context_of(
        report, guard_structures(), volume=volume, template=template, segments=segments, has_prior=has_prior,
        sides_confirmed=sides_confirmed,
    )  # fmt: skip


def check_report(report: Report, context: GuardContext) -> Report:
    """The report with fresh marks on every sentence; rejected ones have none. Sentences that did not change since the
    last call are not read again. Raises nothing for any text."""
    return guards.check_report(report, context, guard_words(), _MEMORY)


def warm_up() -> None:
    """Read the terminology and the word lists now (a third of a second), ahead of the first check. Any thread."""
    guard_words()
    guard_structures()


def check_sentence(finding: Finding, context: GuardContext) -> tuple[Mark, ...]:
    """The marks of one sentence by itself; contradictions need the whole report."""
    return guards.check_sentence(finding, context, guard_words())
