"""`medviewer screenshot`: one view as PNG, without a window."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from medviewer.cli.options import (
    DEFAULT_PLUGIN,
    AsJson,
    Device,
    Modality,
    Model,
    ScanPath,
    Series,
    numbers,
    require_model,
    require_path,
)
from medviewer.cli.output import Report, finish
from medviewer.core.errors import WrongUsage

if TYPE_CHECKING:
    from medviewer.core.segmentation import Segment
    from medviewer.core.volume import Volume


class View(StrEnum):
    AXIAL = "axial"
    CORONAL = "coronal"
    SAGITTAL = "sagittal"
    VOLUME = "volume"


def register(app: typer.Typer) -> None:
    app.command()(screenshot)


def screenshot(
    path: ScanPath,
    out: Annotated[Path, typer.Option("--out", metavar="PNG", help="Picture to write.")],
    view: Annotated[View, typer.Option("--view")] = View.AXIAL,
    mask: Annotated[Path | None, typer.Option("--mask", metavar="FILE", help="Masks to draw on it.")] = None,
    prompt: Annotated[
        list[str] | None, typer.Option("--prompt", metavar="TEXT", help="A structure to find and draw; repeatable.")
    ] = None,
    model: Model = None,
    device: Device = "auto",
    at: Annotated[str | None, typer.Option("--at", metavar="x,y,z", help="Position, LPS mm.")] = None,
    series: Series = None,
    modality: Modality = None,
    identity: Annotated[bool, typer.Option("--identity", help="Write who the patient is on the picture.")] = False,
    as_json: AsJson = False,
) -> None:
    """Draw one view of a scan, with masks, as the window shows it."""

    def work() -> Report:
        position = None if at is None else numbers(at, 3, "--at")
        asked = Asked(tuple(prompt or ()), model, device)
        return write_picture(path, out, view, mask, position, series, modality, identity, asked)

    finish(as_json, work)


@dataclass(frozen=True)
class Asked:
    """What is to be found and drawn, by which model."""

    prompts: tuple[str, ...] = ()
    model: str | None = None
    device: str = "auto"


def write_picture(
    path: Path,
    out: Path,
    view: View,
    mask: Path | None,
    at: tuple[float, ...] | None,
    series: str | None,
    modality: str | None,
    identity: bool = False,
    asked: Asked = Asked(),
) -> Report:
    from medviewer.io.export_notes import models_of
    from medviewer.render.screenshot import screenshot as draw
    from medviewer.services.open_data import open_volume
    from medviewer.services.save_data import read_mask, save_view_png

    if out.suffix.lower() != ".png":
        raise WrongUsage(f"{out.name} is not a PNG name.", "Let the name end in .png.")
    if asked.model and not asked.prompts:
        raise WrongUsage("--model is for --prompt, and there is none.", "Say what is to be found with --prompt.")
    if asked.prompts:
        require_model(DEFAULT_PLUGIN, asked.model, asked.device)
    volume = open_volume(require_path(path), series, modality=modality)
    segments = [] if mask is None else read_mask(require_path(mask), volume)
    found, told = _find(volume, asked)
    segments += found
    position = None if at is None else (at[0], at[1], at[2])
    picture = draw(volume, str(view), segments=segments, at=position, identity=identity)
    save_view_png(out, picture, volume, segments)
    document: dict[str, Any] = {"scan": str(path), "series": volume.id, "out": str(out), "view": str(view)}
    document["models"] = models_of(segments)
    return Report(document, (f"Saved {out}",), (*volume.warnings, *told))


def _find(volume: Volume, asked: Asked) -> tuple[list[Segment], list[str]]:
    """The segments of what was asked for, and what a reader must know of the answers."""
    from medviewer.api.requests import SegmentRequest
    from medviewer.core.progress import silent
    from medviewer.plugin_host.segmenting import segment_with
    from medviewer.services.results import segment_for, warnings_of

    segments, told = [], []
    for index, text in enumerate(asked.prompts):
        request = SegmentRequest(text, model_id=asked.model, device=asked.device)
        answer = segment_with(DEFAULT_PLUGIN, volume, request, silent())
        segments.append(segment_for(answer, volume, index))
        told += warnings_of(answer)
    return segments, told
