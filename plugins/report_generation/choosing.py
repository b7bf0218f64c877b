"""Which template a scan gets that names no body part: a few structures of each candidate are looked for. Qt-free."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from medviewer.api import Answer, ParsedPrompt, Prediction, Progress, Volume, parse_prompt, terminology
from medviewer.api.reports import GENERAL, Template, Templates, fits_modality

from .asking import Asking

_TRIED = 2  # structures of each candidate that the model can answer
_ABNORMAL = "49755003"  # SNOMED CT: a finding, which a scan of its organ need not show
_UNTOLD = (Answer.NOT_TRAINED, Answer.OUTSIDE, Answer.NOT_ASSESSABLE, Answer.NEGATION)


@dataclass(frozen=True)
class Choice:
    """`template` is written; `asks` is the one whose structures are asked for: the same, or that of the body part seen
    in a scan whose modality is not recorded, for a report must not name a modality that nobody stated."""

    template: Template
    asks: Template


def choose(templates: Templates, asking: Asking, progress: Progress) -> Choice:
    """The template by what the scan records and by the masks that there are; else by looking. Raises Cancelled."""
    general = templates.choose(asking.volume, asking.found)
    candidates = [t for key, t in templates.by_key.items() if key != GENERAL and fits_modality(t, asking.volume)]
    if general.key != GENERAL or not asking.request.ask or not candidates:
        return Choice(general, general)
    seen = _best(candidates, asking, progress)
    if seen is None:
        return Choice(general, general)
    asking.keep_only(seen.prompts)  # the others were looked for to decide
    return Choice(seen if asking.volume.modality else general, seen)


def _best(candidates: Sequence[Template], asking: Asking, progress: Progress) -> Template | None:
    """The candidate of which most was found, in doubt the one whose structures fill most of the scan."""
    scores: list[tuple[tuple[int, int], Template]] = []
    for number, template in enumerate(candidates):
        part = progress.part(number / len(candidates), (number + 1) / len(candidates))
        sizes = [asking.size_of(p) for p in _tried(template, asking, part)]
        scores.append(((sum(size > 0 for size in sizes), sum(sizes)), template))
    best, template = max(scores, key=lambda pair: pair[0])
    return template if best[0] else None


def _tried(template: Template, asking: Asking, progress: Progress) -> list[Prediction]:
    """The answers about the first structures of a candidate that the model was trained for."""
    answers: list[Prediction] = []
    for prompt in _prompts(template, asking.volume):
        if len(answers) == _TRIED:
            break
        answer = asking.answer_to(prompt, progress.part(len(answers) / _TRIED, (len(answers) + 1) / _TRIED))
        if answer is not None and answer.answer not in _UNTOLD:
            answers.append(answer)
    return answers


def _prompts(template: Template, volume: Volume) -> list[ParsedPrompt]:
    """The structures that speak for a template, one side of what comes in pairs."""
    terms = [terminology().get(id_) for id_ in template.choice.terms]
    names = [f"right {t.name}" if t.laterality == "paired" else t.name for t in terms if t.category.value != _ABNORMAL]
    return [parse_prompt(name, terminology()) for name in names]
