"""Codes of what a report measures: DICOM, SNOMED CT and UCUM where a code is known to mean just that, else a code of
medviewer's own scheme. Used by DICOM SR and FHIR alike.

The standard codes are those of DICOM PS3.16 (CID 218, 7464, 7469, 7181), as pydicom lists them; a test compares.
"""

from __future__ import annotations

from math import isfinite

from medviewer.core.report.document import Finding, Measurement, Report
from medviewer.core.report.words import Words
from medviewer.io.dicom_seg_terms import SIDES, Code
from medviewer.io.dicom_seg_text import LONG_STRING, line
from medviewer.io.label_sidecar import TermMap

OWN_SCHEME = "99MEDVIEWER"
ANATOMY = ("123037004", "91723000")  # categories whose structures are places in the body
_ATTENUATION: Code = ("112031", "DCM", "Attenuation Coefficient")
_MR_SIGNAL: Code = ("110852", "DCM", "MR signal intensity")
_DIAMETER: Code = ("81827009", "SCT", "Diameter")
_HEIGHT: Code = ("121207", "DCM", "Height")
QUANTITIES: dict[str, Code] = {
    "volume": ("118565006", "SCT", "Volume"),
    "area": ("42798000", "SCT", "Area"),
    "axial_diameter": _DIAMETER,
    "aortic_diameter": _DIAMETER,
    "longest_diameter": ("L0JK", "IBSI", "Maximum 3D Diameter of a Mesh"),
    "long_axis": ("103339001", "SCT", "Long axis"),
    "short_axis": ("103340004", "SCT", "Short axis"),
    "length": ("410668003", "SCT", "Length"),
    "height_front": _HEIGHT,
    "height_middle": _HEIGHT,
    "height_back": _HEIGHT,
    "distance": ("121206", "DCM", "Distance"),
}
DERIVATIONS: dict[str, Code] = {
    "intensity_median": ("373099004", "SCT", "Median"),
    "intensity_mean": ("373098007", "SCT", "Mean"),
    "parenchyma_mean": ("373098007", "SCT", "Mean"),
    "intensity_sd": ("386136009", "SCT", "Standard Deviation"),
    "intensity_p5": ("371888009", "SCT", "Fifth percentile"),
    "intensity_p95": ("371889001", "SCT", "Ninety-fifth percentile"),
}
UNITS: dict[str, Code] = {
    "mm": ("mm", "UCUM", "mm"),
    "cm": ("cm", "UCUM", "cm"),
    "ml": ("ml", "UCUM", "ml"),
    "mm2": ("mm2", "UCUM", "square millimeter"),
    "cm2": ("cm2", "UCUM", "square centimeter"),
    "mm3": ("mm3", "UCUM", "cubic millimeter"),
    "cm3": ("cm3", "UCUM", "cubic centimeter"),
    "HU": ("[hnsf'U]", "UCUM", "Hounsfield unit"),
    "%": ("%", "UCUM", "Percent"),
    "1": ("1", "UCUM", "no units"),
    "px": ("{pixels}", "UCUM", "pixels"),
    "g": ("g", "UCUM", "g"),
    "deg": ("deg", "UCUM", "degree"),
    "°": ("deg", "UCUM", "degree"),
}
_PROCEDURES: dict[str, Code] = {
    "CT": ("25045-6", "LN", "CT unspecified body region"),
    "MR": ("25056-3", "LN", "MRI unspecified body region"),
}
_COUNTS = ("parts", "count")
_ARBITRARY: Code = ("[arb'U]", "UCUM", "arbitrary unit")


def quantity_code(measurement: Measurement, words: Words, modality: str) -> Code:
    """The concept of a measurement: the attenuation or signal for statistics of intensities (what of it is its
    `derivation_code`), a code of our own where no standard one means just that."""
    key = measurement.quantity
    if key in DERIVATIONS and measurement.unit == "HU":
        return _ATTENUATION
    if key in DERIVATIONS and modality == "MR":
        return _MR_SIGNAL
    return QUANTITIES.get(key) or own_code(key, words.named("quantities", key))


def derivation_code(measurement: Measurement) -> Code | None:
    """Mean, median ... of the values of a region; None for what is no statistic."""
    return DERIVATIONS.get(measurement.quantity)


def method_code(measurement: Measurement, words: Words) -> Code | None:
    """How it was measured, as a code of our own whose meaning is cut to what DICOM holds (64 bytes)."""
    text = words.translated(measurement.method)
    return own_code(measurement.method, text) if text.strip() else None


def unit_code(measurement: Measurement) -> Code:
    """The unit in UCUM; arbitrary units for an intensity without one, braces for what UCUM does not know."""
    unit = measurement.unit
    if unit in UNITS:
        return UNITS[unit]
    if not unit:
        return UNITS["1"] if measurement.quantity in _COUNTS else _ARBITRARY
    plain = "".join(char if char.isascii() and char.isalnum() else "_" for char in unit)[:12]
    return f"{{{plain}}}", "UCUM", line(unit) or plain


def own_code(key: str, meaning: str) -> Code:
    """A code of medviewer's scheme. `key` is a key of the program's tables; of any other text only letters stay."""
    plain = "".join(char if char.isascii() and char.isalnum() else "_" for char in key)[:64].strip("_")
    return plain or "other", OWN_SCHEME, _meaning(meaning) or plain or "other"


def _meaning(text: str) -> str:
    """A code's meaning (64 bytes); one that is cut ends with whole words and three dots."""
    whole = line(text, len(text.encode("utf-8", "ignore")) + 1)
    if whole == line(text):
        return whole
    return f"{line(text, LONG_STRING - 3).rpartition(' ')[0] or line(text, LONG_STRING - 3)}..."


def procedure_code(modality: str) -> Code:
    """What was done to the patient (CID 100)."""
    return _PROCEDURES.get(modality, ("363679005", "SCT", "Imaging procedure"))


def modality_code(modality: str) -> Code:
    """The kind of images (CID 29)."""
    from pydicom.sr.codedict import codes

    known = {code.value: code.meaning for code in codes.cid29.concepts.values()}
    value = line(modality, 16) or "OT"
    return value, "DCM", known.get(value, "Other" if value == "OT" else value)


def structure_codes(term_id: str, terms: TermMap) -> tuple[Code | None, Code | None]:
    """(finding, finding site) of a structure: its category and itself for a place in the body, itself and no site for
    what is found there; two times None for a structure without a code."""
    term = terms.get(term_id)
    if term is None or term.snomed is None:
        return None, None
    own: Code = (term.snomed.value, term.snomed.scheme, line(term.snomed.meaning))
    if term.category is not None and term.category.value in ANATOMY:
        return (term.category.value, term.category.scheme, line(term.category.meaning)), own
    return own, None


def side_code(side: str | None) -> Code | None:
    """Left or right (CID 244)."""
    return SIDES.get(side or "")


def cited(report: Report) -> list[Measurement]:
    """The numbers that sentences rest on, as every form of a report shows them: finite, and not of a rejected one."""
    ids = {e.measurement_id for f in kept(report) for e in f.evidence}
    return [m for m in report.measurements if m.id in ids and m.value is not None and isfinite(m.value)]


def kept(report: Report) -> list[Finding]:
    """The sentences that are not rejected."""
    return [finding for finding in report.findings if finding.state != "rejected"]
