"""A draft from what was measured: every sentence is computed, and points at the mask and the number it came from.

Nothing is concluded: a structure without a mask is "not assessed by the program", the impression stays empty.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from medviewer.core.geometry import voxel_to_lps
from medviewer.core.mask_patch import Mask, bounding_box
from medviewer.core.measure.facts import examination_of
from medviewer.core.plain_text import one_line
from medviewer.core.prediction import Prediction
from medviewer.core.provenance import Provenance
from medviewer.core.report.document import Evidence, Finding, Identity, Measurement, Point, Report, Section
from medviewer.core.report.draft_limits import limits_of
from medviewer.core.report.grouping import grouped, with_percentiles
from medviewer.core.report.template import OTHER, RELATIONS, UNLISTED, Template
from medviewer.core.report.wording import (
    ABOVE,
    BELOW,
    INCOMPLETE,
    SIDE_OF_RESULT,
    UP_DOWN,
    cut_text,
    fact_text,
    image_place,
    is_by_hand,
    listed,
    pattern_of,
    sentences_of,
    structure_name,
    technique_text,
)
from medviewer.core.report.words import Words
from medviewer.core.segmentation import Segment
from medviewer.core.terminology import Term, Terminology
from medviewer.core.volume import Fact, Volume

HELPERS = ("body",)  # masks that other masks are measured against; a sentence that they are there says nothing
BELOW_THRESHOLD = "below threshold"
NOT_ALLOWED = "not_allowed"  # by the table of allowed measurements
CUT = "cut_by_edge"  # the reason of a number that a mask lacks at the edge of the scan
UNENHANCED = ("liver_minus_spleen", "parenchyma_mean")  # say something without contrast medium only
# the quantity does not exist for this structure or kind of scan
_UNFIT = (NOT_ALLOWED, "two_dimensional", "single_slice", "not_flat")
# name of the report's fact: name of the scan's
FACTS = {
    "projection": "view_position", "position": "body_position", "contrast": "contrast_agent", "phase": "contrast_phase",
    "weighting": "weighting", "age": "patient_age", "slice_thickness_mm": "slice_thickness_mm",
    "body_part": "body_part", "date": "acquisition_date",
}  # fmt: skip
_ALSO = {"view_position": "projection", "body_position": "position", "contrast_phase": "phase"}  # what a user states


@dataclass(frozen=True, eq=False)
class DraftSource:
    """Everything a draft is made of. `answers`: what the model said to prompts, found or not. `prior`: the comparison
    in words, empty where there is no prior. `accepted`: ids of masks below the threshold that a person accepted.
    `sides_doubtful`: left and right may be flipped and nobody confirmed them. `created`: ISO 8601, UTC. `notes`:
    further lines for the limitations, in the language of the words. `changes` and `change_numbers`: what a comparison
    with a prior says of usable masks."""

    template: Template
    words: Words
    terminology: Terminology
    volume: Volume
    segments: tuple[Segment, ...] = ()
    measurements: tuple[Measurement, ...] = ()
    answers: tuple[Prediction, ...] = ()
    indication: str = ""
    prior: str = ""
    accepted: frozenset[str] = frozenset()
    sides_doubtful: bool = False
    created: str = ""
    notes: tuple[str, ...] = ()
    changes: tuple[Finding, ...] = ()
    change_numbers: tuple[Measurement, ...] = ()
    places: dict[str, _Place] = field(default_factory=dict, repr=False)  # of segments, computed once

    def term(self, term_id: str | None) -> Term | None:
        return self.terminology.get(term_id) if term_id in self.terminology and term_id else None

    def usable(self, segment: Segment) -> bool:
        """Whether sentences may rest on this mask."""
        if BELOW_THRESHOLD in segment.provenance.tags and segment.id not in self.accepted:
            return False
        return not (self.sides_doubtful and segment.side)


def draft_report(source: DraftSource) -> Report:
    """The draft. Measurements of masks that may not be used are left out and named under the limitations."""
    words, template, volume = source.words, source.template, source.volume
    usable = tuple(s for s in source.segments if source.usable(s))
    identity = identity_of(volume)
    measurements = tuple(_checked(m, usable) for m in source.measurements if _rests_on(m, usable, source))
    return Report(
        template.key, words.language, identity,
        technique=technique_text(scan_facts(volume), template, words),
        indication=source.indication.strip(),
        comparison=source.prior.strip() or words.phrase("no_prior"),
        limitations=limits_of(source),
        sections=_sections(source, usable, measurements, identity.sex),
        measurements=(*measurements, *source.change_numbers),
        provenance=_origins(usable),
        created=source.created,
        facts=report_facts(volume, template.titles[words.language]),
    )  # fmt: skip


def identity_of(volume: Volume) -> Identity:
    """Patient and study as the scan records them, as harmless single lines."""
    patient, facts = volume.patient, volume.facts

    def text(name: str) -> str:
        fact = facts.get(name)
        return one_line(str(fact.value)) if fact is not None and fact.value is not None else ""

    return Identity(
        one_line(patient.name), one_line(patient.id), one_line(patient.birth_date), one_line(patient.sex),
        one_line(patient.study_date), text("study_instance_uid"), text("accession_number"),
        text("series_description"), volume.modality or "",
    )  # fmt: skip


def scan_facts(volume: Volume) -> Mapping[str, Fact]:
    """The scan's own facts and those of its grid."""
    facts = dict(volume.facts)
    facts |= {name: facts[other] for name, other in _ALSO.items() if other in facts and _is_unknown(facts.get(name))}
    origin: Fact | None = facts.get("pixel_spacing")
    from_dicom = volume.source.format == "dicom"
    if volume.modality and ("modality" not in facts or facts["modality"].value is None):
        facts["modality"] = Fact(volume.modality, "DICOM" if from_dicom else "estimated")
    if volume.spacing_mm is not None:
        steps = [step for step in volume.spacing_mm if step > 0]
        stated = origin.origin if origin is not None else "DICOM" if from_dicom else "file header"
        name = "voxel_size" if len(steps) == 3 and volume.kind == "volume" else "pixel_size"
        shown = steps if name == "voxel_size" else steps[:2]
        text = " x ".join(f"{step:.2f}" for step in shown)
        facts[name] = Fact(f"{text} {volume.spacing_note}".strip(), stated)
    if volume.kind == "volume" and len(volume.source.instance_numbers) > 1:
        facts["images"] = Fact(len(volume.source.instance_numbers), "DICOM")
    return facts


