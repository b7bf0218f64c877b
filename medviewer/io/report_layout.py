"""What every written form of a report says, in one order: text, HTML, DOCX and PDF show the same blocks.

Texts of files and people are made harmless here: no control and no direction characters reach a writer.
"""

from __future__ import annotations

import io
import math
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from PIL import Image

from medviewer.core.errors import OutputNotWritten
from medviewer.core.plain_text import one_line
from medviewer.core.provenance import Provenance
from medviewer.core.report.document import Finding, KeyImage, Measurement, Report, Section
from medviewer.core.report.wording import SIDE_OF_RESULT, capital, number, unit_text
from medviewer.core.report.words import Words

VERIFIED = ("final", "addendum", "corrected")
_PNG = b"\x89PNG\r\n\x1a\n"
Kind = Literal["title", "notice", "heading", "subheading", "text", "sentence", "rows", "picture"]


@dataclass(frozen=True)
class Block:
    """One piece of a report. `note` follows the text of a sentence (where it comes from, its marks). `rows`: a table,
    its first row is the head where `has_head`. `png`: the bytes of a picture, its caption is the text. `finding_id`: of
    a sentence."""

    kind: Kind
    text: str = ""
    note: str = ""
    rows: tuple[tuple[str, ...], ...] = ()
    has_head: bool = False
    png: bytes = b""
    finding_id: str = ""

    @property
    def texts(self) -> tuple[str, ...]:
        """Every text that a reader of the written file must find again."""
        return tuple(text for text in (self.text, self.note, *(cell for row in self.rows for cell in row)) if text)


def clean(text: str) -> str:
    """The text in harmless lines, nothing cut: control and direction characters become spaces."""
    lines = (one_line(line, len(line) + 1) for line in text.splitlines())
    return "\n".join(line for line in lines if line)


def lay_out(report: Report, words: Words) -> tuple[Block, ...]:
    """The blocks of a report, without rejected sentences. Raises OutputNotWritten for a bad key image."""
    return (
        *_notices(report, words), *_head(report, words), *_texts(report, words), *_findings(report, words),
        *_impression(report, words), *_limitations(report, words), *_measurements(report, words),
        *_key_images(report, words), *_provenance(report, words), Block("notice", words.phrase("research_use")),
    )  # fmt: skip


def is_verified(report: Report) -> bool:
    """Whether a person signed it as final, addendum or corrected."""
    return report.status in VERIFIED


def identity_text(report: Report, words: Words) -> str:
    """The identity line, or words saying that there is none."""
    return clean(report.identity.line).replace("\n", " ") or words.phrase("no_identity")


def title_text(report: Report, words: Words) -> str:
    """ "Report: CT of the abdomen"."""
    examination = clean(report.facts.get("examination", "")) or report.template
    return f"{words.phrase('report')}: {examination}"


# -- parts -----------------------------------------------------------------------------
def _notices(report: Report, words: Words) -> Iterator[Block]:
    if not is_verified(report):
        yield Block("notice", words.phrase("unverified"))
    yield Block("notice", words.phrase("research_use"))


def _head(report: Report, words: Words) -> Iterator[Block]:
    status = words.named("statuses", report.status)
    rows = [
        (words.phrase("patient"), identity_text(report, words)),
        (words.phrase("status"), status),
        (words.phrase("version"), " · ".join(p for p in (str(report.version), clean(report.created)) if p)),
    ]
    yield Block("title", title_text(report, words))
    yield Block("rows", rows=tuple(rows))
    for signature in report.signatures:
        status = words.named("statuses", signature.status)
        yield Block("text", words.phrase("signed", status=status, name=clean(signature.name), when=signature.when))
        if signature.identity_line:
            yield Block("text", words.phrase("signed_for", identity=clean(signature.identity_line)))


def _texts(report: Report, words: Words) -> Iterator[Block]:
    empty = {"technique": "not_stated", "indication": "not_stated", "comparison": "no_prior"}
    for key, text in (
        ("indication", report.indication), ("technique", report.technique), ("comparison", report.comparison)
    ):  # fmt: skip
        yield Block("heading", words.phrase(key))
        yield Block("text", clean(text) or words.phrase(empty[key]))


def _findings(report: Report, words: Words) -> Iterator[Block]:
    yield Block("heading", words.phrase("findings"))
    if any(_is_usual(finding) for section in report.sections for finding in _kept(section)):
        yield Block("text", words.phrase("sentences"))
    for section in report.sections:
        yield Block("subheading", clean(section.title))
        kept = _kept(section)
        yield from (_sentence(finding, words) for finding in kept)
        if not kept:
            yield Block("text", words.phrase("not_assessed"))


def _kept(section: Section) -> list[Finding]:
    return [finding for finding in section.findings if finding.state != "rejected"]


def _is_usual(finding: Finding) -> bool:
    """What most sentences of a draft are: told once, above them."""
    return finding.origin == "measured" and finding.state == "draft" and not finding.changed and not finding.marks


def _sentence(finding: Finding, words: Words) -> Block:
    if _is_usual(finding):
        return Block("sentence", clean(finding.text), finding_id=finding.id)
    model = clean(finding.model) or words.phrase("model")
    told = [words.tables["states"][finding.origin].replace("{model}", model)]
    if finding.origin != "human" or finding.state in ("draft", "edited"):
        told.append(words.named("states", finding.state))
    if finding.changed:
        told.append(words.phrase("changed"))
    told += [words.phrase("check_mark", reason=clean(mark.reason)) for mark in finding.marks]
    return Block("sentence", clean(finding.text), f"[{'; '.join(told)}]", finding_id=finding.id)


