"""`medviewer segment`: prompts in words to one file of masks."""

from __future__ import annotations

import os
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
    Plugin,
    ScanPath,
    Series,
    decimal,
    read_box,
    read_points,
    require_model,
    require_path,
)
from medviewer.cli.output import Report, finish
from medviewer.cli.terminal_progress import terminal_progress
from medviewer.core.errors import OutputNotWritten, WrongUsage

if TYPE_CHECKING:
    from medviewer.api.requests import SegmentRequest
    from medviewer.core.prediction import Prediction
    from medviewer.core.progress import Progress
    from medviewer.core.volume import Volume

OUT_ENDINGS = (".nii.gz", ".nii", ".seg.nrrd", ".dcm", ".stl", ".ply", ".png")


def register(app: typer.Typer) -> None:
    app.command()(segment)


@dataclass(frozen=True)
class SegmentCall:
    """The options of one call, read and checked."""

    path: Path
    out: Path
    requests: tuple[SegmentRequest, ...]
    series: str | None
    modality: str | None
    plugin: str


def segment(
    path: ScanPath,
    prompt: Annotated[list[str], typer.Option("--prompt", metavar="TEXT", help="A structure; may be repeated.")],
    out: Annotated[Path, typer.Option("--out", help=f"File to write: {' '.join(OUT_ENDINGS)}")],
    series: Series = None,
    model: Model = None,
    device: Device = "auto",
    points: Annotated[str | None, typer.Option("--points", metavar="x,y,z,+;x,y,z,-", help="LPS mm.")] = None,
    box: Annotated[str | None, typer.Option("--box", metavar="x0,y0,z0,x1,y1,z1", help="LPS mm.")] = None,
    frame: Annotated[int | None, typer.Option("--frame", min=0, help="Frame of a cine loop, from 0.")] = None,
    modality: Modality = None,
    plugin: Plugin = DEFAULT_PLUGIN,
    as_json: AsJson = False,
) -> None:
    """Find what the prompts name and write it as masks; what is not found becomes an empty label."""

    def work() -> Report:
        requests = _requests(prompt, model, device, points, box, frame)
        return run_segment(SegmentCall(path, out, requests, series, modality, plugin))

    finish(as_json, work)


def _requests(
    prompts: list[str], model: str | None, device: str, points: str | None, box: str | None, frame: int | None
) -> tuple[SegmentRequest, ...]:
    from medviewer.api import parse_prompt, terminology
    from medviewer.api.requests import SegmentRequest

    clicks, corners = read_points(points), read_box(box)
    if len(prompts) > 1 and (clicks or corners):
        raise WrongUsage("--points and --box belong to one prompt.", "Give one --prompt with them.")
    for text in prompts:
        parse_prompt(text, terminology())
    return tuple(SegmentRequest(text, clicks, corners, None, model, device, frame) for text in prompts)


def check_target(out: Path) -> None:
    """Refuse an output that cannot be written before any work starts."""
    if not out.name.lower().endswith(OUT_ENDINGS):
        raise WrongUsage(f"{out.name} has no ending that is known.", f"Use one of {' '.join(OUT_ENDINGS)}.")
    if not out.parent.is_dir():
        raise OutputNotWritten(f"The folder {out.parent} does not exist.", "Make it, or choose another place.")
    if not os.access(out.parent, os.W_OK):
        raise OutputNotWritten(f"The folder {out.parent} cannot be written.", "Choose another place.")


def run_segment(call: SegmentCall) -> Report:
    """Open, ask every prompt, save; raises UserError."""
    from medviewer.services.open_data import open_volume
    from medviewer.services.save_data import check_output

    check_target(call.out)
    require_path(call.path)
    first = call.requests[0]
    model_id = require_model(call.plugin, first.model_id, first.device)
    with terminal_progress("Reading") as progress:
        volume = open_volume(call.path, call.series, progress.part(0.0, 0.2), call.modality)
        _require_frame(volume, first.frame)
        check_output(call.out, volume)
        predictions = _ask_all(volume, call, progress.part(0.2, 0.95))
        warnings = _save(call, volume, predictions, progress.part(0.95, 1.0))
    results = [_result(number, answer, volume) for number, answer in enumerate(predictions, start=1)]
    document = {
        "scan": str(call.path),
        "series": volume.id,
        "out": str(call.out),
        "model": model_id or predictions[0].provenance.model_id,
        "model_version": predictions[0].provenance.model_version,
        "licence": predictions[0].provenance.licence,
        "device": _device_of(predictions, first.device),
        "results": results,
        "warnings": warnings,
    }
    lines = [*(_line(result) for result in results), f"Saved {call.out}"]
    if predictions[0].provenance.model_line:
        lines.append(f"Model: {predictions[0].provenance.model_line}")
    return Report(document, tuple(lines), tuple(warnings))


def _require_frame(volume: Volume, frame: int | None) -> None:
    if frame is None:
        return
    if volume.kind != "cine":
        raise WrongUsage("--frame is for loops, and this scan is none.", "Leave --frame out.")
    if frame >= volume.shape[2]:
        raise WrongUsage(f"There is no frame {frame}.", f"Choose 0 to {volume.shape[2] - 1}.")


def _ask_all(volume: Volume, call: SegmentCall, progress: Progress) -> list[Prediction]:
    from medviewer.plugin_host.segmenting import segment_with

    share = 1 / len(call.requests)
    return [
        segment_with(call.plugin, volume, request, progress.part(number * share, (number + 1) * share))
        for number, request in enumerate(call.requests)
    ]


def _save(call: SegmentCall, volume: Volume, predictions: list[Prediction], progress: Progress) -> list[str]:
    from medviewer.services.results import scan_warnings, segment_for, warnings_of
    from medviewer.services.save_data import save_segments

    frame = call.requests[0].frame
    segments = [segment_for(prediction, volume, index, frame) for index, prediction in enumerate(predictions)]
    saved = save_segments(call.out, volume, segments, progress)
    told = [sentence for prediction in predictions for sentence in warnings_of(prediction)]
    return list(dict.fromkeys([*scan_warnings(volume, frame), *told, *saved.warnings]))


def _result(number: int, prediction: Prediction, volume: Volume) -> dict[str, Any]:
    from medviewer.services.results import size_of

    size = size_of(prediction, volume)
    return {
        "prompt": prediction.prompt,
        "answer": str(prediction.answer),
        "found": prediction.found,
        "presence": prediction.presence,
        "volume_ml": size.volume_ml,
        "area_mm2": size.area_mm2,
        "label": number,
        "seconds": round(prediction.seconds, 3),
    }


def _device_of(predictions: list[Prediction], asked: str) -> str:
    named = (str(prediction.provenance.parameters.get("device", "")) for prediction in predictions)
    return next((device for device in named if device), asked)


def _line(result: dict[str, Any]) -> str:
    size = ""
    if result["volume_ml"] is not None:
        size = f", {decimal(result['volume_ml'])} ml"
    elif result["area_mm2"] is not None:
        size = f", {decimal(result['area_mm2'])} mm2"
    score = "" if result["presence"] is None else f", model score {decimal(result['presence'], 2)}"
    return f"{result['label']}  {result['prompt']}: {result['answer']}{score}{size}"