def report_facts(volume: Volume, title: str) -> dict[str, str]:
    """What rules depend on, each with its origin ("PA (DICOM)") or "unknown", in the same words in every language; and
    the template's title under "examination"."""
    facts = scan_facts(volume)
    return {"examination": title, **{name: fact_text(facts.get(known)) for name, known in FACTS.items()}}


def _is_unknown(fact: Fact | None) -> bool:
    return fact is None or fact.value is None


# -- sections ------------------------------------------------------------------------
def _sections(
    source: DraftSource, usable: tuple[Segment, ...], measurements: Iterable[Measurement], sex: str
) -> tuple[Section, ...]:
    """The headings of the template in their order; "other" only where something stands under it."""
    findings: dict[str, list[Finding]] = {}
    headings = source.template.headings_for(sex)
    keys = {heading.key for heading in headings}
    for finding in (*_findings(source, usable, tuple(measurements)), *source.changes):
        heading = finding.heading if finding.heading in keys else OTHER
        findings.setdefault(heading, []).append(finding.with_changes(heading=heading))
    sections = [
        Section(h.key, h.titles[source.words.language], tuple(findings.get(h.key, ())), h.key not in findings)
        for h in headings
        if h.key != OTHER or h.key in findings
    ]
    return tuple(s for n, s in enumerate(sections) if s.findings or not _is_repeated(s, sections[:n], sections[n:]))


def _is_repeated(section: Section, before: Iterable[Section], after: Iterable[Section]) -> bool:
    """Whether an empty heading stands again with the same title: both sexes' headings where the sex is not recorded."""
    filled = any(other.title == section.title and other.findings for other in after)
    return filled or any(other.title == section.title for other in before)


def _findings(source: DraftSource, usable: tuple[Segment, ...], measurements: tuple[Measurement, ...]) -> list[Finding]:
    """All sentences in the order of the template's structures, sides and quantities."""
    segments = {segment.id: segment for segment in usable}
    written = [m for m in measurements if _is_written(source, m, _term_of(m, segments))]
    written.sort(key=lambda m: _order(source, m, segments))
    told = {id_ for m in written for id_ in m.segment_ids if id_ in segments and _is_subject(m, segments[id_])}
    groups = grouped(written)
    told_cut = {group[0].segment_ids[0] for group in groups if _is_cut(group[0]) and group[0].segment_ids}
    pairs = []
    for group in groups:
        place = _order(source, group[0], segments)
        if _is_cut(group[0]):  # before what else is said of the mask
            pairs.append(((*place[:2], -1), _cut(source, group, segments)))
        else:
            whole = with_percentiles(group, measurements)
            pairs.append((place, _measured(source, whole, segments, told_cut)))
    pairs += [
        (_order_of(source, s.term_id, s.side, ""), _outlined(source, s))
        for s in usable
        if s.id not in told and s.term_id not in HELPERS
    ]
    return [finding for _, finding in sorted(pairs, key=lambda pair: pair[0])]


