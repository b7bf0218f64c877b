"""The DICOM elements a header scan keeps, and how the bytes of each become a Python value."""

from __future__ import annotations

import re
import struct
from typing import Any, Literal

from medviewer.core.plain_text import one_line, readable_name

Kind = Literal["text", "name", "code", "codes", "uid", "float", "floats", "int", "us", "fd", "present"]

PIXEL_DATA = 0x7FE00010
FLOAT_PIXEL_DATA = (0x7FE00008, 0x7FE00009)

# tag: (keyword of PS3.6, how to decode)
WANTED: dict[int, tuple[str, Kind]] = {
    0x00020002: ("MediaStorageSOPClassUID", "uid"),
    0x00020010: ("TransferSyntaxUID", "uid"),
    0x00080005: ("SpecificCharacterSet", "codes"),
    0x00080008: ("ImageType", "codes"),
    0x00080016: ("SOPClassUID", "uid"),
    0x00080018: ("SOPInstanceUID", "uid"),
    0x00080020: ("StudyDate", "code"),
    0x00080021: ("SeriesDate", "code"),
    0x00080022: ("AcquisitionDate", "code"),
    0x00080023: ("ContentDate", "code"),
    0x0008002A: ("AcquisitionDateTime", "code"),
    0x00080032: ("AcquisitionTime", "code"),
    0x00080033: ("ContentTime", "code"),
    0x00080060: ("Modality", "code"),
    0x00080070: ("Manufacturer", "text"),
    0x00081030: ("StudyDescription", "text"),
    0x0008103E: ("SeriesDescription", "text"),
    0x00081090: ("ManufacturerModelName", "text"),
    0x00082144: ("RecommendedDisplayFrameRate", "int"),
    0x00100010: ("PatientName", "name"),
    0x00100020: ("PatientID", "text"),
    0x00100030: ("PatientBirthDate", "code"),
    0x00100040: ("PatientSex", "code"),
    0x00101010: ("PatientAge", "code"),
    0x00180010: ("ContrastBolusAgent", "text"),
    0x00180015: ("BodyPartExamined", "code"),
    0x00180020: ("ScanningSequence", "codes"),
    0x00180024: ("SequenceName", "text"),
    0x00180040: ("CineRate", "int"),
    0x00180050: ("SliceThickness", "float"),
    0x00180060: ("KVP", "float"),
    0x00180080: ("RepetitionTime", "float"),
    0x00180081: ("EchoTime", "float"),
    0x00180082: ("InversionTime", "float"),
    0x00180086: ("EchoNumbers", "int"),
    0x00180087: ("MagneticFieldStrength", "float"),
    0x00180088: ("SpacingBetweenSlices", "float"),
    0x00181030: ("ProtocolName", "text"),
    0x00181060: ("TriggerTime", "float"),
    0x00181063: ("FrameTime", "float"),
    0x00181065: ("FrameTimeVector", "floats"),
    0x00181120: ("GantryDetectorTilt", "float"),
    0x00181164: ("ImagerPixelSpacing", "floats"),
    0x00181210: ("ConvolutionKernel", "codes"),
    0x00185100: ("PatientPosition", "code"),
    0x00185101: ("ViewPosition", "code"),
    0x00186011: ("SequenceOfUltrasoundRegions", "present"),
    0x00189087: ("DiffusionBValue", "fd"),
    0x00189089: ("DiffusionGradientOrientation", "fd"),
    0x0020000D: ("StudyInstanceUID", "uid"),
    0x0020000E: ("SeriesInstanceUID", "uid"),
    0x00200011: ("SeriesNumber", "int"),
    0x00200012: ("AcquisitionNumber", "int"),
    0x00200013: ("InstanceNumber", "int"),
    0x00200020: ("PatientOrientation", "codes"),
    0x00200032: ("ImagePositionPatient", "floats"),
    0x00200037: ("ImageOrientationPatient", "floats"),
    0x00200052: ("FrameOfReferenceUID", "uid"),
    0x00200060: ("Laterality", "code"),
    0x00200062: ("ImageLaterality", "code"),
    0x00200100: ("TemporalPositionIdentifier", "int"),
    0x00209056: ("StackID", "code"),
    0x00280002: ("SamplesPerPixel", "us"),
    0x00280004: ("PhotometricInterpretation", "code"),
    0x00280006: ("PlanarConfiguration", "us"),
    0x00280008: ("NumberOfFrames", "int"),
    0x00280010: ("Rows", "us"),
    0x00280011: ("Columns", "us"),
    0x00280030: ("PixelSpacing", "floats"),
    0x00280034: ("PixelAspectRatio", "floats"),
    0x00280100: ("BitsAllocated", "us"),
    0x00280101: ("BitsStored", "us"),
    0x00280102: ("HighBit", "us"),
    0x00280103: ("PixelRepresentation", "us"),
    0x00280120: ("PixelPaddingValue", "us"),
    0x00280301: ("BurnedInAnnotation", "code"),
    0x00281050: ("WindowCenter", "floats"),
    0x00281051: ("WindowWidth", "floats"),
    0x00281052: ("RescaleIntercept", "float"),
    0x00281053: ("RescaleSlope", "float"),
    0x00281054: ("RescaleType", "code"),
    0x00281056: ("VOILUTFunction", "code"),
    0x00282110: ("LossyImageCompression", "code"),
    0x00283000: ("ModalityLUTSequence", "present"),
    0x00283010: ("VOILUTSequence", "present"),
    0x00540022: ("DetectorInformationSequence", "present"),
    0x00541001: ("Units", "code"),
    0x52009229: ("SharedFunctionalGroupsSequence", "present"),
    0x52009230: ("PerFrameFunctionalGroupsSequence", "present"),
}
# A date or age that is none may be any text, also a name.
_DATE, _AGE = re.compile(r"\d{8}|\d{4}[.\-]\d{2}[.\-]\d{2}"), re.compile(r"\d{1,3}[DWMYdwmy]?")
_SHAPES = {0x00080020: _DATE, 0x00080021: _DATE, 0x00080022: _DATE, 0x00080023: _DATE, 0x00100030: _DATE,
           0x00101010: _AGE}  # fmt: skip
