"""`medviewer export-training-set`: the segments of a session as cases to train on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from medviewer.cli.options import AsJson, require_path
from medviewer.cli.output import Report, finish
from medviewer.cli.terminal_progress import terminal_progress
from medviewer.core.errors import InputRefused


def register(app: typer.Typer) -> None:
    app.command("export-training-set")(export_training_set)


def export_training_set(
    session: Annotated[Path, typer.Argument(metavar="SESSION.mvsession", help="A saved session; see Ctrl+S.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="A new folder, or a training set to add to.")],
    name: Annotated[str, typer.Option("--name", help="Name of the data set.")] = "",
    licence: Annotated[str, typer.Option("--licence", help="Licence of the data.")] = "",
    only_corrected: Annotated[
        bool, typer.Option("--only-corrected", help="Leave out masks that are a model's alone.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Add the accepted segments of a session to a training set: images, masks, dataset.json. Pixels are not cleaned."""
    finish(as_json, lambda: run(session, out, name, licence, only_corrected))


def run(session: Path, out: Path, name: str, licence: str, only_corrected: bool) -> Report:
    from medviewer.io import session_file
    from medviewer.services import training_set as service
    from medviewer.services.sessions import load_session

    if not session_file.is_session(require_path(session)):
        raise InputRefused(f"{session.name} is no session.", "Save the session in the window (Ctrl+S) first.")
    with terminal_progress("Reading the session") as progress:
        service.check_target(out)
        scene = load_session(session, progress.part(0.0, 0.5)).scene
        report = service.export_training_set(
            service.cases_of(scene.scans), out, progress.part(0.5, 1.0),
            name=name, licence=licence, only_corrected=only_corrected,
        )  # fmt: skip
    return Report(report.as_document(), report.lines())
