"""A report as DICOM SR: Comprehensive 3D SR (PS3.3 A.35.13) after TID 1500 "Measurement Report", through highdicom.

It goes into the study of the scan. Numbers stand in a measurement group for each segment (`report_sr_groups`),
sentences as texts under "Qualitative Evaluations" (`report_sr_text`), each inferred from the tracking UIDs of the
groups it rests on and from the images that its key images show. It is VERIFIED only with the person who signed the
report as final, addendum or corrected; the name was typed and is no electronic signature, which a text says.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from medviewer.core.errors import OutputNotWritten
from medviewer.core.progress import Progress
from medviewer.core.provenance import Provenance
from medviewer.core.report.document import Report
from medviewer.core.report.words import Words
from medviewer.core.volume import Volume
from medviewer.io.atomic import atomic_write
from medviewer.io.dicom_seg_terms import Code, program_version
from medviewer.io.dicom_seg_text import UTF_8, charset_for, line
from medviewer.io.label_sidecar import TermMap
from medviewer.io.report_codes import OWN_SCHEME, modality_code, procedure_code
from medviewer.io.report_dicom import (
    MAKER,
    harmless,
    person_name,
    refuse_source,
    refused,
    series_description,
    series_number,
    signature_of,
    signed_at,
    study_headers,
)
from medviewer.io.report_layout import is_verified
from medviewer.io.report_sr_check import contribution, verify
from medviewer.io.report_sr_groups import Places, algorithm, concept, group_content, groups_of, models_of, uid_of
from medviewer.io.report_sr_text import Said, sentences

_LANGUAGES: dict[str, Code] = {"en": ("en", "RFC5646", "English"), "de": ("de", "RFC5646", "German")}
_QUALITATIVE: Code = ("C0034375", "UMLS", "Qualitative Evaluations")
TRACKING_UID: Code = ("112040", "DCM", "Tracking Unique Identifier")
OF_INTEREST: Code = ("113000", "DCM", "Of Interest")
_SR_CLASSES = ("1.2.840.10008.5.1.4.1.1.88.",)
_SEG_STORAGE = "1.2.840.10008.5.1.4.1.1.66.4"


def write(
    path: Path, report: Report, words: Words, source: Volume, *, terms: TermMap | None = None,
    segmentation: Path | None = None, predecessor: Path | None = None, progress: Progress | None = None,
) -> None:  # fmt: skip
    """Write one SR atomically: read back by pydicom alone and compared (numbers, units, sentences, flags, study) before
    it takes its name. Any thread.

    `source`: the scan the report was made of; patient and study are those of its files, or of the copy beside
    `segmentation` where the files have none. `terms`: the terminology's codes by term id. `segmentation`: a DICOM SEG
    of this study; segments are found in it by their tracking UID, others keep references to images. `predecessor`: the
    SR of the version before. Raises OutputNotWritten.
    """
    path = Path(path)
    refuse_source(path, source)
    headers = study_headers(report, source, progress, segmentation)
    places = _places(headers, report, source, segmentation)
    with refused("DICOM SR"):
        document = _document(report, words, terms or {}, places, _earlier(predecessor, headers[0]))
    with atomic_write(path) as temporary:
        with refused("DICOM SR"):
            document.save_as(temporary, enforce_file_format=True)
        verify(temporary, report, words, terms or {}, places)


def _document(report: Report, words: Words, terms: TermMap, places: Places, earlier: list[Any]) -> Any:
    import highdicom

    signature = signature_of(report) if is_verified(report) else None
    evidence = [_with_one_name(places.headers[0]), *places.headers[1:], *([places.seg] if places.segments else [])]
    document = highdicom.sr.Comprehensive3DSR(
        evidence=evidence,
        content=_root(report, words, terms, places),
        series_instance_uid=highdicom.UID(),
        series_number=series_number(places.headers[0], 2),
        sop_instance_uid=highdicom.UID(),
        instance_number=1,
        manufacturer=MAKER,
        manufacturer_model_name=MAKER,
        software_versions=program_version(),
        device_serial_number="0",  # a program has none
        is_complete=report.status != "draft",
        is_final=signature is not None,
        is_verified=signature is not None,
        verifying_observer_name=person_name(signature.name) if signature else None,
        verifying_organization=words.named("origins", "unknown") if signature else None,  # may not be empty
        previous_versions=earlier or None,
        series_description=series_description(report, words),
        specific_character_set=UTF_8,
    )
    document["PatientName"] = places.headers[0]["PatientName"]
    if signature is not None:
        document.VerifyingObserverSequence[0].VerificationDateTime = signed_at(signature).strftime("%Y%m%d%H%M%S+0000")
    document.ContributingEquipmentSequence = [*map(_equipment, models_of(report))] or None
    if not document.ContributingEquipmentSequence:
        del document.ContributingEquipmentSequence
    document.CodingSchemeIdentificationSequence = [_own_scheme()]
    document.SpecificCharacterSet = charset_for(places.headers, document)
    return document


def _with_one_name(header: Any) -> Any:
    """The header without its patient's name, which some files hold twice and highdicom then refuses; it is put back."""
    from pydicom.dataset import Dataset

    copy = Dataset()
    copy.update(header)
    copy.add_new("PatientName", "PN", None)  # a new element: the old one is the header's, too
    return copy


