"""What the Find tab does with prompts, previews and clicks. Qt-free; GUI thread only."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from medviewer.api import (
    Answer,
    BoxPrompt,
    Cancelled,
    PanelContext,
    PointPrompt,
    Prediction,
    Progress,
    Scene,
    Segment,
    SegmentRequest,
    UserError,
    Volume,
    split_prompts,
    terminology,
)

from .model_choice import SETTING
from .places import Place, in_sight, place_of
from .suggestions import Trained, suggestions, trained_terms
from .wording import CardText, card_text

State = Literal["running", "answered", "accepted", "discarded", "failed", "cancelled"]
_NO_MASK = np.zeros((0, 0, 0), bool)
POINTED_AT = "structure pointed at"


@dataclass(eq=False)
class Entry:
    """One prompt on one scan and what became of it."""

    prompt: str
    state: State = "running"
    prediction: Prediction | None = None
    place: Place = Place(0)
    unchanged: bool = False  # a refinement gave the same mask
    problem: str = ""
    points: tuple[PointPrompt, ...] = ()
    box: BoxPrompt | None = None

    @property
    def waiting(self) -> bool:
        """Found and neither accepted nor discarded."""
        return self.state == "answered" and self.prediction is not None and self.prediction.found


@dataclass
class _Clicks:
    """Clicks that led to an accepted segment's present mask."""

    mask: weakref.ref[Any]
    points: tuple[PointPrompt, ...] = ()
    box: BoxPrompt | None = None


