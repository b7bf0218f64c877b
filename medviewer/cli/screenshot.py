"""`medviewer screenshot`: one view as PNG, without a window."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from medviewer.cli.options import AsJson, Modality, ScanPath, Series, numbers, require_path
from medviewer.cli.output import Report, finish
from medviewer.core.errors import WrongUsage


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
    at: Annotated[str | None, typer.Option("--at", metavar="x,y,z", help="Position, LPS mm.")] = None,
    series: Series = None,
    modality: Modality = None,
    identity: Annotated[bool, typer.Option("--identity", help="Write who the patient is on the picture.")] = False,
    as_json: AsJson = False,
) -> None:
    """Draw one view of a scan, with masks, as the window shows it."""

    def work() -> Report:
        position = None if at is None else numbers(at, 3, "--at")
        return write_picture(path, out, view, mask, position, series, modality, identity)

    finish(as_json, work)


def write_picture(
    path: Path,
    out: Path,
    view: View,
    mask: Path | None,
    at: tuple[float, ...] | None,
    series: str | None,
    modality: str | None,
    identity: bool = False,
) -> Report:
    from medviewer.render.screenshot import screenshot as draw
    from medviewer.services.open_data import open_volume
    from medviewer.services.save_data import read_mask, save_view_png

    if out.suffix.lower() != ".png":
        raise WrongUsage(f"{out.name} is not a PNG name.", "Let the name end in .png.")
    volume = open_volume(require_path(path), series, modality=modality)
    segments = [] if mask is None else read_mask(require_path(mask), volume)
    position = None if at is None else (at[0], at[1], at[2])
    picture = draw(volume, str(view), segments=segments, at=position, identity=identity)
    save_view_png(out, picture, volume)
    document = {"scan": str(path), "series": volume.id, "out": str(out), "view": str(view)}
    return Report(document, (f"Saved {out}",), volume.warnings)
