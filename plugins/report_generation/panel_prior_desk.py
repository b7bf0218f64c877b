"""The comparison of the active scan with a prior: asks the logic, keeps the answer, shows both. Qt-free; GUI thread."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from medviewer.api import Cancelled, PriorView, Progress, ReportRequest, Scene, UserError, reports
from medviewer.api.reports import CompareRequest, Comparison, PriorCheck, PriorStudy

from .panel_desk import MODEL, Desk
from .panel_draft import Draft

_MASKS = 0.55  # share of the work that the masks of the prior take
_ALONE = (170, 180, 190)  # a mask without a partner
Shift = tuple[float, float, float]


@dataclass(eq=False)
class PriorWork:
    """What a report is compared with, as far as it is. `scan`: the open scan that is the prior."""

    scan: Any
    reason: str = ""
    study: PriorStudy | None = None
    comparison: Comparison | None = None
    work: Literal["", "compare", "again"] = ""
    job: Any = None
    turn: int = 0
    is_shown: bool = True


@dataclass(eq=False)
class PriorDesk:
    """One comparison per report. `on_change` is called after every change of what is shown, `on_progress(fraction,
    text)` on the worker's thread."""

    desk: Desk
    on_change: Callable[[], None]
    on_progress: Callable[[float, str], None]
    problems: dict[str, str] = field(default_factory=dict)  # by key of the scan
    _jobs: dict[str, Any] = field(default_factory=dict)  # the last one of each scan

    @property
    def scene(self) -> Scene:
        return self.desk.scene

    @property
    def state(self) -> PriorWork | None:
        """That of the active scan; None without a prior."""
        return self.desk.draft.prior if self.desk.draft is not None else None

    @property
    def problem(self) -> str:
        """Why the last comparison of the active scan failed."""
        return self.problems.get(self.scene.active.key, "") if self.scene.active is not None else ""

    @property
    def others(self) -> list[Any]:
        """The open scans that may be chosen as the prior."""
        return [scan for scan in self.scene.scans if scan is not self.scene.active]

    def check(self, prior: Any) -> PriorCheck:
        """What speaks against a prior; a person answers."""
        assert self.scene.active is not None
        return reports.prior_check(self.scene.active.volume, prior.volume)

    # -- comparing ------------------------------------------------------------------
    def compare(self, prior: Any, reason: str = "") -> bool:
        """Find the prior's masks, register, compare; False where that must not be. `reason`: why a prior of another
        ID, birth date or sex is used all the same."""
        scan, draft = self.scene.active, self.desk.draft
        if scan is None or draft is None or not draft.is_open or prior is scan:
            return False
        found = self.check(prior)
        if found.refused or (found.differing and not reason.strip()):
            return False
        self.cancel()
        state = PriorWork(prior, reason.strip(), work="compare")
        draft.prior, self.problems[scan.key] = state, ""
        self._run(scan, draft, state, self._comparing(scan, draft, state), "Comparing with the prior")
        return True

    def _comparing(self, scan: Any, draft: Draft, state: PriorWork) -> Callable[[Progress], Comparison]:
        logic, volume, prior = self.desk.context.logic, scan.volume, state.scan.volume
        asked, request = self._masks_request(draft, state), self._request(scan, draft, state)

        def work(progress: Progress) -> Comparison:
            told = self._told(progress)
            masks = logic.prior_masks(prior, asked, told.part(0.0, _MASKS))
            both = replace(request, prior_segments=masks.segments)
            result: Comparison = logic.compare(volume, prior, both, told.part(_MASKS, 1.0))
            return result

        return work

    def _masks_request(self, draft: Draft, state: PriorWork) -> ReportRequest:
        """The masks of the prior that there are, and the prompts of the template for the others."""
        assert draft.reviewed is not None
        report, settings = draft.reviewed.report, self.desk.context.settings
        return ReportRequest(
            tuple(state.scan.segments), report.template, report.language, settings.get("device", "auto"),
            model_id=settings.get(MODEL, "") or None, ask=True,
        )  # fmt: skip

    def _request(self, scan: Any, draft: Draft, state: PriorWork) -> CompareRequest:
        assert draft.reviewed is not None
        report = draft.reviewed.report
        accepted = frozenset(s.id for s in scan.segments) - draft.added
        return CompareRequest(
            segments=tuple(scan.segments), prior_segments=tuple(state.scan.segments), reason=state.reason,
            language=report.language, template=report.template, sides_confirmed=draft.sides_confirmed,
            accepted=accepted | {s.id for s in state.scan.segments},
        )  # fmt: skip

    def _run(self, scan: Any, draft: Draft, state: PriorWork, work: Callable[[Progress], Any], what: str) -> None:
        state.turn += 1
        turn, number = state.turn, self.scene.scans.index(scan) + 1

        def done(comparison: Comparison) -> None:
            if state.turn == turn and draft.prior is state:
                self._take(scan, draft, state, comparison)

        def failed(error: UserError) -> None:
            if state.turn == turn and draft.prior is state:
                self._failed(scan, draft, state, error)

        state.job = self._jobs[scan.key] = self.desk.context.run_job(work, done, failed, f"{what} · scan {number}")
        self.on_change()

    def _take(self, scan: Any, draft: Draft, state: PriorWork, comparison: Comparison) -> None:
        state.work, state.comparison, state.study = "", comparison, comparison.study
        self._renew(scan, draft)
        self.show()
        self.on_change()

    def _failed(self, scan: Any, draft: Draft, state: PriorWork, error: UserError) -> None:
        state.work = ""
        self.problems[scan.key] = "" if isinstance(error, Cancelled) else str(error)
        if state.study is None:
            draft.prior = None
        self.on_change()

    def _renew(self, scan: Any, draft: Draft) -> None:
        """The report says what the comparison says; at once, or when its scan is shown again."""
        if scan is self.scene.active:
            self.desk.renew()
        else:
            draft.is_stale = True

    def _log_removal(self, draft: Draft) -> None:
        """A line of the record. That a prior came, and why although its identity differs, the logic writes there."""
        if draft.reviewed is not None:
            entry = draft.reviewed.entry("change_text", self.desk.moment(), where=reports.PRIOR, after="removed")
            draft.reviewed = draft.reviewed.with_report(draft.reviewed.report, entry)

    def _told(self, progress: Progress) -> Progress:
        def report(fraction: float, text: str) -> None:
            progress.on_report(fraction, text)
            self.on_progress(fraction, text)

        return Progress(report, progress.is_cancelled)

    def cancel(self) -> None:
        """Stop the comparison that runs; what the report says stays."""
        if self.state is not None and self.state.work and self.state.job is not None:
            self.state.job.cancel()

    def forget_closed(self) -> None:
        """Stop what is done for scans that were closed."""
        for key in self._jobs.keys() - {scan.key for scan in self.scene.scans}:
            self._jobs.pop(key).cancel()

    def remove(self) -> None:
        """Take the prior out of the report, and from beside the scan."""
        draft = self.desk.draft
        if draft is None or draft.prior is None or not draft.is_open:
            return
        self.cancel()
        had, draft.prior = draft.prior.study is not None, None
        if had:
            self._log_removal(draft)
            self.desk.renew()
        self.show()
        self.on_change()

    # -- beside the scan ----------------------------------------------------------
    def show(self) -> None:
        """Show the prior beside the active scan, or nothing where there is none to show."""
        self.desk.context.show_prior(self._view())

    def set_shown(self, shown: bool) -> None:
        """Whether the prior is to stand beside the scan."""
        if self.state is not None:
            self.state.is_shown = shown
        self.show()
        self.on_change()

    @property
    def can_show(self) -> bool:
        """Whether the prior was compared with and is still open."""
        state = self.state
        return state is not None and state.study is not None and state.scan in self.scene.scans

    def _view(self) -> PriorView | None:
        state = self.state
        if state is None or state.study is None or not self.can_show or not state.is_shown:
            return None
        registration, draft = state.study.registration, self.desk.draft
        language = draft.language if draft is not None else "en"
        known = registration is not None and (registration.quality != "not checked" or registration.same_frame)
        matrix = np.asarray(registration.matrix, float) if registration is not None and known else None
        return PriorView(
            state.scan.volume, self._colored(state), matrix, state.study.facts.date,
            "" if registration is None else registration.statement(language),
            registration is not None and not registration.usable, self.nudge, lambda: self.set_shown(False),
        )  # fmt: skip

    def _colored(self, state: PriorWork) -> tuple[Any, ...]:
        """The prior's masks in the colours of those they were matched with."""
        scan = self.scene.active
        ours = {s.id: s.color for s in scan.segments} if scan is not None else {}
        pairs = state.comparison.matches if state.comparison is not None else ()
        colors = {m.prior_id: ours.get(m.current_id, _ALONE) for m in pairs if m.prior_id}
        assert state.study is not None
        return tuple(s.changed(color=colors.get(s.id, _ALONE), visible=True) for s in state.study.segments)

    # -- moving it ----------------------------------------------------------------
    def nudge(self, shift_mm: Shift) -> None:
        """Move the prior over the scan by LPS mm: the views at once; `again` then renews what rests on it."""
        state, draft = self.state, self.desk.draft
        if state is None or state.study is None or draft is None or not draft.is_open:
            return
        state.study = reports.nudged(state.study, shift_mm=shift_mm)
        self.show()
        self.on_change()

    @property
    def is_behind(self) -> bool:
        """Whether the prior was moved since it was compared with."""
        state = self.state
        return state is not None and state.comparison is not None and state.comparison.study is not state.study

    def again(self) -> None:
        """Match the masks at the prior's new place."""
        scan, draft, state = self.scene.active, self.desk.draft, self.state
        if scan is None or draft is None or state is None or state.study is None or not draft.is_open:
            return
        self.cancel()
        state.work = "again"
        logic, volume, study = self.desk.context.logic, scan.volume, state.study
        request = self._request(scan, draft, state)

        def work(progress: Progress) -> Comparison:
            result: Comparison = logic.compare_again(volume, study, request, self._told(progress))
            return result

        self._run(scan, draft, state, work, "Comparing again")
