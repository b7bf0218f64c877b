"""A language model writing for the report of a scan: one request per scan, its text so far, what came of it. Qt-free;
GUI thread, except where it says otherwise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from medviewer.api import Cancelled, Progress, ReportRequest, UserError, reports
from medviewer.api.reports import Finding, LanguageAnswer, LanguageModel, LanguageRequest, Report

from .language import WRITING
from .panel_desk import MODEL, Desk
from .panel_draft import Draft, segments_of

FOLDER = "language_model"  # setting: the folder of the model that was used last
_TOO_LATE = "The report was drafted anew meanwhile; ask the language model again."


@dataclass(eq=False)
class Writing:
    """A model's work for one scan. `text`: what it wrote so far, or the step before. `prior`: an earlier report that
    the person gave it. `waiting`: an answer that came while another scan was shown."""

    job: Any = None
    text: str = ""
    problem: str = ""
    prior: str = ""
    suggestions: tuple[Finding, ...] = ()
    waiting: LanguageAnswer | None = None

    @property
    def is_working(self) -> bool:
        return self.job is not None


@dataclass(eq=False)
class Writer:
    """Asks language models for the reports of a desk. `on_change`: what is shown changed; `on_text()`: there is more
    text, on the worker's thread."""

    desk: Desk
    on_change: Callable[[], None]
    on_text: Callable[[], None]
    _works: dict[str, Writing] = field(default_factory=dict)

    @property
    def work(self) -> Writing | None:
        """That of the active scan; None without a scan."""
        scan = self.desk.scene.active
        return None if scan is None else self._works.setdefault(scan.key, Writing())

    @property
    def folder(self) -> Path | None:
        """Of the model that was used last."""
        stored = self.desk.context.settings.get(FOLDER, "")
        return Path(stored) if stored else None

    @property
    def is_ready(self) -> bool:
        """Whether there is a report that may be changed, and nothing else is being made of it."""
        draft = self.desk.draft
        return draft is not None and draft.is_open and draft.work != "draft"

    def remember(self, folder: Path) -> None:
        """The model that is used from now on."""
        self.desk.context.settings.set(FOLDER, str(folder))

    def is_accepted(self, model: LanguageModel) -> bool:
        """Whether a person accepted the terms of this model."""
        return model.licence_key in reports.accepted_licences(self.desk.context.settings)

    def accept(self, model: LanguageModel) -> None:
        """A person accepted the terms of this model."""
        reports.accept_licence(self.desk.context.settings, model.licence_key)

    def forget_closed(self) -> None:
        """Stop the work for scans that were closed."""
        keys = {scan.key for scan in self.desk.scene.scans}
        for key in self._works.keys() - keys:
            self._stop(self._works.pop(key))

    def cancel(self) -> None:
        """Stop the work for the active scan; the report stays as it is."""
        if self.work is not None:
            self._stop(self.work)

    def _stop(self, work: Writing) -> None:
        if work.job is not None:
            work.job.cancel()

    # -- asking --------------------------------------------------------------------
    def start(self) -> None:
        """Ask the remembered model about the active scan and its report."""
        scan, draft, work, folder = self.desk.scene.active, self.desk.draft, self.work, self.folder
        if scan is None or draft is None or work is None or folder is None or work.is_working or not self.is_ready:
            return
        assert draft.reviewed is not None
        report, volume, logic = draft.reviewed.report, scan.volume, self.desk.context.logic
        settings = self.desk.context.settings
        request = ReportRequest(
            tuple(scan.segments), report.template, report.language, settings.get("device", "auto"),
            model_id=settings.get(MODEL, "") or None, ask=False, answers=draft.answers,
            accepted=frozenset(s.id for s in scan.segments) - draft.added,
            frame=scan.frame if scan.volume.kind == "cine" else None,
        )  # fmt: skip
        language = LanguageRequest(
            folder, reports.accepted_licences(settings), work.prior, device=settings.get("device", "auto")
        )
        work.text, work.problem = "", ""

        def ask(progress: Progress) -> LanguageAnswer:
            answer: LanguageAnswer = logic.describe(volume, report, request, language, self._told(work, progress))
            return answer

        work.job = self.desk.context.run_job(
            ask, lambda answer: self._came(work, answer), lambda error: self._failed(work, error),
            self.desk._title("Asking the language model about", scan),
        )  # fmt: skip
        self.on_change()

    def _told(self, work: Writing, progress: Progress) -> Progress:
        """The progress with a short text, while the whole text so far goes to the panel (worker's thread)."""

        def report(fraction: float, text: str) -> None:
            work.text = text.removeprefix(WRITING)
            writes = text.startswith(WRITING)
            progress.on_report(fraction, WRITING.rstrip(": ") if writes else text)
            self.on_text()

        return Progress(report, progress.is_cancelled)

    def _failed(self, work: Writing, error: UserError) -> None:
        work.job, work.text = None, ""
        work.problem = "" if isinstance(error, Cancelled) else str(error)
        self.on_change()

    def _came(self, work: Writing, answer: LanguageAnswer) -> None:
        work.job, work.text, work.waiting = None, "", answer
        self.take_waiting()
        self.on_change()

    # -- what came -------------------------------------------------------------------
    def take_waiting(self) -> None:
        """Put an answer that came in into the report of the active scan: first its new masks, then its sentences."""
        work, draft = self.work, self.desk.draft
        if work is None or draft is None or work.waiting is None:
            return
        answer, work.waiting = work.waiting, None
        if not self.is_ready or draft.reviewed is None or not answer.fits(draft.reviewed.report):
            work.problem = _TOO_LATE
            return
        self._put_in(draft, answer)
        work.suggestions = answer.draft.suggestions

    def _put_in(self, draft: Draft, answer: LanguageAnswer) -> None:
        scene, reviewed = self.desk.scene, draft.reviewed
        scan = scene.active
        assert scan is not None
        assert reviewed is not None
        segments = (*scan.segments, *answer.segments)
        after = reports.add_model_sentences(scan.volume, reviewed, answer, segments, self.desk.moment())
        draft.reviewed = None  # while the masks come in there is nothing to follow them
        draft.added |= {s.id for s in answer.segments}
        draft.masks |= {s.id: s.mask for s in answer.segments}
        if answer.segments:
            scene.add_segments(answer.segments, "masks for sentences of a language model")
        draft.answers, draft.warnings = (*draft.answers, *answer.answers), (*draft.warnings, *answer.warnings)
        draft.reviewed = after
        if answer.segments:
            self.desk.renew()  # the new masks are measured as the others
        self.desk.on_change()

    # -- suggestions for the impression -------------------------------------------------
    @property
    def suggestions(self) -> tuple[Finding, ...]:
        """What the model suggests for the impression and nobody took over yet; none without a report to put it in."""
        reviewed, work = self.desk.reviewed, self.work
        if work is None or reviewed is None or not self.is_ready:
            return ()
        taken = {entry.after for entry in reviewed.trail if entry.action == "insert_impression"}
        return tuple(f for f in work.suggestions if f.text not in taken)

    def supports(self, suggestion: Finding) -> list[Finding]:
        """The accepted findings that a suggestion may rest on, those about the same structures first."""
        reviewed = self.desk.reviewed
        if reviewed is None:
            return []
        accepted = [f for f in _in_sections(reviewed.report) if f.state in ("accepted", "edited")]
        return sorted(accepted, key=lambda f: not _share(f, suggestion))

    def insert(self, suggestion: Finding, finding_id: str) -> bool:
        """Put one suggestion into the impression, resting on a finding; it is still the model's and undecided."""
        moment = self.desk.moment()
        return self.desk.step(lambda r: reports.insert_suggestion(r, suggestion, [finding_id], moment), check=True)


def _in_sections(report: Report) -> list[Finding]:
    return [finding for section in report.sections for finding in section.findings]


def _share(one: Finding, other: Finding) -> bool:
    return bool(set(one.term_ids) & set(other.term_ids) or segments_of(one) & segments_of(other))
