"""Two small studies of one patient with masks of known size, and their comparison in the words of a report."""

from __future__ import annotations

import json
import sys
import tomllib
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "report"))
from report_kit import RESOURCES, template_of, terms, words_of

from medviewer.core.comparison import (
    Comparison,
    ComparisonRules,
    PriorStudy,
    Registration,
    Wording,
    compare,
    comparison_rules,
    facts_of,
    sizes_of,
)
from medviewer.core.measure import KNOWN, Rules, allowed_table
from medviewer.core.provenance import Provenance
from medviewer.core.report.document import Language
from medviewer.core.segmentation import Segment
from medviewer.core.volume import Fact, Patient, Source, Volume

MODEL = Provenance(model_id="default", model_version="4", weights_sha256="ab" * 32)
PATIENT = Patient("Doe^Jane", "4711", "19500101", "F", "20260102")
EARLIER = Patient("Doe^Jane", "4711", "19500101", "F", "20250102")


def rules() -> ComparisonRules:
    return comparison_rules(tomllib.loads((RESOURCES / "report" / "comparison.toml").read_text("utf-8")))


def measuring() -> Rules:
    data = json.loads((RESOURCES / "terminology" / "allowed.json").read_text("utf-8"))
    return Rules(allowed_table(data, KNOWN))


def study(
    spacing: tuple[float, float, float] = (1.0, 1.0, 1.0), patient: Patient = PATIENT, thickness: float | None = None,
    shape: tuple[int, int, int] = (60, 60, 40), **changes: Any,
) -> Volume:  # fmt: skip
    """An empty CT with a place in the patient; equal middle whatever the voxels."""
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = -np.array(spacing) * (np.array(shape) - 1) / 2
    facts = {"slice_thickness_mm": Fact(thickness or spacing[2]), "study_instance_uid": Fact(patient.study_date)}
    facts |= changes.pop("facts", {})
    values: dict[str, Any] = {
        "modality": "CT", "units": "HU", "patient": patient, "facts": facts,
        "source": Source("dicom", Path(patient.study_date)), "id": patient.study_date,
    }  # fmt: skip
    return Volume(np.zeros(shape, np.int16, order="F"), affine, **values | changes)


def block(
    volume: Volume, size_mm: tuple[float, float, float], term_id: str | None = "liver", side: str | None = None,
    at: tuple[float, float, float] = (0.0, 0.0, 0.0), **changes: Any,
) -> Segment:  # fmt: skip
    """A block of voxels whose centres lie within a box of this size around a place in LPS mm."""
    assert volume.affine is not None
    index = np.stack(np.meshgrid(*map(np.arange, volume.shape), indexing="ij"), -1)
    places = index @ volume.affine[:3, :3].T + volume.affine[:3, 3]
    mask = (np.abs(places - np.array(at)) < np.array(size_mm) / 2).all(-1)
    name = changes.pop("name", f"{side or ''} {term_id or 'thing'}".strip())
    values: dict[str, Any] = {"provenance": MODEL} | changes
    return Segment(name, np.asfortranarray(mask), term_id=term_id, side=side, **values)


def prior_of(volume: Volume, *segments: Segment, registered: Any = None, **changes: Any) -> PriorStudy:
    """The study compared with, measured on its own grid; `registered` is a usable 4x4 (True: the identity)."""
    sizes = sizes_of(volume, segments, measuring(), rules())
    registration = None
    if registered is not None:
        matrix = np.eye(4) if registered is True else registered
        registration = Registration(matrix, "good", texts={"en": "Registered.", "de": "Registriert."})
    return PriorStudy(facts_of(volume), tuple(segments), sizes.measurements, sizes.errors, volume.affine, volume.shape,
                      registration, **changes)  # fmt: skip


def wording(language: Language = "en", template: str = "ct_abdomen") -> Wording:
    return Wording(template_of(template), words_of(language), terms(), rules(), measuring())


def compared(volume: Volume, segments: list[Segment], prior: PriorStudy, language: Language = "en") -> Comparison:
    return compare(volume, segments, prior, wording(language))


def change(comparison: Comparison, quantity: str = "volume") -> Any:
    return next(c for c in comparison.changes if c.quantity == quantity)
