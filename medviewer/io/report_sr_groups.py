"""The measurement groups of a DICOM SR: one for each segment that a report rests on, with codes, numbers and places.

With a DICOM SEG a group is TID 1411 and names the segment in it; without one it is TID 1501, and its numbers name the
images and the points (LPS mm in the scan's frame of reference) that they were taken from.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from medviewer.core.geometry import lps_to_voxel
from medviewer.core.provenance import Provenance
from medviewer.core.report.document import Measurement, Report
from medviewer.core.report.wording import SIDE_OF_RESULT, capital
from medviewer.core.report.words import Words
from medviewer.core.volume import Volume
from medviewer.io.dicom_seg_terms import ARTIFICIAL_INTELLIGENCE, Code, program_version
from medviewer.io.dicom_seg_text import line
from medviewer.io.label_sidecar import TermMap
from medviewer.io.report_codes import (
    cited,
    derivation_code,
    kept,
    method_code,
    quantity_code,
    side_code,
    structure_codes,
    unit_code,
)
from medviewer.io.report_dicom import harmless

_LARGEST_UUID = 1 << 128
_SPACE = uuid.UUID("6f0c7d0e-6d0a-5b7b-9a6e-3f6a2c1d9b10")  # of uids made from ids of this program


@dataclass(frozen=True)
class Group:
    """What is said of one segment, or of several together (a distance, a difference)."""

    segment_ids: tuple[str, ...]
    term_id: str = ""
    side: str | None = None
    measurements: tuple[Measurement, ...] = ()

    @property
    def tracking_id(self) -> str:
        """As the DICOM SEG of the same segment has it."""
        return line("medviewer " + " ".join(self.segment_ids))

    @property
    def tracking_uid(self) -> str:
        """That of the DICOM SEG for one segment with an id of this program, else one made from the ids."""
        try:
            number = int(self.segment_ids[0], 16) if len(self.segment_ids) == 1 else 0
        except ValueError:
            number = 0
        return f"2.25.{number}" if 0 < number < _LARGEST_UUID else uid_of("track", *self.segment_ids)


@dataclass(frozen=True)
class Places:
    """What the content may refer to: the scan's files, and the segments of a DICOM SEG by tracking UID."""

    headers: Sequence[Any]  # in the order of k, or one multi-frame file
    volume: Volume
    seg: Any = None
    segments: Mapping[str, int] = field(default_factory=dict)

    def image_of(self, k: int | None) -> tuple[str, str, list[int] | None] | None:
        """(SOP class, SOP instance, frames) of slice k; None where the grid is not that of the files."""
        if k is None or not 0 <= k < self.volume.shape[2] or self.volume.regularisation is not None:
            return None
        frames = self.volume.source.frame_numbers
        if len(self.headers) == 1 and (frames or self.volume.shape[2] == 1):
            header = self.headers[0]
            return header.SOPClassUID, header.SOPInstanceUID, [frames[k]] if frames else None
        if len(self.headers) != self.volume.shape[2]:
            return None
        return self.headers[k].SOPClassUID, self.headers[k].SOPInstanceUID, None

    @property
    def instances(self) -> Mapping[str, str]:
        """SOP classes of the scan's files by SOP Instance UID."""
        return {str(header.SOPInstanceUID): str(header.SOPClassUID) for header in self.headers}

    @property
    def frame_of_reference(self) -> str:
        """Empty where points of this scan are no places in the patient."""
        if self.volume.affine is None or not self.volume.orientation_recorded:
            return ""
        return str(self.headers[0].get("FrameOfReferenceUID") or "")


def uid_of(*parts: str) -> str:
    """A UID that is the same for the same parts (PS3.5 B.2)."""
    return f"2.25.{uuid.uuid5(_SPACE, '|'.join(parts)).int}"


def groups_of(report: Report) -> list[Group]:
    """One group for each segment, in the order of the sentences; those of several segments after them."""
    numbers = cited(report)
    found: dict[tuple[str, ...], Group] = {}
    for finding in kept(report):
        term = finding.term_ids[0] if len(finding.term_ids) == 1 else ""
        for evidence in finding.evidence:
            if evidence.segment_id:
                found.setdefault((evidence.segment_id,), Group((evidence.segment_id,), term, finding.side))
    for measurement in numbers:
        ids = measurement.segment_ids or (measurement.id,)
        own = [m for m in numbers if (m.segment_ids or (m.id,)) == ids]
        found[ids] = Group(ids, measurement.term_id, _side(measurement), tuple(own))
    return sorted(found.values(), key=lambda group: len(group.segment_ids) > 1)


def _side(measurement: Measurement) -> str | None:
    return None if measurement.quantity in SIDE_OF_RESULT else measurement.side


