"""A language model's sentences and a report, up to the model itself: what it is asked with, what becomes of its answer,
which licences a person accepted. Any thread; loads no network."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from medviewer.core.errors import InputRefused, ModelMissing
from medviewer.core.guards import GuardWords, Structures
from medviewer.core.prediction import Prediction
from medviewer.core.report.audit import Moment, Reviewed
from medviewer.core.report.document import Report
from medviewer.core.report.drafting import DraftSource
from medviewer.core.report.model_placing import with_model_sentences
from medviewer.core.report.model_prompt import ModelInputs, ModelPrompts
from medviewer.core.report.model_text import ModelDraft, TextGrounding, draft_of_text
from medviewer.core.report.template import OTHER, fits_sex
from medviewer.core.segmentation import Segment
from medviewer.core.volume import Volume
from medviewer.services.guard_words import guard_structures, guard_words
from medviewer.services.model_prompts import model_prompts
from medviewer.services.model_store import LANGUAGE, list_models
from medviewer.services.report_drafting import IN_DOUBT, SIDES, as_shown, check_again
from medviewer.services.report_templates import report_templates, report_words
from medviewer.services.resources import presets, terminology
from medviewer.services.settings import Settings

ACCEPTED_LICENCES = "accepted_licences"  # setting: keys of the licences that a person accepted
LONGEST_PRIOR = 100_000  # characters of a prior report that are read
_ABNORMAL = "49755003"  # SNOMED CT: morphologically abnormal structure
_OTHER_TITLES = {"en": "Other", "de": "Sonstiges"}


@dataclass(frozen=True, eq=False)
class LanguageRequest:
    """Which model is asked, and what it is told beside the scan and the report. `folder`: of the model; `accepted`:
    keys of accepted licences; `prior_report`: text of an earlier examination of this patient; `similar_cases`: reports
    of others. `ask`: whether a mask is asked for where a sentence names a structure without one."""

    folder: Path
    accepted: frozenset[str] = frozenset()
    prior_report: str = ""
    similar_cases: tuple[str, ...] = ()
    device: str = "auto"
    max_tokens: int = 512
    pictures: int = 0
    ask: bool = True


@dataclass(frozen=True)
class LanguageModel:
    """What a person is told of a model before it is used. `tested`: models of its layout are part of the tests."""

    name: str
    layout: str
    tested: bool
    weights_bytes: int
    licence: str
    licence_text: str
    licence_key: str


@dataclass(frozen=True, eq=False)
class LanguageAnswer:
    """What a model said about a scan. `draft` holds no prompt, for that may name the patient. `segments` and `answers`:
    what was asked for and found because a sentence names it; segments are not in the scene yet. `template` and
    `language`: of the report that it is for."""

    draft: ModelDraft
    template: str
    language: str
    segments: tuple[Segment, ...] = ()
    answers: tuple[Prediction, ...] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    def fits(self, report: Report) -> bool:
        """Whether the report is still the kind of report that the model was asked for."""
        return (self.template, self.language) == (report.template, report.language)


@dataclass(frozen=True, eq=False)
class LanguageMeans:
    """The shipped data that a model is asked with."""

    prompts: ModelPrompts
    structures: Structures
    guard_words: GuardWords
    presets: Mapping[str, Any]


def language_means() -> LanguageMeans:
    """The wordings, word lists and windows."""
    return LanguageMeans(model_prompts(), guard_structures(), guard_words(), presets())


def language_source(
    volume: Volume, report: Report, segments: Iterable[Segment], answers: Iterable[Prediction] = (),
    accepted: Collection[str] = (),
) -> DraftSource:  # fmt: skip
    """What a model's sentences are grounded in: the report's own numbers and the masks of now. Nothing is measured."""
    template = report_templates().get(report.template)
    return DraftSource(
        template, report_words(report.language), terminology(), volume, as_shown(volume, segments, template),
        report.measurements, tuple(answers), report.indication, "", frozenset(accepted),
        report.facts.get(SIDES) == IN_DOUBT,
    )  # fmt: skip


def language_inputs(report: Report, request: LanguageRequest) -> ModelInputs:
    """What the model is told beside the pictures; what is absent is stated as absent."""
    measured = tuple(f.text for f in report.findings if f.origin == "measured" and f.state != "rejected")
    return ModelInputs(report.indication, request.prior_report[:LONGEST_PRIOR], request.similar_cases, measured)


def askable_terms(source: DraftSource, trained: Iterable[str]) -> frozenset[str]:
    """Ids of the structures that a mask may be asked for because a sentence names them: those of the template, and
    those that the segmentation was trained for. Among the latter no abnormal ones (one model's claim of a lesion is no
    reason to make another one outline it) and none of the other sex."""
    template, sex = source.template, source.volume.patient.sex
    foreign = {id_ for id_, rule in template.terms.items() if not fits_sex(rule.sex, sex)}
    organs = {id_ for id_ in trained if (t := source.term(id_)) is not None and t.category.value != _ABNORMAL}
    return frozenset(template.prompts_for(sex)) | (organs - foreign)


def grounded_again(draft: ModelDraft, source: DraftSource, askable: Collection[str]) -> ModelDraft:
    """The same text, with the masks of now."""
    means = language_means()
    model = next((f.model for f in (*draft.findings, *draft.suggestions)), draft.provenance.model_id)
    grounding = TextGrounding(source, means.structures, means.guard_words, means.prompts, model, askable)
    again = draft_of_text(draft.text, grounding, complete=draft.provenance.parameters.get("ended") == "end")
    return replace(draft, findings=again.findings, suggestions=again.suggestions, groundable=again.groundable)


def add_model_sentences(
    volume: Volume, reviewed: Reviewed, answer: LanguageAnswer, segments: Sequence[Segment], moment: Moment, *,
    has_prior: bool = False,
) -> Reviewed:  # fmt: skip
    """The report with a model's sentences as drafts, each held against the guards. `segments`: all masks of now, those
    of the answer among them; one that is gone since the model was asked is no evidence. Takes milliseconds. Raises
    WrongUsage for a signed report."""
    known = {segment.id for segment in segments}
    findings = tuple(
        f.with_changes(evidence=tuple(e for e in f.evidence if e.segment_id in known)) for f in answer.draft.findings
    )
    headings = report_templates().get(reviewed.report.template).headings
    titles = {h.key: h.titles[reviewed.report.language] for h in headings}
    title = titles.get(OTHER, _OTHER_TITLES[reviewed.report.language])
    placed = with_model_sentences(reviewed, replace(answer.draft, findings=findings), moment, title)
    return check_again(volume, placed, segments, has_prior=has_prior)


# -- models and licences ---------------------------------------------------------------
def language_model_folder(name: str) -> Path:
    """The folder that a path or the id of an installed model means. Raises ModelMissing for an unknown id."""
    path = Path(name).expanduser()
    if path.is_dir() or path.is_absolute() or len(path.parts) > 1:
        return path
    known = {model.id: model.folder for model in list_models(LANGUAGE) if model.folder is not None}
    if name not in known:
        installed = f"Installed: {', '.join(sorted(known))}." if known else "None is installed."
        raise ModelMissing(f'There is no folder of a language model "{name}".',
                           f"Give the folder that holds its config.json. {installed}")  # fmt: skip
    return known[name]


def is_language_model(name: str) -> bool:
    """Whether an id is that of an installed language model."""
    return any(model.id == name for model in list_models(LANGUAGE))


def accepted_licences(settings: Settings) -> frozenset[str]:
    """Keys of the licences that a person accepted."""
    stored: list[str] = settings.get(ACCEPTED_LICENCES, [])
    return frozenset(map(str, stored))


def accept_licence(settings: Settings, key: str) -> None:
    """Remember that a person accepted the licence with this key."""
    settings.set(ACCEPTED_LICENCES, sorted({*accepted_licences(settings), key}))


def read_prior_report(path: Path) -> str:
    """The text of a prior report (UTF-8). Raises InputRefused for what is no text or far too long."""
    try:
        data = path.read_bytes() if path.stat().st_size <= 4 * LONGEST_PRIOR else b""
        text = data.decode("utf-8-sig").strip()
    except (OSError, UnicodeDecodeError) as error:
        message = f'The prior report "{path.name}" cannot be read as text.'
        raise InputRefused(message, "Save it as UTF-8 text.") from error
    if not text or "\x00" in text or len(text) > LONGEST_PRIOR:
        raise InputRefused(f'The prior report "{path.name}" is empty, too long or no text.',
                           f"Give a text of at most {LONGEST_PRIOR} characters.")  # fmt: skip
    return text