def _impression(report: Report, words: Words) -> Iterator[Block]:
    yield Block("heading", words.phrase("impression"))
    kept = [finding for finding in report.impression if finding.state != "rejected"]
    yield from (_sentence(finding, words) for finding in kept)
    if not kept:
        yield Block("text", words.phrase("impression_empty"))


def _limitations(report: Report, words: Words) -> Iterator[Block]:
    yield Block("heading", words.phrase("limitations"))
    yield from (Block("text", clean(line)) for line in report.limitations if clean(line))


def _measurements(report: Report, words: Words) -> Iterator[Block]:
    """The numbers that sentences rest on, each with its method. JSON holds those that nobody wrote about, too."""
    cited = [e.measurement_id for f in report.findings if f.state != "rejected" for e in f.evidence]
    place = {id_: number for number, id_ in reversed(list(enumerate(cited)))}  # in the order of the sentences
    known = [m for m in report.measurements if m.id in place and m.value is not None and math.isfinite(m.value)]
    told = sorted(known, key=lambda measurement: place[measurement.id])
    if not told:
        return
    head = tuple(words.phrase(key) for key in ("structure", "quantity", "value", "method", "range", "notes"))
    yield Block("heading", words.phrase("measurements"))
    yield Block("rows", rows=(head, *(_measurement_row(m, words) for m in told)), has_head=True)


def _measurement_row(measurement: Measurement, words: Words) -> tuple[str, ...]:
    value = measurement.value if measurement.value is not None else 0.0
    side = words.named("sides", measurement.side) if measurement.side else ""
    of_result = measurement.quantity in SIDE_OF_RESULT
    where = [capital(words.named("structures", measurement.term_id)), "" if of_result else side]
    notes = [side if of_result else "", *(words.translated(flag) for flag in measurement.flags)]
    figure = f"{number(value, measurement.unit, words, measurement.quantity)} {unit_text(measurement.unit)}".strip()
    return (
        clean(", ".join(part for part in where if part)), words.named("quantities", measurement.quantity), figure,
        clean(words.translated(measurement.method)), clean(measurement.range_text),
        clean(", ".join(part for part in notes if part)),
    )  # fmt: skip


def _key_images(report: Report, words: Words) -> Iterator[Block]:
    if report.key_images:
        yield Block("heading", words.phrase("key_images"))
    for count, image in enumerate(report.key_images, 1):
        yield Block("picture", caption_text(image, count, words), png=checked_picture(image, count))


def caption_text(image: KeyImage, count: int, words: Words) -> str:
    """ "Image 2: Left kidney, axial", in one harmless line."""
    return words.phrase("image", number=str(count), caption=clean(image.caption).replace("\n", " "))


def checked_picture(image: KeyImage, count: int) -> bytes:
    """The PNG of a key image. Raises OutputNotWritten for what is none."""
    hint = "Capture it again or remove it."
    if not image.png.startswith(_PNG):
        raise OutputNotWritten(f"Key image {count} of the report is no PNG picture.", hint)
    try:
        with Image.open(io.BytesIO(image.png), formats=("PNG",)) as picture:
            picture.load()
    except Exception as error:  # whatever a damaged picture makes the reader raise
        raise OutputNotWritten(f"Key image {count} of the report is damaged.", hint) from error
    return image.png


def _provenance(report: Report, words: Words) -> Iterator[Block]:
    yield Block("heading", words.phrase("provenance"))
    for origin in _by_model(report.provenance):
        yield Block("rows", rows=tuple(_origin_rows(origin, words)))
    yield Block("text", f"medviewer · {report.template} · {report.id}")


def _by_model(origins: Iterable[Provenance]) -> list[Provenance]:
    """The masks of one model, settings and state together, with all their prompts."""
    groups: list[tuple[Provenance, list[str]]] = []
    for origin in origins:
        group = next((prompts for known, prompts in groups if known == _bare(origin)), None)
        if group is None:
            groups.append((_bare(origin), group := []))
        group.append(origin.prompt)
    return [replace(known, prompt="; ".join(p for p in prompts if p)) for known, prompts in groups]


def _bare(origin: Provenance) -> Provenance:
    return replace(origin, prompt="", parameters={}, created="")


def _origin_rows(origin: Provenance, words: Words) -> Iterator[tuple[str, str]]:
    yield words.phrase("model"), clean(origin.model_text).replace("\n", " ") or words.phrase("by_hand")
    if origin.model_id or origin.licence:
        yield words.phrase("licence"), clean(origin.licence) or words.phrase("licence_unknown")
    told = {
        "weights": origin.weights_sha256, "prompt": origin.prompt, "program": origin.program_version,
        "edits": "; ".join(origin.edits), "tags": "; ".join(origin.tags),
    }  # fmt: skip
    yield from ((words.phrase(key), clean(text)) for key, text in told.items() if clean(text))


# -- reading back ------------------------------------------------------------------------
def missing_texts(blocks: Iterable[Block], found: str) -> list[str]:
    """Texts of the blocks that are not in what was read back from a written file; line breaks do not count."""
    whole = flat(found)
    return [text for block in blocks for text in block.texts if flat(text) not in whole]


def flat(text: str) -> str:
    """The text without white space and in one form of each letter, as writers and readers of PDF may change both."""
    return re.sub(r"\s+", "", unicodedata.normalize("NFKC", text))


def check_read_back(name: str, blocks: Sequence[Block], found: str) -> None:
    """Raises OutputNotWritten where a text is not found again."""
    if missing_texts(blocks, found):
        raise OutputNotWritten(
            f"{name} was not written: reading it back gave another text than the report has.",
            "Try another format; the report itself is unchanged.",
        )
