"""What a comparison needs of each study: its facts, and of the earlier one its masks, numbers and place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from medviewer.core.geometry import Affine
from medviewer.core.measure.facts import examination_of, modality_of
from medviewer.core.plain_text import one_line
from medviewer.core.report.document import Identity, Language, Measurement, Point, readable_date
from medviewer.core.segmentation import Segment
from medviewer.core.volume import Volume

Quality = Literal["good", "low overlap", "not checked", "by hand"]
_TRUSTED = ("DICOM", "file header", "series text", "user")


@dataclass(frozen=True)
class StudyFacts:
    """One study as a reader names it. Unknown facts are empty or None; nothing is guessed.

    `date` is ISO ("2025-01-02") or as recorded. `slice_thickness_mm` is the recorded thickness, else the distance of
    the slices (`thickness_is_spacing`). `phase` and `weighting` are known only where they are not estimated.
    """

    date: str = ""
    modality: str = ""
    slice_thickness_mm: float | None = None
    thickness_is_spacing: bool = False
    phase: str = ""
    weighting: str = ""
    series: str = ""
    identity: Identity = Identity()
    frame_of_reference: str = ""


@dataclass(frozen=True, eq=False)
class Registration:
    """How a study was laid over another one. `matrix` (4x4) maps LPS mm of the prior to LPS mm of the current study.

    `metric_before` and `metric_after` are mutual information of the two scans (higher is better; None where nothing
    was computed), `overlap` the share (0..1) of the current scan that the prior covers. `turn_deg` and `shift_mm` are
    the size of the movement, `shift_mm` that of `centre`, the middle of the current scan in LPS mm.
    """

    matrix: NDArray[np.float64]
    quality: Quality
    metric_before: float | None = None
    metric_after: float | None = None
    overlap: float | None = None
    same_frame: bool = False
    turn_deg: float = 0.0
    shift_mm: float = 0.0
    centre: Point = (0.0, 0.0, 0.0)
    texts: Mapping[str, str] = field(default_factory=dict)  # language: sentence

    @property
    def usable(self) -> bool:
        """Whether masks may be told apart by their place in it."""
        return self.quality in ("good", "by hand")

    def statement(self, language: Language = "en") -> str:
        """One sentence about how far the alignment can be trusted; empty where none was made of it yet."""
        return self.texts.get(language, "")


@dataclass(frozen=True, eq=False)
class PriorStudy:
    """The study compared with: its masks (bool i, j, k on its own grid) and the sizes measured on that grid, no voxels.

    `errors`: measurement error by measurement id. `differing`: fields of the identity that differ from the current
    study; `reason`: why it is used all the same. `accepted`: ids of masks below the threshold that a person accepted.
    `sides_doubtful`: its left and right may be flipped: its sided masks are not compared. Picklable.
    """

    facts: StudyFacts
    segments: tuple[Segment, ...]
    measurements: tuple[Measurement, ...]
    errors: Mapping[str, float]
    affine: Affine | None
    shape: tuple[int, int, int]
    registration: Registration | None = None
    differing: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    later: bool = False
    reason: str = ""
    accepted: frozenset[str] = frozenset()
    sides_doubtful: bool = False

    def with_registration(self, registration: Registration | None) -> PriorStudy:
        """The study at another place."""
        return replace(self, registration=registration)


def facts_of(volume: Volume) -> StudyFacts:
    """What the scan records of itself. Any thread; no voxel is read."""
    thickness = _recorded(volume, "slice_thickness_mm")
    number = float(thickness) if isinstance(thickness, (int, float)) and thickness > 0 else None
    spacing = _slice_distance(volume)
    return StudyFacts(
        date=_date(volume), modality=modality_of(volume) or (volume.modality or ""),
        slice_thickness_mm=spacing if number is None else number,
        thickness_is_spacing=number is None and spacing is not None, phase=_phase(volume),
        weighting=_text(volume, "weighting"), series=_text(volume, "series_description"),
        identity=_identity(volume), frame_of_reference=_text(volume, "frame_of_reference_uid"),
    )  # fmt: skip


def _recorded(volume: Volume, name: str) -> Any:
    fact = volume.facts.get(name)
    return fact.value if fact is not None and fact.origin in _TRUSTED and fact.value not in (None, "") else None


def _text(volume: Volume, name: str) -> str:
    value = _recorded(volume, name)
    return "" if value is None else one_line(str(value), 80)


def _date(volume: Volume) -> str:
    stated = volume.patient.study_date or _text(volume, "acquisition_date")
    return readable_date(one_line(stated, 20).replace("-", "") if stated.count("-") == 2 else one_line(stated, 20))


def _phase(volume: Volume) -> str:
    """The contrast phase as it is stated, else whether contrast medium was given at all."""
    stated = _text(volume, "contrast_phase") or _text(volume, "phase")
    return stated or examination_of(volume).contrast or ""


def _slice_distance(volume: Volume) -> float | None:
    """The largest of the three steps, which is that across the slices of a scan in slices."""
    if volume.kind != "volume" or volume.spacing_mm is None or min(volume.shape) < 2:
        return None
    return round(max(volume.spacing_mm), 3) or None


def _identity(volume: Volume) -> Identity:
    patient = volume.patient
    return Identity(
        one_line(patient.name), one_line(patient.id), one_line(patient.birth_date), one_line(patient.sex),
        one_line(patient.study_date), _text(volume, "study_instance_uid"), _text(volume, "accession_number"),
        _text(volume, "series_description"), volume.modality or "",
    )  # fmt: skip
