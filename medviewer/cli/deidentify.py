"""`medviewer deidentify`: DICOM files without identities in a new folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from medviewer.cli.options import AsJson, require_path
from medviewer.cli.output import Report, finish
from medviewer.cli.terminal_progress import terminal_progress


def register(app: typer.Typer) -> None:
    app.command()(deidentify)


def deidentify(
    source: Annotated[Path, typer.Argument(metavar="IN", help="A DICOM file, or a folder with DICOM files.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="A new or empty folder.")],
    dates: Annotated[
        Literal["remove", "shift"],
        typer.Option("--dates", help="Remove dates and times, or move each patient's dates by the same random days."),
    ] = "remove",
    keep_characteristics: Annotated[
        bool, typer.Option("--keep-characteristics", help="Keep sex, age, size and weight.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Copy DICOM files without identities (PS3.15 Annex E Basic Profile). Pixels are not cleaned."""
    finish(as_json, lambda: run(source, out, dates == "shift", keep_characteristics))


def run(source: Path, out: Path, shift_dates: bool, keep_characteristics: bool) -> Report:
    from medviewer.services import deidentify as service

    with terminal_progress("De-identifying") as progress:
        report = service.deidentify(
            [require_path(source)], out, progress, shift_dates=shift_dates, keep_characteristics=keep_characteristics
        )
    return Report(report.as_document(), report.lines())
