"""`medviewer batch`: a table of scans and prompts."""

from __future__ import annotations

import sys
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
    decimal,
    require_model,
    require_path,
)
from medviewer.cli.output import Report, finish
from medviewer.cli.terminal_progress import terminal_progress
from medviewer.core.plain_text import one_line

if TYPE_CHECKING:
    from medviewer.core.prediction import Prediction
    from medviewer.core.progress import Progress
    from medviewer.core.volume import Volume
    from medviewer.services.batch import Ask, Open
    from medviewer.services.results import RowResult


def register(app: typer.Typer) -> None:
    app.command()(batch)


def batch(
    jobs: Annotated[Path, typer.Argument(metavar="JOBS.csv", help="Columns: scan,prompt,out and optional series.")],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder of the masks.")],
    resume: Annotated[bool, typer.Option("--resume", help="Skip rows whose output exists and is valid.")] = False,
    model: Model = None,
    device: Device = "auto",
    modality: Modality = None,
    plugin: Plugin = DEFAULT_PLUGIN,
    as_json: AsJson = False,
) -> None:
    """Segment every row of a table: one mask per row; a bad row is reported and the rest goes on."""
    finish(as_json, lambda: run_batch(jobs, out, resume, _Question(plugin, model, device, modality)))


@dataclass(frozen=True)
class _Question:
    """What is the same for all rows."""

    plugin: str
    model: str | None
    device: str
    modality: str | None


def run_batch(jobs: Path, out: Path, resume: bool, question: _Question) -> Report:
    from medviewer.services.batch import Batch
    from medviewer.services.batch_rows import read_rows

    rows = read_rows(require_path(jobs))
    model_id = require_model(question.plugin, question.model, question.device) or question.plugin
    tell = _say_row if not sys.stderr.isatty() else _say_nothing
    run = Batch(out, model_id, _asker(question), _opener(question.modality), resume, tell)
    with terminal_progress("Batch") as progress:
        results = run.run(rows, progress) if rows else []
    document = {"results": [_as_document(result) for result in results]}
    warnings = tuple(f"row {result.row}: {text}" for result in results for text in result.warnings)
    return Report(document, tuple(_table(results)), warnings)


def _say_row(result: RowResult) -> None:
    """One line per row where there is no terminal for a progress bar."""
    line = one_line(f"row {result.row}: {result.prompt}: {result.error or result.answer or 'kept'}", 4096)
    print(line, file=sys.stderr, flush=True)


def _say_nothing(result: RowResult) -> None:
    return None


def _asker(question: _Question) -> Ask:
    from medviewer.api.requests import SegmentRequest
    from medviewer.plugin_host.segmenting import segment_with

    def ask(volume: Volume, prompt: str, progress: Progress) -> Prediction:
        request = SegmentRequest(prompt, model_id=question.model, device=question.device)
        return segment_with(question.plugin, volume, request, progress)

    return ask


def _opener(modality: str | None) -> Open:
    from medviewer.services.open_data import open_volume

    return lambda path, series: open_volume(require_path(path), series, modality=modality)


def _as_document(result: RowResult) -> dict[str, Any]:
    names = (
        "row", "scan", "prompt", "out", "answer", "found", "presence", "volume_ml", "seconds", "error", "model",
        "licence",
    )  # fmt: skip
    return {name: getattr(result, name) for name in names}


def cell(text: str) -> str:
    """A text as one cell: no tab or line end, and no spreadsheet takes it for a formula."""
    line = one_line(text, 4096)
    return f"'{line}" if line.startswith(("=", "+", "-", "@")) else line


def _table(results: list[RowResult]) -> list[str]:
    """The results with a tab between columns, so that it can be pasted into a spreadsheet."""
    lines = ["row\tscan\tprompt\tout\tanswer\tscore\tml\tseconds\tmodel\tlicence"]
    for result in results:
        answer = result.error or result.answer or "kept"
        figures = (decimal(result.presence, 2), decimal(result.volume_ml), decimal(result.seconds, 2))
        words = [cell(text) for text in (result.scan, result.prompt, result.out, answer)]
        origin = [cell(text) if text else "-" for text in (result.model, result.licence)]
        lines.append("\t".join([str(result.row), *words, *figures, *origin]))
    failed, kept = sum(bool(r.error) for r in results), sum(r.skipped for r in results)
    lines.append(f"{len(results)} rows: {len(results) - failed - kept} done, {kept} kept, {failed} failed")
    return lines
