"""How a segment is described in DICOM SEG: codes, algorithm, tracking, colour."""

from __future__ import annotations

import warnings as python_warnings
from typing import Any

from medviewer.core.provenance import Provenance
from medviewer.core.segmentation import Segment
from medviewer.io.label_sidecar import CodeLike, TermMap

_TISSUE = ("85756007", "SCT", "Tissue")
_SIDES = {"left": ("7771000", "SCT", "Left"), "right": ("24028007", "SCT", "Right")}
_LONGEST_LABEL = 64


def describe(number: int, segment: Segment, terms: TermMap) -> Any:
    """A highdicom SegmentDescription with SNOMED CT codes, laterality, algorithm identification and tracking ids."""
    from highdicom.seg import SegmentDescription

    term = terms.get(segment.term_id or "")
    with python_warnings.catch_warnings():
        python_warnings.simplefilter("ignore")
        description = SegmentDescription(
            segment_number=number,
            segment_label=segment.name[:_LONGEST_LABEL] or f"Segment {number}",
            segmented_property_category=_coded(term.category if term else None),
            segmented_property_type=_coded(term.snomed if term else None),
            algorithm_type=segment.provenance.algorithm,
            algorithm_identification=_algorithm(segment.provenance),
            tracking_uid=_tracking_uid(segment),
            tracking_id=f"medviewer {segment.id}"[:_LONGEST_LABEL],
            display_color=_display_color(segment),
        )
    if segment.side in _SIDES:
        property_type = description.SegmentedPropertyTypeCodeSequence[0]
        property_type.SegmentedPropertyTypeModifierCodeSequence = [_concept(*_SIDES[segment.side])]
    return description


def program_version() -> str:
    """The installed version of medviewer."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("medviewer")
    except PackageNotFoundError:
        return "0"


def _algorithm(provenance: Provenance) -> Any:
    from highdicom import AlgorithmIdentificationSequence

    if provenance.algorithm == "MANUAL":
        return None
    parameters = {name: str(value) for name, value in provenance.parameters.items()}
    parameters |= {"prompt": provenance.prompt} if provenance.prompt else {}
    parameters |= {"weights_sha256": provenance.weights_sha256} if provenance.weights_sha256 else {}
    parameters |= {"edits": ", ".join(provenance.edits)[:500]} if provenance.edits else {}
    return AlgorithmIdentificationSequence(
        name=(provenance.model_id or "medviewer")[:_LONGEST_LABEL],
        family=_concept("123110", "DCM", "Artificial Intelligence"),
        version=(provenance.model_version or provenance.program_version or program_version())[:_LONGEST_LABEL],
        parameters=parameters or None,
    )


def _tracking_uid(segment: Segment) -> str:
    from pydicom.uid import generate_uid

    try:
        return f"2.25.{int(segment.id, 16)}"
    except ValueError:
        return str(generate_uid(prefix=None))


def _display_color(segment: Segment) -> Any:
    from highdicom.color import CIELabColor

    return CIELabColor.from_rgb(*segment.color)


def _coded(code: CodeLike | None) -> Any:
    return _concept(*_TISSUE) if code is None else _concept(code.value, code.scheme, code.meaning)


def _concept(value: str, scheme: str, meaning: str) -> Any:
    from highdicom.sr import CodedConcept

    return CodedConcept(value, scheme, meaning[:_LONGEST_LABEL])
