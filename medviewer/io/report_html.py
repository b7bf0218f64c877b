"""A report as one HTML file that needs nothing else: escaped, without scripts, readable in black and white on paper."""

from __future__ import annotations

import base64
from html import escape
from html.parser import HTMLParser
from pathlib import Path

from medviewer.core.report.document import Report
from medviewer.core.report.words import Words
from medviewer.io.atomic import write_text_atomic
from medviewer.io.report_layout import Block, check_read_back, lay_out, title_text

_STYLE = """
body { font-family: "DejaVu Sans", "Segoe UI", Arial, sans-serif; color: #000; background: #fff; max-width: 48rem;
  margin: 1.5rem auto; padding: 0 1rem; line-height: 1.4; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.1rem; border-bottom: 1px solid #000; margin-top: 1.4rem; }
h3 { font-size: 1rem; margin: .8rem 0 .2rem; } p { margin: .2rem 0; overflow-wrap: anywhere; white-space: pre-line; }
.notice { border: 2px solid #000; padding: .3rem .6rem; font-weight: bold; margin: .4rem 0; }
.note { font-size: .8rem; font-style: italic; }
table { border-collapse: collapse; width: 100%; font-size: .85rem; }
td, th { border: 1px solid #000; padding: .15rem .4rem; text-align: left; vertical-align: top;
  overflow-wrap: anywhere; }
img { max-width: 100%; border: 1px solid #000; } figure { margin: .6rem 0; break-inside: avoid; }
@media print { body { max-width: none; margin: 0; } tr, h2, h3 { break-inside: avoid; break-after: auto; } }
"""
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
_TAGS = {"title": "h1", "heading": "h2", "subheading": "h3", "text": "p"}


def render(report: Report, words: Words) -> str:
    """The file's text."""
    title = escape(title_text(report, words))
    body = "\n".join(_element(block) for block in lay_out(report, words))
    return (
        f'<!DOCTYPE html>\n<html lang="{words.language}">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        f"<title>{title}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n{body}\n</body>\n</html>\n"
    )


def write(path: Path, report: Report, words: Words) -> None:
    """Write the file atomically; every text is found again in it. Raises OutputNotWritten."""
    text = render(report, words)
    check_read_back(path.name, lay_out(report, words), text_of(text))
    write_text_atomic(path, text)


def text_of(html: str) -> str:
    """What a reader sees of an HTML text, without styles and markup."""
    reader = _TextReader()
    reader.feed(html)
    reader.close()
    return "\n".join(reader.parts)


def _element(block: Block) -> str:
    """Every text is escaped and has its own reading direction."""
    text = escape(block.text)
    if block.kind == "rows":
        return _table(block)
    if block.kind == "picture":
        data = base64.b64encode(block.png).decode("ascii")
        return f'<figure><img alt="{text}" src="data:image/png;base64,{data}"><figcaption>{text}</figcaption></figure>'
    if block.kind == "notice":
        return f'<p class="notice">{text}</p>'
    if block.kind == "sentence":
        return f'<p><bdi dir="auto">{text}</bdi> <span class="note">{escape(block.note)}</span></p>'
    tag = _TAGS[block.kind]
    return f'<{tag} dir="auto">{text}</{tag}>'


def _table(block: Block) -> str:
    rows = []
    for number, row in enumerate(block.rows):
        head = block.has_head and number == 0
        cells = []
        for column, cell in enumerate(row):
            tag = "th" if head or (column == 0 and not block.has_head) else "td"
            cells.append(f'<{tag} dir="auto">{escape(cell)}</{tag}>')
        rows.append(f"<tr>{''.join(cells)}</tr>")
    return f"<table>{''.join(rows)}</table>"


class _TextReader(HTMLParser):
    """Collects the text of the body."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self._hidden = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._hidden += tag in ("style", "script", "head")

    def handle_endtag(self, tag: str) -> None:
        self._hidden -= tag in ("style", "script", "head")

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.parts.append(data)
