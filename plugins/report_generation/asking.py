"""The template's structures, asked of the model one after the other, and the segments of what was found. Qt-free."""

from __future__ import annotations

from collections.abc import Callable, Container
from dataclasses import dataclass, field, replace

import numpy as np

from medviewer.api import (
    Answer,
    ParsedPrompt,
    Prediction,
    Progress,
    ReportRequest,
    Segment,
    SegmentRequest,
    Volume,
    parse_prompt,
    terminology,
)
from medviewer.api.reports import Template, contrast_given, prompt_wordings, segment_for, warnings_of

Ask = Callable[[Volume, SegmentRequest, Progress], Prediction]
_NO_MASK = np.zeros((0, 0, 0), bool)
_Key = tuple[str | None, str | None]  # term and side


@dataclass(eq=False)
class Asking:
    """One scan being asked about. `segments` and `answers` grow with each prompt."""

    ask: Ask
    volume: Volume
    request: ReportRequest
    segments: list[Segment] = field(default_factory=list)
    answers: list[Prediction] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.segments += self.request.segments
        self.answers += self.request.answers

    @property
    def found(self) -> frozenset[str]:
        """Ids of the structures that have a mask."""
        return frozenset(s.term_id for s in self.segments if s.term_id)

    def fill(self, template: Template, progress: Progress) -> None:
        """Ask for every structure of the template that has neither mask nor answer yet. Raises Cancelled."""
        prompts = self.open_prompts(template)
        for number, prompt in enumerate(prompts):
            part = progress.part(number / len(prompts), (number + 1) / len(prompts))
            if not self._known(prompt):
                self._take(prompt, part)

    def answer_to(self, prompt: ParsedPrompt, progress: Progress) -> Prediction | None:
        """The answer about one structure, asked now where it was not before; None where a mask was there already."""
        if not self._known(prompt):
            self._take(prompt, progress)
        term, side = _key(prompt)
        return next((a for a in self.answers if a.term_id == term and a.side in (side, None)), None)

    def size_of(self, answer: Prediction) -> int:
        """Voxels of the mask that an answer gave; 0 where nothing was found."""
        masks = [s.mask for s in self.segments if answer.found and (s.term_id, s.side) == (answer.term_id, answer.side)]
        return sum(int(np.count_nonzero(mask)) for mask in masks)

    def keep_only(self, terms: Container[str]) -> None:
        """Forget what was found and answered now about structures that do not belong to the examination after all."""
        given = {s.id for s in self.request.segments}
        self.segments = [s for s in self.segments if s.id in given or s.term_id in terms]
        self.answers = [a for a in self.answers if a in self.request.answers or a.term_id in terms]

    def open_prompts(self, template: Template) -> list[ParsedPrompt]:
        """What is still to be asked for a template, both sides of what comes in pairs."""
        contrast = contrast_given(self.volume)
        wordings = prompt_wordings(template, terminology(), self.volume.patient.sex, contrast=contrast)
        return [p for p in (parse_prompt(text, terminology()) for text in wordings) if not self._known(p)]

    def _known(self, prompt: ParsedPrompt) -> bool:
        term, side = _key(prompt)
        masks: list[_Key] = [(s.term_id, s.side) for s in self.segments]
        told: list[_Key] = [(a.term_id, a.side) for a in self.answers]
        return any((term, known) in (*masks, *told) for known in (side, None))

    def _take(self, prompt: ParsedPrompt, progress: Progress) -> None:
        """Ask for one structure; where the scan does not tell sides, for both sides together."""
        answer = self._asked(prompt.text, prompt.title, progress.part(0.0, 0.5))
        if answer.answer is Answer.SIDE_UNKNOWN and prompt.term is not None:
            both = self._asked(prompt.term.name, prompt.term.name, progress.part(0.5, 1.0))
            answer = both if both.found else answer
            answer = replace(answer, side=None)
        if answer.found:
            self.segments.append(segment_for(answer, self.volume, len(self.segments), self.request.frame))
        self.warnings += [line for line in warnings_of(answer) if answer.found and line not in self.warnings]
        self.answers.append(replace(answer, mask=_NO_MASK, confidence=None, extras={}))

    def _asked(self, text: str, title: str, progress: Progress) -> Prediction:
        shown = f"Looking for: {title}"
        progress.report(0.0, shown)
        request = SegmentRequest(
            text, model_id=self.request.model_id, device=self.request.device, frame=self.request.frame
        )
        inner = Progress(
            lambda fraction, step: progress.report(fraction, f"{shown} · {step}" if step else shown),
            progress.is_cancelled,
        )
        return self.ask(self.volume, request, inner)


def _key(prompt: ParsedPrompt) -> _Key:
    return (prompt.term.id if prompt.term else None), prompt.side
