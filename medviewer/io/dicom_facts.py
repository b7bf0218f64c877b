"""Acquisition facts, identity, units and display hints of a DICOM header. A fact that is not recorded is unknown."""

from __future__ import annotations

import math
from typing import Any

from medviewer.core.volume import Fact, Patient
from medviewer.io.dicom_frames import Frame, is_localizer
from medviewer.io.dicom_header import Header

# name of the fact: DICOM keyword
_FACTS: dict[str, str] = {
    "modality": "Modality",
    "manufacturer": "Manufacturer",
    "model": "ManufacturerModelName",
    "body_part": "BodyPartExamined",
    "study_description": "StudyDescription",
    "series_description": "SeriesDescription",
    "protocol": "ProtocolName",
    "series_number": "SeriesNumber",
    "slice_thickness_mm": "SliceThickness",
    "kvp": "KVP",
    "contrast_agent": "ContrastBolusAgent",
    "sequence": "SequenceName",
    "echo_time_ms": "EchoTime",
    "repetition_time_ms": "RepetitionTime",
    "inversion_time_ms": "InversionTime",
    "field_strength_t": "MagneticFieldStrength",
    "view_position": "ViewPosition",
    "patient_position": "PatientPosition",
    "patient_age": "PatientAge",
    "gantry_tilt_degrees": "GantryDetectorTilt",
    "voi_lut_function": "VOILUTFunction",
    "burned_in_annotation": "BurnedInAnnotation",
    "frame_of_reference_uid": "FrameOfReferenceUID",
    "study_instance_uid": "StudyInstanceUID",
    "sop_class_uid": "SOPClassUID",
}
LOSSY_WARNING = "LOSSY: lossy compression was applied to these images."
_LOSSY_SYNTAXES = frozenset(f"1.2.840.10008.1.2.4.{n}" for n in (50, 51, 53, 55, 81))
_CT_CLASSES = frozenset(("1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.2.1", "1.2.840.10008.5.1.4.1.1.2.2"))


def facts_of(frame: Frame) -> dict[str, Fact]:
    """The acquisition facts of a frame, with origin; phase, weighting and the like are never inferred."""
    facts = {name: _fact(frame.get(keyword)) for name, keyword in _FACTS.items()}
    facts["acquisition_date"] = _fact(_first(frame, "AcquisitionDate", "ContentDate", "SeriesDate", "StudyDate"))
    facts["laterality"] = _fact(_first(frame, "ImageLaterality", "Laterality"))
    facts["image_type"] = _fact(_joined(frame.get("ImageType")))
    facts["kernel"] = _fact(_joined(frame.get("ConvolutionKernel")))
    facts["scanning_sequence"] = _fact(_joined(frame.get("ScanningSequence")))
    facts["lossy_compression"] = _fact("yes" if is_lossy(frame.header) else None)
    facts["pixel_padding_value"] = _fact(_padding(frame))
    if frame.get("VOILUTSequence"):
        facts["voi_lut"] = _fact("present")
    return facts


def _padding(frame: Frame) -> float | None:
    """PixelPaddingValue in the values of the volume: voxels that are outside of the scanned field."""
    stored, bits = frame.get("PixelPaddingValue"), frame.get("BitsAllocated") or 16
    if stored is None:
        return None
    signed = frame.get("PixelRepresentation") == 1 and stored >= 1 << (bits - 1)
    return (stored - (1 << bits) if signed else stored) * frame.slope + frame.intercept


def value_warnings(frame: Frame) -> tuple[str, ...]:
    """What a user must know about the numbers of the pixels."""
    notes = [LOSSY_WARNING] if is_lossy(frame.header) else []
    if frame.get("ModalityLUTSequence"):
        notes.append("The file maps its numbers by a table (Modality LUT) that is not applied: they are as stored.")
    return tuple(notes)


def is_lossy(header: Header) -> bool:
    """Was lossy compression ever applied, by the header's word or by the kind of its compression?"""
    return header.get("LossyImageCompression") == "01" or header.transfer_syntax in _LOSSY_SYNTAXES


def _fact(value: Any) -> Fact:
    unusable = value is None or value == "" or (isinstance(value, float) and not math.isfinite(value))
    return Fact(None, "unknown") if unusable else Fact(value, "DICOM")


def _first(frame: Frame, *keywords: str) -> Any:
    return next((value for value in map(frame.get, keywords) if value), None)


def _joined(parts: tuple[str, ...] | None) -> str | None:
    return "\\".join(parts) if parts else None


def patient_of(header: Header) -> Patient:
    """The identity line."""
    get = header.get
    return Patient(
        get("PatientName") or "",
        get("PatientID") or "",
        get("PatientBirthDate") or "",
        get("PatientSex") or "",
        get("StudyDate") or "",
    )


def units_of(frame: Frame) -> tuple[str | None, str]:
    """(units, warning): "HU" only for CT images whose rescale says so or, for the CT classes, is silent."""
    kind = frame.get("RescaleType")
    has_rescale = "RescaleSlope" in frame.extra or frame.header.get("RescaleSlope") is not None
    if frame.get("ModalityLUTSequence"):
        return None, ""
    if frame.get("Modality") == "PT":
        return frame.get("Units") or kind, ""
    if frame.get("Modality") != "CT":
        return (kind if kind and kind.upper() in ("OD", "MM", "MGML") else None), ""
    if is_localizer(frame):
        return None, "This is a localizer: its numbers are not Hounsfield units."
    if kind is not None and kind.upper() == "HU":
        return "HU", ""
    if kind is not None:
        unit = "unspecified units" if kind.upper() == "US" else kind
        return None, f"The CT numbers are in {unit}, not Hounsfield units."
    is_ct = frame.get("SOPClassUID") in _CT_CLASSES or frame.get("SOPClassUID") is None
    derived = (frame.get("ImageType") or ("",))[0].upper() == "DERIVED"
    if is_ct and not derived and (has_rescale or frame.slope != 1.0 or frame.intercept != 0.0):
        return "HU", ""
    return None, "The units of this CT are not recorded; Hounsfield presets do not apply."


def window_of(frame: Frame) -> tuple[float, float] | None:
    """(width, centre): the first stored window, in rescaled values."""
    centre, width = frame.get("WindowCenter"), frame.get("WindowWidth")
    if not centre or not width or not width[0] > 0:
        return None
    return float(width[0]), float(centre[0])


def title_of(frame: Frame, words: str = "") -> str:
    """A short name for lists, without patient data."""
    get = frame.get
    base = get("SeriesDescription") or get("ProtocolName") or get("StudyDescription") or get("Modality") or "DICOM"
    return f"{base} ({words})" if words else str(base)
