"""The report as text for the screen, Markdown, CSV and JSON."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from medviewer.io.atomic import write_text_atomic

from .bars import Bar

BAR_COLUMNS = ("what", "target", "result", "95 % interval", "n", "drawn", "verdict", "note")
_LISTS = (
    "rows", "absent_rows", "presence", "clicks", "sides", "wordings", "unknown", "reading", "robustness", "reliability",
    "questions",
)  # fmt: skip
_METHOD = """Mean Dice; a structure that was not found counts 0, and then has no HD95 ("no mask" counts them). Surface
Dice: tolerance 2 mm for volumes, 1 % of the longer side for pictures. Intervals of 95 %: 2,000 bootstrap draws of whole
patients, or of images where no patient is known; none with fewer than five. A bar is judged by the mean."""
_SHOWN: Mapping[str, tuple[str, Sequence[str]]] = {
    "rows": ("Structures", ("set", "structure", "n", "units", "unit", "dice", "low", "high", "nsd", "hd95",
                            "hd95_median", "length", "no_mask", "not_trained")),
    "presence": ("Presence", ("group", "present", "absent", "false_masks", "false_mask_rate", "false_low", "false_high",
                              "auc", "auc_low", "auc_high", "ece", "ece_low", "ece_high", "ece_adaptive", "units")),
    "clicks": ("Clicks", ("set", "n", "units", "fall", "fall_low", "fall_high", "fall_median", "fall_pooled", "worse",
                          "dice_0", "dice_1", "dice_2", "dice_3", "dice_4", "dice_5")),
    "sides": ("Sides", ("set", "structure", "scans", "asked", "found", "swapped", "side_unknown")),
}


def bar_cells(bar: Bar) -> tuple[str, ...]:
    """One bar as texts, in the order of BAR_COLUMNS."""
    interval = "" if bar.low is None or bar.high is None else f"{bar.low:.3f} to {bar.high:.3f}"
    result = "" if bar.result is None else f"{bar.result:.3f}"
    drawn = f"{bar.units} {bar.unit}" if bar.n else ""
    note = "; ".join(part for part in (bar.note, "interval clear of the target" if bar.clear else "") if part)
    return (bar.what, bar.target_text, result, interval, str(bar.n), drawn, bar.verdict, note)


def screen_table(bars: Sequence[Bar]) -> str:
    """The bars in columns."""
    rows = [BAR_COLUMNS, *(bar_cells(bar) for bar in bars)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(BAR_COLUMNS))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
                     for row in rows)


def markdown_table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A table; numbers to three decimals."""
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    return "\n".join([*lines, *("| " + " | ".join(_cell(value) for value in row) + " |" for row in rows)])


def screen_text(report: Mapping[str, Any], bars: Sequence[Bar]) -> str:
    """What is printed: the bars, then the structures, then one line about time."""
    lines = [screen_table(bars), ""] if bars else []
    for row in report["rows"]:
        around = "" if row["low"] is None else f"({row['low']:.3f} to {row['high']:.3f}, {row['units']} {row['unit']})"
        lines.append(f"{row['set']:24} {row['structure']:32} Dice {row['dice']:.3f} {around:34} "
                     f"surface {row['nsd']:.3f}  HD95 {_cell(row['hd95'])} {row['length']}  n {row['n']}  "
                     f"no mask {row['no_mask']}")
    return "\n".join([*lines, f"{report['seconds']:.0f} s"])


def markdown_text(report: Mapping[str, Any], bars: Sequence[Bar]) -> str:
    """The whole report for people."""
    about = report["about"]
    run = f"Weights {about['weights_sha256'][:16]}, {about['data']}, {report['seconds']:.0f} s."
    lines = [f"# Evaluation of `{about['model']}`", "", f"{run} {about['looks']}".strip(), "", _METHOD, ""]
    if bars:
        lines += ["## Bars", "", markdown_table(BAR_COLUMNS, [bar_cells(bar) for bar in bars]), ""]
    for name, (title, columns) in _SHOWN.items():
        rows = report.get(name) or []
        if rows:
            lines += [f"## {title}", "", markdown_table(columns, [[row[c] for c in columns] for row in rows]), ""]
    for name in ("wordings", "reading", "robustness"):
        rows = report.get(name) or []
        if rows:
            table = markdown_table(list(rows[0]), [list(row.values()) for row in rows])
            lines += [f"## {name.capitalize()}", "", table, ""]
    return "\n".join(lines)


def write_report(out: Path, report: Mapping[str, Any], bars: Sequence[Bar]) -> None:
    """results.json, report.md and one CSV per table in the folder `out`. Raises OutputNotWritten."""
    out.mkdir(parents=True, exist_ok=True)
    write_text_atomic(out / "results.json", json.dumps(report, indent=1))
    write_text_atomic(out / "report.md", markdown_text(report, bars) + "\n")
    write_text_atomic(out / "bars.csv", csv_text([asdict(bar) for bar in bars]))
    for name in _LISTS:
        if report.get(name):
            write_text_atomic(out / f"{name}.csv", csv_text(report[name]))


def csv_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows with the columns of the first."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(rows[0]) if rows else [], extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _cell(value: object) -> str:
    if value is None:
        return "–"
    return f"{value:.3f}" if isinstance(value, float) else str(value)
