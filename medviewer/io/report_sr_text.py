"""The texts of a report as they stand in a DICOM SR: a concept and a text each, in the order of the report, with the
structures and the key images that a sentence rests on."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from medviewer.core.report.document import Finding, Report
from medviewer.core.report.words import Words
from medviewer.io.dicom_seg_terms import Code
from medviewer.io.report_codes import kept, own_code
from medviewer.io.report_dicom import harmless
from medviewer.io.report_layout import Block, caption_text, clean, is_verified, lay_out
from medviewer.io.report_sr_groups import Group, groups_of

COMMENT: Code = ("121106", "DCM", "Comment")
KEY_IMAGES: Code = ("121180", "DCM", "Key Images")
_HEADINGS: dict[str, Code] = {
    "indication": ("121109", "DCM", "Indications for Procedure"),
    "technique": ("121065", "DCM", "Procedure Description"),
    "findings": ("121070", "DCM", "Findings"),
    "comparison": ("111424", "DCM", "Comparison to previous studies"),
    "impression": ("121073", "DCM", "Impression"),
}


@dataclass(frozen=True)
class Said:
    """One text. `structures`: tracking UIDs of the measurement groups it rests on; `images`: SOP Instance UIDs of the
    images that its key images show."""

    code: Code
    text: str
    structures: tuple[str, ...] = ()
    images: tuple[str, ...] = ()


def sentences(report: Report, words: Words, instances: Collection[str] = ()) -> list[Said]:
    """What a reader of the SR sees besides the numbers: that it is a draft, its status and who signed it, then every
    text and sentence with its origin, state and marks as in the other forms, without patient and rejected ones, and the
    captions of the key images.

    The concept is the DICOM one of a heading, and for the template's own headings a code of medviewer with their title
    as its meaning. `instances`: SOP Instance UIDs that the SR may refer to; a key image of another, or of none (a view
    across the slices), is not in it.
    """
    told = [Said(COMMENT, words.phrase("unverified"))] if not is_verified(report) else []
    told += [Said(COMMENT, words.phrase("research_use")), *_status(report, words)]
    told += [*_body(report, words, instances), *_captions(report, words, instances)]
    told = [Said(one.code, harmless(one.text), one.structures, one.images) for one in told]
    return [one for one in told if one.text]


def _status(report: Report, words: Words) -> Iterator[Said]:
    status = words.named("statuses", report.status)
    yield Said(COMMENT, f"{words.phrase('status')}: {status}. {words.phrase('version')}: {report.version}.")
    for one in report.signatures:
        named = words.named("statuses", one.status)
        yield Said(COMMENT, words.phrase("signed", status=named, name=one.name, when=one.when))


def _body(report: Report, words: Words, instances: Collection[str]) -> Iterator[Said]:
    """From the indication on; what comes before names the patient, which the object does in its own attributes."""
    known, code = _codes(report, words), None
    groups, findings = groups_of(report), {finding.id: finding for finding in kept(report)}
    for block in lay_out(report.with_changes(key_images=()), words):
        if block.kind in ("heading", "subheading"):
            code = known.get(block.text) or own_code("heading", block.text)
        elif code is not None and block.kind == "sentence":
            finding = findings[block.finding_id]
            images = _images(finding, report, instances)
            yield Said(code, f"{block.text} {block.note}".strip(), _structures(finding, findings, groups), images)
        elif code is not None and block.kind == "text":
            yield Said(code, block.text)
        elif code is not None and block.kind == "rows" and not block.has_head:
            yield Said(code, _line(block))


def _structures(finding: Finding, findings: Mapping[str, Finding], groups: list[Group]) -> tuple[str, ...]:
    """Of the sentence's own evidence, and of the findings that a sentence of the impression rests on."""
    linked = [findings[one] for one in finding.linked if one in findings]
    evidence = [one for each in (finding, *linked) for one in each.evidence]
    segments, numbers = {one.segment_id for one in evidence}, {one.measurement_id for one in evidence}
    return tuple(
        group.tracking_uid
        for group in groups
        if (len(group.segment_ids) == 1 and group.segment_ids[0] in segments)
        or any(measurement.id in numbers for measurement in group.measurements)
    )


def _images(finding: Finding, report: Report, instances: Collection[str]) -> tuple[str, ...]:
    own = (image.instance_uid for image in report.key_images if finding.id in image.finding_ids)
    return tuple(dict.fromkeys(uid for uid in own if uid in instances))


def _captions(report: Report, words: Words, instances: Collection[str]) -> Iterator[Said]:
    """Numbered as in the other forms."""
    for count, image in enumerate(report.key_images, 1):
        if image.instance_uid in instances:
            yield Said(KEY_IMAGES, caption_text(image, count, words), images=(image.instance_uid,))


def _codes(report: Report, words: Words) -> Mapping[str, Code]:
    """Concepts by the titles that the layout gives headings."""
    own = {clean(section.title): own_code(section.key, clean(section.title)) for section in report.sections}
    other = {words.phrase(key): own_code(key, words.phrase(key)) for key in ("limitations", "provenance")}
    return {**own, **other, **{words.phrase(key): code for key, code in _HEADINGS.items()}}


def _line(block: Block) -> str:
    return "; ".join(": ".join(row) for row in block.rows)
