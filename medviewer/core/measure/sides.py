"""A mask that holds both sides of a paired organ, divided into its left and its right."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from medviewer.core.laterality import keep_side
from medviewer.core.measure.allowed import AllowedTable
from medviewer.core.measure.facts import modality_of
from medviewer.core.segmentation import Segment
from medviewer.core.volume import Volume

_SHARE = 0.2  # the smaller side must be at least this share of the larger one: else it is a stray


def divided(
    volume: Volume, segment: Segment, allowed: AllowedTable, spine: NDArray[np.bool_] | None = None
) -> tuple[Segment, ...]:
    """(left, right) with the id of `segment`, where the structure is measured side by side, the mask has no side yet
    and the scan shows the middle; else the segment itself."""
    quantities = allowed.quantities(modality_of(volume), segment.term_id)
    sided = {"length_difference", "asymmetry_index"} & set(quantities)
    if not sided or segment.side is not None or volume.affine is None or not segment.mask.any():
        return (segment,)
    results = {side: keep_side(segment.mask, volume, side, spine) for side in ("left", "right")}
    sizes = [int(np.count_nonzero(result.mask)) for result in results.values()]
    if not all(result.known for result in results.values()) or min(sizes) < _SHARE * max(sizes):
        return (segment,)
    return tuple(
        segment.changed(mask=result.mask, side=side, side_note=result.note) for side, result in results.items()
    )
