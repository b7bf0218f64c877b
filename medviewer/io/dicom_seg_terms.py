"""How a segment is described in DICOM SEG: codes, algorithm, tracking, colour."""

from __future__ import annotations

import warnings as python_warnings
from collections.abc import Sequence
from typing import Any

from medviewer.core.provenance import Provenance
from medviewer.core.segmentation import Segment
from medviewer.core.volume import Volume
from medviewer.io.dicom_seg_text import LONG_TEXT, block, line
from medviewer.io.export_notes import licence_note
from medviewer.io.label_sidecar import CodeLike, TermMap

AI_MARK = "AI segmentation, not verified"
HAND_MARK = "Segmentation drawn by hand, not verified"
Code = tuple[str, str, str]  # value, scheme, meaning
TISSUE: Code = ("85756007", "SCT", "Tissue")
SIDES: dict[str, Code] = {"left": ("7771000", "SCT", "Left"), "right": ("24028007", "SCT", "Right")}
ARTIFICIAL_INTELLIGENCE: Code = ("123110", "DCM", "Artificial Intelligence")
_LONGEST_PARAMETER = 4000  # bytes of one algorithm parameter: a prompt of 2,000 characters fits
_LONGEST_TERMS = 400  # bytes of what a model's weights may be used for
_LARGEST_UUID = 1 << 128


def describe(number: int, segment: Segment, terms: TermMap) -> Any:
    """A highdicom SegmentDescription with SNOMED CT codes, laterality, algorithm identification and tracking ids."""
    from highdicom.color import CIELabColor
    from highdicom.seg import SegmentDescription

    category, property_type = codes_of(segment, terms)
    with python_warnings.catch_warnings():
        python_warnings.simplefilter("ignore")
        description = SegmentDescription(
            segment_number=number,
            segment_label=label_of(number, segment),
            segmented_property_category=_concept(category),
            segmented_property_type=_concept(property_type),
            algorithm_type=segment.provenance.algorithm,
            algorithm_identification=_algorithm(segment.provenance),
            tracking_uid=_tracking_uid(segment),
            tracking_id=line(f"medviewer {segment.id}"),
            display_color=CIELabColor.from_rgb(*segment.color),
        )
    if segment.side in SIDES:
        item = description.SegmentedPropertyTypeCodeSequence[0]
        item.SegmentedPropertyTypeModifierCodeSequence = [_concept(SIDES[segment.side])]
    return description


def label_of(number: int, segment: Segment) -> str:
    """The segment's name as Segment Label holds it: at most 64 bytes of one line."""
    return line(segment.name) or f"Segment {number}"


def codes_of(segment: Segment, terms: TermMap) -> tuple[Code, Code]:
    """Category (CID 7150) and type (CID 7151) of a segment; "Tissue" where its structure has no code."""
    term = terms.get(segment.term_id or "")
    return _code(term.category if term else None), _code(term.snomed if term else None)


def note_of(segment: Segment, volume: Volume) -> str:
    """What a reader must know of a segment: its Segment Description, at most 1,024 bytes."""
    manual = segment.provenance.algorithm == "MANUAL"
    notes = ["Drawn by hand, not verified" if manual else AI_MARK]
    notes += [terms_note(segment)] if terms_note(segment) else []
    notes += [f"incomplete: cut at the {', '.join(segment.cut_edges)} edge"] if segment.incomplete else []
    if not segment.mask.any():
        notes.append("empty" if manual else "empty: not found by the model")
    notes += [volume.regularisation.sentence] if volume.regularisation else []
    notes += list(segment.provenance.tags)
    whole = " ".join(segment.name.split())
    notes += [f"name in full: {segment.name}"] if line(segment.name) != whole else []
    return block("; ".join(notes))


def terms_note(segment: Segment) -> str:
    """The model that drew a segment and what that may be used for, as the description holds it; empty for none."""
    return block(licence_note(segment), _LONGEST_TERMS)


def mark_of(segments: Sequence[Segment]) -> str:
    """The Series Description: who made the masks, and that nobody verified them."""
    return HAND_MARK if all(s.provenance.algorithm == "MANUAL" for s in segments) and segments else AI_MARK


def content_description(volume: Volume, segments: Sequence[Segment]) -> str:
    """The mark, and that the scan was resampled where it was."""
    if volume.regularisation is None:
        return mark_of(segments)
    return line(mark_of(segments).split(",")[0] + ", not verified; on a resampled scan")


def program_version() -> str:
    """The version of medviewer."""
    from medviewer import __version__

    return __version__


def _algorithm(provenance: Provenance) -> Any:
    from highdicom import AlgorithmIdentificationSequence

    if provenance.algorithm == "MANUAL":
        return None
    sequence = AlgorithmIdentificationSequence(
        name=line(provenance.model_id) or "medviewer",
        family=_concept(ARTIFICIAL_INTELLIGENCE),
        version=line(provenance.model_version or provenance.program_version) or program_version(),
    )
    sequence[0].AlgorithmParameters = _parameters(provenance)
    return sequence


def _parameters(provenance: Provenance) -> str:
    """Weights, prompt, settings and edits, in the order of their weight: the last ones are cut where it is too much."""
    named = {"weights_sha256": provenance.weights_sha256, "licence": provenance.licence.replace(";", ",")}
    named |= {"prompt": provenance.prompt, **provenance.parameters}
    named["edits"] = ", ".join(provenance.edits)
    return block("; ".join(f"{k}={block(str(v), _LONGEST_PARAMETER)}" for k, v in named.items() if v != ""), LONG_TEXT)


def _tracking_uid(segment: Segment) -> str:
    from pydicom.uid import generate_uid

    try:
        number = int(segment.id, 16)
    except ValueError:
        number = 0
    return f"2.25.{number}" if 0 < number < _LARGEST_UUID else str(generate_uid(prefix=None))


def _code(code: CodeLike | None) -> Code:
    return TISSUE if code is None else (code.value, code.scheme, line(code.meaning))


def _concept(code: Code) -> Any:
    from highdicom.sr import CodedConcept

    return CodedConcept(*code)
