"""What a plugin's logic is asked. One request type per kind of plugin; all are plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from medviewer.core.comparison import PriorStudy, RecistInput
from medviewer.core.prediction import BoxPrompt, PointPrompt, Prediction
from medviewer.core.progress import Progress
from medviewer.core.report.document import Measurement
from medviewer.core.segmentation import Segment
from medviewer.core.volume import Volume


class PluginKind(StrEnum):
    """What a plugin gives back, and which request it takes."""

    TEXT_SEGMENTATION = "text-segmentation"  # SegmentRequest -> Prediction
    REPORT = "report"  # ReportRequest -> DraftedReport
    ATTENTION_MAP = "attention-map"  # MapRequest -> parametric map


@dataclass(frozen=True, eq=False)
class SegmentRequest:
    """One prompt for one structure.

    `points` and `box` are LPS mm (voxel indices where the volume has no affine). `previous` is the mask to
    refine, bool (i, j, k). `device` is "auto", "cpu", "cuda" or "mps". `frame` is the cine frame (k), None for
    the first one. `model_id` None means the default model.
    """

    prompt: str
    points: tuple[PointPrompt, ...] = ()
    box: BoxPrompt | None = None
    previous: NDArray[np.bool_] | None = None
    model_id: str | None = None
    device: str = "auto"
    frame: int | None = None


@dataclass(frozen=True, eq=False)
class ReportRequest:
    """A draft report about one scan from its accepted segments and from what the model finds besides.

    `template` is a key, "" to choose by the scan and what is found. `language` is "en" or "de". With `ask`, the
    template's structures that neither `segments` nor `answers` cover are asked of the model `model_id` (None: the
    default one). `answers`: what was asked before. `prior`: the comparison in words, empty without a prior. `accepted`:
    ids of masks below the threshold that a person accepted. `sides_confirmed`: a person confirmed left and right.
    `frame`: of a cine loop, None for the first one. `prior_study`: the study compared with (`Comparison.study`), which
    gives the comparison its words and sentences; `recist`: lesions that a person marked, for RECIST 1.1 beside it.
    """

    segments: tuple[Segment, ...] = ()
    template: str = ""
    language: str = "en"
    device: str = "auto"
    options: Mapping[str, Any] = field(default_factory=dict)
    indication: str = ""
    model_id: str | None = None
    ask: bool = True
    answers: tuple[Prediction, ...] = ()
    by_hand: tuple[Measurement, ...] = ()
    prior: str = ""
    accepted: frozenset[str] = frozenset()
    sides_confirmed: bool = False
    frame: int | None = None
    prior_study: PriorStudy | None = None
    recist: RecistInput | None = None


@dataclass(frozen=True, eq=False)
class MapRequest:
    """Where a model looked when it answered `prompt`. `target` limits the question to a mask, bool (i, j, k)."""

    prompt: str
    target: NDArray[np.bool_] | None = None
    method: str = ""
    model_id: str | None = None
    device: str = "auto"
    options: Mapping[str, Any] = field(default_factory=dict)


Request = TypeVar("Request", contravariant=True)
Result = TypeVar("Result", covariant=True)


class Logic(Protocol[Request, Result]):
    """The computing half of a plugin: Qt-free, called on a worker thread, one call at a time.

    `run` never changes the volume, reports its progress (which also raises `Cancelled`), and raises `UserError` for
    what the user can mend.
    """

    def run(self, volume: Volume, request: Request, progress: Progress) -> Result: ...
