"""What a report says of the scan beside its sentences: metal, voxels that a mask should not hold, a loop's frame."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from medviewer.core.geometry import position_text
from medviewer.core.mask_facts import densest_metal, outliers
from medviewer.core.mask_patch import bounding_box
from medviewer.core.report.template import Template
from medviewer.core.report.wording import listed, structure_name
from medviewer.core.report.words import Words
from medviewer.core.segmentation import Segment
from medviewer.core.volume import Volume
from medviewer.services.resources import terminology

_FEWEST = 3  # voxels; fewer are noise


def notes_of(volume: Volume, segments: Iterable[Segment], template: Template, words: Words) -> tuple[str, ...]:
    """Lines for the limitations, in the language of the words. Any thread; reads the voxels of a CT once."""
    lines = []
    if volume.kind == "cine":
        frames = sorted({segment.frame or 0 for segment in segments}) or [0]
        shown = listed([str(frame + 1) for frame in frames], words)
        lines.append(words.phrase("limit_frame", frame=shown, frames=str(volume.shape[2])))
    metal = densest_metal(volume)
    if metal is not None:
        lines.append(words.phrase("limit_metal", value=f"{metal[0]:.0f}", place=metal[1]))
    found = list(_to_look_at(volume, segments, template, words))
    return (*lines, words.phrase("limit_look_at", list=listed(found, words))) if found else tuple(lines)


def _inside(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The mask without its outermost voxels, which often hold some of a rib or of gas beside the organ."""
    from scipy import ndimage

    box, inner = bounding_box(mask), np.zeros(mask.shape, bool, order="F")
    if box is not None:
        inner[box] = ndimage.binary_erosion(mask[box])
    return inner


def _to_look_at(volume: Volume, segments: Iterable[Segment], template: Template, words: Words) -> Iterator[str]:
    """Of every mask whose structure has a known span of CT numbers: the voxel farthest outside of it."""
    if volume.units != "HU" or volume.affine is None:
        return
    for segment in segments:
        term = terminology().get(segment.term_id) if segment.term_id and segment.term_id in terminology() else None
        if term is None or term.ct_hu_range is None:
            continue
        beyond = outliers(volume, _inside(segment.mask), (term.ct_hu_range.low, term.ct_hu_range.high))
        if beyond is not None and beyond.count >= _FEWEST:
            name = structure_name(term, segment.name, segment.side, words, template)
            key = "look_at_dense" if beyond.extreme > 0 else "look_at_thin"
            where = position_text(beyond.position)
            yield words.phrase(key, structure=name, value=words.number(f"{beyond.extreme:.0f}"), place=where)
