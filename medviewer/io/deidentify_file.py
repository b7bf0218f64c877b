"""De-identifies one DICOM file: reads it whole, cleans it, writes it anew, reads that back and compares.

Pixels are copied byte for byte and never looked at: text that is drawn into them stays. `risks_of` says where that is
likely.
"""

from __future__ import annotations

import hashlib
import warnings
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from medviewer.io.deidentify_dataset import NUMBERS, PIXEL_TAGS, Cleaned, Cleaner, patient_identity
from medviewer.io.deidentify_risks import loose_bytes, risks_of
from medviewer.io.deidentify_rules import Options
from medviewer.io.dicom_header import DEFLATED_LE, NotReadable, deflated_start, read_header

MEDVIEWER_IMPLEMENTATION_UID = "2.25.298310447210375026840183402116563217093"
_LARGEST_INFLATED = 1 << 29
_DICOMDIR = "1.2.840.10008.1.3.10"
_ENCAPSULATED = "1.2.840.10008.5.1.4.1.1.104."
_GEOMETRY = (
    "Rows", "Columns", "NumberOfFrames", "SamplesPerPixel", "PhotometricInterpretation", "PlanarConfiguration",
    "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "ImagePositionPatient", "ImageOrientationPatient",
    "PixelSpacing", "ImagerPixelSpacing", "SliceThickness", "SpacingBetweenSlices", "SliceLocation", "RescaleSlope",
    "RescaleIntercept", "GantryDetectorTilt", "PatientPosition", "PatientOrientation", "InstanceNumber", "WindowCenter",
    "WindowWidth", "PixelPaddingValue", "ImageType", "Modality",
)  # fmt: skip
_GROUPS = ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence")
_PLACES = (
    "PixelMeasuresSequence", "PlanePositionSequence", "PlaneOrientationSequence", "PixelValueTransformationSequence",
    "PlanePositionVolumeSequence", "PlaneOrientationVolumeSequence", "PlanePositionSlideSequence",
)  # fmt: skip
# Codes of CID 7050
BASIC, GRAPHICS, STRUCTURED = "113100", "113103", "113104"
MODIFIED_DATES, CHARACTERISTICS = "113107", "113108"
_MEANINGS = {
    BASIC: "Basic Application Confidentiality Profile",
    GRAPHICS: "Clean Graphics Option",
    STRUCTURED: "Clean Structured Content Option",
    MODIFIED_DATES: "Retain Longitudinal Temporal Information Modified Dates Option",
    CHARACTERISTICS: "Retain Patient Characteristics Option",
}


class NotCleanable(Exception):
    """Why a file was not copied: one sentence. `kind`: "not DICOM", "refused" or "unreadable"."""

    def __init__(self, reason: str, kind: str) -> None:
        super().__init__(reason)
        self.kind = kind


@dataclass
class Loaded:
    """A file as read: its data set and what must be the same in the copy."""

    dataset: Any
    syntax: str
    pixels: str  # sha256 of the stored pixel data; "" without pixels
    geometry: dict[str, Any]
    other_encoding: bool  # it is not encoded as its transfer syntax promises


@dataclass(frozen=True)
class Copied:
    """What became of a file."""

    patient: str
    study: str
    series: str
    codes: tuple[str, ...]
    echoes: int
    risks: tuple[str, ...] = field(default=())


def load(path: Path) -> Loaded:
    """Read a file as a whole. Raises NotCleanable with the reason in words; pixels are not decoded."""
    try:
        header = read_header(path)
    except NotReadable as error:
        raise NotCleanable(str(error), "not DICOM" if error.other_kind else "unreadable") from None
    if header.get("MediaStorageSOPClassUID") == _DICOMDIR:
        raise NotCleanable("A DICOMDIR lists patients and file names; it is not copied.", "refused")
    if header.transfer_syntax == DEFLATED_LE:
        _refuse_bomb(path)
    elif (header.pixel_offset or 0) + (header.pixel_length or 0) > header.size:
        raise NotCleanable("The file is cut short. Copy it again from its source.", "unreadable")
    with _quiet():
        return _judged(_read(path), header.transfer_syntax)


