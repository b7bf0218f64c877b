"""A report as a Word file (python-docx): styles, tables and pictures, no fields, no macros, no links."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from medviewer.core.report.document import Report
from medviewer.core.report.words import Words
from medviewer.io.atomic import write_bytes_atomic
from medviewer.io.report_layout import Block, check_read_back, identity_text, lay_out, title_text

_STYLES = {"title": "Title", "heading": "Heading 1", "subheading": "Heading 2"}
_PICTURE_CM = 12.0


def render(report: Report, words: Words) -> bytes:
    """The bytes of the file."""
    from docx import Document

    document = Document()
    _describe(document, report, words)
    for block in lay_out(report, words):
        _add(document, block)
    stream = io.BytesIO()
    document.save(stream)
    return stream.getvalue()


def write(path: Path, report: Report, words: Words) -> None:
    """Write the file atomically; every text is found again in it. Raises OutputNotWritten."""
    data = render(report, words)
    check_read_back(path.name, lay_out(report, words), text_of(data))
    write_bytes_atomic(path, data)


def text_of(data: bytes) -> str:
    """The text of paragraphs and tables."""
    from docx import Document

    document = Document(io.BytesIO(data))
    cells = [cell.text for table in document.tables for row in table.rows for cell in row.cells]
    return "\n".join([*(paragraph.text for paragraph in document.paragraphs), *cells])


def _describe(document: Any, report: Report, words: Words) -> None:
    """Title and program in the properties, the identity in the footer of every page."""
    properties = document.core_properties
    properties.title, properties.author, properties.comments = title_text(report, words), "medviewer", ""
    properties.language = words.language
    properties.created = properties.modified = datetime.now(UTC)
    document.sections[0].footer.paragraphs[0].text = f"{identity_text(report, words)} · {words.phrase('research_use')}"


def _add(document: Any, block: Block) -> None:
    if block.kind == "rows":
        _add_table(document, block)
    elif block.kind == "picture":
        from docx.shared import Cm

        document.add_picture(io.BytesIO(block.png), width=Cm(_PICTURE_CM))
        document.add_paragraph(block.text)
    else:
        paragraph = document.add_paragraph(style=_STYLES.get(block.kind))
        paragraph.add_run(block.text).bold = True if block.kind == "notice" else None
        if block.note:
            paragraph.add_run(f" {block.note}").italic = True


def _add_table(document: Any, block: Block) -> None:
    table = document.add_table(rows=0, cols=max(len(row) for row in block.rows), style="Table Grid")
    for number, row in enumerate(block.rows):
        for cell, text in zip(table.add_row().cells, row, strict=False):
            cell.text = text
            if block.has_head and number == 0:
                cell.paragraphs[0].runs[0].bold = True
    document.add_paragraph()