@dataclass(eq=False)
class Finder:
    """Runs prompts, keeps one card per prompt and scan, owns the preview."""

    context: PanelContext
    on_change: Callable[[], None]
    _entries: dict[str, list[Entry]] = field(default_factory=dict)
    _clicks: dict[str, _Clicks] = field(default_factory=dict)
    _trained: Trained | None = None  # of the chosen model

    @property
    def scene(self) -> Scene:
        return self.context.scene

    @property
    def entries(self) -> list[Entry]:
        """Cards of the active scan, newest first."""
        scan = self.scene.active
        return self._entries.setdefault(scan.key, []) if scan is not None else []

    @property
    def busy(self) -> bool:
        """Whether a prompt waits for its answer."""
        return any(e.state == "running" for entries in self._entries.values() for e in entries)

    @property
    def previewed(self) -> Entry | None:
        """The card whose mask is shown as a preview."""
        scan = self.scene.active
        if scan is None or scan.preview is None:
            return None
        return next((e for e in self.entries if e.prediction is scan.preview), None)

    def forget_closed(self) -> None:
        """Drop the cards of scans that were closed."""
        keys = {scan.key for scan in self.scene.scans}
        self._entries = {key: value for key, value in self._entries.items() if key in keys}
        self._clicks = {key: value for key, value in self._clicks.items() if value.mask() is not None}

    def offers(self) -> list[str]:
        """Structures to offer for the active scan: what the chosen model was trained for and nobody asked yet."""
        scan = self.scene.active
        if scan is None:
            return []
        if self._trained is None:
            self._trained = trained_terms(self.context.settings.get(SETTING, "") or None)
        done = [s.term_id for s in scan.segments if s.term_id]
        done += [e.prediction.term_id for e in self.entries if e.prediction and e.prediction.term_id]
        return suggestions(scan.volume, self._trained, done)

    def forget_model(self) -> None:
        """Another model was chosen."""
        self._trained = None

    # -- prompts ---------------------------------------------------------------
    def run(self, text: str) -> list[Entry]:
        """Ask for every prompt of a text. Raises UserError for an empty or overlong one."""
        if self.scene.active is None:
            raise UserError("No scan is open.", "Open a scan first, then type what to find.")
        prompts = split_prompts(text, terminology())
        for prompt in prompts:
            self.scene.note_prompt(prompt)
        started = [self._start(prompt, place) for place, prompt in enumerate(prompts)]
        self.on_change()
        return started

    def _start(self, prompt: str, place: int) -> Entry:
        """Ask; the card goes to the top, in the order typed, and replaces an undecided one of the same words."""
        scan, entries = self.scene.active, self.entries
        old = [e for e in entries if e.prompt.casefold() == prompt.casefold() and e.state != "accepted"]
        if scan is not None and self.previewed in old:
            self.scene.set_preview(None)
        entries[:] = [e for e in entries if e not in old]
        entry = Entry(prompt)
        entries.insert(place, entry)
        self._ask(entry, lambda prediction: self._answered(entry, prediction), previous=None)
        return entry

    def _ask(self, entry: Entry, on_answer: Callable[[Prediction], None], previous: Any) -> None:
        scan = self.scene.active
        assert scan is not None
        request = self._request(entry, previous, scan.frame if scan.volume.kind == "cine" else None)
        volume, key, logic = scan.volume, scan.key, self.context.logic

        def work(progress: Progress) -> tuple[Prediction, Place]:
            prediction = logic.run(volume, request, progress)
            if prediction.mask.shape != volume.shape:
                raise ValueError(f"mask {prediction.mask.shape} is not on the scan's grid {volume.shape}")
            entry.unchanged = previous is not None and np.array_equal(prediction.mask, previous)
            prediction = replace(prediction, mask=np.asfortranarray(prediction.mask))  # accepting copies nothing
            return prediction, place_of(prediction.mask, volume)

        def done(result: tuple[Prediction, Place]) -> None:
            entry.place = result[1]
            self._deliver(key, lambda: on_answer(result[0]))

        def failed(error: UserError) -> None:
            self._deliver(key, lambda: self._failed(entry, error))

        number = self.scene.scans.index(scan) + 1
        where = f" · scan {number}" if len(self.scene.scans) > 1 else ""  # the title is the question: one per scan
        self.context.run_job(work, done, failed, f"Find {entry.prompt[:60]}{where}")

    def _request(self, entry: Entry, previous: Any, frame: int | None) -> SegmentRequest:
        settings = self.context.settings
        model = settings.get(SETTING, "") or None
        device = settings.get("device", "auto")
        return SegmentRequest(entry.prompt, entry.points, entry.box, previous, model, device, frame)

    def _deliver(self, key: str, call: Callable[[], None]) -> None:
        """An answer counts only while its scan is open; it is applied to that scan."""
        if any(scan.key == key for scan in self.scene.scans):
            call()
            self.on_change()

    def _answered(self, entry: Entry, prediction: Prediction) -> None:
        entry.prediction = prediction if prediction.found else _without_mask(prediction)
        entry.state = "answered"
        if prediction.found and entry in self.entries and self._may_preview():
            self.preview(entry)

    def _may_preview(self) -> bool:
        scan = self.scene.active
        return scan is not None and scan.preview is None

    def _failed(self, entry: Entry, error: UserError) -> None:
        if entry.state != "running":
            return
        if entry.prediction is not None:  # a refinement failed: the answer before it stands
            entry.state = "answered"
            if not isinstance(error, Cancelled):
                self.context.notify(str(error), "error")
            return
        entry.state = "cancelled" if isinstance(error, Cancelled) else "failed"
        entry.problem = "" if isinstance(error, Cancelled) else str(error)

    # -- preview ----------------------------------------------------------------
    def preview(self, entry: Entry) -> None:
        """Show this card's mask; the views go to it if none of them shows a part of it."""
        scan = self.scene.active
        self.scene.set_preview(entry.prediction, entry.points, entry.box)
        if scan is not None and entry.place.centre is not None and not in_sight(entry.place, scan.volume, scan.cursor):
            self.context.jump_to(entry.place.centre)
        self.on_change()

    def accept(self) -> Segment | None:
        """Turn the painted preview into a segment and show the next waiting mask."""
        entry, scan = self.previewed, self.scene.active
        if entry is None or scan is None:
            return None
        if not scan.preview_painted:
            self.context.notify("The mask has not been shown yet: accept it once it is visible.", "info")
            return None
        entry.state = "accepted"
        segment = self.scene.accept_preview()
        if segment is not None and entry.points + ((entry.box,) if entry.box else ()):
            self._clicks[segment.id] = _Clicks(weakref.ref(segment.mask), entry.points, entry.box)
        entry.prediction = _without_mask(entry.prediction)
        self.show_waiting()
        return segment

    def discard(self) -> bool:
        """Drop the preview; False if there is none."""
        entry, scan = self.previewed, self.scene.active
        if scan is None or scan.preview is None:
            return False
        if entry is not None:
            entry.state, entry.prediction = "discarded", _without_mask(entry.prediction)
        self.scene.set_preview(None)
        self.show_waiting()
        return True

    def remove(self, entry: Entry) -> None:
        """Take a card away."""
        if entry is self.previewed:
            self.scene.set_preview(None)
        if entry in self.entries:
            self.entries.remove(entry)
        self.show_waiting()

    def show_waiting(self) -> None:
        """Preview the topmost mask that waits for a decision, if none is previewed."""
        self._adopt_preview()
        waiting = [e for e in self.entries if e.waiting]
        if waiting and self._may_preview():
            self.preview(waiting[0])
        self.on_change()

    def _adopt_preview(self) -> None:
        """Give a preview that came from elsewhere (a recovered or restored scan) its card."""
        scan = self.scene.active
        if scan is None or scan.preview is None or not scan.preview.found or self.previewed is not None:
            return
        entry = Entry(scan.preview.prompt, "answered", scan.preview, place_of(scan.preview.mask, scan.volume))
        entry.points, entry.box = scan.preview_points, scan.preview_box
        self.entries.insert(0, entry)

    # -- clicks and boxes ----------------------------------------------------------
    def click(self, point: PointPrompt) -> None:
        """Refine the previewed mask, else the selected segment, else start from the click alone."""
        self._refine(lambda points, box: ((*points, point), box))

    def draw_box(self, box: BoxPrompt) -> None:
        """The same with a box, which replaces an earlier one."""
        self._refine(lambda points, old: (points, box))

    def _refine(self, add: Callable[[tuple[PointPrompt, ...], BoxPrompt | None], tuple[Any, Any]]) -> None:
        scan = self.scene.active
        if scan is None:
            return
        entry = self.previewed
        selected = next((s for s in scan.segments if s.id == self.scene.selected_id), None)
        if entry is None and selected is not None:
            self._refine_segment(selected, add)
            return
        if entry is None:
            entry = self._open_question()
        entry.points, entry.box = add(entry.points, entry.box)
        previous = entry.prediction.mask if entry.prediction is not None and entry.prediction.found else None
        entry.state = "running"
        self._ask(entry, lambda prediction: self._refined(entry, prediction), previous)
        self.on_change()

    def _open_question(self) -> Entry:
        """The newest card that was answered without a mask, or a new one for what is pointed at."""
        newest = self.entries[0] if self.entries else None
        if newest is not None and newest.prediction is not None and newest.prediction.answer in (
            Answer.NOT_FOUND, Answer.NOT_TRAINED,
        ):  # fmt: skip
            return newest
        entry = Entry(POINTED_AT)
        self.entries.insert(0, entry)
        return entry

    def _refined(self, entry: Entry, prediction: Prediction) -> None:
        if entry.state != "running":
            return  # it was accepted or discarded meanwhile
        earlier = entry.prediction
        if earlier is not None and earlier.found:  # its mask is in the new one, also where another model drew it
            prediction = replace(prediction, provenance=prediction.provenance.after(earlier.provenance))
        entry.prediction, entry.state = prediction, "answered"
        if entry not in self.entries:
            return
        if prediction.found:
            self.preview(entry)
        else:
            self.scene.set_preview(None)

    def _refine_segment(self, segment: Segment, add: Callable[..., tuple[Any, Any]]) -> None:
        known = self._clicks.get(segment.id)
        if known is None or known.mask() is not segment.mask:
            known = _Clicks(weakref.ref(segment.mask))
        points, box = add(known.points, known.box)
        entry = Entry(segment.provenance.prompt or segment.name, points=points, box=box)

        def answered(prediction: Prediction) -> None:
            if entry.unchanged:
                self.context.notify("The mask agrees with this already.", "info")
            else:
                self._apply_refinement(segment, prediction, points, box)

        entry.prediction = _stand_in(segment)
        self._ask(entry, answered, segment.mask)

    def _apply_refinement(self, before: Segment, prediction: Prediction, points: Any, box: BoxPrompt | None) -> None:
        scan = self.scene.active
        now = next((s for s in scan.segments if s.id == before.id), None) if scan else None
        if now is None or now.mask is not before.mask:  # changed or deleted meanwhile, or another scan is shown
            self.context.notify(f"The correction of {before.name} came too late and was not made.", "info")
            return
        if not prediction.mask.any():
            self.context.notify("The model finds nothing with these clicks; the segment stays as it was.", "info")
            return
        what = corrections_text(points, box)
        after = now.changed(
            mask=np.asfortranarray(prediction.mask),
            cut_edges=prediction.cut_edges,
            provenance=now.provenance.corrected(prediction.provenance, f"refined with {what}"),
        )
        self.scene.refine_segment(after)
        assert scan is not None
        self._clicks[now.id] = _Clicks(weakref.ref(scan.get(now.id).mask), points, box)


