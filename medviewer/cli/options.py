"""Options that several commands share, and how their texts are read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from medviewer.core.errors import InputRefused, WrongUsage

if TYPE_CHECKING:
    from medviewer.core.prediction import BoxPrompt, PointPrompt

ScanPath = Annotated[Path, typer.Argument(metavar="PATH", help="A file, or a folder with DICOM files.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]
Series = Annotated[str | None, typer.Option("--series", metavar="ID", help="Id of the series; see `medviewer info`.")]
Modality = Annotated[
    str | None, typer.Option("--modality", help="CT, MR, CR, DX or US, for files that record none.")
]
Model = Annotated[str | None, typer.Option("--model", metavar="ID", help="See `medviewer models list`.")]
Plugin = Annotated[str, typer.Option("--plugin", metavar="ID", help="See `medviewer plugins list`.")]
Device = Annotated[str, typer.Option("--device", help="auto, cpu, cuda or mps.")]


DEFAULT_PLUGIN = "text_segmentation"


def require_model(plugin: str, model: str | None, device: str) -> str:
    """Id of the model that will answer ("" where the plugin has its own); raises before any work starts."""
    from medviewer.plugin_host.segmenting import DEVICES
    from medviewer.services.model_store import find_bundle

    if device not in DEVICES:
        raise WrongUsage(f'There is no device "{device}".', f"Choose one of {', '.join(DEVICES)}.")
    return find_bundle(model).name if plugin == DEFAULT_PLUGIN else ""


def require_path(path: Path) -> Path:
    """The path, if there is something; raises InputRefused otherwise."""
    if not path.exists():
        raise InputRefused(f'"{path}" does not exist.', "Check the path.")
    return path


def numbers(text: str, count: int, name: str) -> tuple[float, ...]:
    """`count` numbers with a decimal point, separated by commas."""
    parts = text.split(",")
    try:
        values = tuple(float(part) for part in parts)
    except ValueError:
        values = ()
    if len(values) != count or any(value != value or abs(value) > 1e7 for value in values):
        raise WrongUsage(f'{name} cannot be read: "{text}".', f"Give {count} numbers (mm, LPS) with commas between.")
    return values


def read_points(text: str | None) -> tuple[PointPrompt, ...]:
    """Clicks as "x,y,z,+;x,y,z,-" in LPS mm."""
    from medviewer.core.prediction import PointPrompt

    points = []
    for part in (text or "").split(";"):
        if not part.strip():
            continue
        position, _, sign = part.strip().rpartition(",")
        if sign.strip() not in ("+", "-"):
            raise WrongUsage(f'--points cannot be read: "{part}".', 'Write "x,y,z,+;x,y,z,-" in mm (LPS).')
        x, y, z = numbers(position, 3, "--points")
        points.append(PointPrompt((x, y, z), sign.strip() == "+"))
    if text is not None and not points:
        raise WrongUsage("--points names no point.", 'Write "x,y,z,+;x,y,z,-" in mm (LPS).')
    return tuple(points)


def read_box(text: str | None) -> BoxPrompt | None:
    """Two opposite corners as "x0,y0,z0,x1,y1,z1" in LPS mm."""
    from medviewer.core.prediction import BoxPrompt

    if text is None:
        return None
    x0, y0, z0, x1, y1, z1 = numbers(text, 6, "--box")
    return BoxPrompt((x0, y0, z0), (x1, y1, z1))


def decimal(value: float | None, digits: int = 1) -> str:
    """A number for people, with a point in every locale; a dash where there is none."""
    return "-" if value is None else f"{value:.{digits}f}"
