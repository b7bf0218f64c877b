"""Sentences of a vision-language model for a report: looked at, asked, grounded, with masks found for them. Qt-free.

The model's folder is looked at without torch; torch is loaded when a model is first checked or asked.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, replace
from pathlib import Path

from medviewer.api import (
    Answer,
    ModelMissing,
    Progress,
    ReportRequest,
    UserError,
    Volume,
    available_memory,
    find_bundle,
    parse_prompt,
    reports,
    terminology,
    voxel_to_lps,
)
from medviewer.api.reports import Evidence, Finding, LanguageAnswer, LanguageModel, LanguageRequest, ModelDraft, Report

from .asking import Ask, Asking

WRITING = "The model writes: "  # before the text so far, among the texts of the progress
_KEPT = (Answer.FOUND, Answer.NOT_FOUND)
_WRITES = 0.8  # share of the work
_MOST_ASKED = 12  # structures that masks are asked for


def language_model(folder: Path) -> LanguageModel:
    """What a folder holds, and under which licence. Raises InputRefused naming what is missing."""
    from medviewer.models.vision_language.folder import read_model_folder

    files = read_model_folder(Path(folder))
    terms = files.licence
    return LanguageModel(
        files.name, files.layout, files.tested, files.weights_bytes, terms.name, terms.text, terms.key
    )


def check_ready(language: LanguageRequest) -> None:
    """Raise what would keep the model from answering: licence, transformers, device, memory."""
    from medviewer.models.vision_language.folder import read_model_folder
    from medviewer.models.vision_language.loading import TOKENS, check_ready

    folder = Path(language.folder)
    most = language.pictures or reports.language_means().prompts.most_pictures(read_model_folder(folder).layout)
    check_ready(
        folder, language.device, accepted=language.accepted, free_memory=available_memory, pictures=most,
        tokens=TOKENS + language.max_tokens,
    )  # fmt: skip


@dataclass(eq=False)
class _Stream:
    """Tells a progress the whole text so far, behind `WRITING`, instead of its last words."""

    onward: Progress
    text: str = ""
    fraction: float = 0.0

    @property
    def progress(self) -> Progress:
        return Progress(self._report, self.onward.is_cancelled)

    def heard(self, text: str) -> None:
        self.text = text
        self._report(self.fraction, "")

    def _report(self, fraction: float, step: str) -> None:
        self.fraction = fraction
        self.onward.report(fraction, f"{WRITING}{self.text}" if self.text else step)


def described(
    ask: Ask, volume: Volume, report: Report, request: ReportRequest, language: LanguageRequest, progress: Progress
) -> LanguageAnswer:
    """What a model says about a scan and its report. `request`: the masks and answers of now, and which model finds
    masks for structures that a sentence names. Raises InputRefused (folder, licence, memory), ModelMissing, Cancelled.
    """
    begun = time.perf_counter()
    source = reports.language_source(volume, report, request.segments, request.answers, request.accepted)
    askable = reports.askable_terms(source, trained_terms(request.model_id)) if language.ask else frozenset()
    draft = _written(source, report, language, askable, progress.part(0.0, _WRITES))
    written = time.perf_counter() - begun
    asking = Asking(ask, volume, request)
    problem = _ask_for(asking, draft, progress.part(_WRITES, 1.0)) if language.ask else ""
    new = tuple(asking.segments[len(request.segments) :])
    if new:
        now = reports.language_source(volume, report, asking.segments, asking.answers, request.accepted)
        draft = reports.grounded_again(draft, now, askable)
    seconds = {"write": written, "ground": time.perf_counter() - begun - written}
    answers = tuple(a for a in asking.answers[len(request.answers) :] if a.answer in _KEPT)
    warnings = (problem,) if problem else ()
    return LanguageAnswer(
        replace(draft, prompt=""), report.template, report.language, new, answers, seconds, warnings
    )


def _written(
    source: reports.DraftSource, report: Report, language: LanguageRequest, askable: frozenset[str], progress: Progress
) -> ModelDraft:
    from medviewer.models.vision_language.drafting import findings_of_model
    from medviewer.models.vision_language.generation import GenerationSettings

    means, stream = reports.language_means(), _Stream(progress)
    return findings_of_model(
        Path(language.folder), source, inputs=reports.language_inputs(report, language), prompts=means.prompts,
        structures=means.structures, guard_words=means.guard_words, presets=means.presets, accepted=language.accepted,
        askable=askable, free_memory=available_memory,
        settings=GenerationSettings(language.device, language.max_tokens, language.pictures),
        on_text=stream.heard, progress=stream.progress,
    )  # fmt: skip


def _ask_for(asking: Asking, draft: ModelDraft, progress: Progress) -> str:
    """Ask for the structures that sentences name; why that was not possible, where it was not: the text is not lost."""
    wordings = list(dict.fromkeys(one.wording for one in draft.groundable))[:_MOST_ASKED]
    prompts = [p for p in (parse_prompt(text, terminology()) for text in wordings) if p.term is not None]
    try:
        for number, prompt in enumerate(prompts):
            asking.answer_to(prompt, progress.part(number / len(prompts), (number + 1) / len(prompts)))
    except ModelMissing as error:
        return f"No mask could be asked for what the model names: {error}"
    return ""


def shown_to_model(report: Report, finding: Finding, volume: Volume) -> tuple[Evidence, ...]:
    """Where a model's sentence without a mask is looked at: the middle one of the slices that the model was shown.
    That is a place, and no evidence for the sentence."""
    from medviewer.models.planes import plan_slices

    origin = next((o for o in report.provenance if finding.model and o.model_id == finding.model), None)
    told = origin.parameters.get("slices") if origin is not None else None
    if not isinstance(told, (list, tuple)) or not told:
        return ()
    axis, index = plan_slices(volume).axes[0], told[len(told) // 2]
    if not isinstance(index, int) or not 0 <= index < volume.shape[axis]:
        return ()
    voxel = [(n - 1) / 2 for n in volume.shape]
    voxel[axis] = float(index)
    x, y, z = voxel if volume.affine is None else voxel_to_lps(volume.affine, voxel)
    in_patient = volume.affine is not None
    return (Evidence("slice", "", "", (float(x), float(y), float(z)), in_patient, None, index, volume.id),)


def trained_terms(model_id: str | None) -> frozenset[str]:
    """Ids of the structures that the segmentation was trained for; none where no model is installed."""
    try:
        config = json.loads((Path(find_bundle(model_id)) / "config.json").read_text("utf-8"))
        return frozenset(map(str, config["terms"]))
    except (UserError, OSError, ValueError, KeyError, TypeError):
        return frozenset()

