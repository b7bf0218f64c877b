"""What a model answers to a prompt."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medviewer.core.provenance import Provenance


class Answer(StrEnum):
    """The five answers, and the two kinds of prompt that are answered without a model."""

    FOUND = "found"
    NOT_FOUND = "not found by the model"
    OUTSIDE = "outside the scanned region"
    NOT_TRAINED = "not trained for this term"
    NOT_ASSESSABLE = "not assessable"
    SIDE_UNKNOWN = "side unknown"
    NEGATION = "negation is not supported"


@dataclass(frozen=True, eq=False)
class Prediction:
    """Answer to one prompt.

    `mask` is bool on the volume's grid (i, j, k), all False unless found. `presence` is the calibrated model
    score 0..1, None where the model was not asked. `cut_edges` names the scan edges the mask touches
    ("upper", "lower", "left", "right", "front", "back" in patient terms; "image edge" in 2D): then it is
    incomplete, and no volume or range applies. `tested` is the measured performance, e.g. "dev Dice 0.91,
    n = 24", or "untested".
    """

    prompt: str
    answer: Answer
    mask: NDArray[np.bool_]
    presence: float | None = None
    confidence: NDArray[np.float32] | None = None  # per-voxel probability, where kept
    title: str = ""  # clean display name: "Left kidney"
    term_id: str | None = None  # terminology id: "kidney"
    side: str | None = None  # "left", "right" or None
    side_note: str = ""  # "left/right judged against the spine", "side assumed (display convention)"
    reason: str = ""  # one sentence for every answer but FOUND
    cut_edges: tuple[str, ...] = ()
    below_threshold: bool = False
    tested: str = "untested"
    seconds: float = 0.0
    provenance: Provenance = Provenance()
    warnings: tuple[str, ...] = ()
    extras: dict[str, Any] = field(default_factory=dict)

    @property
    def found(self) -> bool:
        return self.answer is Answer.FOUND


@dataclass(frozen=True)
class PointPrompt:
    """A click: LPS mm (or voxel indices if the volume has no affine), positive or negative."""

    position: tuple[float, float, float]
    positive: bool = True


@dataclass(frozen=True)
class BoxPrompt:
    """A box between two opposite corners: LPS mm (or voxel indices if the volume has no affine)."""

    corner0: tuple[float, float, float]
    corner1: tuple[float, float, float]
