"""What the Report tab keeps and does: one draft per scan, a person's steps, the work behind. Qt-free; GUI thread."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from medviewer.api import (
    Cancelled,
    PanelContext,
    Prediction,
    Progress,
    ReportRequest,
    Scene,
    UserError,
    Volume,
    reports,
)
from medviewer.api.reports import DraftedReport, Finding, KeyImage, Moment, Reviewed

from .language import shown_to_model
from .panel_draft import PLUGIN, Draft, note_of, place_of, restored

MODEL, NAME, LANGUAGE = "model", "report_name", "report_language"  # settings
Step = Callable[[Reviewed], Reviewed]


@dataclass(eq=False)
class Desk:
    """Runs the drafts and keeps one report per scan. `on_change` is called after every change of what is shown;
    `on_progress(fraction, text)` on the worker's thread."""

    context: PanelContext
    on_change: Callable[[], None]
    on_progress: Callable[[float, str], None]
    _drafts: dict[str, Draft] = field(default_factory=dict)

    @property
    def scene(self) -> Scene:
        return self.context.scene

    @property
    def draft(self) -> Draft | None:
        """That of the active scan; None without a scan."""
        scan = self.scene.active
        if scan is None:
            return None
        if scan.key not in self._drafts:
            self._drafts[scan.key] = self._kept(scan) or self._new()
        return self._drafts[scan.key]

    def _new(self) -> Draft:
        return Draft(language="de" if self.context.settings.get(LANGUAGE, "en") == "de" else "en")

    def _kept(self, scan: Any) -> Draft | None:
        try:
            return restored(scan)
        except UserError as error:
            self.context.notify(str(error), "error")
            return None

    def keep(self) -> None:
        """Keep the reports of now with their scans, for a session."""
        for scan in self.scene.scans:
            draft = self._drafts.get(scan.key)
            if draft is not None and draft.reviewed is not None and draft.kept is not draft.reviewed:
                draft.kept = draft.reviewed
                self.scene.keep_note(scan, PLUGIN, note_of(draft))

    @property
    def reviewed(self) -> Reviewed | None:
        """The report of the active scan."""
        return self.draft.reviewed if self.draft is not None else None

    def forget_closed(self) -> None:
        """Drop the reports of scans that were closed."""
        keys = {scan.key for scan in self.scene.scans}
        for key in self._drafts.keys() - keys:
            self.cancel(self._drafts.pop(key))

    # -- drafting ------------------------------------------------------------------
    def start(self, *, ask: bool = True, keep_answers: bool = False) -> None:
        """Draft the report of the active scan. `ask`: look for structures that have no mask; `keep_answers`: only for
        those that were not asked for before."""
        scan, draft = self.scene.active, self.draft
        if scan is None or draft is None or draft.work == "draft" or draft.was_signed:
            return
        self.cancel(draft)
        request = self._request(draft, ask=ask, answers=draft.answers if keep_answers else ())
        given, volume, logic = frozenset(s.id for s in scan.segments), scan.volume, self.context.logic
        turn = self._begin(draft, "draft")

        def work(progress: Progress) -> DraftedReport:
            reports.warm_up()  # else the first edit would wait for the word lists
            result: DraftedReport = logic.run(volume, request, self._told(progress))
            return result

        def done(drafted: DraftedReport) -> None:
            if draft.turn != turn:
                return
            draft.work, draft.waiting = "", (drafted, given)
            self.take_waiting()
            self.on_change()

        self._run(draft, turn, work, done, self._title("Drafting", scan))

    def cancel(self, draft: Draft | None = None) -> None:
        """Stop the work on a report (that of the active scan)."""
        draft = draft or self.draft
        if draft is not None and draft.work and draft.job is not None:
            draft.job.cancel()

    def take_waiting(self) -> None:
        """Show a draft that came in: first its new masks, then its sentences."""
        scan, draft = self.scene.active, self.draft
        if scan is None or draft is None or draft.waiting is None:
            return
        (drafted, given), draft.waiting = draft.waiting, None
        new = [s for s in drafted.segments if s.id not in given]
        draft.reviewed = None  # while the masks come in there is nothing to follow them
        draft.added |= {s.id for s in new}
        if new:
            self.scene.add_segments(new, "draft report")
        draft.masks, draft.is_stale = {s.id: s.mask for s in drafted.segments}, False
        draft.answers, draft.warnings = drafted.answers, drafted.warnings
        draft.reviewed = Reviewed(drafted.report)
        if draft.indication != drafted.report.indication:
            draft.reviewed = reports.change_text(draft.reviewed, "indication", draft.indication, self.moment())
        self.follow()

    def follow(self) -> None:
        """The segments may have changed: mark the sentences of those that did at once, then renew the numbers."""
        scan, draft = self.scene.active, self.draft
        if scan is None or draft is None or draft.reviewed is None or draft.work == "draft":
            return
        now = {s.id: s.mask for s in scan.segments}
        changed = {id_ for id_ in draft.masks.keys() | now.keys() if draft.masks.get(id_) is not now.get(id_)}
        if not draft.is_open:  # a signed report opens again only where something that it rests on was changed
            changed &= {e.segment_id for f in draft.reviewed.report.findings for e in f.evidence}
        if not changed:
            return
        for segment_id in sorted(changed):
            draft.reviewed = reports.segment_changed(draft.reviewed, segment_id, self.moment())
        draft.masks = now
        self.renew()

    def renew(self) -> None:
        """Measure again and write the numbers of now into the report."""
        scan, draft = self.scene.active, self.draft
        if scan is None or draft is None or draft.reviewed is None:
            return
        basis, request, moment = draft.reviewed, self._request(draft, ask=False, answers=draft.answers), self.moment()
        volume, logic = scan.volume, self.context.logic
        turn, draft.is_stale = self._begin(draft, "renew"), True

        def work(progress: Progress) -> Reviewed:
            result: Reviewed = logic.redraft(volume, basis, request, moment, self._told(progress))
            return result

        def done(renewed: Reviewed) -> None:
            if draft.turn != turn:
                return
            draft.work = ""
            if draft.reviewed is basis:
                draft.reviewed, draft.is_stale = renewed, False
                self.on_change()
            elif draft is self.draft:
                self.renew()  # a person went on meanwhile: no step of theirs is lost

        self._run(draft, turn, work, done, self._title("Measuring", scan))

    def resume(self) -> None:
        """Renew what was not renewed while another scan was shown."""
        draft = self.draft
        if draft is not None and draft.is_stale and not draft.work:
            self.renew()

    def confirm_sides(self) -> None:
        """A person compared left and right with the source: sided sentences come back."""
        if self.draft is not None:
            self.draft.sides_confirmed = True
            self.renew()

    def _request(self, draft: Draft, *, ask: bool, answers: tuple[Prediction, ...]) -> ReportRequest:
        scan, settings = self.scene.active, self.context.settings
        assert scan is not None
        return ReportRequest(
            tuple(scan.segments), draft.template, draft.language, settings.get("device", "auto"),
            indication=draft.indication, model_id=settings.get(MODEL, "") or None, ask=ask, answers=answers,
            accepted=frozenset(s.id for s in scan.segments) - draft.added, sides_confirmed=draft.sides_confirmed,
            frame=scan.frame if scan.volume.kind == "cine" else None, prior_study=draft.study,
        )  # fmt: skip

    def _told(self, progress: Progress) -> Progress:
        """The progress, told to the panel as well."""

        def report(fraction: float, text: str) -> None:
            progress.on_report(fraction, text)
            self.on_progress(fraction, text)

        return Progress(report, progress.is_cancelled)

    def _begin(self, draft: Draft, work: Literal["draft", "renew"]) -> int:
        draft.work, draft.problem, draft.turn = work, "", draft.turn + 1
        return draft.turn

    def _run(
        self, draft: Draft, turn: int, work: Callable[[Progress], Any], done: Callable[[Any], None], title: str
    ) -> None:
        draft.job = self.context.run_job(work, done, lambda error: self._failed(draft, turn, error), title)
        self.on_change()

    def _failed(self, draft: Draft, turn: int, error: UserError) -> None:
        if draft.turn != turn:
            return
        draft.work = ""
        draft.problem = "" if isinstance(error, Cancelled) else str(error)
        self.on_change()

    def _title(self, what: str, scan: Any) -> str:
        """The title is the question: one per scan, so that a newer one replaces the older."""
        number = self.scene.scans.index(scan) + 1
        return f"{what} the report" + (f" · scan {number}" if len(self.scene.scans) > 1 else "")

    # -- a person's steps -----------------------------------------------------------
    def moment(self) -> Moment:
        """Now, under the name that was last signed with."""
        return reports.now(str(self.context.settings.get(NAME, "")))

    def step(self, change: Step, *, check: bool = False) -> bool:
        """Do one step on the report; what is refused is told. `check`: the guards look at every sentence again."""
        scan, draft = self.scene.active, self.draft
        if scan is None or draft is None or draft.reviewed is None:
            return False
        try:
            after = change(draft.reviewed)
        except UserError as error:
            self.context.notify(str(error), "warning")
            return False
        if check:
            compares = draft.study is not None
            after = reports.check_again(scan.volume, after, scan.segments, has_prior=compares)
        draft.reviewed = after
        self.on_change()
        return True

    def replace(self, seen: Reviewed, after: Reviewed) -> bool:
        """Take over what a dialog made of the report as it was shown there; refused where it has changed since."""

        def change(now: Reviewed) -> Reviewed:
            if now is not seen:
                raise UserError("The report changed meanwhile.", "Look at it again, then sign.")
            return after

        return self.step(change)

    def accept(self, finding_id: str) -> bool:
        """Accept one sentence."""
        return self.step(lambda r: reports.accept(r, finding_id, self.moment()))

    def reject(self, finding_id: str) -> bool:
        """Leave a sentence out; one of the impression is taken out of it."""
        if self._in_impression(finding_id):
            return self.step(lambda r: reports.remove_impression(r, finding_id, self.moment()), check=True)
        return self.step(lambda r: reports.reject(r, finding_id, self.moment()), check=True)

    def edit(self, finding_id: str, text: str) -> bool:
        """Replace the words of a sentence."""
        return self.step(lambda r: reports.edit(r, finding_id, text, self.moment()), check=True)

    def add(self, heading: str, text: str) -> bool:
        """A person's sentence under a heading."""
        return self.step(lambda r: reports.add_sentence(r, heading, text, self.moment()), check=True)

    def conclude(self, finding_id: str) -> bool:
        """Put an accepted finding into the impression; its words can be changed there."""
        reviewed = self.reviewed
        if reviewed is None:
            return False
        text = reviewed.finding(finding_id).text
        return self.step(lambda r: reports.insert_impression(r, text, [finding_id], self.moment()), check=True)

    def dismiss(self, finding_id: str, guard: str, reason: str) -> bool:
        """Say why what a guard found in a sentence does not hold."""

        def change(reviewed: Reviewed) -> Reviewed:
            for mark in reviewed.finding(finding_id).marks:
                if mark.guard == guard:
                    reviewed = reports.dismiss_mark(reviewed, finding_id, mark, reason, self.moment())
            return reviewed

        return self.step(change)

    def accept_measured(self) -> bool:
        """Accept the measured sentences that are undecided and have no mark."""
        return self.step(lambda r: reports.accept_measured(r, self.moment()))

    def write(self, name: str, text: str) -> None:
        """Change the indication, the comparison or the technique."""
        draft = self.draft
        if draft is None:
            return
        if name == "indication":
            draft.indication = text.strip()
        if draft.is_open and draft.reviewed is not None and getattr(draft.reviewed.report, name) != text.strip():
            self.step(lambda r: reports.change_text(r, name, text, self.moment()), check=True)

    def draft_indication(self, text: str) -> None:
        """What the next draft says about why the scan was made."""
        if self.draft is not None:
            self.draft.indication = text.strip()

    def conclusions(self) -> list[Finding]:
        """The accepted findings that are not in the impression yet."""
        if self.reviewed is None:
            return []
        report = self.reviewed.report
        taken = {id_ for f in report.impression for id_ in f.linked}
        findings = [f for section in report.sections for f in section.findings]
        return [f for f in findings if f.state in ("accepted", "edited") and f.id not in taken]

    def add_image(self, png: bytes, caption: str, finding_id: str = "") -> bool:
        """A picture of the views for the report."""
        image = KeyImage(png, caption, (finding_id,) if finding_id else ())
        return self._with_images(lambda images: (*images, image))

    def remove_image(self, image: KeyImage) -> bool:
        """Take a picture out of the report."""
        return self._with_images(lambda images: tuple(one for one in images if one is not image))

    def _with_images(self, change: Callable[[tuple[KeyImage, ...]], tuple[KeyImage, ...]]) -> bool:
        if self.draft is None or not self.draft.is_open:
            return False
        return self.step(lambda r: r.with_report(r.report.with_changes(key_images=change(r.report.key_images))))

    # -- evidence -----------------------------------------------------------------
    def show(self, finding_id: str) -> None:
        """All views go to what a sentence rests on, its segment is selected and filled; then it counts as seen."""
        scan, reviewed = self.scene.active, self.reviewed
        if scan is None or reviewed is None:
            return
        finding = reviewed.finding(finding_id)
        if not finding.evidence:  # of a model: the slice that it was shown
            finding = finding.with_changes(evidence=shown_to_model(reviewed.report, finding, scan.volume))
        shown = self._show_segment(finding) | self._jump(finding, scan.volume)
        if not finding.evidence and scan.volume.kind == "image":
            shown = True  # the one image there is, is what it is about
        if shown and not finding.seen and self.draft is not None and self.draft.is_open:
            self.step(lambda r: reports.mark_seen(r, finding_id, self.moment()))

    def _show_segment(self, finding: Finding) -> bool:
        scan = self.scene.active
        known = {s.id: s for s in scan.segments} if scan is not None else {}
        segment = next((known[e.segment_id] for e in finding.evidence if e.segment_id in known), None)
        self.scene.select(segment.id if segment is not None else None)
        self.context.point_at(segment.id if segment is not None else None)
        if segment is not None and not segment.visible:
            self.scene.show_segment(segment.id, visible=True)
        return segment is not None

    def _jump(self, finding: Finding, volume: Volume) -> bool:
        place = place_of(finding.evidence, volume)
        if place is None:
            return False
        if volume.kind == "cine" and place.slice_index is not None:
            self.scene.set_frame(place.slice_index)
        assert place.position is not None
        self.context.jump_to(place.position)
        return True

    def _in_impression(self, finding_id: str) -> bool:
        reviewed = self.reviewed
        return reviewed is not None and any(f.id == finding_id for f in reviewed.report.impression)
