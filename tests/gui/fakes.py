"""A stand-in for the model: the real signature and answers, masks drawn by rule, no network."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medviewer.api import Answer, ModelMissing, Prediction, Progress, Provenance, SegmentRequest, Volume
from medviewer.core.prompts import ParsedPrompt, parse_prompt
from medviewer.core.segmentation import Segment
from medviewer.core.volume import Fact
from medviewer.services.resources import terminology

_MODEL = {"algorithm": "AUTOMATIC", "model_id": "fake", "model_version": "1.0", "weights_sha256": "0" * 64}


def ball(shape: tuple[int, int, int], centre: tuple[float, float, float], radius: float) -> NDArray[np.bool_]:
    """Bool ball; `centre` as shares of the shape, radius in voxels."""
    grid = np.ogrid[tuple(slice(0, n) for n in shape)]
    distance = sum((g - c * n) ** 2 for g, c, n in zip(grid, centre, shape, strict=True))
    return np.asarray(np.broadcast_to(distance <= radius**2, shape))


@dataclass
class FakeLogic:
    """Answers by term: liver (cut), kidneys, spleen found; pancreas not; brain outside; the rest not trained.

    `gate` holds every answer back until it is set; `requests` is what was asked, `understood` the terms that it named.
    """

    gate: threading.Event = field(default_factory=threading.Event)
    requests: list[SegmentRequest] = field(default_factory=list)
    understood: list[str | None] = field(default_factory=list)
    truth: dict[str, NDArray[np.bool_]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.gate.set()

    def run(self, volume: Volume, request: SegmentRequest, progress: Progress) -> Prediction:
        self.requests.append(request)
        while not self.gate.wait(0.01):
            progress.report(0.4, "Encoding slices")
        progress.report(0.9, "Asking the model")
        prompt = parse_prompt(request.prompt, terminology())
        self.understood.append(prompt.term.id if prompt.term else None)
        if request.points or request.box is not None:
            return self._refined(volume, prompt, request)
        if prompt.negated:
            return self._answer(prompt, volume, Answer.NEGATION)
        return self._by_term(prompt, volume)

    def _by_term(self, prompt: ParsedPrompt, volume: Volume) -> Prediction:
        term = prompt.term.id if prompt.term else ""
        if term in ("liver", "kidney", "spleen", "lung", "heart"):
            return self._found(prompt, volume, term)
        if term == "pancreas":
            return self._answer(prompt, volume, Answer.NOT_FOUND, presence=0.11)
        if term == "brain":
            return self._answer(prompt, volume, Answer.OUTSIDE)
        if term == "aorta":
            raise ModelMissing("No segmentation model is installed.", "Install medviewer again.")
        return self._answer(prompt, volume, Answer.NOT_TRAINED)

    def _found(self, prompt: ParsedPrompt, volume: Volume, term: str) -> Prediction:
        key = f"{term} {prompt.side}" if prompt.side else term
        x = {"left": 0.7, "right": 0.3}.get(prompt.side or "", 0.5)
        small = 0.2 * min(n for n in volume.shape if n > 1)
        mask = self.truth.get(key)
        if mask is None or mask.shape != volume.shape:
            mask = ball(volume.shape, (x, 0.5, 0.6 if volume.shape[2] > 1 else 0.0), small)
        cut = ("upper",) if term == "liver" else ()
        note = "judged against the spine" if prompt.side else ""
        return self._answer(
            prompt, volume, Answer.FOUND, mask=mask, presence=0.98, cut_edges=cut, side_note=note,
            tested="dev Dice 0.91, n = 24",
        )  # fmt: skip

    def _refined(self, volume: Volume, prompt: ParsedPrompt, request: SegmentRequest) -> Prediction:
        mask = np.zeros(volume.shape, bool) if request.previous is None else request.previous.copy()
        mask[:3, :3, :1] = True
        return self._answer(prompt, volume, Answer.FOUND, mask=mask, presence=0.9)

    def _answer(self, prompt: ParsedPrompt, volume: Volume, answer: Answer, **more: object) -> Prediction:
        values: dict[str, object] = {"mask": np.zeros(volume.shape, bool), "tested": "untested"} | more
        return Prediction(
            prompt=prompt.text, answer=answer, title=prompt.title, term_id=prompt.term.id if prompt.term else None,
            side=prompt.side, seconds=0.4, provenance=Provenance(prompt=prompt.text, **_MODEL),  # type: ignore[arg-type]
            **values,  # type: ignore[arg-type]
        )  # fmt: skip


@dataclass
class FakeHost:
    """The shipped plugins with another logic behind their panels."""

    fake: FakeLogic

    def list(self) -> list[object]:
        from medviewer.plugin_host.host import host

        return [info for info in host().list() if info.id == "text_segmentation"]

    def panel_class(self, plugin_id: str) -> type | None:
        from medviewer.plugin_host.host import host

        return host().panel_class(plugin_id)

    def logic(self, plugin_id: str) -> FakeLogic:
        return self.fake


def small_ct(shape: tuple[int, int, int] = (48, 40, 30)) -> Volume:
    """A tiny CT with known geometry; voxel values are soft tissue with a dense spot."""
    rng = np.random.default_rng(1)
    array = np.asfortranarray(rng.normal(40, 10, shape).astype(np.int16))
    array[shape[0] // 2, shape[1] // 2, int(shape[2] * 0.6)] = 1288
    affine = np.diag([3.0, 3.0, 5.0, 1.0])
    return Volume(array, affine, "CT", "HU", title="Small CT", id="small", facts={"modality": Fact("CT", "DICOM")})


def grey_image(path: Path) -> Path:
    """A PNG picture."""
    from PIL import Image

    Image.fromarray((np.indices((120, 160)).sum(0) % 256).astype(np.uint8)).save(path)
    return path


def add_segment(window, name: str = "Kidney") -> Segment:
    """Accept the noise above 60 HU of the small CT as a segment."""
    segment = Segment(name, small_ct().array > 60)
    window.scene.add_segment(segment)
    return segment
