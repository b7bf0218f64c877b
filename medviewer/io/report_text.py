"""A report as clean text, to be copied into another system (RIS): UTF-8, one line for each sentence."""

from __future__ import annotations

from pathlib import Path

from medviewer.core.report.document import Report
from medviewer.core.report.words import Words
from medviewer.io.atomic import write_text_atomic
from medviewer.io.report_layout import Block, check_read_back, lay_out


def render(report: Report, words: Words) -> str:
    """The text: headings, sentences with their origin and marks, tables as lines. No line begins with a sign that a
    spreadsheet takes for a formula."""
    lines: list[str] = []
    for block in _blocks(report, words):
        lines += _lines(block)
    return "\n".join(lines).strip() + "\n"


def _blocks(report: Report, words: Words) -> tuple[Block, ...]:
    return lay_out(report.with_changes(key_images=()), words)  # a text has no pictures


def write(path: Path, report: Report, words: Words) -> None:
    """Write the text atomically, read back and compared. Raises OutputNotWritten."""
    text = render(report, words)
    check_read_back(path.name, _blocks(report, words), text)
    write_text_atomic(path, text)


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
