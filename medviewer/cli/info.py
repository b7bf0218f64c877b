"""`medviewer info`: what is at a path, from the headers alone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from medviewer.cli.options import AsJson, ScanPath, decimal, require_path
from medviewer.cli.output import Report, error_document, finish
from medviewer.cli.session_info import describe_session, is_session
from medviewer.cli.terminal_progress import terminal_progress

if TYPE_CHECKING:
    from medviewer.core.volume import Refused, SeriesEntry


def register(app: typer.Typer) -> None:
    app.command()(info)


def info(path: ScanPath, as_json: AsJson = False) -> None:
    """List the volumes at PATH: size, spacing, place in the patient (LPS mm), units, facts, warnings."""
    finish(as_json, lambda: describe(path))


def describe(path: Path) -> Report:
    from medviewer.services.open_data import nothing_readable, scan_path

    if is_session(path):
        return describe_session(require_path(path))
    with terminal_progress("Reading headers") as progress:
        catalogue = scan_path(require_path(path), progress)
    document: dict[str, Any] = {
        "volumes": [_volume(entry) for entry in catalogue.entries],
        "refused": [_refused(refused) for refused in catalogue.refused],
    }
    lines = [line for entry in catalogue.entries for line in _lines(entry)]
    lines += [f"refused  {refused.path}: {refused.reason}" for refused in catalogue.refused]
    if catalogue.entries:
        return Report(document, tuple(lines))
    error = nothing_readable(path, catalogue.refused)
    shown = tuple(lines) if len(lines) > 1 else ()
    return Report(error_document(error) | document, shown, error=error)


def _volume(entry: SeriesEntry) -> dict[str, Any]:
    return {
        "id": entry.id,
        "modality": entry.modality,
        "shape_xyz": list(entry.shape_xyz),
        "spacing_mm": None if entry.spacing_mm is None else [step or None for step in entry.spacing_mm],
        "affine_lps": None if entry.affine_lps is None else entry.affine_lps.tolist(),
        "units": entry.units,
        "facts": {name: {"value": fact.value, "origin": fact.origin} for name, fact in entry.facts.items()},
        "warnings": list(entry.warnings),
    }


def _refused(refused: Refused) -> dict[str, str]:
    return {"path": str(refused.path), "reason": refused.reason}


def _lines(entry: SeriesEntry) -> list[str]:
    size = " x ".join(str(n) for n in entry.shape_xyz)
    spacing = "spacing unknown"
    if entry.spacing_mm is not None:
        spacing = " x ".join(decimal(step, 3) if step else "unknown" for step in entry.spacing_mm) + " mm"
    first = f"{entry.id}  {entry.modality or 'modality unknown'}  {size}  {spacing}  {entry.title}"
    return [first, *(f"  warning: {warning}" for warning in entry.warnings)]
