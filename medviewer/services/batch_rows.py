"""Reads the job list of a batch: a CSV with the columns scan, prompt, out and optional series."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path

from medviewer.core.errors import InputRefused

_REQUIRED = ("scan", "prompt", "out")
_KNOWN = (*_REQUIRED, "series")


@dataclass(frozen=True)
class BatchRow:
    """One job. `number` counts data rows from 1; `error` says why a row cannot be tried. Cells are never split."""

    number: int
    scan: str
    prompt: str
    out: str
    series: str | None
    scan_path: Path
    error: str = ""


def read_rows(path: Path) -> list[BatchRow]:
    """The jobs of a CSV file (UTF-8, comma); scans absolute or relative to the CSV. Raises InputRefused."""
    reader = csv.DictReader(io.StringIO(_text_of(path), newline=""))
    names = [name.strip().lower() for name in reader.fieldnames or []]
    missing = [name for name in _REQUIRED if name not in names]
    if missing:
        raise InputRefused(
            f"{path.name} lacks the column{'s' if len(missing) > 1 else ''} {', '.join(missing)}.",
            "The first line must be scan,prompt,out or scan,prompt,out,series, with commas.",
        )
    reader.fieldnames = names
    rows = [_row(number, cells, path.parent) for number, cells in enumerate(reader, start=1)]
    return _refuse_same_outputs(rows)


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InputRefused(f"{path} cannot be read.", "Check the path of the CSV file.") from error
    except UnicodeDecodeError as error:
        raise InputRefused(f"{path.name} is not UTF-8 text.", "Save the table as CSV UTF-8.") from error


def _row(number: int, cells: dict[str | None, str | list[str] | None], folder: Path) -> BatchRow:
    values = {name: str(cells.get(name) or "").strip() for name in _KNOWN}
    error = ""
    empty = [name for name in _REQUIRED if not values[name]]
    if None in cells:
        error = "The row has more cells than the first line; put cells that contain a comma in double quotes."
    elif empty:
        error = f"The cell {empty[0]} is empty."
    elif not _stays_inside(values["out"]):
        error = "The cell out must be a path inside the folder given with --out."
    scan = folder / values["scan"]
    return BatchRow(number, values["scan"], values["prompt"], values["out"], values["series"] or None, scan, error)


def _stays_inside(out: str) -> bool:
    path = Path(out)
    return not path.is_absolute() and ".." not in path.parts and path.name not in ("", ".")


def _refuse_same_outputs(rows: list[BatchRow]) -> list[BatchRow]:
    """A second row with the same output would destroy the first one's mask."""
    first: dict[str, int] = {}
    checked = []
    for row in rows:
        key = str(Path(row.out)).lower()
        if not row.error and first.setdefault(key, row.number) != row.number:
            error = f"Row {first[key]} already writes {row.out}."
            row = BatchRow(row.number, row.scan, row.prompt, row.out, row.series, row.scan_path, error)
        checked.append(row)
    return checked
