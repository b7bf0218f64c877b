"""From masks to a checked draft: measure, write, hold every sentence against the guards. No model is asked here.

Any thread; nothing is changed in place. A report that a person works on is a `Reviewed`; each step gives a new one.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from medviewer.core.comparison import Comparison, PriorStudy, RecistInput
from medviewer.core.errors import WrongUsage
from medviewer.core.guards import GuardContext
from medviewer.core.measure import examination_of, measure_scan
from medviewer.core.prediction import Prediction
from medviewer.core.progress import Progress, silent
from medviewer.core.report.audit import Moment, Reviewed, replaced
from medviewer.core.report.document import Finding, Language, Mark, Measurement, Report
from medviewer.core.report.drafting import DraftSource, draft_report
from medviewer.core.report.template import Template
from medviewer.core.report.updating import updated
from medviewer.core.report.words import LANGUAGES
from medviewer.core.segmentation import Segment
from medviewer.core.volume import Volume
from medviewer.services.comparison_draft import (
    PRIOR,
    compared_source,
    has_been_compared,
    with_comparison,
    without_changes,
)
from medviewer.services.report_guards import check_report, guard_context
from medviewer.services.report_notes import notes_of
from medviewer.services.report_sides import as_shown as as_shown
from medviewer.services.report_sides import sides_warnings as sides_warnings
from medviewer.services.report_templates import report_templates, report_words
from medviewer.services.resources import measure_rules, terminology

SIDES, IN_DOUBT, AS_RECORDED = "sides", "in doubt", "as recorded"  # a fact of a report, and its two values
_STATED = ("DICOM", "user")  # origins of a contrast medium that sentences may rest on


@dataclass(frozen=True, eq=False)
class DraftCase:
    """What a draft is made of besides the scan. Masks are bool (i, j, k) on its grid.

    `answers`: what the model said to prompts, found or not (their masks are not used). `by_hand`: measurements of a
    person. `prior`: the comparison in words, empty without a prior. `prior_study`: the study compared with, which gives
    these words, the change sentences and their numbers. `recist`: lesions that a person marked. `accepted`: ids of
    masks below the threshold that a person accepted. `sides_confirmed`: a person confirmed left and right of the file.
    `notes`: further lines for the limitations, in the report's language. `relate`: pairs of ids of masks whose distance
    and place to each other (left or right, above or below) are measured and told.
    """

    template: Template
    language: Language = "en"
    segments: tuple[Segment, ...] = ()
    answers: tuple[Prediction, ...] = ()
    by_hand: tuple[Measurement, ...] = ()
    indication: str = ""
    prior: str = ""
    accepted: frozenset[str] = frozenset()
    sides_confirmed: bool = False
    notes: tuple[str, ...] = ()
    prior_study: PriorStudy | None = None
    recist: RecistInput | None = None
    relate: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, eq=False)
class DraftedReport:
    """A draft and the masks that its sentences point at. `answers` hold no masks. `seconds`: how long each step took
    ("segment", "measure", "draft"). `warnings`: sentences about the answers and the templates. `comparison`: that with
    the prior, None without one."""

    report: Report
    segments: tuple[Segment, ...] = ()
    answers: tuple[Prediction, ...] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    comparison: Comparison | None = None


def report_language(text: str) -> Language:
    """The language with this name. Raises WrongUsage naming those that there are."""
    if text not in LANGUAGES:
        raise WrongUsage(f"Reports are not written in {text!r}.", f"Choose one of {', '.join(LANGUAGES)}.")
    return text


def now(who: str = "") -> Moment:
    """This moment (UTC, ISO 8601) for the audit trail."""
    return Moment(who, datetime.now(UTC).isoformat(timespec="seconds"))


def draft(volume: Volume, case: DraftCase, progress: Progress | None = None) -> DraftedReport:
    """Measure the masks, write the draft and check it. Raises Cancelled, ValueError for a mask on another grid."""
    source, comparison, seconds = _source(volume, case, progress or silent())
    begun = time.perf_counter()
    report = with_comparison(_with_sides(draft_report(source), source.sides_doubtful), comparison)
    report, took = _checked(report, volume, case), {**seconds, "draft": time.perf_counter() - begun}
    return DraftedReport(report, case.segments, case.answers, took, comparison=comparison)


def redraft(
    volume: Volume, reviewed: Reviewed, case: DraftCase, moment: Moment, progress: Progress | None = None
) -> Reviewed:
    """The report after masks were edited, added or removed: the program's sentences get the numbers of now and are
    marked as changed, a person's words stay; then every sentence is checked again. The template of `case` has to be
    the report's. Raises Cancelled, WrongUsage for another template."""
    if case.template.key != reviewed.report.template:
        raise WrongUsage("This report was written with another template.", "Make a new draft to change the template.")
    source, comparison, _ = _source(volume, case, progress or silent())
    again = updated(reviewed if comparison else without_changes(reviewed), source, moment)
    if again.report.status != "draft":  # signed, and nothing changed
        return again
    report = _with_sides(again.report, source.sides_doubtful)
    again = has_been_compared(again, report, comparison, source.words, moment)
    report = again.report
    return check_again(volume, again.with_report(report), case.segments, has_prior=bool(case.prior))


