"""Where pixels are likely to show who the patient is. Nothing here looks at the pixels themselves."""

from __future__ import annotations

from typing import Any

BURNED_IN = "the file says that text is burned into its pixels"
CAPTURE = "secondary captures and screens often show names and dates"
ULTRASOUND = "ultrasound and endoscopy pictures often show names and dates"
FACE = "head scan, or body part not recorded: CT, MR and PET can show a recognisable face"
VIDEO = "a video stream may hold text, sound and its own descriptions"
COMMENT = "the compressed pixels hold a comment, which was not removed"
OVERLAY_BITS = "overlay graphics are stored in unused bits of the pixels"
LONGER = "there are more bytes of pixel data than the image needs"


_CAPTURES = "1.2.840.10008.5.1.4.1.1.7"
_SCREENS = ("US", "IVUS", "ES", "OT", "SC", "XC", "GM", "SM", "OP", "DOC", "KO")
_FACES = ("HEAD", "BRAIN", "FACE", "SKULL", "HEADNECK", "ORBIT", "SINUS", "IAC", "JAW", "NECK", "PITUITARY")
_VIDEO = tuple(f"1.2.840.10008.1.2.4.{n}" for n in range(100, 109))
_FIRST_BYTES, _SEARCHED, _LAST_BYTES = 64 << 10, 1 << 20, 64 << 10


def risks_of(dataset: Any, syntax: str) -> tuple[str, ...]:
    """The risks of a data set, judged from its header and the head of its compressed stream."""
    modality = str(dataset.get("Modality", "")).upper()
    found = []
    if str(dataset.get("BurnedInAnnotation", "")).upper() == "YES":
        found.append(BURNED_IN)
    if str(dataset.get("SOPClassUID", "")).startswith(_CAPTURES):
        found.append(CAPTURE)
    elif modality in _SCREENS:
        found.append(ULTRASOUND)
    if modality in ("CT", "MR", "PT") and _shows_face(dataset):
        found.append(FACE)
    if syntax.startswith(_VIDEO):
        found.append(VIDEO)
    if any(0x60000102 + (n << 16) in dataset and 0x60003000 + (n << 16) not in dataset for n in range(0, 32, 2)):
        found.append(OVERLAY_BITS)
    return (*found, *_stream_risks(dataset))


def _shows_face(dataset: Any) -> bool:
    """A body part that names the head, or none at all: then nobody can rule it out."""
    part = "".join(c for c in str(dataset.get("BodyPartExamined", "")).upper() if c.isalpha())
    return not part or any(name in part for name in _FACES)


def _stream_risks(dataset: Any) -> tuple[str, ...]:
    value, encapsulated = _stored(dataset)
    if encapsulated:
        return (COMMENT,) if has_comment(value[:_FIRST_BYTES]) else ()
    needed = _needed(dataset)
    return (LONGER,) if needed is not None and len(value) > needed + 1 else ()


def loose_bytes(dataset: Any) -> bytes:
    """Stored bytes beside the pixels themselves: around compressed streams, or behind the last native pixel."""
    value, encapsulated = _stored(dataset)
    if encapsulated:
        return value[:_SEARCHED] + value[_SEARCHED:][-_LAST_BYTES:]
    needed = _needed(dataset)
    return b"" if needed is None else value[needed:]


def _stored(dataset: Any) -> tuple[bytes, bool]:
    """(value of the pixel data, is it encapsulated)."""
    if 0x7FE00010 not in dataset:
        return b"", False
    element = dataset.get_item(0x7FE00010)
    undefined = getattr(element, "length", 0) == 0xFFFFFFFF or getattr(element, "is_undefined_length", False)
    return (element.value if isinstance(element.value, bytes) else b""), bool(undefined)


def has_comment(head: bytes) -> bool:
    """A comment segment (COM) of JPEG or JPEG-LS, or of JPEG 2000, among the first bytes of encapsulated pixels."""
    start = head.find(b"\xff\xd8\xff")
    if start >= 0:
        return _jpeg_comment(head, start + 2)
    start = head.find(b"\xff\x4f\xff\x51")
    return start >= 0 and _segment(head, start + 2, 0x64, 0x90)


def _jpeg_comment(head: bytes, at: int) -> bool:
    return _segment(head, at, 0xFE, 0xDA)


def _segment(head: bytes, at: int, wanted: int, last: int) -> bool:
    """Walk marker segments from `at` until `last`; is one of them `wanted`?"""
    while at + 4 <= len(head) and head[at] == 0xFF:
        marker = head[at + 1]
        if marker in (wanted, last):
            return marker == wanted
        at += 2 + int.from_bytes(head[at + 2 : at + 4], "big")
    return False


def _needed(dataset: Any) -> int | None:
    """Bytes that the native pixels take; None where the header does not say."""
    try:
        samples = int(dataset.Rows) * int(dataset.Columns) * int(dataset.get("SamplesPerPixel", 1) or 1)
        bits = samples * int(dataset.get("NumberOfFrames", 1) or 1) * int(dataset.BitsAllocated)
    except (AttributeError, TypeError, ValueError):
        return None
    if str(dataset.get("PhotometricInterpretation", "")).endswith("422"):
        bits = bits * 2 // 3
    return (bits + 7) // 8
