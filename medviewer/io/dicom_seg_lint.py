"""What a DICOM SEG must say and validators do not check: codes, identity, geometry, references, algorithm, marks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

import numpy as np

from medviewer.core.geometry import lps_to_voxel, spacing_of, voxel_to_lps
from medviewer.core.segmentation import Segment
from medviewer.core.volume import Volume
from medviewer.io.dicom_geometry import rounding_allowance
from medviewer.io.dicom_seg_read import group_of
from medviewer.io.dicom_seg_sources import frames_used
from medviewer.io.dicom_seg_terms import ARTIFICIAL_INTELLIGENCE, SIDES, Code, codes_of, label_of, terms_note
from medviewer.io.label_sidecar import TermMap

_SEG_STORAGE = "1.2.840.10008.5.1.4.1.1.66.4"
_PATIENT = ("PatientName", "PatientID", "PatientBirthDate", "PatientSex")
_STUDY = ("StudyInstanceUID", "StudyDate", "StudyTime", "StudyID", "AccessionNumber")
_SPACING_MM, _POSITION_MM, _DIRECTION = 1e-4, 1e-3, 1e-4
_MARK = "not verified"


def lint(
    dataset: Any, volume: Volume, segments: Sequence[Segment], sources: Sequence[Any], terms: TermMap
) -> list[str]:
    """Everything that is wrong with a SEG of `segments` on `volume` that refers to `sources`; empty if nothing is.

    Each defect is a clause that follows "in what was read back," (for instance "the study is another than the
    source's"). Sources are data sets without pixels, one per slice k or one multi-frame.
    """
    defects = list(_object(dataset))
    defects += _identity(dataset, sources)
    defects += _marks(dataset, volume, segments)
    items = dataset.get("SegmentSequence") or []
    if len(items) != len(segments):
        return [*defects, f"{len(items)} segments are described, not {len(segments)}"]
    for number, (item, segment) in enumerate(zip(items, segments, strict=True), start=1):
        defects += [f"segment {number} {what}" for what in _segment(item, number, segment, terms)]
    defects += _tracking(items)
    defects += _references(dataset, volume, sources)
    defects += _geometry(dataset, volume)
    return defects


def _object(dataset: Any) -> Iterator[str]:
    if str(dataset.get("SOPClassUID")) != _SEG_STORAGE or dataset.get("Modality") != "SEG":
        yield "the object is no Segmentation"
    if dataset.get("SegmentationType") != "BINARY":
        yield "the segmentation is not binary"
    if list(dataset.get("ImageType") or []) != ["DERIVED", "PRIMARY"]:
        yield "the image type is not DERIVED\\PRIMARY"
    for name in ("SOPInstanceUID", "SeriesInstanceUID", "ContentCreatorName", "ContentLabel", "SoftwareVersions"):
        if not dataset.get(name):
            yield f"{name} is missing"


def _identity(dataset: Any, sources: Sequence[Any]) -> Iterator[str]:
    source = _first_referenced(dataset, sources)
    for names, what in ((_PATIENT, "patient"), (_STUDY, "study")):
        for name in names:
            if _text(dataset, name) != _text(source, name):
                yield f"the {what} is another than the source's ({name})"
    for one in sources:
        if _text(dataset, "FrameOfReferenceUID") != _text(one, "FrameOfReferenceUID"):
            yield "the frame of reference is another than the source's"
            break
    if _text(dataset, "SeriesInstanceUID") in {_text(one, "SeriesInstanceUID") for one in sources}:
        yield "the series is that of the source"
    if _text(dataset, "SOPInstanceUID") in {_text(one, "SOPInstanceUID") for one in sources}:
        yield "the instance is one of the source's"


def _first_referenced(dataset: Any, sources: Sequence[Any]) -> Any:
    """The source that patient and study were taken from."""
    for series in dataset.get("ReferencedSeriesSequence") or []:
        for instance in series.get("ReferencedInstanceSequence") or []:
            uid = _text(instance, "ReferencedSOPInstanceUID")
            return next((one for one in sources if _text(one, "SOPInstanceUID") == uid), sources[0])
    return sources[0]


def _marks(dataset: Any, volume: Volume, segments: Sequence[Segment]) -> Iterator[str]:
    automatic = any(segment.provenance.algorithm != "MANUAL" for segment in segments)
    for name in ("SeriesDescription", "ContentDescription"):
        text = _text(dataset, name)
        if _MARK not in text or (automatic and not text.startswith("AI ")):
            yield f"{name} does not say that nobody verified what a program drew"
    if volume.regularisation is None:
        return
    if "resampled" not in _text(dataset, "ContentDescription"):
        yield "ContentDescription does not say that the scan was resampled"
    start = volume.regularisation.sentence.split(":")[0][:60]
    if not all(start in _text(item, "SegmentDescription") for item in dataset.get("SegmentSequence") or []):
        yield "a segment does not say that the scan was resampled"


def _segment(item: Any, number: int, segment: Segment, terms: TermMap) -> Iterator[str]:
    if item.get("SegmentNumber") != number:
        yield "has another number"
    if _text(item, "SegmentLabel") != label_of(number, segment):
        yield "has another name"
    if len(item.get("RecommendedDisplayCIELabValue") or []) != 3:
        yield "has no colour"
    if _text(item, "SegmentAlgorithmType") != segment.provenance.algorithm:
        yield f"is not marked {segment.provenance.algorithm}"
    if _MARK not in _text(item, "SegmentDescription"):
        yield "does not say that it is not verified"
    if terms_note(segment) not in _text(item, "SegmentDescription"):
        yield "does not name its model and what that may be used for"
    yield from _codes(item, segment, terms)
    if segment.provenance.algorithm != "MANUAL":
        yield from _algorithm(item)


def _codes(item: Any, segment: Segment, terms: TermMap) -> Iterator[str]:
    category, property_type = codes_of(segment, terms)
    found_type = _code(item, "SegmentedPropertyTypeCodeSequence")
    for code, found in ((category, _code(item, "SegmentedPropertyCategoryCodeSequence")), (property_type, found_type)):
        if found != code:
            yield f"is coded {_shown(found)} instead of {_shown(code)}"
        elif not _known(code):
            yield f"has the code {_shown(code)}, which is in no table"
    side = SIDES.get(segment.side or "")
    types = item.get("SegmentedPropertyTypeCodeSequence")
    modifier = _code(types[0], "SegmentedPropertyTypeModifierCodeSequence") if types else None
    if modifier != side:
        yield f"has the side {_shown(modifier)} instead of {_shown(side)}"


def _algorithm(item: Any) -> Iterator[str]:
    identification = item.get("SegmentationAlgorithmIdentificationSequence")
    if not _text(item, "SegmentAlgorithmName") or not identification:
        yield "does not name its algorithm"
        return
    first = identification[0]
    if not _text(first, "AlgorithmName") or not _text(first, "AlgorithmVersion"):
        yield "does not name its algorithm's version"
    if _code(first, "AlgorithmFamilyCodeSequence") != ARTIFICIAL_INTELLIGENCE:
        yield "does not say that its algorithm is artificial intelligence"


def _tracking(items: Sequence[Any]) -> Iterator[str]:
    uids = [_text(item, "TrackingUID") for item in items]
    if not all(uids) or not all(_text(item, "TrackingID") for item in items):
        yield "a segment cannot be tracked (id and UID)"


def _references(dataset: Any, volume: Volume, sources: Sequence[Any]) -> Iterator[str]:
    known = {_text(source, "SOPInstanceUID"): _text(source, "SOPClassUID") for source in sources}
    series = dataset.get("ReferencedSeriesSequence") or []
    if {_text(one, "SeriesInstanceUID") for one in series} != {_text(one, "SeriesInstanceUID") for one in sources}:
        yield "the referenced series is not the source"
    for one in series:
        for instance in one.get("ReferencedInstanceSequence") or []:
            if known.get(_text(instance, "ReferencedSOPInstanceUID")) != _text(instance, "ReferencedSOPClassUID"):
                yield "an instance is referenced that is not of the source"
                return
    yield from _frame_references(dataset, sources, known, volume)


def _frame_references(
    dataset: Any, sources: Sequence[Any], known: dict[str, str], volume: Volume
) -> Iterator[str]:
    """Each frame names the source image, or the frame of the source, that lies where it lies."""
    numbers = frames_used(volume, sources) if volume.affine is not None else ()
    allowed = rounding_allowance(spacing_of(volume.affine)[2]) if volume.affine is not None else 0.0
    places = {_text(source, "SOPInstanceUID"): source.get("ImagePositionPatient") for source in sources}
    shared = dataset.SharedFunctionalGroupsSequence[0]
    for own in dataset.PerFrameFunctionalGroupsSequence:
        derivation = group_of(shared, own, "DerivationImageSequence")
        images = derivation.get("SourceImageSequence") or [] if derivation is not None else []
        if not images or any(_text(image, "ReferencedSOPInstanceUID") not in known for image in images):
            yield "a frame refers to no image of the source"
            return
        plane = group_of(shared, own, "PlanePositionSequence")
        place = places[_text(images[0], "ReferencedSOPInstanceUID")]
        if plane is not None and place is not None and len(sources) > 1:
            far = np.abs(np.array(plane.ImagePositionPatient, float) - np.array(place, float)).max()
            if far > allowed:
                yield "a frame lies elsewhere than the image that it refers to"
                return
        if plane is not None and numbers and images[0].get("ReferencedFrameNumber") != numbers[_k_of(plane, volume)]:
            yield "a frame refers to another frame of the source"
            return


def _k_of(plane: Any, volume: Volume) -> int:
    assert volume.affine is not None
    k = round(float(lps_to_voxel(volume.affine, np.array(plane.ImagePositionPatient, float))[2]))
    return min(max(k, 0), volume.shape[2] - 1)


def _geometry(dataset: Any, volume: Volume) -> Iterator[str]:
    if volume.affine is None:
        return
    shared, frames = dataset.SharedFunctionalGroupsSequence[0], dataset.PerFrameFunctionalGroupsSequence
    column_step, row_step, slice_step = spacing_of(volume.affine)
    measures, orientation = (group_of(shared, frames[0], f"{n}Sequence") for n in ("PixelMeasures", "PlaneOrientation"))
    if measures is None or orientation is None:
        yield "the spacing or the orientation is missing"
        return
    spacing = np.array(measures.get("PixelSpacing") or [0, 0], float)
    if np.abs(spacing - (row_step, column_step)).max() > _SPACING_MM:
        yield "the pixel spacing is another than the scan's"
    between = measures.get("SpacingBetweenSlices")
    if volume.shape[2] > 1 and (between is None or abs(float(between) - slice_step) > _SPACING_MM):
        yield "the slice spacing is another than the scan's"
    meant = np.concatenate([volume.affine[:3, 0] / column_step, volume.affine[:3, 1] / row_step])
    if np.abs(np.array(orientation.ImageOrientationPatient, float) - meant).max() > _DIRECTION:
        yield "the orientation is another than the scan's"
    yield from _positions(frames, shared, volume)


def _positions(frames: Sequence[Any], shared: Any, volume: Volume) -> Iterator[str]:
    assert volume.affine is not None
    slices = voxel_to_lps(volume.affine, [[0, 0, k] for k in range(volume.shape[2])])
    for own in frames:
        plane = group_of(shared, own, "PlanePositionSequence")
        position = np.array(plane.ImagePositionPatient, float) if plane is not None else np.full(3, np.inf)
        if np.abs(slices - position).max(axis=1).min() > _POSITION_MM:
            yield "a frame lies on no slice of the scan"
            return


def _known(code: Code) -> bool:
    """In DICOM's own tables; or a SNOMED CT identifier that was not mistyped (its last digit is a check digit)."""
    value, scheme, _ = code
    return (scheme, value) in _table() or (scheme == "SCT" and _is_snomed(value))


@cache
def _table() -> frozenset[tuple[str, str]]:
    """(scheme, value) of every concept of PS3.16 that pydicom ships: 15,000 codes."""
    from pydicom.sr._concepts_dict import concepts

    return frozenset(
        (scheme, value) for scheme, names in concepts.items() for values in names.values() for value in values
    )


def _is_snomed(value: str) -> bool:
    """Verhoeff's check over an SCT identifier of 6 to 18 digits."""
    if not value.isascii() or not value.isdigit() or not 6 <= len(value) <= 18:
        return False
    check = 0
    for place, digit in enumerate(reversed(value)):
        turned = int(digit)
        for _ in range(place % 8):
            turned = (1, 5, 7, 6, 2, 8, 3, 0, 9, 4)[turned]
        check = _dihedral(check, turned)
    return check == 0


def _dihedral(a: int, b: int) -> int:
    """The product of two elements of the dihedral group of order 10, numbered as Verhoeff did."""
    if a < 5:
        return (a + b) % 5 if b < 5 else 5 + (a + b) % 5
    return 5 + (a - b) % 5 if b < 5 else (a - b) % 5


def _code(item: Any, name: str) -> Code | None:
    sequence = item.get(name)
    if not sequence:
        return None
    return _text(sequence[0], "CodeValue"), _text(sequence[0], "CodingSchemeDesignator"), _text(
        sequence[0], "CodeMeaning"
    )  # fmt: skip


def _shown(code: Code | None) -> str:
    return "none" if code is None else f"{code[2]} ({code[0]} {code[1]})"


def _text(dataset: Any, name: str) -> str:
    value = dataset.get(name)
    return "" if value is None else str(value)
