"""`medviewer report`: a draft report of one scan, every sentence with the mask and the number it came from."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from medviewer.cli.options import (
    DEFAULT_PLUGIN,
    AsJson,
    Device,
    Modality,
    Model,
    Series,
    decimal,
    require_model,
    require_path,
)
from medviewer.cli.output import Report, finish
from medviewer.cli.report_language import (
    AcceptLicence,
    LanguageCall,
    LanguageModelName,
    PriorReport,
    Said,
    language_call,
    lines,
    ready,
    told,
    with_language,
)
from medviewer.cli.report_prior import (
    OpenedPrior,
    Prior,
    PriorCall,
    PriorMasks,
    PriorReason,
    PriorSeries,
    opened_prior,
    prior_call,
    prior_document,
    prior_lines,
    with_prior,
    with_trail,
)
from medviewer.cli.terminal_progress import terminal_progress
from medviewer.core.errors import OutputNotWritten, WrongUsage

if TYPE_CHECKING:
    from medviewer.core.progress import Progress
    from medviewer.core.report.document import Finding
    from medviewer.core.volume import Volume
    from medviewer.services.report_drafting import DraftedReport
    from medviewer.services.report_language import LanguageRequest

PLUGIN = "report_generation"
OUT_ENDINGS = (".pdf", ".html", ".docx", ".txt", ".json", ".dcm", ".fhir.json")
LIST = "list"  # instead of a template: print those that there are


def register(app: typer.Typer) -> None:
    app.command()(report)


@dataclass(frozen=True)
class ReportCall:
    """The options of one call."""

    path: Path
    out: Path
    template: str
    language: str
    indication: str
    masks: Path | None
    series: str | None
    modality: str | None
    model: str | None
    device: str
    save_masks: Path | None = None
    dicom: str = "sr"
    pictures: bool = True
    language_model: LanguageCall = LanguageCall()
    prior: PriorCall | None = None


def report(
    path: Annotated[Path | None, typer.Argument(metavar="PATH", help="A file, or a folder with DICOM files.")] = None,
    out: Annotated[Path | None, typer.Option("--out", help=f"File to write: {' '.join(OUT_ENDINGS)}")] = None,
    template: Annotated[
        str, typer.Option("--template", metavar="KEY", help="Chosen by the scan without; `list` prints all.")
    ] = "",
    language: Annotated[str, typer.Option("--language", help="en or de.")] = "en",
    indication: Annotated[str, typer.Option("--indication", metavar="TEXT", help="Why the scan was made.")] = "",
    masks: Annotated[
        Path | None, typer.Option("--masks", metavar="FILE", help="Masks that are there already; the rest is found.")
    ] = None,
    save_masks: Annotated[
        Path | None, typer.Option("--save-masks", metavar="FILE", help="Write the masks of the report, too.")
    ] = None,
    pictures: Annotated[
        bool, typer.Option("--pictures/--no-pictures", help="Put views with the masks into the report.")
    ] = True,
    dicom: Annotated[str, typer.Option("--dicom", help="What a .dcm holds: sr or pdf.")] = "sr",
    series: Series = None,
    model: Model = None,
    device: Device = "auto",
    modality: Modality = None,
    language_model: LanguageModelName = None,
    accept_licence: AcceptLicence = False,
    prior_report: PriorReport = None,
    prior: Prior = None,
    prior_masks: PriorMasks = None,
    prior_reason: PriorReason = "",
    prior_series: PriorSeries = None,
    as_json: AsJson = False,
) -> None:
    """Find what the examination's template asks for, measure it and write a draft report. The draft is not verified."""

    def work() -> Report:
        if template == LIST:
            return _templates()
        if path is None or out is None:
            raise WrongUsage("A scan and --out are needed.", "Use `medviewer report PATH --out R.pdf`.")
        earlier = prior_call(prior, prior_masks, prior_reason, prior_series)
        writer, segmentation = language_call(language_model, model, accept_licence, prior_report)
        return run_report(
            ReportCall(path, out, template, language, indication, masks, series, modality, segmentation, device,
                       save_masks, dicom, pictures, writer, earlier)
        )  # fmt: skip

    finish(as_json, work)


def _templates() -> Report:
    from medviewer.services.report_templates import report_templates

    known = report_templates()
    rows = [
        {"key": key, "title": dict(one.titles), "own": key in known.own} for key, one in sorted(known.by_key.items())
    ]
    lines = tuple(f"{row['key']}  {row['title']['en']} / {row['title']['de']}" for row in rows)  # type: ignore[index]
    return Report({"templates": rows}, lines, known.problems)


def run_report(call: ReportCall) -> Report:
    """Open, find, measure, write; raises UserError."""
    from medviewer.plugin_host.host import host

    model_id = _checked(call)
    writer = ready(call.language_model, host().logic(PLUGIN), call.device)
    seconds: dict[str, float] = {}
    with terminal_progress("Reading") as progress:
        began = time.perf_counter()
        volume, segments = _opened(call, progress.part(0.0, 0.1))
        earlier = opened_prior(call.prior, volume, call.modality, progress.part(0.1, 0.15))
        seconds["load"] = time.perf_counter() - began
        drafted, said = _drafted(call, volume, segments, writer, earlier, progress.part(0.15, 0.95))
        seconds |= drafted.seconds
        began = time.perf_counter()
        warnings = _write(call, volume, drafted, said, progress.part(0.95, 1.0))
        seconds["write"] = time.perf_counter() - began
    return _told(call, model_id, volume, drafted, said, seconds, warnings)