def _judged(dataset: Any, guessed_syntax: str) -> Loaded:
    """What was read, if it can be cleaned."""
    syntax = str(dataset.file_meta.get("TransferSyntaxUID") or guessed_syntax)
    _complete(dataset)
    _refuse(dataset)
    implicit, _ = expected = _encoding_of(syntax)
    other = dataset.original_encoding != expected or (not implicit and _lacks_vr(dataset))
    return Loaded(dataset, syntax, _pixel_hash(dataset), _geometry(dataset), other)


def clean(loaded: Loaded, cleaner: Cleaner) -> Copied:
    """Clean the loaded data set in place and state in it what was done."""
    dataset = loaded.dataset
    with _quiet():
        risks = risks_of(dataset, loaded.syntax)
        done = cleaner.clean(dataset)
        if cleaner.repeats(loose_bytes(dataset)):
            raise NotCleanable("A comment inside its pixel data names the patient; that cannot be removed.", "refused")
        if loaded.other_encoding:
            _parse_all(dataset)  # after the cleaning, which looks at bytes
    codes = _codes(cleaner.rules.options, done)
    _state_method(dataset, codes, cleaner.rules.options)
    study, series = str(dataset.StudyInstanceUID), str(dataset.SeriesInstanceUID)
    return Copied(done.patient, study, series, codes, done.echoes, risks)


def write(loaded: Loaded, path: Path) -> None:
    """Write the cleaned data set to a new file and read it back. Raises NotCleanable if anything differs."""
    import pydicom

    dataset = loaded.dataset
    dataset.file_meta = _new_meta(dataset, loaded.syntax)
    dataset.preamble = b"\0" * 128
    with _quiet():
        pydicom.dcmwrite(path, dataset, enforce_file_format=True, overwrite=False)
    again = _read(path)
    if _pixel_hash(again) != loaded.pixels or _geometry(again) != loaded.geometry:
        raise NotCleanable("Its copy did not read back equal and was not kept.", "unreadable")


def _read(path: Path) -> Any:
    import pydicom

    try:
        with _quiet():
            return pydicom.dcmread(path, force=True)
    except RecursionError:
        raise NotCleanable("The file is nested too deeply to be read. Export it again.", "unreadable") from None
    except MemoryError:
        raise NotCleanable("The file does not fit into the memory.", "unreadable") from None
    except OSError:
        raise
    except Exception as error:
        reason = f"The file is damaged ({type(error).__name__}). Copy it again from its source."
        raise NotCleanable(reason, "unreadable") from None


def _encoding_of(syntax: str) -> tuple[bool, bool]:
    """(implicit VR, little endian) as a transfer syntax promises; some files do otherwise."""
    from pydicom.uid import UID

    uid = UID(syntax)
    return (uid.is_implicit_VR, uid.is_little_endian) if uid.is_transfer_syntax else (False, True)


def _lacks_vr(dataset: Any) -> bool:
    """Some files switch to implicit VR after the file meta information or in the middle."""
    return any(element.VR is None for element in dataset.elements())


def _parse_all(dataset: Any) -> None:
    """Turn all bytes into values, so that they can be written in another encoding. Raises NotCleanable."""
    try:
        with _quiet():
            for _ in dataset.iterall():
                pass
    except Exception as error:
        reason = f"Its header contradicts its transfer syntax ({type(error).__name__})."
        raise NotCleanable(reason, "unreadable") from None


def _quiet() -> Any:
    """Warnings of pydicom quote values."""
    return warnings.catch_warnings(action="ignore")


def _refuse_bomb(path: Path) -> None:
    """Refuse a deflated data set that would not fit; inflates in pieces and keeps none."""
    data = path.read_bytes()
    inflater, total = zlib.decompressobj(-zlib.MAX_WBITS), 0
    pending = data[deflated_start(data) :]
    while pending and not inflater.eof:
        total += len(inflater.decompress(pending, 1 << 20))
        pending = inflater.unconsumed_tail
        if total > _LARGEST_INFLATED:
            raise NotCleanable("The file inflates to more than 512 MB and was not opened.", "unreadable")


