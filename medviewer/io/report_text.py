"""A report as clean text, to be copied into another system (RIS): UTF-8, one line for each sentence."""

from __future__ import annotations

import re
from pathlib import Path

from medviewer.core.report.document import Report
from medviewer.core.report.words import Words
from medviewer.io.atomic import write_text_atomic
from medviewer.io.report_layout import Block, check_read_back, lay_out

_FORMULA = re.compile(r"[=+@\-]+[^=+@\-\s]|[=@][=+@\-\s]*[^=+@\-\s]")  # not a line under a heading, not "- item"


def render(report: Report, words: Words) -> str:
    """The text: headings, sentences with their origin and marks, tables as lines. No line begins with a sign that a
    spreadsheet takes for a formula: an apostrophe stands before it, as spreadsheets write text."""
    lines: list[str] = []
    for block in _blocks(report, words):
        lines += _lines(block)
    single = "\n".join(lines).strip().split("\n")
    return "\n".join(f"'{line}" if _FORMULA.match(line) else line for line in single) + "\n"


def _blocks(report: Report, words: Words) -> tuple[Block, ...]:
    return lay_out(report.with_changes(key_images=()), words)  # a text has no pictures


def write(path: Path, report: Report, words: Words) -> None:
    """Write the text atomically, read back and compared. Raises OutputNotWritten."""
    text = render(report, words)
    check_read_back(path.name, _blocks(report, words), _as_said(text))
    write_text_atomic(path, text)


def _as_said(text: str) -> str:
    """Without the apostrophes before what looks like a formula."""
    lines = text.splitlines()
    return "\n".join(line[1:] if line[:1] == "'" and _FORMULA.match(line[1:]) else line for line in lines)


def _lines(block: Block) -> list[str]:
    if block.kind in ("title", "heading"):
        return ["", block.text, "=" * min(len(block.text), 60)]
    if block.kind == "subheading":
        return ["", f"{block.text}:"]
    if block.kind == "rows":
        return _rows(block)
    return [f"{block.text} {block.note}".strip()]


def _rows(block: Block) -> list[str]:
    """A table of two columns as "label: value"; a wider one with semicolons between its cells."""
    if block.has_head:
        return ["; ".join(cell for cell in row if cell) for row in block.rows]
    return [": ".join(row) for row in block.rows]