def check_again(
    volume: Volume, reviewed: Reviewed, segments: Iterable[Segment], *, has_prior: bool = False
) -> Reviewed:
    """The report with fresh marks on every sentence, after a person wrote or changed one. Marks that a person
    dismissed with a reason stay dismissed until the sentence changes. A signed report comes back as it is. Takes
    milliseconds; no voxel is read."""
    if reviewed.report.status != "draft":
        return reviewed
    fresh = check_report(reviewed.report, context_for(volume, reviewed.report, segments, has_prior=has_prior))
    kept = [_without_dismissed(reviewed, finding) for finding in fresh.findings]
    return reviewed.with_report(replaced(fresh, kept))


def context_for(
    volume: Volume, report: Report, segments: Iterable[Segment], *, has_prior: bool = False
) -> GuardContext:
    """What the guards hold the sentences of a report against. Contrast counts as given only where DICOM or the user
    states it; sides count as confirmed unless the organs lay on the unexpected side when the report was drafted."""
    template = report_templates().by_key.get(report.template)
    segments = segments if template is None else as_shown(volume, segments, template)
    context = guard_context(
        report, volume=volume, template=template, segments=segments, has_prior=has_prior or PRIOR in report.facts,
        sides_confirmed=report.facts.get(SIDES) != IN_DOUBT,
    )  # fmt: skip
    return context if _is_contrast_stated(volume) else replace(context, contrast="unknown")


def contrast_given(volume: Volume) -> bool:
    """Whether contrast medium is a fact: DICOM or the user states it."""
    return _is_contrast_stated(volume) and examination_of(volume).contrast == "enhanced"


# -- parts -----------------------------------------------------------------------------
def _source(
    volume: Volume, case: DraftCase, progress: Progress
) -> tuple[DraftSource, Comparison | None, dict[str, float]]:
    """The measurements of now and all else that a draft needs, the comparison with the prior, and the time that
    measuring took."""
    begun = time.perf_counter()
    progress.report(0.0, "Measuring")
    segments = as_shown(volume, case.segments, case.template)
    found = measure_scan(volume, segments, measure_rules(case.language), relate=case.relate)
    progress.report(0.8, "Checking the sides")
    doubtful = not case.sides_confirmed and bool(sides_warnings(volume, segments))
    words = report_words(case.language)
    notes = (*case.notes, *notes_of(volume, segments, case.template, words))
    progress.report(0.9, "Writing the draft")
    source = DraftSource(
        case.template, words, terminology(), volume, segments, (*found, *case.by_hand),
        case.answers, case.indication, case.prior, case.accepted, doubtful, now().when, notes,
    )  # fmt: skip
    source, comparison = compared_source(source, case.prior_study, case.recist)
    return source, comparison, {"measure": time.perf_counter() - begun}


def _with_sides(report: Report, doubtful: bool) -> Report:
    return report.with_changes(facts={**report.facts, SIDES: IN_DOUBT if doubtful else AS_RECORDED})


def _checked(report: Report, volume: Volume, case: DraftCase) -> Report:
    return check_report(report, context_for(volume, report, case.segments, has_prior=bool(case.prior)))


def _is_contrast_stated(volume: Volume) -> bool:
    stated = [volume.facts.get(name) for name in ("contrast_agent", "contrast_phase", "contrast", "phase")]
    return any(fact is not None and fact.value is not None and fact.origin in _STATED for fact in stated)


def _without_dismissed(reviewed: Reviewed, finding: Finding) -> Finding:
    """The sentence without the marks that a person dismissed since it last changed."""
    if not finding.marks:
        return finding
    dismissed: set[tuple[str, str]] = set()
    for entry in reviewed.trail:
        if entry.finding_id != finding.id:
            continue
        if entry.action in ("edit", "numbers_changed"):
            dismissed.clear()
        elif entry.action == "dismiss_mark":
            guard = entry.note.split(":")[0]
            dismissed |= {(guard, text) for text in entry.marks if text.startswith(f"{guard}:")}
    open_now = {_told(mark) for mark in reviewed.finding(finding.id).marks}
    kept = tuple(m for m in finding.marks if _told(m) in open_now or _told(m) not in dismissed)
    return replace(finding, marks=kept)


def _told(mark: Mark) -> tuple[str, str]:
    return mark.guard, f"{mark.guard}: {mark.reason}"
