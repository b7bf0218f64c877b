"""`medviewer convert`: a scan as NIfTI."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from medviewer.cli.options import AsJson, ScanPath, Series, require_path
from medviewer.cli.output import Report, finish
from medviewer.cli.terminal_progress import terminal_progress
from medviewer.core.errors import WrongUsage


def register(app: typer.Typer) -> None:
    app.command()(convert)


def convert(
    path: ScanPath,
    out: Annotated[Path, typer.Argument(metavar="OUT.nii.gz", help="NIfTI file to write.")],
    series: Series = None,
    as_json: AsJson = False,
) -> None:
    """Write the voxels and the geometry of one scan as NIfTI."""
    finish(as_json, lambda: write_nifti(path, out, series))


def write_nifti(path: Path, out: Path, series: str | None) -> Report:
    from medviewer.services.open_data import open_volume
    from medviewer.services.save_data import save_volume_nifti

    if not out.name.endswith((".nii", ".nii.gz")):
        raise WrongUsage(f"{out.name} is not a NIfTI name.", "Let OUT end in .nii.gz or .nii.")
    with terminal_progress("Reading") as progress:
        volume = open_volume(require_path(path), series, progress)
    save_volume_nifti(out, volume)
    document = {"scan": str(path), "series": volume.id, "out": str(out), "warnings": list(volume.warnings)}
    return Report(document, (f"Saved {out}",), volume.warnings)