def _checked(call: ReportCall) -> str:
    """Id of the model; every option is checked before any work starts."""
    from medviewer.services.report_drafting import report_language
    from medviewer.services.report_files import form_of
    from medviewer.services.report_templates import report_templates

    form_of(call.out)
    if not call.out.parent.is_dir():
        raise OutputNotWritten(f"The folder {call.out.parent} does not exist.", "Make it, or choose another place.")
    if not os.access(call.out.parent, os.W_OK):
        raise OutputNotWritten(f"The folder {call.out.parent} cannot be written.", "Choose another place.")
    require_path(call.path)
    report_language(call.language)
    if call.template:
        report_templates().get(call.template)
    return require_model(DEFAULT_PLUGIN, call.model, call.device)


def _opened(call: ReportCall, progress: Progress) -> tuple[Volume, list[Any]]:
    from medviewer.services.open_data import open_volume
    from medviewer.services.report_files import check_target
    from medviewer.services.save_data import check_output, read_mask

    volume = open_volume(call.path, call.series, progress, call.modality)
    saves_seg = call.save_masks is not None and call.save_masks.suffix.lower() == ".dcm"
    check_target(call.out, volume, dicom=call.dicom, has_masks=saves_seg)
    if call.save_masks is not None:
        check_output(call.save_masks, volume)
    return volume, [] if call.masks is None else read_mask(require_path(call.masks), volume)


def _drafted(
    call: ReportCall, volume: Volume, segments: Iterable[Any], writer: LanguageRequest | None,
    earlier: OpenedPrior | None, progress: Progress,
) -> tuple[DraftedReport, Said | None]:  # fmt: skip
    """The draft, with the comparison where there is a prior, and what a language model said, whose sentences are in it
    then."""
    from medviewer.api.requests import ReportRequest
    from medviewer.plugin_host.host import host

    request = ReportRequest(
        tuple(segments), call.template, call.language, call.device, indication=call.indication, model_id=call.model
    )
    logic, share = host().logic(PLUGIN), 1.0 if writer is None else 0.4
    own = progress.part(0.0, share)
    drafted: DraftedReport = logic.run(volume, request, own if earlier is None else own.part(0.0, 0.5))
    if earlier is not None:
        drafted = with_prior(logic, volume, drafted, request, earlier, own.part(0.5, 1.0))
    if writer is None:
        return drafted, None
    return with_language(logic, volume, drafted, request, writer, progress.part(share, 1.0))


def _write(
    call: ReportCall, volume: Volume, drafted: DraftedReport, said: Said | None, progress: Progress
) -> tuple[str, ...]:
    """The masks, where they were asked for, and then the report, whose SR may point at them; the masks' warnings."""
    from medviewer.services.report_files import Origin, write_report
    from medviewer.services.save_data import save_segments

    notes: tuple[str, ...] = ()
    if call.save_masks is not None and drafted.segments:
        notes = tuple(save_segments(call.save_masks, volume, list(drafted.segments), progress).warnings)
    elif call.save_masks is not None:
        notes = (f"{call.save_masks.name} was not written: there is no mask.",)
    is_seg = call.save_masks is not None and drafted.segments and call.save_masks.suffix.lower() == ".dcm"
    report = drafted.report
    if call.pictures:
        from medviewer.cli.report_pictures import with_key_images
        from medviewer.services.report_templates import report_words

        report = with_key_images(report, volume, drafted.segments, report_words(report.language))
    content = with_trail(report if said is None else said.reviewed(report), drafted.comparison)
    write_report(content, call.out, Origin(volume, call.save_masks if is_seg else None), dicom=call.dicom)
    return notes


def _told(
    call: ReportCall, model_id: str, volume: Volume, drafted: DraftedReport, said: Said | None,
    seconds: dict[str, float], notes: tuple[str, ...],
) -> Report:  # fmt: skip
    from medviewer.services.results import scan_warnings

    report = drafted.report
    marked = [finding for finding in report.findings if finding.marks]
    warnings = (*scan_warnings(volume), *drafted.warnings, *notes)
    document = {
        "scan": str(call.path),
        "series": volume.id,
        "template": report.template,
        "language": report.language,
        "model": model_id,
        "out": str(call.out),
        "status": report.status,
        "sentences": len(report.findings),
        "marked": len(marked),
        "not_assessed": [section.title for section in report.sections if section.not_assessed],
        "limitations": list(report.limitations),
        "seconds": {step: round(value, 2) for step, value in seconds.items()},
        "warnings": list(warnings),
        **prior_document(call.prior, drafted.comparison),
        **told(said, report),
    }
    shown = (f"{'! ' if f.marks else ''}{f.text}" for f in report.findings)
    closing = _closing(call, report.template, marked)
    beside = (*prior_lines(drafted.comparison), *lines(said))
    return Report(document, (*shown, *beside, *closing, _times(seconds)), warnings)


def _closing(call: ReportCall, template: str, marked: list[Finding]) -> tuple[str, ...]:
    count = f"{len(marked)} sentence(s) marked for a check" if marked else "no sentence marked"
    return (f"Template {template}, {count}", f"Saved {call.out} (draft, not verified)")


def _times(seconds: dict[str, float]) -> str:
    return "Seconds: " + ", ".join(f"{step} {decimal(value)}" for step, value in seconds.items())
