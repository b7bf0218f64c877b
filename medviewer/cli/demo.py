"""`medviewer demo`: the whole main job on a generated scan."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from medviewer.cli.options import DEFAULT_PLUGIN, AsJson, Device, Model, decimal, require_model
from medviewer.cli.output import Report, finish
from medviewer.cli.terminal_progress import terminal_progress

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from medviewer.core.prediction import Prediction
    from medviewer.core.progress import Progress
    from medviewer.core.segmentation import Segment
    from medviewer.core.volume import Volume
    from medviewer.services.demo import DemoReport, DemoRow

DEFAULT_OUT = Path("medviewer-demo")


def register(app: typer.Typer) -> None:
    app.command()(demo)


def demo(
    context: typer.Context,
    headless: Annotated[bool, typer.Option("--headless", help="Open no window at the end.")] = False,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder for the results.")] = DEFAULT_OUT,
    model: Model = None,
    device: Device = "auto",
    as_json: AsJson = False,
) -> None:
    """Generate a sample scan, prompt it by text, segment, export, and measure the masks against the truth."""
    try:
        finish(as_json, lambda: measure(out, device, model))
    except typer.Exit as end:
        from medviewer.services.display import has_display

        if end.exit_code != 0 or headless or not has_display():
            raise
    _show(context.obj, out)


def _show(open_window: Callable[[list[Path]], int] | None, out: Path) -> None:
    from medviewer.services.demo import SCAN_NAME

    if open_window is not None:
        raise typer.Exit(open_window([out / SCAN_NAME]))


def measure(out: Path, device: str, model: str | None = None) -> Report:
    """Run the demonstration; exit status 1 where a mask is worse than promised."""
    from medviewer.services.demo import REQUIRED_DICE, run_demo

    require_model(DEFAULT_PLUGIN, model, device)
    with terminal_progress("Demonstration") as progress:
        report = run_demo(out, _asker(device, model), _draw, progress)
    bad = [row.prompt for row in report.rows if not row.good]
    lines = [*(_line(row) for row in report.rows), f"Model: {report.model}"]
    lines += ["Written:", *(f"  {path}" for path in report.outputs)]
    verdict = "The demonstration succeeded."
    if bad:
        verdict = f"The demonstration failed: Dice below {REQUIRED_DICE} for {', '.join(bad)}."
    return Report(_document(report), (*lines, verdict), report.warnings, 1 if bad else 0)


def _asker(device: str, model: str | None) -> Callable[[Volume, str, Progress], Prediction]:
    from medviewer.api.requests import SegmentRequest
    from medviewer.plugin_host.segmenting import segment_with

    return lambda volume, prompt, progress: segment_with(
        DEFAULT_PLUGIN, volume, SegmentRequest(prompt, model_id=model, device=device), progress
    )


def _draw(volume: Volume, view: str, segments: list[Segment]) -> NDArray[np.uint8]:
    from medviewer.render.screenshot import screenshot

    return screenshot(volume, view, segments=segments)


def _line(row: DemoRow) -> str:
    return f"{row.prompt:14} {row.answer:24} Dice {decimal(row.dice, 3)}  {decimal(row.seconds, 2)} s"


def _document(report: DemoReport) -> dict[str, Any]:
    rows = [{"prompt": r.prompt, "answer": r.answer, "dice": r.dice, "seconds": r.seconds} for r in report.rows]
    return {
        "scan": str(report.scan),
        "model": report.model,
        "results": rows,
        "outputs": [str(path) for path in report.outputs],
        "good": report.good,
    }
