"""Figures of a mask as the window says them. Qt-free; `look` is called on a worker thread."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medviewer.core.geometry import voxel_to_lps
from medviewer.core.mask_facts import MaskFacts, mask_facts
from medviewer.core.mask_patch import bounding_box
from medviewer.core.progress import Progress
from medviewer.core.segmentation import Segment
from medviewer.core.volume import Volume
from medviewer.gui.panels.segments.logic import Size
from medviewer.services import resources

# Structures that hold air or bone by nature: the range in which their voxels surprise nobody.
_EXPECTED_HU: tuple[tuple[tuple[str, ...], tuple[float, float]], ...] = (
    (("lung", "trachea", "bronch", "airway", "bowel", "colon", "stomach", "covid"), (-1050.0, 300.0)),
    (("bone", "spine", "vertebra", "rib", "clavicle", "pelvis", "femur", "hip", "skull", "sacrum"), (-200.0, 2500.0)),
    (("body", "skin", "head"), (-1050.0, 2500.0)),
)
_SAMPLE = 20000


@dataclass(frozen=True)
class Looked:
    """Facts of a mask and a voxel of it near its middle (LPS mm, or voxel indices without affine)."""

    facts: MaskFacts
    centre: tuple[float, float, float] | None

    @property
    def size(self) -> Size:
        return Size(self.facts.voxels, self.facts.volume_ml, self.facts.area_mm2)


def look(volume: Volume, segment: Segment, progress: Progress) -> Looked:
    """Measure a segment; raises Cancelled."""
    progress.check_cancelled()
    facts = mask_facts(volume, segment.mask, cut=segment.incomplete, expected=expected_hu(segment))
    progress.check_cancelled()
    return Looked(facts, centre_inside(volume, segment.mask))


def expected_hu(segment: Segment) -> tuple[float, float] | None:
    """Plausible HU: the terminology's where it has them, else by the kind of structure; None for soft tissue."""
    try:
        known = resources.terminology().get(segment.term_id).ct_hu_range if segment.term_id else None
    except KeyError:
        known = None
    if known is not None:
        return known.low, known.high
    name = (segment.term_id or segment.name).lower()
    for words, span in _EXPECTED_HU:
        if any(word in name for word in words):
            return span
    return None


def centre_inside(volume: Volume, mask: NDArray[np.bool_]) -> tuple[float, float, float] | None:
    """The voxel of the mask nearest to its centre of mass, so that a jump never lands outside the mask."""
    box = bounding_box(mask)
    if box is None:
        return None
    index = np.argwhere(mask[box])
    sample = index[:: max(1, len(index) // _SAMPLE)]
    nearest = sample[int(np.argmin(((sample - index.mean(axis=0)) ** 2).sum(axis=1)))] + [s.start for s in box]
    point = nearest.astype(float) if volume.affine is None else voxel_to_lps(volume.affine, nearest)
    return float(point[0]), float(point[1]), float(point[2])


def median_text(facts: MaskFacts, units: str | None) -> str:
    """For instance "17 HU (−21 to 43)"; empty where there is none."""
    if facts.median is None or facts.low is None or facts.high is None:
        return ""
    unit = f" {units}" if units else ""
    return f"{facts.median:.0f}{unit} ({facts.low:.0f} to {facts.high:.0f})".replace("-", "−")


def look_at_text(facts: MaskFacts, units: str | None) -> str:
    """Voxels far outside the expected range, for instance "voxels up to 1288 HU"."""
    return facts.look_at.text(units).replace("-", "−") if facts.look_at is not None else ""