KEYWORDS: dict[str, int] = {keyword: tag for tag, (keyword, _) in WANTED.items()}


def decode(tag: int, raw: bytes, big_endian: bool, encodings: tuple[str, ...]) -> Any:
    """The value of one wanted element, or None where it is empty or malformed (an unknown, never a guess)."""
    kind = WANTED[tag][1]
    try:
        if kind in ("us", "fd"):
            return _binary(kind, raw, big_endian)
        if kind == "present":
            return True
        if kind in ("text", "name"):
            return _text(raw, encodings, kind == "name") or None
        value = _ascii(kind, raw.decode("ascii", "replace").strip(" \0\r\n\t"))
        shape = _SHAPES.get(tag)
        return value if shape is None or value is None or shape.fullmatch(value) else None
    except (ValueError, struct.error, OverflowError):
        return None


def _binary(kind: str, raw: bytes, big_endian: bool) -> Any:
    order = ">" if big_endian else "<"
    if kind == "us":
        return struct.unpack_from(order + "H", raw)[0] if len(raw) >= 2 else None
    return struct.unpack(f"{order}{len(raw) // 8}d", raw) or None


def _ascii(kind: str, text: str) -> Any:
    if not text:
        return None
    if kind == "floats":
        return tuple(float(part) for part in text.split("\\"))
    if kind == "codes":
        return tuple(part.strip() for part in text.split("\\"))
    first = text.split("\\")[0].strip()
    if kind == "float":
        return float(first)
    if kind == "int":
        return int(float(first))
    return one_line(first)


def _text(raw: bytes, encodings: tuple[str, ...], is_name: bool) -> str:
    plain = raw.isascii() and b"\x1b" not in raw
    text = raw.decode("ascii") if plain else _foreign_text(raw, encodings)
    text = text.strip(" \0\r\n\t")
    return readable_name(one_line(text)) if is_name else one_line(text.split("\\")[0])


def _foreign_text(raw: bytes, encodings: tuple[str, ...]) -> str:
    """pydicom's charset decoding; what it cannot decode is shown with replacement signs."""
    import warnings

    from pydicom.charset import convert_encodings, decode_bytes

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # they would quote patient data
        return str(decode_bytes(raw, convert_encodings(list(encodings) or [""]), set("\\^=")))
