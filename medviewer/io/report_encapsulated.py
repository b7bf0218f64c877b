"""A report's PDF inside a DICOM object: Encapsulated PDF Storage (PS3.3 A.45.1, C.24.2), in the study of the scan."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from medviewer.core.progress import Progress
from medviewer.core.report.document import Report
from medviewer.core.report.words import Words
from medviewer.core.volume import Volume
from medviewer.io import report_pdf
from medviewer.io.atomic import atomic_write
from medviewer.io.dicom_seg_terms import program_version
from medviewer.io.dicom_seg_text import SHORT_TEXT, block, charset_for
from medviewer.io.report_dicom import (
    MAKER,
    check_study,
    differs,
    refuse_source,
    refused,
    series_description,
    series_number,
    signature_of,
    study_headers,
)
from medviewer.io.report_layout import is_verified, title_text

STORAGE = "1.2.840.10008.5.1.4.1.1.104.1"
_MIME = "application/pdf"
_COPIED = (  # Patient, General Study, Patient Study (PS3.3 C.7.1.1, C.7.2.1, C.7.2.2)
    "PatientName", "PatientID", "IssuerOfPatientID", "IssuerOfPatientIDQualifiersSequence", "TypeOfPatientID",
    "PatientBirthDate", "PatientBirthTime", "PatientSex", "OtherPatientIDsSequence", "OtherPatientNames",
    "PatientSpeciesDescription", "PatientSpeciesCodeSequence", "PatientComments", "PatientIdentityRemoved",
    "DeidentificationMethod", "DeidentificationMethodCodeSequence", "StudyInstanceUID", "StudyDate", "StudyTime",
    "ReferringPhysicianName", "StudyID", "AccessionNumber", "IssuerOfAccessionNumberSequence", "StudyDescription",
    "ProcedureCodeSequence", "PatientAge", "PatientSize", "PatientWeight",
)  # fmt: skip


def write(
    path: Path, report: Report, words: Words, source: Volume, *, segmentation: Path | None = None,
    progress: Progress | None = None,
) -> None:  # fmt: skip
    """Write the PDF of the report as one DICOM object, atomically, and compare it byte for byte with what pydicom reads
    back, with patient, study and flags. Any thread.

    `source`: the scan the report was made of; `segmentation`: a DICOM SEG with a copy of the scan beside it, for a scan
    whose own files have no study. The object says that its pages name the patient (Burned In Annotation)
    and is VERIFIED only for a report that a person signed as final, addendum or corrected. Raises OutputNotWritten,
    and what `report_pdf.render` raises.
    """
    path = Path(path)
    refuse_source(path, source)
    headers = study_headers(report, source, progress, segmentation)
    pdf = report_pdf.render(report, words)
    with refused("encapsulated PDF"):
        dataset = _dataset(report, words, headers, pdf)
    with atomic_write(path) as temporary:
        with refused("encapsulated PDF"):
            dataset.save_as(temporary, enforce_file_format=True)
        _verify(temporary, report, words, headers, pdf)


def _dataset(report: Report, words: Words, headers: Sequence[Any], pdf: bytes) -> Any:
    from pydicom.dataset import FileDataset
    from pydicom.uid import generate_uid

    uid = generate_uid(prefix=None)
    dataset = FileDataset("", {}, file_meta=_meta(uid), preamble=b"\0" * 128)
    _copy_study(dataset, headers[0])
    _set_series(dataset, report, words, headers[0])
    dataset.SOPClassUID, dataset.SOPInstanceUID = STORAGE, uid
    _set_document(dataset, report, words, headers)
    _set_file(dataset, pdf)
    dataset.SpecificCharacterSet = charset_for(headers, dataset)
    return dataset


def _meta(uid: str) -> Any:
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian

    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = STORAGE, uid
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return meta


def _copy_study(dataset: Any, header: Any) -> None:
    for name in _COPIED:
        if name in header:
            dataset[name] = header[name]


def _set_series(dataset: Any, report: Report, words: Words, header: Any) -> None:
    """Encapsulated Document Series (C.24.1), General and SC Equipment (C.7.5.1, C.8.6.1)."""
    from pydicom.uid import generate_uid

    dataset.Modality, dataset.SeriesInstanceUID = "DOC", generate_uid(prefix=None)
    dataset.SeriesNumber, dataset.SeriesDescription = series_number(header, 3), series_description(report, words)
    dataset.Manufacturer = dataset.ManufacturerModelName = MAKER
    dataset.SoftwareVersions, dataset.ConversionType = program_version(), "WSD"


def _set_document(dataset: Any, report: Report, words: Words, headers: Sequence[Any]) -> None:
    """Encapsulated Document (C.24.2)."""
    from highdicom.sr import CodedConcept
    from pydicom.dataset import Dataset

    now = datetime.now()
    dataset.InstanceNumber, dataset.AcquisitionDateTime = 1, None
    dataset.ContentDate, dataset.ContentTime = now.strftime("%Y%m%d"), now.strftime("%H%M%S")
    dataset.BurnedInAnnotation = "YES"  # the pages name the patient
    dataset.DocumentTitle = document_title(report, words)
    dataset.ConceptNameCodeSequence = [CodedConcept("18748-4", "LN", "Diagnostic Imaging Report")]
    dataset.VerificationFlag = "VERIFIED" if _is_signed(report) else "UNVERIFIED"
    items = []
    for header in headers:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = header.SOPClassUID, header.SOPInstanceUID
        items.append(item)
    dataset.SourceInstanceSequence = items


def _set_file(dataset: Any, pdf: bytes) -> None:
    """The bytes, padded to an even length, and how many of them are the PDF (CP 1851)."""
    dataset.MIMETypeOfEncapsulatedDocument = _MIME
    dataset.EncapsulatedDocumentLength = len(pdf)
    dataset.EncapsulatedDocument = pdf + b"\0" * (len(pdf) % 2)


def document_title(report: Report, words: Words) -> str:
    """What the report is about, and that it is a draft while nobody signed it."""
    title = title_text(report, words)
    return block(title if _is_signed(report) else f"{title} ({words.phrase('unverified')})", SHORT_TEXT)


def _is_signed(report: Report) -> bool:
    return is_verified(report) and signature_of(report) is not None


def _verify(path: Path, report: Report, words: Words, headers: Sequence[Any], pdf: bytes) -> None:
    import pydicom

    found = pydicom.dcmread(path)
    length = int(found.get("EncapsulatedDocumentLength") or 0)
    if bytes(found.EncapsulatedDocument)[:length] != pdf or len(found.EncapsulatedDocument) - length not in (0, 1):
        raise differs(path, "PDF")
    check_study(path, found, headers[0])
    meant = {
        "SOPClassUID": STORAGE,
        "MIMETypeOfEncapsulatedDocument": _MIME,
        "BurnedInAnnotation": "YES",
        "VerificationFlag": "VERIFIED" if _is_signed(report) else "UNVERIFIED",
        "DocumentTitle": document_title(report, words),
    }
    if any(found.get(name) != value for name, value in meant.items()):
        raise differs(path, "title or status")
