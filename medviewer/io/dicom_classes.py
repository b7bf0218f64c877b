"""Which DICOM objects are images, and what the others are called."""

from __future__ import annotations

from medviewer.io.dicom_header import Header

_STORAGE = "1.2.840.10008.5.1.4.1.1."
_SEGMENTATION = "a DICOM Segmentation. Open its scan, then choose Open segments"
_NOT_IMAGES: tuple[tuple[str, str], ...] = (
    ("1.2.840.10008.1.3.10", "a DICOMDIR (an index of other files)"),
    (_STORAGE + "66.4", _SEGMENTATION),
    (_STORAGE + "66.7", "a DICOM Label Map Segmentation. Open its scan, then choose Open segments"),
    (_STORAGE + "66.5", "a DICOM Surface Segmentation"),
    (_STORAGE + "66.1", "a DICOM Spatial Registration"),
    (_STORAGE + "66.3", "a DICOM Deformable Registration"),
    (_STORAGE + "66", "DICOM Raw Data"),
    (_STORAGE + "67", "a DICOM Real World Value Mapping"),
    (_STORAGE + "68", "a DICOM Surface Scan"),
    (_STORAGE + "88.59", "a DICOM Key Object Selection"),
    (_STORAGE + "88", "a DICOM Structured Report"),
    (_STORAGE + "11", "a DICOM Presentation State"),
    (_STORAGE + "9", "a DICOM Waveform"),
    (_STORAGE + "104", "an encapsulated document (PDF, CDA or model)"),
    (_STORAGE + "481.1", ""),  # RT Image is an image
    (_STORAGE + "481.2", "a DICOM RT Dose"),
    (_STORAGE + "481.3", "a DICOM RT Structure Set"),
    (_STORAGE + "481.5", "a DICOM RT Plan"),
    (_STORAGE + "481", "a DICOM radiotherapy object"),
    (_STORAGE + "30", "a DICOM Parametric Map"),
    (_STORAGE + "4.2", "DICOM MR Spectroscopy"),
    (_STORAGE + "77.1.6", "a DICOM whole slide microscopy image"),
    (_STORAGE + "77.1.4.1", "a DICOM video"),
    (_STORAGE + "6.2", "an Enhanced Ultrasound Volume"),
)
_BY_MODALITY = {
    "SEG": _SEGMENTATION,
    "SR": "a DICOM Structured Report",
    "RTSTRUCT": "a DICOM RT Structure Set",
    "RTDOSE": "a DICOM RT Dose",
    "RTPLAN": "a DICOM RT Plan",
    "PR": "a DICOM Presentation State",
    "KO": "a DICOM Key Object Selection",
}
PLANAR_MODALITIES = frozenset(
    [
        "CR",
        "DX",
        "MG",
        "IO",
        "PX",
        "XA",
        "RF",
        "US",
        "IVUS",
        "ES",
        "XC",
        "GM",
        "SM",
        "OP",
        "OPT",
        "DG",
        "EC",
        "ECG",
        "HC",
    ]
)
_RECONSTRUCTED_X_RAY = _STORAGE + "13.1."  # X-ray 3D and breast tomosynthesis: slices, not projections
_VIDEO_SYNTAXES = "1.2.840.10008.1.2.4.10"  # .100 to .108: MPEG-2, MPEG-4, HEVC


def not_an_image(header: Header) -> str | None:
    """What the file is, if it is no image this program reads; None if it is one."""
    uid = header.get("SOPClassUID") or ""
    for prefix, name in _NOT_IMAGES:
        if uid == prefix or uid.startswith(prefix + "."):
            return name or None
    name = _BY_MODALITY.get(header.get("Modality") or "", "")
    if name:
        return name
    if header.float_pixels:
        return "a map of floating point numbers"
    if header.transfer_syntax.startswith(_VIDEO_SYNTAXES) and len(header.transfer_syntax) > len(_VIDEO_SYNTAXES):
        return "a DICOM video"
    if header.pixel_offset is None and header.get("Rows") is None:
        return "a DICOM object without an image"
    if "MOSAIC" in (header.get("ImageType") or ()):
        return "a Siemens mosaic (many slices in one picture)"
    return None


def is_enhanced(header: Header) -> bool:
    """Has it functional groups?"""
    return bool(header.get("PerFrameFunctionalGroupsSequence") or header.get("SharedFunctionalGroupsSequence"))


def is_planar(header: Header) -> bool:
    """A projection or a photograph: 2D, never stacked, whatever position it states."""
    if (header.get("SOPClassUID") or "").startswith(_RECONSTRUCTED_X_RAY):
        return False
    return (header.get("Modality") or "OT") in PLANAR_MODALITIES
