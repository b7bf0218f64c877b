"""Parses the prompt, keeps one loaded model per (model, device), and asks it."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

from medviewer.api import Prediction, Progress, SegmentRequest, Volume, find_bundle, parse_prompt, terminology

from .parameters import Parameters

if TYPE_CHECKING:
    from medviewer.models.pipeline import TextSegmenter


class TextSegmentation:
    """Logic of the plugin. Loading the model waits for the first prompt."""

    def __init__(self, parameters: Parameters | None = None) -> None:
        self.parameters = parameters or Parameters()
        self._segmenters: dict[tuple[Path, str], TextSegmenter] = {}
        self._lock = threading.Lock()

    def run(self, volume: Volume, request: SegmentRequest, progress: Progress) -> Prediction:
        """Answer one prompt. Raises WrongUsage (empty prompt), ModelMissing, Cancelled."""
        prompt = parse_prompt(request.prompt, terminology())
        progress.report(0.0, "Loading the model")
        segmenter = self._segmenter(request)
        return segmenter.segment(
            volume,
            prompt,
            points=request.points,
            box=request.box,
            previous=request.previous,
            frame=request.frame,
            progress=progress.part(0.05, 1.0),
        )

    def prepare(self, volume: Volume, progress: Progress) -> None:
        """Load the model and encode the volume ahead of the first prompt."""
        self._segmenter(SegmentRequest("")).encode(volume, progress)

    def _segmenter(self, request: SegmentRequest) -> TextSegmenter:
        from medviewer.models.pipeline import TextSegmenter

        folder = find_bundle(request.model_id or self.parameters.model_id)
        device = request.device if request.device != "auto" else self.parameters.device
        with self._lock:
            key = (folder, device)
            if key not in self._segmenters:
                self._segmenters[key] = TextSegmenter.load(folder, device)
            return self._segmenters[key]