def group_content(group: Group, report: Report, words: Words, terms: TermMap, places: Places) -> Any:
    """The highdicom template of a group."""
    from highdicom import sr

    number = places.segments.get(group.tracking_uid)
    values = [_measurement(m, report, words, places, bare=number is not None) for m in group.measurements]
    common: dict[str, Any] = {
        "tracking_identifier": sr.TrackingIdentifier(uid=group.tracking_uid, identifier=group.tracking_id),
        "measurements": values,
    }
    finding, site = structure_codes(group.term_id, terms)
    common["finding_type"] = concept(finding) if finding else None
    side = side_code(group.side)
    common["finding_sites"] = [sr.FindingSite(concept(site), concept(side) if side else None)] if site else None
    if number is None:
        return sr.MeasurementsAndQualitativeEvaluations(**common, source_images=_group_images(group, report, places))
    series = sr.SourceSeriesForSegmentation(places.headers[0].SeriesInstanceUID)
    series.ConceptNameCodeSequence[0].CodeMeaning = "Source series for segmentation"  # as PS3.16 spells it
    seg = places.seg
    segment = sr.ReferencedSegment(seg.SOPClassUID, seg.SOPInstanceUID, number, source_series=series)
    return sr.VolumetricROIMeasurementsAndQualitativeEvaluations(referenced_segment=segment, **common)


def _measurement(measurement: Measurement, report: Report, words: Words, places: Places, *, bare: bool) -> Any:
    """A NUM with method, derivation, its name in the report's language, range and, unless `bare`, its places."""
    from highdicom import sr

    method, derivation = method_code(measurement, words), derivation_code(measurement)
    points = None if bare else _points(measurement, places)
    content = sr.Measurement(
        concept(quantity_code(measurement, words, report.identity.modality)),
        float(measurement.value or 0.0),
        concept(unit_code(measurement)),
        method=concept(method) if method else None,
        derivation=concept(derivation) if derivation else None,
        referenced_images=None if bare or points else _images(measurement, places),  # one of both (TID 320)
        referenced_coordinates=points,
    )
    for code, text, relation in texts_of(measurement, words):
        content[0].ContentSequence.append(sr.TextContentItem(concept(code), text, relation))
    return content


def texts_of(measurement: Measurement, words: Words) -> Iterator[tuple[Code, str, str]]:
    """What stands beside a number: its meaning in the report's language with the whole method and the notes, and the
    reference range (TID 300 rows 8 and 16)."""
    structure = capital(words.named("structures", measurement.term_id)) if measurement.term_id else ""
    side = words.named("sides", measurement.side) if measurement.side else ""
    name = ", ".join(p for p in (structure, side, words.named("quantities", measurement.quantity)) if p)
    told = [name, words.translated(measurement.method), *(words.translated(flag) for flag in measurement.flags)]
    meaning = harmless("; ".join(part for part in told if part))
    yield ("121050", "DCM", "Equivalent Meaning of Concept Name"), meaning, "HAS CONCEPT MOD"
    if harmless(measurement.range_text):
        yield ("121407", "DCM", "Normal Range description"), harmless(measurement.range_text), "HAS PROPERTIES"


def _images(measurement: Measurement, places: Places) -> list[Any] | None:
    from highdicom import sr

    found = places.image_of(measurement.slice_index)
    return [sr.SourceImageForMeasurement(*found)] if found else None


def _group_images(group: Group, report: Report, places: Places) -> list[Any] | None:
    """The slices that the numbers of a group were taken from, each once; of numbers made from whole masks (a difference
    of two sides) those that show these masks: a group without any image is read as TID 1411."""
    from highdicom import sr

    slices = dict.fromkeys(m.slice_index for m in group.measurements if m.slice_index is not None)
    if not slices:
        slices = dict.fromkeys(_slices_shown(set(group.segment_ids), report, places.volume))
    found = [image for image in map(places.image_of, slices) if image]
    return [sr.SourceImageForMeasurementGroup(*image) for image in found] or None


def _slices_shown(segment_ids: Set[str], report: Report, volume: Volume) -> Iterator[int]:
    """Where the sentences about these masks point at."""
    for evidence in (e for finding in kept(report) for e in finding.evidence if e.segment_id in segment_ids):
        if evidence.slice_index is not None:
            yield evidence.slice_index
        elif evidence.position is not None and evidence.in_patient and volume.affine is not None:
            yield round(float(lps_to_voxel(volume.affine, np.array(evidence.position))[2]))


def _points(measurement: Measurement, places: Places) -> list[Any] | None:
    from highdicom import sr

    points = np.array(measurement.points, float).reshape(-1, 3)
    if not places.frame_of_reference or not len(points) or not np.isfinite(points).all():
        return None
    kind = {1: "POINT", 2: "POLYLINE"}.get(len(points), "MULTIPOINT")
    return [sr.CoordinatesForMeasurement3D(kind, points, places.frame_of_reference)]


def models_of(report: Report) -> list[Provenance]:
    """The models that took part, each once."""
    found: dict[tuple[str, str, str], Provenance] = {}
    for one in report.provenance:
        if harmless(one.model_id):
            found.setdefault((one.model_id, one.model_version, one.weights_sha256), one)
    return list(found.values())


def algorithm(report: Report) -> list[Any]:
    """The model (TID 4019) where there is only one: a report does not record which of several drew a segment."""
    from highdicom import sr

    models = models_of(report)
    if len(models) != 1:
        return []
    told = {"weights_sha256": models[0].weights_sha256, "licence": models[0].licence}
    found = sr.AlgorithmIdentification(
        name=harmless(models[0].model_id),
        version=harmless(models[0].model_version or models[0].program_version) or program_version(),
        parameters=[f"{key}={harmless(text)}" for key, text in told.items() if text] or None,
        family=concept(ARTIFICIAL_INTELLIGENCE),
    )
    return list(found)


def concept(code: Code) -> Any:
    """A code as highdicom takes it."""
    from highdicom.sr import CodedConcept

    return CodedConcept(*code)
