"""What is known of the examination and the patient. A fact that was estimated or is unknown switches off every rule
that depends on it: it is None here."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date

from medviewer.core.measure.target import ULTRASOUND, X_RAY
from medviewer.core.volume import Fact, Volume

_TRUSTED = frozenset({"DICOM", "file header", "series text", "user"})
_UNENHANCED = frozenset({"unenhanced", "native", "nativ", "non-contrast", "noncontrast", "without contrast", "plain"})
_ENHANCED = frozenset(
    {"enhanced", "contrast", "with contrast", "arterial", "late arterial", "portal venous", "portal-venous", "venous",
     "delayed", "nephrographic", "excretory", "pulmonary arterial"}
)  # fmt: skip
_ERECT = frozenset({"erect", "standing", "upright"})
_LYING = frozenset({"supine", "prone", "recumbent", "semi-erect", "sitting", "decubitus"})
_LATERAL = frozenset({"LL", "RL", "LLD", "RLD", "LAT", "LATERAL"})
_YEARS = {"D": 1 / 365.25, "W": 7 / 365.25, "M": 1 / 12, "Y": 1.0}


@dataclass(frozen=True)
class Examination:
    """Facts that reference ranges depend on; None (or "") where they are unknown or only estimated.

    `modality`: CT, MR, XR or US. `contrast`: "unenhanced" or "enhanced". `projection`: PA, AP or "lateral". `position`:
    "erect" or "lying". `age` in years at the time of the study, `sex` "M" or "F".
    """

    modality: str = ""
    contrast: str | None = None
    projection: str | None = None
    position: str | None = None
    age: float | None = None
    sex: str | None = None


def examination_of(volume: Volume) -> Examination:
    """What the scan records."""
    return Examination(
        modality_of(volume), _contrast(volume), _projection(volume), _position(volume), _age(volume), _sex(volume)
    )


def modality_of(volume: Volume) -> str:
    """CT, MR, XR, US, or "" where unknown or another."""
    name = (volume.modality or "").upper()
    if name in X_RAY:
        return "XR"
    if name in ULTRASOUND:
        return "US"
    return name if name in ("CT", "MR") else ""


def _trusted(volume: Volume, *names: str) -> str:
    """The first of the facts that is known and was not estimated, in lower case without the brackets; else empty."""
    for name in names:
        fact: Fact | None = volume.facts.get(name)
        if fact is not None and fact.value not in (None, "") and fact.origin in _TRUSTED:
            return str(fact.value).strip().lower()
    return ""


def _contrast(volume: Volume) -> str | None:
    stated = _trusted(volume, "contrast_phase", "contrast", "phase")
    if stated in _UNENHANCED:
        return "unenhanced"
    agent = _trusted(volume, "contrast_agent")
    if stated in _ENHANCED or (not stated and agent and agent not in ("no", "none", "nein", "ohne")):
        return "enhanced"
    return None


def _projection(volume: Volume) -> str | None:
    stated = _trusted(volume, "projection", "view_position").upper()
    if stated in ("PA", "AP"):
        return stated
    return "lateral" if stated in _LATERAL else None


def _position(volume: Volume) -> str | None:
    stated = _trusted(volume, "body_position", "position")
    if stated in _ERECT:
        return "erect"
    return "lying" if stated in _LYING else None


def _age(volume: Volume) -> float | None:
    recorded = re.fullmatch(r"(\d{1,3})([dwmy])", _trusted(volume, "patient_age"))
    if recorded:
        return int(recorded[1]) * _YEARS[recorded[2].upper()]
    born, seen = _day(volume.patient.birth_date), _day(volume.patient.study_date)
    if born is None or seen is None or seen < born:
        return None
    return seen.year - born.year - ((seen.month, seen.day) < (born.month, born.day))


def _day(text: str) -> date | None:
    digits = text.replace("-", "").replace(".", "")
    try:
        return date(int(digits[:4]), int(digits[4:6]), int(digits[6:8])) if re.fullmatch(r"\d{8}", digits) else None
    except ValueError:
        return None


def _sex(volume: Volume) -> str | None:
    sex = volume.patient.sex.strip().upper()[:1]
    return sex if sex in ("M", "F") else None