# -- the tree ------------------------------------------------------------------------------
def _root(report: Report, words: Words, terms: TermMap, places: Places) -> Any:
    from highdicom import sr

    root = sr.ContainerContentItem(concept(("126000", "DCM", "Imaging Measurement Report")), template_id="1500")
    content = sr.ContentSequence()
    content.extend(sr.LanguageOfContentItemAndDescendants(concept(_LANGUAGES[report.language])))
    for observer in _observers(report):
        content.extend(observer)
    procedure = concept(procedure_code(str(places.headers[0].get("Modality") or "")))
    content.append(sr.CodeContentItem(concept(("121058", "DCM", "Procedure reported")), procedure, "HAS CONCEPT MOD"))
    content.append(_library(places))
    groups = [group_content(group, report, words, terms, places) for group in groups_of(report)]
    if groups:
        members = [*algorithm(report), *(item for one in groups for item in one)]
        content.append(_container(("126010", "DCM", "Imaging Measurements"), members))
    instances = places.instances
    texts = [_text(said, instances) for said in sentences(report, words, instances)]
    content.append(_container(_QUALITATIVE, texts))
    root.ContentSequence = content
    return root


def _text(said: Said, instances: Mapping[str, str]) -> Any:
    """A text, inferred from the structures (the tracking UIDs of their groups) and the images that it rests on.

    By value: the IOD allows references to content items, too (PS3.3 A.35.13.3.1.2), but common readers refuse them.
    """
    from highdicom import sr

    item = sr.TextContentItem(concept(said.code), said.text, "CONTAINS")
    links = [sr.UIDRefContentItem(concept(TRACKING_UID), uid, "INFERRED FROM") for uid in said.structures]
    links += [
        sr.ImageContentItem(concept(OF_INTEREST), instances[uid], uid, relationship_type="INFERRED FROM")
        for uid in said.images
    ]
    if links:
        item.ContentSequence = sr.ContentSequence(links)
    return item


def _container(name: Code, items: list[Any]) -> Any:
    from highdicom import sr

    container = sr.ContainerContentItem(concept(name), is_content_continuous=False, relationship_type="CONTAINS")
    container.ContentSequence = sr.ContentSequence(items)
    return container


def _library(places: Places) -> Any:
    """Every image that was looked at (TID 1600)."""
    from highdicom import sr

    source = concept(("260753009", "SCT", "Source"))
    images = [
        sr.ImageContentItem(source, header.SOPClassUID, header.SOPInstanceUID, relationship_type="CONTAINS")
        for header in places.headers
    ]
    modality = concept(modality_code(str(places.headers[0].get("Modality") or "")))
    what = sr.CodeContentItem(concept(("121139", "DCM", "Modality")), modality, "HAS ACQ CONTEXT")
    group = _container(("126200", "DCM", "Image Library Group"), [what, *images])
    return _container(("111028", "DCM", "Image Library"), [group])