def _quantities(source: DraftSource, term_id: str) -> tuple[str, ...]:
    """What is written of a structure."""
    rule = source.template.terms.get(term_id)
    return (*(rule.quantities if rule else UNLISTED), *RELATIONS, UP_DOWN)


def _is_cut(measurement: Measurement) -> bool:
    return measurement.value is None and measurement.reason == CUT


def _is_subject(measurement: Measurement, segment: Segment) -> bool:
    """Whether a sentence about the measurement is one about this mask: the lungs of a cardiothoracic ratio are not."""
    return not measurement.term_id or segment.term_id == measurement.term_id


def _is_written(source: DraftSource, measurement: Measurement, term_id: str) -> bool:
    """What the template asks for. That something could not be measured is told only where the template asks for it;
    what may not be measured at all is not told, and neither is what tells a reader nothing: an area in pixels, and
    after contrast medium the means that serve the rule for unenhanced scans."""
    if is_by_hand(measurement):
        return True
    if measurement.quantity not in _quantities(source, term_id) or measurement.reason in _UNFIT:
        return False
    if measurement.quantity == "area" and measurement.unit == "px":
        return False
    if measurement.quantity in UNENHANCED and examination_of(source.volume).contrast == "enhanced":
        return False
    if _is_equal(measurement) or (_is_cut(measurement) and len(measurement.segment_ids) > 1):
        return False
    return measurement.value is not None or term_id in source.template.terms


def _is_equal(measurement: Measurement) -> bool:
    """A difference of two sides of which neither is the larger one: the table holds it, no sentence names a side."""
    of_sides = measurement.quantity in ("length_difference", "asymmetry_index")
    return of_sides and measurement.value is not None and measurement.side is None


def _term_of(measurement: Measurement, segments: Mapping[str, Segment]) -> str:
    found = (segments[id_].term_id for id_ in measurement.segment_ids if id_ in segments)
    return measurement.term_id or next((id_ for id_ in found if id_), "")


def _order(source: DraftSource, measurement: Measurement, segments: Mapping[str, Segment]) -> tuple[int, int, int]:
    masks = [segments[id_] for id_ in measurement.segment_ids if id_ in segments]
    side = _side_of(source, measurement, masks)
    return _order_of(source, _term_of(measurement, segments), side, measurement.quantity)


def _side_of(source: DraftSource, measurement: Measurement, masks: Sequence[Segment]) -> str | None:
    """The side of the structure. Where the sentence says a side itself (which of two is longer), the measurement's side
    is that one, and not the structure's."""
    pattern = pattern_of(measurement.quantity, source.words, source.template)
    of_masks = {mask.side for mask in masks}
    own = of_masks.pop() if len(of_masks) == 1 else None
    said = "{side}" in pattern or measurement.quantity in SIDE_OF_RESULT
    return own if said else measurement.side or own


def _order_of(source: DraftSource, term_id: str | None, side: str | None, quantity: str) -> tuple[int, int, int]:
    terms, quantities = list(source.template.terms), _quantities(source, term_id or "")
    place = terms.index(term_id) if term_id in source.template.terms and term_id else len(terms)
    at = quantities.index(quantity) if quantity in quantities else len(quantities)
    return place, {"right": 0, "left": 1}.get(side or "", 2), at


def _measured(
    source: DraftSource, group: Sequence[Measurement], segments: Mapping[str, Segment], told_cut: Collection[str]
) -> Finding:
    """The sentence of numbers that belong together. `told_cut`: masks that have a sentence of their own about the edge
    that cuts them."""
    first = group[0]
    masks = [segments[id_] for id_ in first.segment_ids if id_ in segments]
    term_id, side = _term_of(first, segments), _side_of(source, first, masks)
    fallback = masks[0].name if masks else source.words.phrase("place")
    name = structure_name(source.term(term_id), fallback, side, source.words, source.template)
    edges = tuple(dict.fromkeys(edge for mask in masks if mask.id not in told_cut for edge in mask.cut_edges))
    other = _name_of(source, masks[1]) if len(masks) > 1 else ""
    text = sentences_of(group, name, source.words, source.template, edges, other)
    slices = list({m.slice_index for m in group if m.slice_index is not None})
    place = image_place(source.volume, slices[0] if len(slices) == 1 else None, source.words)
    numbers = (_number_evidence(source, m) for m in group)
    return Finding(
        f"{text} {place}".strip(), source.template.heading_of(term_id),
        (*(_segment_evidence(source, mask, first.id) for mask in masks), *numbers),
        term_ids=(term_id,) if term_id else (), side=side,
    )  # fmt: skip


