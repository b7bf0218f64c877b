"""`medviewer report --language-model`: sentences of a local vision-language model in the report."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from medviewer.core.errors import InputRefused, WrongUsage
from medviewer.core.plain_text import one_line, printable
from medviewer.core.progress import Progress, silent

if TYPE_CHECKING:
    from medviewer.api.requests import ReportRequest
    from medviewer.core.report.audit import AuditEntry, Reviewed
    from medviewer.core.report.document import Finding, Report
    from medviewer.core.volume import Volume
    from medviewer.services.report_drafting import DraftedReport
    from medviewer.services.report_language import LanguageAnswer, LanguageModel, LanguageRequest

_SHOWN = 60  # characters of the text so far that fit beside a bar


LanguageModelName = Annotated[
    str | None,
    typer.Option("--language-model", metavar="FOLDER", help="A vision-language model that adds sentences."),
]
AcceptLicence = Annotated[bool, typer.Option("--accept-licence", help="Accept the terms of that model.")]
PriorReport = Annotated[
    Path | None, typer.Option("--prior-report", metavar="FILE.txt", help="An earlier report, for that model to read.")
]


@dataclass(frozen=True)
class LanguageCall:
    """The options of one call. `model`: a folder or an id; "" asks none."""

    model: str = ""
    accept: bool = False
    prior_report: Path | None = None


@dataclass(frozen=True, eq=False)
class Said:
    """A model's answer, and the record of it for the report's trail."""

    answer: LanguageAnswer
    trail: tuple[AuditEntry, ...]

    def reviewed(self, report: Report) -> Reviewed:
        """The report with the record of what the model said."""
        from medviewer.core.report.audit import Reviewed

        return Reviewed(report, self.trail)


def language_call(
    language_model: str | None, model: str | None, accept: bool, prior_report: Path | None
) -> tuple[LanguageCall, str | None]:
    """The call and the segmentation's id: --model may name a language model, too."""
    from medviewer.services.report_language import is_language_model

    if language_model is None and model is not None and is_language_model(model):
        language_model, model = model, None
    return LanguageCall(language_model or "", accept, prior_report), model


def ready(call: LanguageCall, logic: Any, device: str) -> LanguageRequest | None:
    """What the model will be asked with, or None without one; whatever would keep it from answering is told now, before
    any other work: folder, licence, package, device, memory."""
    from medviewer.services.report_language import LanguageRequest, language_model_folder, read_prior_report

    if not call.model:
        if call.accept or call.prior_report is not None:
            raise WrongUsage("--accept-licence and --prior-report are about a language model, and none is named.",
                             "Name its folder with --language-model.")  # fmt: skip
        return None
    prior = read_prior_report(call.prior_report) if call.prior_report is not None else ""
    folder = language_model_folder(call.model)
    model: LanguageModel = logic.language_model(folder, silent())
    request = LanguageRequest(folder, _accepted(call, model), prior, device=device)
    logic.check_language(request, silent())
    return request


def _accepted(call: LanguageCall, model: LanguageModel) -> frozenset[str]:
    """The accepted licences, that of the model among them; else its terms are shown and the call ends."""
    from medviewer.services.report_language import accept_licence, accepted_licences
    from medviewer.services.settings import Settings

    settings = Settings()
    if call.accept:
        accept_licence(settings, model.licence_key)
    elif model.licence_key not in accepted_licences(settings):
        print(printable(model.licence_text), file=sys.stderr)
        raise InputRefused(
            f"The model {model.name} was not used yet, and its terms were not accepted: {model.licence}.",
            "Read its licence, and add --accept-licence if you accept it.", code="licence-not-accepted",
        )  # fmt: skip
    return accepted_licences(settings) | {model.licence_key}


def with_language(
    logic: Any, volume: Volume, drafted: DraftedReport, asked: ReportRequest, language: LanguageRequest,
    progress: Progress,
) -> tuple[DraftedReport, Said]:  # fmt: skip
    """The draft with the sentences of the model, and what it said. Masks that were found because a sentence names them
    are measured as the others."""
    from medviewer.core.report.audit import Reviewed
    from medviewer.services.report_drafting import now
    from medviewer.services.report_language import add_model_sentences

    request = replace(asked, segments=drafted.segments, answers=drafted.answers)
    answer: LanguageAnswer = logic.describe(volume, drafted.report, request, language, _short(progress.part(0.0, 0.9)))
    segments = (*drafted.segments, *answer.segments)
    answers = (*drafted.answers, *answer.answers)
    reviewed = add_model_sentences(volume, Reviewed(drafted.report), answer, segments, now())
    if answer.segments:
        request = replace(request, segments=segments, answers=answers)
        reviewed = logic.redraft(volume, reviewed, request, now(), progress.part(0.9, 1.0))
    seconds = {**drafted.seconds, "language": sum(answer.seconds.values())}
    warnings = (*drafted.warnings, *answer.warnings)
    drafted = replace(drafted, report=reviewed.report, segments=segments, answers=answers, seconds=seconds,
                      warnings=warnings)  # fmt: skip
    return drafted, Said(answer, reviewed.trail)


def _short(progress: Progress) -> Progress:
    """The end of what the model wrote so far, as much as fits beside a bar."""
    return Progress(lambda fraction, text: progress.report(fraction, one_line(text[-_SHOWN:])), progress.is_cancelled)


def told(said_by: Said | None, report: Report) -> dict[str, Any]:
    """What `--json` says about the model; its prompt is not among it."""
    if said_by is None:
        return {}
    answer, origin = said_by.answer, said_by.answer.draft.provenance
    said = [f for f in report.findings if f.origin == "model" and f.model == (_model(answer) or f.model)]
    document = {
        "model": origin.model_id, "version": origin.model_version, "licence": origin.licence,
        "weights_sha256": origin.weights_sha256, "sentences": [_row(f) for f in said],
        "suggestions": [f.text for f in answer.draft.suggestions], "notices": list(answer.draft.notices),
        "masks_found": [s.name for s in answer.segments],
        "ended": origin.parameters.get("ended"), "device": origin.parameters.get("device"),
    }  # fmt: skip
    return {"language_model": document}


def lines(said_by: Said | None) -> tuple[str, ...]:
    """The same for people: the notices, and the suggestions, which are not in the report."""
    if said_by is None:
        return ()
    said = said_by.answer.draft
    offered = (f"Suggestion of the model for the impression, not in the report: {f.text}" for f in said.suggestions)
    return (*said.notices, *offered)


def _model(answer: LanguageAnswer) -> str:
    return next((f.model for f in answer.draft.findings), "")


def _row(finding: Finding) -> dict[str, Any]:
    return {
        "heading": finding.heading, "text": finding.text, "marks": [mark.guard for mark in finding.marks],
        "segments": len({e.segment_id for e in finding.evidence if e.segment_id}),
    }  # fmt: skip