def _without_mask(prediction: Prediction | None) -> Prediction | None:
    """What a card needs once the mask is no longer shown: a large scan's masks are large."""
    return None if prediction is None else replace(prediction, mask=_NO_MASK, confidence=None)


def _stand_in(segment: Segment) -> Prediction:
    """So that a failed refinement leaves a card-less entry alone."""
    return Prediction(segment.name, Answer.FOUND, segment.mask, provenance=replace(segment.provenance))


def corrections_text(points: Sequence[PointPrompt], box: BoxPrompt | None) -> str:
    """For instance "2 clicks and a box"."""
    clicks = f"{len(points)} click{'s' if len(points) > 1 else ''}"
    return " and ".join([clicks] * bool(points) + ["a box"] * (box is not None))


def entry_text(entry: Entry, volume: Volume) -> CardText:
    """What the card of a prompt says now."""
    title = entry.prompt.strip()[:80] or "?"
    title = title[0].upper() + title[1:]
    if entry.state == "running":
        return CardText(entry.prediction.title or title if entry.prediction else title, "Searching…")
    if entry.state == "failed":
        return CardText(title, "Not answered", advice=entry.problem)
    if entry.prediction is None:
        return CardText(title, "Cancelled")
    text = card_text(entry.prediction, volume, entry.place.voxels)
    if entry.state in ("accepted", "discarded"):
        warnings = text.warnings if entry.state == "accepted" else ()
        return CardText(text.title, f"{entry.state.capitalize()} · {text.answer}", (), warnings, source=text.source)
    corrections = corrections_text(entry.points, entry.box)
    return replace(text, rows=(*text.rows, ("Corrected with", corrections))) if corrections else text