def _cut(source: DraftSource, group: Sequence[Measurement], segments: Mapping[str, Segment]) -> Finding:
    """One sentence for all that a mask lacks because the edge of the scan cuts it."""
    words, first = source.words, group[0]
    mask = segments[first.segment_ids[0]]
    name = structure_name(source.term(mask.term_id), mask.name, first.side or mask.side, words, source.template)
    missing = listed((words.named("quantities", m.quantity) for m in group), words)
    edges = listed((words.named("edges", edge) for edge in mask.cut_edges), words)
    text = words.phrase("cut" if edges else "cut_flag", structure=name, edges=edges, list=missing)
    evidence = (_segment_evidence(source, mask, first.id), *(_number_evidence(source, m) for m in group))
    terms = (mask.term_id,) if mask.term_id else ()
    return Finding(
        text, source.template.heading_of(mask.term_id), evidence, term_ids=terms, side=first.side or mask.side
    )


def _outlined(source: DraftSource, segment: Segment) -> Finding:
    """A mask of which nothing is written but that it is there, and whether the scan cuts it."""
    words = source.words
    told = words.phrase("outlined", structure=_name_of(source, segment))
    text = f"{told} {cut_text(segment.cut_edges, (), words)}".strip()
    evidence = (_segment_evidence(source, segment, ""),)
    terms = (segment.term_id,) if segment.term_id else ()
    return Finding(text, source.template.heading_of(segment.term_id), evidence, term_ids=terms, side=segment.side)


def _name_of(source: DraftSource, segment: Segment) -> str:
    term = source.term(segment.term_id)
    return structure_name(term, segment.name, segment.side, source.words, source.template)


def _rests_on(measurement: Measurement, usable: tuple[Segment, ...], source: DraftSource) -> bool:
    """A measurement by hand (of no mask) counts; of masks, only where all of them may be used."""
    known = {segment.id for segment in usable}
    doubtful = source.sides_doubtful and measurement.side is not None
    return not doubtful and all(id_ in known for id_ in measurement.segment_ids)


def _checked(measurement: Measurement, segments: Iterable[Segment]) -> Measurement:
    """A number of a mask that the scan cuts is incomplete: no reference range applies to it."""
    cut = any(segment.incomplete for segment in segments if segment.id in measurement.segment_ids)
    if not cut and INCOMPLETE not in measurement.flags:
        return measurement
    flags = tuple(flag for flag in measurement.flags if flag not in (INCOMPLETE, ABOVE, BELOW))
    return replace(measurement, flags=(INCOMPLETE, *flags), range_text="")


# -- evidence --------------------------------------------------------------------------
@dataclass(frozen=True)
class _Place:
    position: Point
    box: tuple[Point, Point]


def _segment_evidence(source: DraftSource, segment: Segment, measurement_id: str) -> Evidence:
    if segment.id not in source.places:
        source.places[segment.id] = place_of(segment.mask, source.volume)
    place = source.places[segment.id]
    return Evidence(
        "segment", segment.id, measurement_id, place.position, source.volume.affine is not None, place.box,
        segment.frame, source.volume.id,
    )  # fmt: skip


def _number_evidence(source: DraftSource, measurement: Measurement) -> Evidence:
    points = measurement.points
    middle = tuple(float(np.mean([p[axis] for p in points])) for axis in range(3)) if points else None
    position = (middle[0], middle[1], middle[2]) if middle else None
    one = measurement.segment_ids[0] if len(measurement.segment_ids) == 1 else ""
    return Evidence(
        "measurement", one, measurement.id, position, source.volume.affine is not None, None, measurement.slice_index,
        source.volume.id,
    )  # fmt: skip


def place_of(mask: Mask, volume: Volume) -> _Place:
    """Where views jump to for a mask: its voxel nearest to its centre, and its box; LPS mm, or voxel indices where the
    scan has no place in the patient."""
    box = bounding_box(mask)
    if box is None:
        middle = _point(volume, [n / 2 for n in mask.shape])
        return _Place(middle, (middle, middle))
    inside = np.argwhere(mask[box])
    nearest = inside[int(np.argmin(((inside - inside.mean(axis=0)) ** 2).sum(axis=1)))]
    starts, stops = [span.start for span in box], [span.stop - 1 for span in box]
    corners = (_point(volume, starts), _point(volume, stops))
    return _Place(_point(volume, [a + int(b) for a, b in zip(starts, nearest, strict=True)]), corners)


def _point(volume: Volume, index: list[float] | list[int]) -> Point:
    point = np.asarray(index, float) if volume.affine is None else voxel_to_lps(volume.affine, index)
    return float(point[0]), float(point[1]), float(point[2])


def _origins(segments: Iterable[Segment]) -> tuple[Provenance, ...]:
    """The origin of every mask used, each once."""
    found: list[Provenance] = []
    for segment in segments:
        if segment.provenance not in found:
            found.append(segment.provenance)
    return tuple(found)
