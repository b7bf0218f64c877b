"""A report as PDF (reportlab): selectable text, tables, key images, the identity and the page number on every page.

Font: DejaVu Sans, embedded from the files that matplotlib ships (VTK needs matplotlib): German, Greek, Cyrillic, Hebrew
and Arabic. A character that it lacks (Chinese, Japanese, Korean) stands as [U+5C71], and a line says so.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from medviewer.core.errors import ModelMissing, OutputNotWritten
from medviewer.core.plain_text import one_line
from medviewer.core.report.document import Report
from medviewer.core.report.words import Words
from medviewer.io.atomic import write_bytes_atomic
from medviewer.io.report_layout import Block, identity_text, is_verified, lay_out, title_text
from medviewer.io.visual_order import has_right_to_left, visual

FONT, BOLD = "MedviewerSans", "MedviewerSans-Bold"
_FILES = {FONT: "DejaVuSans.ttf", BOLD: "DejaVuSans-Bold.ttf"}
_SIZES = {"title": 15.0, "heading": 11.5, "subheading": 9.5, "notice": 9.5}
_BOLD_KINDS = ("title", "heading", "subheading", "notice")
_TEXT_SIZE, _CELL_SIZE, _FOOT_SIZE = 9.0, 7.5, 7.0
_MARGIN = 51.0  # points, 18 mm
_PICTURE = (340.0, 300.0)  # points
_LONGEST_PARAGRAPH = 3000  # characters; longer ones are drawn in pieces, which pages can hold
_SHARES = {2: (0.24, 0.76), 6: (0.15, 0.17, 0.1, 0.24, 0.22, 0.12)}  # of the width, by the number of columns
_TALL_CELL = 1000  # characters
_MOST_LINES = 40  # of a paragraph that was broken by hand
_CODE = re.compile(r"\[U\+[0-9A-F]{4,6}\]")


def render(report: Report, words: Words) -> bytes:
    """The bytes of the file. Raises ModelMissing where the fonts are missing, OutputNotWritten for a bad key image."""
    from reportlab.lib.pagesizes import A4
    from reportlab.platypus import SimpleDocTemplate

    _register_fonts()
    stream = io.BytesIO()
    document = SimpleDocTemplate(
        stream, pagesize=A4, leftMargin=_MARGIN, rightMargin=_MARGIN, topMargin=_MARGIN, bottomMargin=_MARGIN,
        title=title_text(report, words), author="medviewer", lang=words.language,
    )  # fmt: skip
    story = [part for block in lay_out(report, words) for part in _flowables(block, document.width)]
    if any(_CODE.search(_drawable(text)) for block in lay_out(report, words) for text in block.texts):
        story += _flowables(Block("text", words.phrase("glyph_note")), document.width)
    feet, canvas = _feet(report, words), _canvas_class()
    document.build(story, canvasmaker=lambda *args, **options: canvas(*args, feet=feet, **options))
    return stream.getvalue()


def write(path: Path, report: Report, words: Words) -> None:
    """Write the file atomically, read back and compared byte by byte. Raises OutputNotWritten."""
    data = render(report, words)
    if not data.startswith(b"%PDF-") or b"%%EOF" not in data[-64:]:
        raise OutputNotWritten(f"{path.name} was not written: the PDF is incomplete.", "Try again or another format.")
    write_bytes_atomic(path, data)


# -- fonts ---------------------------------------------------------------------------------
@cache
def _register_fonts() -> None:
    from reportlab.pdfbase import pdfmetrics
    from reportlab.pdfbase.ttfonts import TTFError, TTFont

    found = find_spec("matplotlib")
    folder = Path(found.origin or "").parent / "mpl-data" / "fonts" / "ttf" if found else Path()
    try:
        for name, file in _FILES.items():
            pdfmetrics.registerFont(TTFont(name, str(folder / file)))
    except (TTFError, OSError) as error:
        raise ModelMissing("The fonts for PDF are not installed.", "Install medviewer again, or save HTML.") from error


@cache
def _glyphs() -> frozenset[int]:
    """The characters that both fonts can show."""
    from reportlab.pdfbase import pdfmetrics

    _register_fonts()
    plain, bold = (set(pdfmetrics.getFont(name).face.charToGlyph) for name in (FONT, BOLD))
    return frozenset(plain & bold)


def _drawable(text: str) -> str:
    """Characters that the font lacks as their code: readable and found again, never an empty box."""
    if text.isascii():
        return text
    known = _glyphs()
    return "".join(char if ord(char) in known or char == "\n" else f"[U+{ord(char):04X}]" for char in text)


# -- blocks ----------------------------------------------------------------------------------
def _flowables(block: Block, width: float) -> list[Any]:
    from reportlab.platypus import Spacer

    if block.kind == "rows":
        return [_table(block, width), Spacer(1, 6)]
    if block.kind == "picture":
        return [_picture(block.png), *_paragraphs(block.text, "text", width), Spacer(1, 6)]
    text = f"{block.text} {block.note}".strip()
    return list(_paragraphs(text, block.kind, width))


def _paragraphs(text: str, kind: str, width: float) -> Iterator[Any]:
    from reportlab.platypus import Paragraph

    style = _style(kind)
    for line in _drawable(text).split("\n"):
        if has_right_to_left(line):
            seen = [escape(part) for part in _visual_lines(line, style, width)]
            for start in range(0, len(seen), _MOST_LINES):
                yield Paragraph("<br/>".join(seen[start : start + _MOST_LINES]), style)
            continue
        for start in range(0, len(line), _LONGEST_PARAGRAPH):
            yield Paragraph(escape(line[start : start + _LONGEST_PARAGRAPH]), style)


def _visual_lines(line: str, style: Any, width: float) -> list[str]:
    """Broken in the order of reading, then each line turned into the order of seeing."""
    from reportlab.lib.utils import simpleSplit

    room = width - 12 - style.leftIndent - style.rightIndent - 2 * (style.borderPadding or 0)
    most = max(1, int(room / style.fontSize))  # letters that fit for certain
    words = [word[n : n + most] for word in line.split(" ") for n in range(0, max(len(word), 1), most)]
    return [visual(part) for part in simpleSplit(" ".join(words), style.fontName, style.fontSize, room)]


@cache
def _style(kind: str) -> Any:
    from reportlab.lib.styles import ParagraphStyle

    size = _SIZES.get(kind, _CELL_SIZE if kind in ("cell", "head") else _TEXT_SIZE)
    bold = kind in _BOLD_KINDS or kind == "head"
    return ParagraphStyle(
        kind, fontName=BOLD if bold else FONT, fontSize=size, leading=size * 1.35, splitLongWords=1,
        spaceBefore=8 if kind in ("heading", "title") else 3 if kind == "subheading" else 0,
        spaceAfter=0 if kind in ("cell", "head") else 3, leftIndent=8 if kind == "sentence" else 0,
        borderWidth=1 if kind == "notice" else 0, borderPadding=4 if kind == "notice" else 0,
        borderColor="black" if kind == "notice" else None, keepWithNext=kind in ("heading", "subheading"),
    )  # fmt: skip


def _table(block: Block, width: float) -> Any:
    from reportlab.platypus import Table

    columns = max(len(row) for row in block.rows)
    widths = [width * share for share in _SHARES.get(columns, (1 / columns,) * columns)]
    cells = [
        [
            list(_paragraphs(cell, "head" if block.has_head and n == 0 else "cell", widths[c]))
            for c, cell in enumerate(row)
        ]
        for n, row in enumerate(block.rows)
    ]
    tall = any(
        len(cell) > _TALL_CELL for row in block.rows for cell in row
    )  # higher than a page, so cut within the row
    table = Table(cells, widths, repeatRows=1 if block.has_head else 0, splitInRow=int(tall))
    table.setStyle([("GRID", (0, 0), (-1, -1), 0.5, "black"), ("VALIGN", (0, 0), (-1, -1), "TOP")])
    return table


def _picture(png: bytes) -> Any:
    from reportlab.lib.utils import ImageReader
    from reportlab.platypus import Image

    across, down = ImageReader(io.BytesIO(png)).getSize()
    scale = min(_PICTURE[0] / across, _PICTURE[1] / down)
    return Image(io.BytesIO(png), across * scale, down * scale)


# -- every page ------------------------------------------------------------------------------
def _feet(report: Report, words: Words) -> tuple[str, str, Words]:
    """Two lines at the foot of every page: whose report, and what it may be used for."""
    status = words.named("statuses", report.status) if is_verified(report) else words.phrase("unverified")
    use = words.phrase("research_use")
    return visual(_drawable(one_line(identity_text(report, words), 110))), f"{status} · {use}", words


@cache
def _canvas_class() -> Any:
    from reportlab.lib.utils import simpleSplit
    from reportlab.pdfgen.canvas import Canvas

    class NumberedCanvas(Canvas):  # type: ignore[misc]
        """Draws the feet when the number of pages is known."""

        def __init__(self, *args: Any, feet: tuple[str, str, Words], **options: Any) -> None:
            super().__init__(*args, **options)
            self._feet, self._pages = feet, list[dict[str, Any]]()

        def showPage(self) -> None:
            self._pages.append(dict(self.__dict__))
            self._startPage()

        def save(self) -> None:
            pages = self._pages
            for number, page in enumerate(pages, 1):
                self.__dict__.update(page)
                self._draw_feet(number, len(pages))
                super().showPage()
            super().save()

        def _draw_feet(self, number: int, count: int) -> None:
            identity, use, words = self._feet
            self.setFont(FONT, _FOOT_SIZE)
            self.drawString(_MARGIN, 34, identity)
            for line, part in enumerate(simpleSplit(use, FONT, _FOOT_SIZE, self._pagesize[0] - 2 * _MARGIN)):
                self.drawString(_MARGIN, 24 - 9 * line, part)
            self.drawRightString(
                self._pagesize[0] - _MARGIN, 34, words.phrase("page", page=str(number), pages=str(count))
            )

    return NumberedCanvas
