"""Asking a segmenter for what a scan shows and for what it cannot show, as a user would type it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from medviewer.core.prediction import PointPrompt, Prediction
from medviewer.core.prompts import ParsedPrompt, parse_prompt
from medviewer.core.terminology import Terminology
from medviewer.core.volume import Volume

from ..data.dev_cases import Case, Mask
from ..data.terms import term_id
from .overlap import dice, scale_of, surface_scores
from .scores import Score


class Segmenter(Protocol):
    """What is measured: `medviewer.models.pipeline.TextSegmenter`, or something that answers alike."""

    def segment(
        self, volume: Volume, prompt: ParsedPrompt, *, points: Sequence[PointPrompt] = ..., previous: Mask | None = ...
    ) -> Prediction:
        """The answer to one prompt."""


def wording_of(name: str, terminology: Terminology) -> str:
    """What is typed for a trained name: the name of its term; the name itself where no term has it or it has a side."""
    if parse_prompt(name, terminology).side is not None:
        return name
    try:
        return terminology.get(term_id(name, terminology)).name
    except KeyError:
        return name


def prompt_of(name: str, terminology: Terminology) -> ParsedPrompt:
    """The parsed prompt of a trained name."""
    return parse_prompt(wording_of(name, terminology), terminology)


def score_case(segmenter: Segmenter, terminology: Terminology, case: Case, absent: bool = True) -> Iterator[Score]:
    """Every labelled structure of a scan, and (`absent`) some that are known not to be there."""
    for name, truth in case.truths.items():
        yield _score(case, name, truth, segmenter.segment(case.volume, prompt_of(name, terminology)))
    for name in case.absent if absent else ():
        yield _score(case, name, None, segmenter.segment(case.volume, prompt_of(name, terminology)))


def score_sides(segmenter: Segmenter, terminology: Terminology, case: Case) -> Iterator[Score]:
    """Left and right of a phantom's paired organs as structures of their own."""
    for name, halves in case.sides.items():
        for side, truth in zip(("left", "right"), halves, strict=True):
            if truth.any():
                prompt = parse_prompt(f"{side} {name}", terminology)
                yield _score(case, f"{side} {name}", truth, segmenter.segment(case.volume, prompt))


def _score(case: Case, name: str, truth: Mask | None, answer: Prediction) -> Score:
    value = nsd = far = None
    scale = scale_of(case.volume)
    if truth is not None:
        value = dice(answer.mask, truth)
        nsd, far = surface_scores(answer.mask, truth, scale)
    return Score(
        case.set, case.modality, name, value, answer.presence, answer.found, str(answer.answer), case.key, case.unit,
        case.unit_kind, case.kind, nsd, far, scale.unit, answer.seconds,
    )
