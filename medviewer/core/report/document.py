"""A report as data. Everything is frozen: an edit makes a new report, so a signed version never changes under anyone.

Sentences hold evidence; numbers live in measurements and are written into sentences, never the other way round.
Positions are LPS mm where the scan has a place in the patient, else voxel indices (`Evidence.in_patient` tells which).
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from medviewer.core.plain_text import readable_name
from medviewer.core.provenance import Provenance

Language = Literal["en", "de"]
Origin = Literal["measured", "model", "human"]
State = Literal["draft", "accepted", "edited", "rejected"]
Status = Literal["draft", "preliminary", "final", "addendum", "corrected"]
EvidenceKind = Literal["segment", "box", "measurement", "slice", "map"]
Point = tuple[float, float, float]


@dataclass(frozen=True)
class Measurement:
    """One number computed from masks and voxels, with how it was made.

    `quantity` is a key of the table of allowed measurements ("volume", "long_axis", ...). `value` is None where the
    scan does not allow the number; then `reason` says why. `points`: the places between or at which it was measured
    (LPS mm, or voxel indices), for instance the two ends of a diameter. `flags`: for instance "incomplete", "above
    range".
    """

    quantity: str
    value: float | None
    unit: str  # "ml", "mm", "HU", "1" (a ratio), "%", "px"
    method: str  # one phrase: "pole to pole, longest distance of surface voxels"
    segment_ids: tuple[str, ...] = ()
    term_id: str = ""
    side: str | None = None
    points: tuple[Point, ...] = ()
    slice_index: int | None = None
    reason: str = ""
    flags: tuple[str, ...] = ()
    range_text: str = ""  # the reference range that applies, with its source; empty where none matches
    id: str = field(default_factory=lambda: uuid.uuid4().hex)


@dataclass(frozen=True)
class Evidence:
    """What a sentence points at. A map is never evidence by itself."""

    kind: EvidenceKind
    segment_id: str = ""
    measurement_id: str = ""
    position: Point | None = None  # where the views jump to
    in_patient: bool = True
    box: tuple[Point, Point] | None = None
    slice_index: int | None = None
    volume_id: str = ""


@dataclass(frozen=True)
class Mark:
    """What a guard found wrong in a sentence: nobody signs unseen."""

    guard: str  # "laterality", "prior", "measurement", "modality", "sex", "contradiction", "no evidence", "normal"
    reason: str  # one sentence
    span: tuple[int, int] = (0, 0)  # characters of the text


@dataclass(frozen=True)
class Finding:
    """One sentence with what supports it."""

    text: str
    heading: str  # key of the template's heading, for instance "liver"
    evidence: tuple[Evidence, ...] = ()
    origin: Origin = "measured"
    state: State = "draft"
    marks: tuple[Mark, ...] = ()
    term_ids: tuple[str, ...] = ()
    side: str | None = None
    model: str = ""  # "default 3", of a model sentence
    seen: bool = False  # shown with its image at least once
    changed: bool = False  # its numbers changed after it was written
    linked: tuple[str, ...] = ()  # of an impression's sentence: the ids of the findings it rests on
    id: str = field(default_factory=lambda: uuid.uuid4().hex)

    @property
    def is_supported(self) -> bool:
        """Whether anything but a map supports it; a human's sentence needs nothing."""
        return self.origin == "human" or any(e.kind != "map" for e in self.evidence)

    def with_changes(self, **changes: Any) -> Finding:
        """A copy with the same id and some fields replaced."""
        return replace(self, **changes)


@dataclass(frozen=True)
class Section:
    """A heading of the template with its sentences, in order. `title` is in the report's language."""

    key: str
    title: str
    findings: tuple[Finding, ...] = ()
    not_assessed: bool = True  # nothing was written here by program or person


@dataclass(frozen=True)
class Signature:
    """Who took the report to a status, and when (ISO 8601, UTC). A typed name is no electronic signature."""

    name: str
    status: Status
    when: str
    identity_line: str  # as it was shown: name, ID, birth date, sex, study date


def readable_date(text: str) -> str:
    """ "2026-01-02" for DICOM's "20260102"; anything else as it is."""
    return f"{text[:4]}-{text[4:6]}-{text[6:]}" if re.fullmatch(r"[12]\d{7}", text) else text


@dataclass(frozen=True)
class Identity:
    """Patient and study, as the scan records them; empty strings where it does not."""

    name: str = ""
    patient_id: str = ""
    birth_date: str = ""
    sex: str = ""
    study_date: str = ""
    study_uid: str = ""
    accession: str = ""
    series_description: str = ""
    modality: str = ""

    @property
    def line(self) -> str:
        """The identity in one line, as views and exports show it."""
        born, studied = readable_date(self.birth_date), readable_date(self.study_date)
        parts = (readable_name(self.name), self.patient_id, born, self.sex, studied, self.series_description)
        return " · ".join(part for part in parts if part)


@dataclass(frozen=True)
class KeyImage:
    """A captured view with its overlay: PNG bytes, what it shows, and whose evidence it is."""

    png: bytes
    caption: str
    finding_ids: tuple[str, ...] = ()
    instance_uid: str = ""


@dataclass(frozen=True)
class Report:
    """One version of a report. `version` grows with every change after signing; `previous` is the id of that before."""

    template: str  # key of the template
    language: Language
    identity: Identity
    technique: str = ""
    indication: str = ""
    comparison: str = ""
    limitations: tuple[str, ...] = ()
    sections: tuple[Section, ...] = ()
    impression: tuple[Finding, ...] = ()
    measurements: tuple[Measurement, ...] = ()
    key_images: tuple[KeyImage, ...] = ()
    provenance: tuple[Provenance, ...] = ()
    status: Status = "draft"
    signatures: tuple[Signature, ...] = ()
    version: int = 1
    previous: str = ""
    created: str = ""
    facts: Mapping[str, str] = field(default_factory=dict)  # "projection": "PA (DICOM)", "contrast": "unknown"
    id: str = field(default_factory=lambda: uuid.uuid4().hex)

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Every sentence of the sections, in order, then those of the impression."""
        return (*(f for section in self.sections for f in section.findings), *self.impression)

    def with_changes(self, **changes: Any) -> Report:
        """A copy with the same id and some fields replaced."""
        return replace(self, **changes)
