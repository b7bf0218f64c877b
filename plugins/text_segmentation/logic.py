"""Parses the prompt, keeps one model loaded (on the devices it was asked on), and asks it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from medviewer.api import (
    InputRefused,
    ModelMissing,
    Prediction,
    Progress,
    SegmentRequest,
    Volume,
    available_memory,
    embedding_store,
    find_bundle,
    parse_prompt,
    terminology,
)

from .model_choice import hint_of
from .parameters import Parameters

if TYPE_CHECKING:
    from medviewer.models.cancelling import Lock
    from medviewer.models.pipeline import TextSegmenter

_NO_MEMORY = ("failed to map segment", "annot allocate memory", "paging file is too small")  # of Linux, macOS, Windows


class TextSegmentation:
    """Logic of the plugin. Loading the model waits for the first prompt."""

    def __init__(self, parameters: Parameters | None = None) -> None:
        self.parameters = parameters or Parameters()
        self._segmenters: dict[tuple[Path, int, str], TextSegmenter] = {}
        self._lock = threading.Lock()

    def run(self, volume: Volume, request: SegmentRequest, progress: Progress) -> Prediction:
        """Answer one prompt. Raises WrongUsage (empty prompt), ModelMissing, Cancelled."""
        prompt = parse_prompt(request.prompt, terminology())
        progress.report(0.0, "Loading the model")
        segmenter = self._segmenter(request, progress)
        answer = segmenter.segment(
            volume,
            prompt,
            points=request.points,
            box=request.box,
            previous=request.previous,
            frame=request.frame,
            progress=progress.part(0.05, 1.0),
        )
        hint = hint_of(answer, volume, segmenter.info.path)
        return replace(answer, reason=f"{answer.reason} {hint}") if hint else answer

    def prepare(self, volume: Volume, request: SegmentRequest, progress: Progress) -> None:
        """Load the model of a request and encode the volume ahead of the first prompt."""
        self._segmenter(request, progress).encode(volume, progress)

    def _segmenter(self, request: SegmentRequest, progress: Progress) -> TextSegmenter:
        segmenter_class, held = _networks()
        folder = find_bundle(request.model_id or self.parameters.model_id)
        device = request.device if request.device != "auto" else self.parameters.device
        with held(self._lock, progress):
            key = (folder, _state(folder), device)
            if key not in self._segmenters:
                progress.check_cancelled()  # importing torch takes a while
                for old in [other for other in self._segmenters if other[:2] != key[:2]]:
                    del self._segmenters[old]  # another model answers now: its memory goes, with what it encoded
                self._segmenters[key] = segmenter_class.load(
                    folder, device, store=embedding_store(), free_memory=available_memory
                )
            return self._segmenters[key]


def _state(folder: Path) -> int:
    """Changes where a model is replaced by another one of its name, as a fine-tuning may do."""
    try:
        return (folder / "config.json").stat().st_mtime_ns
    except OSError:  # loading it tells what is wrong
        return 0


def _networks() -> tuple[type[TextSegmenter], Callable[[Lock, Progress], AbstractContextManager[None]]]:
    """The classes that need torch. Raises ModelMissing where it cannot be imported, InputRefused for lack of memory."""
    try:
        from medviewer.models.cancelling import held
        from medviewer.models.pipeline import TextSegmenter
    except (ImportError, OSError, MemoryError) as error:
        if isinstance(error, MemoryError) or any(words in str(error) for words in _NO_MEMORY):
            raise InputRefused(
                "There is not enough memory to start the model.", "Close other programs or scans, then try again.",
                code="not-enough-memory",
            ) from error
        raise ModelMissing(
            "The model cannot be started: PyTorch is missing or broken on this computer.", "Install medviewer again."
        ) from error
    return TextSegmenter, held
