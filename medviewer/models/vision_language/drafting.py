"""From a scan to the sentences of a vision-language model: pictures, prompt, writing, grounding."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medviewer.core.progress import Progress, silent
from medviewer.core.provenance import Provenance
from medviewer.core.report.drafting import DraftSource, scan_facts
from medviewer.core.report.model_prompt import ModelInputs, ModelPrompts, Prompt, build_prompt, picture_line
from medviewer.core.report.model_text import ModelDraft, TextGrounding, draft_of_text
from medviewer.core.report.wording import technique_text
from medviewer.models.vision_language.folder import ModelFolder, read_model_folder
from medviewer.models.vision_language.generation import GenerationSettings, Message, Shown, Written, message_of, write
from medviewer.models.vision_language.loading import TOKENS, VisionLanguageModel
from medviewer.models.vision_language.pictures import Picture, pictures_of, windows_of

if TYPE_CHECKING:
    from medviewer.core.guards.structures import Structures
    from medviewer.core.guards.words import GuardWords

_ABNORMAL = "49755003"  # SNOMED CT: morphologically abnormal structure


def findings_of_model(
    folder: Path | VisionLanguageModel, source: DraftSource, *, prompts: ModelPrompts, structures: Structures,
    guard_words: GuardWords, presets: Mapping[str, Any], inputs: ModelInputs | None = None,
    accepted: Collection[str] = (), askable: Collection[str] | None = None,
    free_memory: Callable[[], int] | None = None, settings: GenerationSettings | None = None,
    on_text: Callable[[str], None] | None = None, progress: Progress | None = None,
) -> ModelDraft:
    """What a model says about a scan, as draft sentences in the language of `source.words`.

    `folder`: a model's folder, loaded for this call and released after it, or a loaded model. `inputs`: absent ones are
    stated as absent; measured sentences and the indication are taken from `source` where they are not given.
    `presets`: the data of the window presets. `accepted`: keys of accepted licences. `askable`: ids of structures that
    a mask can be asked for. `on_text`: gets the text so far, on this thread.

    Raises InputRefused (folder, licence, memory, length), ModelMissing (device, transformers), WrongUsage, Cancelled.
    """
    progress, settings = progress or silent(), settings or GenerationSettings()
    call = _Call(source, prompts, presets, (inputs or ModelInputs()).completed(source), settings)
    loaded = isinstance(folder, VisionLanguageModel)
    model = _loaded(folder, call, accepted, free_memory, progress.part(0.0, 0.3))
    try:
        asked = call.ask(model)
        written = write(model, asked.message, settings.max_tokens, progress.part(0.3, 0.98), on_text)
        grounding = TextGrounding(source, structures, guard_words, prompts, model.folder.name, askable)
        draft = draft_of_text(written.text, grounding, complete=written.ended == "end")
        return replace(
            draft, notices=(*call.notices(model, asked, written), *draft.notices),
            provenance=call.provenance(model, asked, written), prompt=asked.prompt.after,
            slices=tuple(dict.fromkeys(picture.index for picture in asked.shown)),
        )  # fmt: skip
    finally:
        if not loaded:
            model.close()


def _loaded(
    folder: Path | VisionLanguageModel, call: _Call, accepted: Collection[str],
    free_memory: Callable[[], int] | None, progress: Progress,
) -> VisionLanguageModel:
    if isinstance(folder, VisionLanguageModel):
        return folder
    files = read_model_folder(folder)
    return VisionLanguageModel.load(
        files, call.settings.device, accepted=accepted, free_memory=free_memory, pictures=call.most(files),
        tokens=TOKENS + call.settings.max_tokens, progress=progress,
    )  # fmt: skip


@dataclass(frozen=True, eq=False)
class _Asked:
    """What the model was asked; `wanted`: how many pictures it would have been shown if it could read them."""

    message: Message
    shown: tuple[Picture, ...]
    wanted: int
    prompt: Prompt


@dataclass(frozen=True)
class _Call:
    """One request."""

    source: DraftSource
    prompts: ModelPrompts
    presets: Mapping[str, Any]
    inputs: ModelInputs
    settings: GenerationSettings

    def most(self, files: ModelFolder) -> int:
        """How many pictures a model is shown."""
        return self.settings.pictures or self.prompts.most_pictures(files.layout)

    def ask(self, model: VisionLanguageModel) -> _Asked:
        """As many pictures as the model can read at once, and the prompt."""
        technique = technique_text(scan_facts(self.source.volume), self.source.template, self.source.words)
        prompt = build_prompt(self.source, technique, self.inputs, self.prompts)
        shown = self.pictures(self.most(model.folder))
        wanted = len(shown)
        while True:
            message = message_of(model, self.parts(shown, prompt))
            if message.length + self.settings.max_tokens <= model.longest or len(shown) <= 1:
                return _Asked(message, shown, wanted, prompt)
            shown = self.pictures(len(shown) // 2)

    def pictures(self, most: int) -> tuple[Picture, ...]:
        source = self.source
        usable = tuple(one for one in source.segments if source.usable(one))
        terms = {one.id: source.term(one.term_id) for one in usable}
        abnormal = [id_ for id_, term in terms.items() if term is not None and term.category.value == _ABNORMAL]
        wanted = self.prompts.windows_of(source.template.key)
        windows = windows_of(source.volume, self.presets, wanted, source.words.language == "de")
        return pictures_of(source.volume, usable, windows, most, abnormal)

    def parts(self, shown: tuple[Picture, ...], prompt: Prompt) -> list[Shown]:
        language, parts = self.source.words.language, [Shown(prompt.before)]
        for number, one in enumerate(shown, 1):
            line = picture_line(
                self.prompts, language, number, len(shown), plane=one.plane, slice_number=one.slice + 1,
                slices=one.slices, window=one.window,
            )  # fmt: skip
            parts += [Shown(line), Shown(image=one.image)]
        return [*parts, Shown(prompt.after)]

    def notices(self, model: VisionLanguageModel, asked: _Asked, written: Written) -> tuple[str, ...]:
        """What the reader must know about how the text came about."""
        shown, wanted = str(len(asked.shown)), str(asked.wanted)
        told: dict[str, dict[str, str]] = {"experimental": {"model": model.folder.name}}
        if shown != wanted:
            told["fewer_pictures"] = {"shown": shown, "wanted": wanted}
        told |= {"no_template": {}} if asked.message.plain else {}
        told |= {"on_cpu": {}} if model.plan.gave_up else {}
        told |= _told_of_ending(written)
        language = self.source.words.language
        return (*(self.prompts.notice(language, key, **values) for key, values in told.items()), *asked.prompt.notices)

    def provenance(self, model: VisionLanguageModel, asked: _Asked, written: Written) -> Provenance:
        """Model, weights, licence, and how the text was written. The prompt's patient data stays out of it."""
        given = {
            "indication": bool(self.inputs.indication.strip()), "prior report": bool(self.inputs.prior_report.strip()),
            "similar cases": len(self.inputs.similar_cases), "measured sentences": len(self.inputs.measured),
        }  # fmt: skip
        shown = asked.shown
        parameters = {
            "layout": model.folder.layout, "pictures": len(shown), "slices": [one.index for one in shown],
            "windows": list(dict.fromkeys(one.window for one in shown if one.window)), "decoding": "greedy",
            "max_tokens": self.settings.max_tokens, "tokens_read": written.tokens_read, "tokens": written.tokens,
            "ended": written.ended, "device": str(model.device), "arithmetic": model.plan.arithmetic,
            "seconds": round(written.seconds, 2), "given": given,
        }  # fmt: skip
        return Provenance(
            model_id=model.folder.name, model_version=model.folder.version, weights_sha256=model.weights_sha256,
            parameters=parameters, licence=model.folder.licence.name,
        )  # fmt: skip


def _told_of_ending(written: Written) -> dict[str, dict[str, str]]:
    """The notice about a text that the model did not end by itself."""
    if written.ended == "tokens":
        return {"cut_off": {"tokens": str(written.tokens)}}
    if written.ended == "characters":
        return {"too_long": {"characters": str(len(written.text))}}
    return {"repeats": {}} if written.ended == "repeats" else {}
