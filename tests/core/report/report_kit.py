"""A small scan with masks, measurements and answers, and drafts made of them."""

from __future__ import annotations

import io
import json
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from medviewer.core.prediction import Answer, Prediction
from medviewer.core.provenance import Provenance
from medviewer.core.report.audit import Moment, Reviewed
from medviewer.core.report.document import Finding, KeyImage, Language, Measurement, Report
from medviewer.core.report.drafting import DraftSource, draft_report
from medviewer.core.report.template import Template
from medviewer.core.report.template_reading import read_template
from medviewer.core.report.words import Words, read_words
from medviewer.core.segmentation import Segment
from medviewer.core.terminology import Terminology
from medviewer.core.volume import Fact, Patient, Source, Volume

RESOURCES = Path(__file__).resolve().parents[3] / "resources"
TEMPLATES = sorted((RESOURCES / "report" / "templates").glob("*.toml"))
NOW = Moment("Dr. Example", "2026-01-02T10:00:00Z")
DEFAULT = Provenance(
    model_id="default", model_version="3", weights_sha256="ab" * 32, licence="non-commercial research weights",
    prompt="liver", program_version="0.1", parameters={"threshold": 0.5},
)  # fmt: skip


@cache
def terms() -> Terminology:
    return Terminology.from_dict(json.loads((RESOURCES / "terminology" / "structures.json").read_text("utf-8")))


@cache
def words_of(language: Language) -> Words:
    words = read_words((RESOURCES / "report" / "words.toml").read_text("utf-8"))[language]
    return words.with_texts(tomllib.loads((RESOURCES / "report" / "quantities.toml").read_text("utf-8")))


@cache
def template_of(key: str) -> Template:
    path = RESOURCES / "report" / "templates" / f"{key}.toml"
    return read_template(path.read_text("utf-8"), {term.id for term in terms()}, path.name)


def scan(**changes: Any) -> Volume:
    """A CT of 20 x 20 x 20 voxels of 2 x 2 x 5 mm, with DICOM facts."""
    facts = {
        "slice_thickness_mm": Fact(5.0), "kvp": Fact(120.0), "series_number": Fact(3), "body_part": Fact("ABDOMEN"),
        "contrast_agent": Fact(None, "unknown"), "study_instance_uid": Fact("1.2.3"),
    }  # fmt: skip
    source = Source("dicom", Path("scan"), instance_numbers=tuple(range(1, 21)))
    values = {
        "modality": "CT", "units": "HU", "facts": facts, "source": source, "id": "scan",
        "patient": Patient("Doe^Jane", "4711", "19500101", "F", "20260102"),
    } | changes  # fmt: skip
    return Volume(np.zeros((20, 20, 20), np.int16, order="F"), np.diag([2.0, 2.0, 5.0, 1.0]), **values)


def segment(term_id: str, side: str | None = None, at: int = 4, **changes: Any) -> Segment:
    """A cube of 4 voxels."""
    mask = np.zeros((20, 20, 20), bool)
    mask[at : at + 4, at : at + 4, at : at + 4] = True
    name = f"{side or ''} {term_id}".strip()
    values: dict[str, Any] = {"provenance": DEFAULT, "id": name.replace(" ", "-")} | changes
    return Segment(name, mask, term_id=term_id, side=side, **values)


def measured(of: Segment, quantity: str, value: float | None, unit: str, **changes: Any) -> Measurement:
    values = {"id": f"{of.id}-{quantity}", "term_id": of.term_id or "", "side": of.side} | changes
    return Measurement(quantity, value, unit, values.pop("method", "voxel_count"), (of.id,), **values)


def answer(kind: Answer, term_id: str, side: str | None = None, presence: float | None = None) -> Prediction:
    return Prediction(term_id, kind, np.zeros((1, 1, 1), bool), presence, title=term_id, term_id=term_id, side=side)


def source_of(language: Language = "en", template: str = "ct_abdomen", **changes: Any) -> DraftSource:
    """Liver and both kidneys, measured; the gallbladder was not found."""
    liver, left, right = segment("liver"), segment("kidney", "left", 10), segment("kidney", "right", 1)
    values: dict[str, Any] = {
        "volume": scan(),
        "segments": (left, liver, right),
        "measurements": (
            measured(left, "length", 108.53, "mm", method="pole_to_pole_surface", slice_index=11),
            measured(left, "volume", 150.2, "ml"),
            measured(right, "length", 96.4, "mm", method="pole_to_pole_surface"),
            measured(liver, "volume", 1450.4, "ml"),
        ),
        "answers": (answer(Answer.NOT_FOUND, "gallbladder", presence=0.11),),
        "created": NOW.when,
    } | changes
    return DraftSource(template_of(template), words_of(language), terms(), **values)


def draft(language: Language = "en", **changes: Any) -> Report:
    return draft_report(source_of(language, **changes))


def texts(report: Report) -> list[str]:
    return [finding.text for finding in report.findings]


def section(report: Report, key: str) -> tuple[Finding, ...]:
    return next(s.findings for s in report.sections if s.key == key)


def png(size: tuple[int, int] = (60, 40)) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.full((size[1], size[0], 3), 120, np.uint8)).save(stream, "PNG")
    return stream.getvalue()


def full_report(language: Language = "en", **changes: Any) -> Report:
    """A draft with a key image, a model's sentence and a person's."""
    report = draft(language, **changes)
    own = Finding("Written by hand: 3 < 5 & so on.", "spleen", origin="human", state="accepted")
    sections = tuple(s if s.key != "spleen" else type(s)(s.key, s.title, (own,), False) for s in report.sections)
    return report.with_changes(sections=sections, key_images=(KeyImage(png(), "Left kidney, axial"),))


def model_sentence(text: str = "The liver is large.", **changes: Any) -> Finding:
    evidence = section(draft(), "liver")[0].evidence
    values: dict[str, Any] = {"origin": "model", "model": "writer 1", "id": "m1", "evidence": evidence} | changes
    return Finding(text, "liver", **values)


def with_sentence(report: Report, finding: Finding) -> Report:
    sections = tuple(
        s if s.key != finding.heading else type(s)(s.key, s.title, (*s.findings, finding), False)
        for s in report.sections
    )  # fmt: skip
    return report.with_changes(sections=sections)


def reviewed(*findings: Finding, language: Language = "en") -> Reviewed:
    report = draft(language)
    for finding in findings:
        report = with_sentence(report, finding)
    return Reviewed(report)
