"""What is told of a prediction outside the window: the rows of `segment` and `batch`, and its segment for saving."""

from __future__ import annotations

from dataclasses import dataclass, field

from medviewer.core.mask_facts import metal_warning
from medviewer.core.prediction import Prediction
from medviewer.core.scene import PALETTE, Scan, segment_of
from medviewer.core.segmentation import Color, Segment
from medviewer.core.volume import Volume


@dataclass(frozen=True)
class Size:
    """Size of a found mask: ml in a volume, square mm in a 2D image with known spacing; None where not defined."""

    volume_ml: float | None = None
    area_mm2: float | None = None


def size_of(prediction: Prediction, volume: Volume) -> Size:
    """Size of the mask as drawn; none where the edge of the scan cuts it, which is told when it is saved."""
    if not prediction.found or prediction.cut_edges:
        return Size()
    voxels = int(prediction.mask.sum())
    ml = None if volume.voxel_ml is None else voxels * volume.voxel_ml
    area = None if volume.pixel_area_mm2 is None else voxels * volume.pixel_area_mm2
    return Size(ml, area)


def scan_warnings(volume: Volume, frame: int | None = None) -> list[str]:
    """What a reader must know of the scan itself: its own warnings, metal in it, and which frame of a loop is meant."""
    metal = metal_warning(volume)
    told = [*volume.warnings, *([metal] if metal else [])]
    if volume.kind == "cine" and frame is None:
        told.append(f"This is a loop of {volume.shape[2]} frames; the first one was used.")
    return list(dict.fromkeys(told))


def warnings_of(prediction: Prediction) -> list[str]:
    """Sentences a reader of the result must see, each beginning with the prompt it belongs to.

    That a mask is cut by the edge of the scan is told when it is saved.
    """
    sentences = list(prediction.warnings)
    if prediction.side_note:
        sentences.append(prediction.side_note)
    if prediction.reason and not prediction.found:
        sentences.append(prediction.reason)
    return [f"{prediction.prompt}: {sentence}" for sentence in sentences]


def segment_for(prediction: Prediction, volume: Volume, index: int, frame: int | None = None) -> Segment:
    """The segment to write for a prediction; empty mask where nothing was found. `frame` is the frame of a cine."""
    segment = segment_of(prediction, _color_of(prediction, index), Scan(volume, frame=frame or 0))
    return segment if segment.name else segment.changed(name=prediction.prompt)


def _color_of(prediction: Prediction, index: int) -> Color:
    from medviewer.services.resources import terminology

    if prediction.term_id is None or prediction.term_id not in terminology():
        return PALETTE[index % len(PALETTE)]
    return terminology().get(prediction.term_id).color


@dataclass
class RowResult:
    """One line of the results table of a batch."""

    row: int
    scan: str
    prompt: str
    out: str
    answer: str | None = None
    found: bool | None = None
    presence: float | None = None
    volume_ml: float | None = None
    seconds: float | None = None
    error: str | None = None
    warnings: list[str] = field(default_factory=list, repr=False)
    skipped: bool = False
    model: str | None = None  # "default 2"
    licence: str | None = None  # what its weights may be used for