def _observers(report: Report) -> list[Any]:
    """Who signed, and the device (TID 1002): the model, or the program where none or several took part. All models
    stand in Contributing Equipment Sequence; validators take one device only."""
    from highdicom import sr
    from pydicom.sr.codedict import codes

    signature = signature_of(report)
    found = []
    if signature is not None:
        person = sr.PersonObserverIdentifyingAttributes(name=person_name(signature.name))
        found.append(sr.ObserverContext(codes.DCM.Person, person))
    models = models_of(report)
    device = _device(models[0]) if len(models) == 1 else _program()
    return [*found, sr.ObserverContext(codes.DCM.Device, device)]


def _device(model: Provenance) -> Any:
    """The weights' hash stands as the serial number: it tells one trained network from every other."""
    from highdicom import sr

    return sr.DeviceObserverIdentifyingAttributes(
        uid=uid_of("model", model.model_id, model.model_version, model.weights_sha256),
        name=harmless(model.model_text),
        model_name=harmless(model.model_text),
        serial_number=f"sha256:{harmless(model.weights_sha256)}" if model.weights_sha256 else None,
    )


def _program() -> Any:
    from highdicom import sr

    version = program_version()
    return sr.DeviceObserverIdentifyingAttributes(
        uid=uid_of("program", version), name=f"{MAKER} {version}", manufacturer_name=MAKER, model_name=MAKER
    )


def _equipment(model: Provenance) -> Any:
    from pydicom.dataset import Dataset

    item = Dataset()
    item.PurposeOfReferenceCodeSequence = [concept(("109102", "DCM", "Processing Equipment"))]
    item.Manufacturer = "not stated"  # may not be empty, and a bundle does not tell who trained it
    item.ManufacturerModelName = line(model.model_text)
    item.SoftwareVersions = line(model.model_version or model.program_version) or program_version()
    item.ContributionDescription = contribution(model)
    return item


def _own_scheme() -> Any:
    from pydicom.dataset import Dataset

    item = Dataset()
    item.CodingSchemeDesignator = OWN_SCHEME
    item.CodingSchemeName = "Quantities, methods and headings of medviewer"
    item.CodingSchemeResponsibleOrganization = MAKER
    return item


# -- references ------------------------------------------------------------------------------
def _places(headers: list[Any], report: Report, source: Volume, segmentation: Path | None) -> Places:
    if segmentation is None:
        return Places(headers, source)
    seg = _read(segmentation)
    if str(seg.get("SOPClassUID")) != _SEG_STORAGE or not seg.get("SegmentSequence"):
        raise OutputNotWritten(f"{segmentation.name} is no DICOM SEG.", "Name the .dcm file of the masks.")
    if seg.get("StudyInstanceUID") != headers[0].StudyInstanceUID:
        raise OutputNotWritten(
            f"{segmentation.name} belongs to another study than this scan.", "Save the masks of this scan as .dcm."
        )
    known = {str(item.get("TrackingUID")): int(item.SegmentNumber) for item in seg.SegmentSequence}
    groups = groups_of(report)
    if groups and not any(group.tracking_uid in known for group in groups):
        raise OutputNotWritten(
            f"{segmentation.name} holds none of the structures of this report.", "Save the masks again as .dcm."
        )
    return Places(headers, source, seg, known)


def _earlier(path: Path | None, header: Any) -> list[Any]:
    if path is None:
        return []
    found = _read(path)
    if not str(found.get("SOPClassUID")).startswith(_SR_CLASSES):
        raise OutputNotWritten(f"{path.name} is no DICOM SR.", "Name the .dcm file of the version before.")
    if found.get("StudyInstanceUID") != header.StudyInstanceUID:
        raise OutputNotWritten(f"{path.name} belongs to another study.", "Name the version before of this report.")
    return [found]


def _read(path: Path) -> Any:
    import pydicom
    from pydicom.errors import InvalidDicomError

    try:
        return pydicom.dcmread(path, stop_before_pixels=True)
    except (OSError, InvalidDicomError) as error:
        raise OutputNotWritten(f"{path} cannot be read as DICOM.", "Check the name and the drive.") from error
