"""The sentences of a report as they stand in a DICOM SR: a concept and a text each, in the order of the report."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from medviewer.core.report.document import Report
from medviewer.core.report.words import Words
from medviewer.io.dicom_seg_terms import Code
from medviewer.io.report_codes import own_code
from medviewer.io.report_dicom import harmless
from medviewer.io.report_layout import Block, clean, is_verified, lay_out

COMMENT: Code = ("121106", "DCM", "Comment")
FINDING: Code = ("121071", "DCM", "Finding")
_HEADINGS: dict[str, Code] = {
    "indication": ("121109", "DCM", "Indications for Procedure"),
    "technique": ("121065", "DCM", "Procedure Description"),
    "findings": ("121070", "DCM", "Findings"),
    "comparison": ("111424", "DCM", "Comparison to previous studies"),
    "impression": ("121073", "DCM", "Impression"),
}


def sentences(report: Report, words: Words) -> list[tuple[Code, str]]:
    """What a reader of the SR sees besides the numbers: that it is a draft, its status and who signed it, then every
    text and sentence with its origin, state and marks as in the other forms, without patient and rejected ones.

    The concept is the DICOM one of a heading, and for the template's own headings a code of medviewer with their title
    as its meaning.
    """
    told = [(COMMENT, words.phrase("unverified"))] if not is_verified(report) else []
    told += [(COMMENT, words.phrase("research_use")), *_status(report, words)]
    told += _body(report, words)
    return [(code, harmless(text)) for code, text in told if harmless(text)]


def _status(report: Report, words: Words) -> Iterator[tuple[Code, str]]:
    status = words.named("statuses", report.status)
    yield COMMENT, f"{words.phrase('status')}: {status}. {words.phrase('version')}: {report.version}."
    for one in report.signatures:
        named = words.named("statuses", one.status)
        yield COMMENT, words.phrase("signed", status=named, name=one.name, when=one.when)


def _body(report: Report, words: Words) -> Iterator[tuple[Code, str]]:
    """From the indication on; what comes before names the patient, which the object does in its own attributes."""
    known, code = _codes(report, words), None
    for block in lay_out(report.with_changes(key_images=()), words):
        if block.kind in ("heading", "subheading"):
            code = known.get(block.text) or own_code("heading", block.text)
        elif code is not None and block.kind in ("text", "sentence"):
            yield code, f"{block.text} {block.note}".strip()
        elif code is not None and block.kind == "rows" and not block.has_head:
            yield code, _line(block)


def _codes(report: Report, words: Words) -> Mapping[str, Code]:
    """Concepts by the titles that the layout gives headings."""
    own = {clean(section.title): own_code(section.key, clean(section.title)) for section in report.sections}
    other = {words.phrase(key): own_code(key, words.phrase(key)) for key in ("limitations", "provenance")}
    return {**own, **other, **{words.phrase(key): code for key, code in _HEADINGS.items()}}


def _line(block: Block) -> str:
    return "; ".join(": ".join(row) for row in block.rows)