def _complete(dataset: Any) -> None:
    """Give files that careless tools stripped of their UIDs what the file meta information still knows, or a common
    study and series per patient, modality and series number, so that they can be copied."""
    meta = dataset.file_meta
    for keyword in ("SOPClassUID", "SOPInstanceUID"):
        if not dataset.get(keyword) and meta.get(f"MediaStorage{keyword}"):
            setattr(dataset, keyword, meta.get(f"MediaStorage{keyword}"))
    for keyword, more in (("StudyInstanceUID", ()), ("SeriesInstanceUID", ("Modality", "SeriesNumber"))):
        if not dataset.get(keyword):
            known = " ".join([patient_identity(dataset), *(str(dataset.get(name)) for name in more)])
            number = int.from_bytes(hashlib.sha256(known.encode()).digest()[:15], "big")
            setattr(dataset, keyword, f"2.25.{number}")


def _refuse(dataset: Any) -> None:
    """Objects that cannot be cleaned, or whose content nobody but the maker knows."""
    sop_class = str(dataset.get("SOPClassUID") or "")
    if sop_class.startswith(_ENCAPSULATED) or 0x00420011 in dataset:
        raise NotCleanable("It holds an encapsulated document (PDF, CDA, model); that cannot be cleaned.", "refused")
    for keyword in ("SOPClassUID", "SOPInstanceUID"):
        if not dataset.get(keyword):
            raise NotCleanable(f"It has no {keyword}, so that it cannot be given a new identity.", "refused")
    if not sop_class.startswith("1.2.840.10008."):
        raise NotCleanable("It is of a private kind; nobody but its maker knows what it holds.", "refused")


def _pixel_hash(dataset: Any) -> str:
    digest, found = hashlib.sha256(), False
    for tag in PIXEL_TAGS:
        if tag in dataset:
            value = dataset.get_item(tag).value
            digest.update(value if isinstance(value, bytes) else b"")
            found = True
    return digest.hexdigest() if found else ""


def _geometry(dataset: Any) -> dict[str, Any]:
    """What places and scales the pixels, of the data set and of every frame, as text."""
    found = _own_geometry(dataset)
    for name in _GROUPS:
        for number, group in enumerate(dataset.get(name) or ()):
            for place in _PLACES:
                for item in group.get(place) or ():
                    found |= {f"{name} {number} {place} {key}": text for key, text in _own_geometry(item).items()}
    return found


def _own_geometry(dataset: Any) -> dict[str, str]:
    texts = {name: _text(dataset, name) for name in _GEOMETRY if name in dataset}
    return {name: text for name, text in texts.items() if text}


def _text(dataset: Any, name: str) -> str:
    """The value as text, "" where it cannot be parsed (it is then not kept). The data set keeps its bytes."""
    from pydicom.datadict import tag_for_keyword
    from pydicom.dataelem import RawDataElement, convert_raw_data_element

    element = dataset.get_item(tag_for_keyword(name))
    if not isinstance(element, RawDataElement):
        return str(element.value)
    if element.VR in ("DS", "IS") and not NUMBERS.fullmatch(element.value or b""):
        return ""
    try:
        with _quiet():
            return str(convert_raw_data_element(element).value)
    except Exception:
        return ""


def _codes(options: Options, done: Cleaned) -> tuple[str, ...]:
    wanted = (
        (BASIC, True), (GRAPHICS, done.graphics), (STRUCTURED, done.structured),
        (MODIFIED_DATES, options.shift_dates), (CHARACTERISTICS, options.keep_characteristics),
    )  # fmt: skip
    return tuple(code for code, used in wanted if used)


def _state_method(dataset: Any, codes: Sequence[str], options: Options) -> None:
    """PatientIdentityRemoved and how; BurnedInAnnotation stays what the source said, since nobody looked."""
    from pydicom.dataset import Dataset

    import medviewer

    dataset.PatientIdentityRemoved = "YES"
    dataset.DeidentificationMethod = f"medviewer {medviewer.__version__}: PS3.15 E; pixels not cleaned"
    dataset.LongitudinalTemporalInformationModified = "MODIFIED" if options.shift_dates else "REMOVED"
    items = []
    for code in codes:
        item = Dataset()
        item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = code, "DCM", _MEANINGS[code]
        items.append(item)
    dataset.DeidentificationMethodCodeSequence = items


def _new_meta(dataset: Any, syntax: str) -> Any:
    from pydicom.dataset import FileMetaDataset

    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    meta.TransferSyntaxUID = syntax
    meta.ImplementationClassUID = MEDVIEWER_IMPLEMENTATION_UID
    meta.ImplementationVersionName = "MEDVIEWER"
    return meta
