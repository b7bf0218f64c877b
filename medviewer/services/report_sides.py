"""Masks as what they are on a scan, and whether its organs lie on the sides where they are expected."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from medviewer.core.laterality import CHECKED_SIDES, orientation_check
from medviewer.core.report.template import Template
from medviewer.core.segmentation import Segment
from medviewer.core.volume import Volume


def as_shown(volume: Volume, segments: Iterable[Segment], template: Template) -> tuple[Segment, ...]:
    """The masks as what they are on this scan: on FLAIR, a tumor of the model is an abnormality including edema."""
    fact = volume.facts.get("weighting")
    weighting = str(fact.value) if fact is not None and fact.value is not None else ""
    return tuple(
        s if template.term_on(weighting, s.term_id) == s.term_id
        else s.changed(term_id=template.term_on(weighting, s.term_id))
        for s in segments
    )  # fmt: skip


def sides_warnings(volume: Volume, segments: Iterable[Segment]) -> list[str]:
    """Whether organs lie on the unexpected side of the patient: sentences, none where nothing disagrees."""
    masks: dict[str, np.ndarray[tuple[int, int, int], np.dtype[np.bool_]]] = {}
    for segment in segments:
        if segment.term_id in (*CHECKED_SIDES, "spine"):
            before = masks.get(segment.term_id)
            masks[segment.term_id] = segment.mask if before is None else before | segment.mask
    return orientation_check(volume, masks)
