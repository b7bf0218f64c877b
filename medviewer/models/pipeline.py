"""Text prompt to mask on any scan: encode once, prompt many times."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from medviewer.core.errors import InputRefused
from medviewer.core.laterality import CHECKED_SIDES, cut_edges, keep_side, orientation_check
from medviewer.core.mask_patch import PackedMask
from medviewer.core.prediction import Answer, BoxPrompt, PointPrompt, Prediction
from medviewer.core.progress import Progress, silent
from medviewer.core.prompts import title_of
from medviewer.core.provenance import Provenance
from medviewer.core.volume import Volume
from medviewer.models.bundle import BundleInfo, TrainedTerm, load_network, read_info
from medviewer.models.cancelling import held, watched
from medviewer.models.channels import choose_windows, modality_of
from medviewer.models.decoding import (
    LEAST_PRESENCE,
    LEAST_SHARE,
    Query,
    SliceScores,
    StackMask,
    mask_of,
    score_planes,
    score_slices,
)
from medviewer.models.devices import choose_device
from medviewer.models.eligibility import other_kind, refuse_before_model, shows_head
from medviewer.models.embedding_store import EmbeddingStore
from medviewer.models.embeddings import VolumeEmbedding
from medviewer.models.footprint import Footprint
from medviewer.models.interaction import Click, Corrector, StackBox
from medviewer.models.ladder import is_out_of_memory, not_enough
from medviewer.models.planes import SlicePlan, to_voxel
from medviewer.models.runtime import Runtime
from medviewer.models.text_sam import TextSam
from medviewer.models.views import acquisition_view, other_views

if TYPE_CHECKING:
    from medviewer.core.prompts import ParsedPrompt

LEAST_PIXELS = 20  # of the decoder's grid, for a structure that tells what a picture is
CACHE_BYTES = 700_000_000
SPINE_STEP_MM = 15.0  # the spine is looked for at this distance, to judge sides
Mask = NDArray[np.bool_]


class TextSegmenter:
    """One loaded model on one device. Any thread may call; calls wait for each other, and waiting can be cancelled.

    `store` keeps embeddings beyond the program's end. `free_memory()` tells the bytes that may be taken now; without
    it nothing is checked beforehand. Where memory runs out all the same, batches shrink, a GPU falls back to half
    precision and then to the CPU; each answer's warnings say so.
    """

    def __init__(
        self, info: BundleInfo, network: TextSam, device: torch.device, cache_bytes: int = CACHE_BYTES, *,
        store: EmbeddingStore | None = None, free_memory: Callable[[], int] | None = None,
    ) -> None:
        self.info, self.network = info, network
        self._runtime = Runtime(network, device, cache_bytes, store, free_memory)
        self._lock = threading.RLock()

    @classmethod
    def load(
        cls, bundle_dir: Path, device: str = "auto", *, store: EmbeddingStore | None = None,
        free_memory: Callable[[], int] | None = None,
    ) -> TextSegmenter:
        """Load a model folder. Raises ModelMissing (device, files or checksum), WrongUsage (device name), InputRefused
        (not enough memory, told before it is loaded)."""
        chosen = choose_device(device)
        info = read_info(Path(bundle_dir))
        if free_memory is not None and Footprint.of(info.network).to_load > free_memory():
            raise not_enough(f"for the model {info.id}")
        try:
            network = load_network(info)
        except (MemoryError, RuntimeError) as error:
            if is_out_of_memory(error):
                raise not_enough(f"for the model {info.id}") from None
            raise
        return cls(info, network, chosen, store=store, free_memory=free_memory)

    @property
    def device(self) -> torch.device:
        """Where the network is now."""
        return self._runtime.effort.device

    def encode(self, volume: Volume, progress: Progress | None = None, *, frame: int | None = None) -> None:
        """Encode a scan now, so that the first prompt is as quick as the second. Raises Cancelled."""
        progress = progress or silent()
        with held(self._lock, progress), watched(progress):
            shown = _one_frame(volume, frame)
            self._runtime.attempt(lambda: self._encode(shown, progress), "to encode this scan")

    def segment(
        self,
        volume: Volume,
        prompt: ParsedPrompt,
        *,
        points: Sequence[PointPrompt] = (),
        box: BoxPrompt | None = None,
        previous: Mask | None = None,
        frame: int | None = None,
        progress: Progress | None = None,
    ) -> Prediction:
        """Answer one prompt; mask on the volume's grid (i, j, k).

        `points`, `box`: LPS mm (voxel indices without an affine). `previous`: the mask that they correct. `frame`: of a
        cine loop (default the first); the mask is empty on the others. Raises Cancelled, InputRefused.
        """
        progress = progress or silent()
        with held(self._lock, progress), watched(progress):
            start = time.perf_counter()
            shown = _one_frame(volume, frame)
            earlier = None if previous is None else _frame_of(previous, volume, frame)
            answer = self._runtime.attempt(
                lambda: self._answer(shown, prompt, tuple(points), box, earlier, progress), "to answer this prompt"
            )
            mask = _whole(answer.mask, volume, frame)
            return replace(answer, mask=mask, seconds=time.perf_counter() - start)

    def _answer(
        self, volume: Volume, prompt: ParsedPrompt, points: tuple[PointPrompt, ...], box: BoxPrompt | None,
        previous: Mask | None, progress: Progress,
    ) -> Prediction:
        interactive = bool(points) or box is not None
        blank = self._blank(volume, prompt, interactive)
        trained = self._trained(volume, prompt)
        refusal = refuse_before_model(volume, prompt, self.info, interactive)
        if refusal is not None:
            return replace(blank, answer=refusal[0], reason=refusal[1])
        if trained is not None and trained.note:
            blank = replace(blank, warnings=(*blank.warnings, trained.note))
        embedding = self._embedding(volume, self._head_window(volume, trained), progress.part(0.0, 0.6))
        notice = self._runtime.notice(embedding)
        if notice:
            blank = replace(blank, warnings=(*blank.warnings, notice))
        query = self._query(volume, trained)
        if interactive:
            return self._corrected(volume, blank, query, trained, embedding, (points, box, previous), progress)
        assert trained is not None
        return self._by_text(volume, blank, query, trained, embedding, progress.part(0.6, 1.0))

    def _blank(self, volume: Volume, prompt: ParsedPrompt, interactive: bool) -> Prediction:
        term, side, title = prompt.term, prompt.side, prompt.title
        warnings: tuple[str, ...] = ()
        if term is not None and prompt.side_not_applicable:
            side, title = None, title_of(term)
            warnings = (f"{title} has no side; the side in the prompt was not used.",)
        if prompt.corrected:
            warnings = (f'"{prompt.text}" was read as {prompt.corrected}.', *warnings)
        return Prediction(
            prompt=prompt.text, answer=Answer.NOT_FOUND, mask=np.zeros(volume.shape, bool), title=title,
            term_id=term.id if term else None, side=side, warnings=warnings,
            tested=self.info.result(term.id if term else None, modality_of(volume)).text(),
            provenance=self._provenance(prompt, interactive),
        )

    def _provenance(self, prompt: ParsedPrompt, interactive: bool) -> Provenance:
        from medviewer import __version__

        precision = self._runtime.effort.precision
        return Provenance(
            algorithm="SEMIAUTOMATIC" if interactive else "AUTOMATIC", model_id=self.info.id,
            model_version=self.info.version, weights_sha256=self.info.weights_sha256, prompt=prompt.text,
            parameters={"threshold": self.info.threshold, "device": str(self.device)}
            | ({"precision": precision} if precision != "float32" else {}),
            program_version=__version__, created=datetime.now(UTC).isoformat(timespec="seconds"),
            licence=self.info.licence,
        )

    def _trained(self, volume: Volume, prompt: ParsedPrompt) -> TrainedTerm | None:
        """The trained term, if this scan's modality was trained too."""
        trained = self.info.terms.get(prompt.term.id) if prompt.term else None
        modality = modality_of(volume)
        return trained if trained and (modality == "unknown" or modality in trained.results) else None

    def _head_window(self, volume: Volume, trained: TrainedTerm | None) -> bool:
        return shows_head(volume) or (trained is not None and tuple(trained.regions) == ("head",))

    def _query(self, volume: Volume, trained: TrainedTerm | None) -> Query:
        least = max(LEAST_PRESENCE, LEAST_SHARE * self.info.slice_threshold)
        return Query(self.network, self._text(trained.text if trained else None), modality_of(volume), least)

    def _text(self, text: str | None) -> torch.Tensor:
        texts = self._runtime.texts
        if text not in texts:
            texts[text] = self.network.encode_texts([text])
        return texts[text]

    def _embedding(self, volume: Volume, head: bool, progress: Progress) -> VolumeEmbedding:
        usual = self._encoded(volume, head, modality_of(volume), progress)
        guess = self._guess(volume, usual)
        return self._encoded(volume, head, guess, progress) if guess in ("XR", "CT") else usual

    def _encoded(self, volume: Volume, head: bool, modality: str, progress: Progress) -> VolumeEmbedding:
        windows, view = choose_windows(volume, head, modality), acquisition_view(volume, modality)
        return self._runtime.embedding(volume, view, windows, self.info.weights_sha256, progress)

    def _guess(self, volume: Volume, usual: VolumeEmbedding) -> str | None:
        """What a picture that records no modality clearly shows."""
        if volume.kind != "image" or modality_of(volume) != "unknown":
            return None
        return self.info.picture_kind.guess(usual.get(range(1))[0][0])

    def _encode(self, volume: Volume, progress: Progress) -> None:
        embedding = self._embedding(volume, shows_head(volume), progress.part(0.0, 0.7))
        self._other_planes(volume, embedding, progress.part(0.7, 1.0))

    def _other_planes(self, volume: Volume, embedding: VolumeEmbedding, progress: Progress) -> list[VolumeEmbedding]:
        views = other_views(volume, embedding.view)
        parts = [progress.part(n / len(views), (n + 1) / len(views)) for n in range(len(views))]
        return [self._runtime.embedding(volume, view, embedding.windows, self.info.weights_sha256, part)
                for view, part in zip(views, parts, strict=True)]

    def _by_text(
        self, volume: Volume, blank: Prediction, query: Query, trained: TrainedTerm, embedding: VolumeEmbedding,
        progress: Progress,
    ) -> Prediction:
        asked = (trained.text, modality_of(volume))  # the other side of a pair is asked for next
        if embedding.last is None or embedding.last[0] != asked:
            others = self._other_planes(volume, embedding, progress.part(0.0, 0.3))
            scores = score_planes(query, embedding, others, progress.part(0.3, 1.0))
            drawn = self._stack_mask(volume, scores, trained, embedding)
            embedding.last = (asked, PackedMask.pack(drawn.mask), drawn.presence)
        kept = embedding.last[1]
        result = StackMask(kept.unpack(kept.order), embedding.last[2])
        mask = np.ascontiguousarray(embedding.plan.from_stack(result.mask))
        presence = self.info.probability(result.presence, embedding.count)
        blank = replace(blank, presence=presence, extras=blank.extras | {"raw_presence": result.presence})
        if presence < self.info.threshold or not mask.any():
            reason = f"The model found no {trained.text} in this scan. That is no proof of absence."
            return replace(blank, reason=reason)
        other = self._other_kind(volume, trained)
        if other:
            return replace(blank, reason=other_kind(trained.text, other, trained.results))
        return self._finish(volume, blank, mask, embedding, progress)

    def _other_kind(self, volume: Volume, trained: TrainedTerm) -> str:
        """What a picture that records no modality clearly shows, where the term was not trained on that; else empty."""
        if volume.kind != "image":
            return ""
        head = self._head_window(volume, trained)
        guess = self._guess(volume, self._encoded(volume, head, modality_of(volume), silent()))
        return "" if guess is None or guess in trained.results else guess

    def _stack_mask(
        self, volume: Volume, scores: SliceScores, trained: TrainedTerm, embedding: VolumeEmbedding
    ) -> StackMask:
        whole_body = embedding.count >= 8 or modality_of(volume) == "XR"
        parts = trained.parts if whole_body else 0
        return mask_of(scores, embedding, self.info.slice_threshold, parts, lone=trained.parts == 1)

    def _finish(
        self, volume: Volume, found: Prediction, mask: Mask, embedding: VolumeEmbedding, progress: Progress
    ) -> Prediction:
        """Side filter, edges, answer."""
        note = ""
        if found.side in ("left", "right"):
            chest = True if self._looks_like_chest_x_ray(volume, embedding) else None
            spine = self._spine(volume, embedding, progress)
            progress.check_cancelled()
            kept = keep_side(mask, volume, found.side, spine, chest_x_ray=chest)
            if not kept.known:
                return replace(found, answer=Answer.SIDE_UNKNOWN, reason=_side_reason(kept.note, volume))
            mask, note = np.asarray(kept.mask, bool), kept.note
        if not mask.any():
            reason = f"The model found it on the other side, none on the {found.side}. That is no proof of absence."
            # the score belongs to the structure, whichever side it is on
            return replace(found, answer=Answer.NOT_FOUND, presence=None, reason=reason, side_note=note)
        progress.check_cancelled()
        warnings = (*found.warnings, *self._flip_warnings(volume, found, mask, embedding))
        progress.check_cancelled()
        edges = cut_edges(mask, volume)
        return replace(found, answer=Answer.FOUND, mask=mask, side_note=note, cut_edges=edges, warnings=warnings)

    def _flip_warnings(
        self, volume: Volume, found: Prediction, mask: Mask, embedding: VolumeEmbedding
    ) -> list[str]:
        """Whether an organ of a CT lies on the wrong side; the spine is used only where it is known already."""
        if volume.units != "HU" or found.term_id not in CHECKED_SIDES or (volume.voxel_ml or 0.0) * mask.sum() < 30:
            return []
        masks = {found.term_id: mask}
        if embedding.spine is not None and embedding.spine.any():
            masks["spine"] = np.asarray(embedding.plan.from_stack(embedding.spine))
        return orientation_check(volume, masks)

    def _looks_like_chest_x_ray(self, volume: Volume, embedding: VolumeEmbedding) -> bool:
        """Whether a picture that records neither modality nor orientation shows lungs and clavicles to the model: then
        the display convention of chest X-rays is assumed, and said so."""
        terms = [self.info.terms.get(name) for name in ("lung", "clavicle")]
        if volume.kind != "image" or volume.patient_orientation or modality_of(volume) != "unknown":
            return False
        if any(term is None or "XR" not in term.results for term in terms):
            return False
        queries = [Query(self.network, self._text(term.text), "unknown") for term in terms if term is not None]
        scores = [score_slices(query, embedding, silent()) for query in queries]
        shown = [self.info.probability(float(s.presence[0]), 1) >= self.info.threshold for s in scores]
        return all(shown) and all((s.logits > 0).sum() >= LEAST_PIXELS for s in scores)

    def _spine(self, volume: Volume, embedding: VolumeEmbedding, progress: Progress) -> Mask | None:
        """The spine, to judge sides against, where the model knows it in this modality."""
        trained = self.info.terms.get("spine")
        if trained is None or volume.kind != "volume" or modality_of(volume) not in trained.results:
            return None
        if embedding.spine is None:
            step = max(1, int(SPINE_STEP_MM / max(embedding.plan.spacing[0], 1e-3)))
            scores = score_slices(self._query(volume, trained), embedding, progress, step)
            found = self._stack_mask(volume, scores, trained, embedding)
            seen = self.info.probability(found.presence, embedding.count) >= self.info.threshold
            embedding.spine = found.mask & seen
        return np.asarray(embedding.plan.from_stack(embedding.spine)) if embedding.spine.any() else None

    def _corrected(
        self, volume: Volume, blank: Prediction, query: Query, trained: TrainedTerm | None,
        embedding: VolumeEmbedding, given: tuple[tuple[PointPrompt, ...], BoxPrompt | None, Mask | None],
        progress: Progress,
    ) -> Prediction:
        points, box, previous = given
        base = self._base(volume, blank, query, trained, embedding, previous, box, progress.part(0.6, 0.8))
        clicks = [_click(volume, embedding.plan, point) for point in points]
        corner = None if box is None else _stack_box(volume, embedding.plan, box)
        corrector = Corrector(query, embedding, trained is not None)
        stack = corrector.apply(embedding.plan.to_stack(base), clicks, corner, progress.part(0.8, 1.0))
        mask = np.ascontiguousarray(embedding.plan.from_stack(stack))
        if not mask.any():
            return replace(blank, reason="Nothing is left of the mask after the clicks.")
        return replace(blank, answer=Answer.FOUND, mask=mask, cut_edges=cut_edges(mask, volume))

    def _base(
        self, volume: Volume, blank: Prediction, query: Query, trained: TrainedTerm | None,
        embedding: VolumeEmbedding, previous: Mask | None, box: BoxPrompt | None, progress: Progress,
    ) -> Mask:
        """The mask that is corrected: the given one, else that of the text, else nothing."""
        if previous is not None:
            return previous
        if trained is None or box is not None:
            return np.zeros(volume.shape, bool)
        return self._by_text(volume, blank, query, trained, embedding, progress).mask


def _side_reason(note: str, volume: Volume) -> str:
    """Why the side is unknown, and for pictures without a modality how to state what they are."""
    sentence = note[:1].upper() + note[1:] + "."
    if volume.modality is None and volume.affine is None:
        sentence += " If it is a chest X-ray seen from the front, state its modality (DX or CR)."
    return sentence


def _one_frame(volume: Volume, frame: int | None) -> Volume:
    if volume.kind != "cine":
        return volume
    number = frame or 0
    if not 0 <= number < volume.shape[2]:
        raise InputRefused(f"There is no frame {number + 1}.", f"The loop has {volume.shape[2]} frames.")
    return volume.with_changes(array=volume.array[:, :, number : number + 1], kind="image")


def _frame_of(mask: Mask, volume: Volume, frame: int | None) -> Mask:
    if mask.shape != volume.shape:
        raise InputRefused("The mask to correct has another grid than the scan.", "Use a mask of this scan.")
    number = frame or 0
    return mask[:, :, number : number + 1] if volume.kind == "cine" else mask


def _whole(mask: Mask, volume: Volume, frame: int | None) -> Mask:
    if volume.kind != "cine":
        return mask
    whole = np.zeros(volume.shape, bool)
    whole[:, :, frame or 0] = mask[:, :, 0]
    return whole


def _click(volume: Volume, plan: SlicePlan, point: PointPrompt) -> Click:
    place = np.rint(plan.stack_position(to_voxel(volume, point.position))).astype(int)
    if (place < 0).any() or (place >= plan.shape).any():
        raise InputRefused("A click lies outside the scan.", "Click inside the image.")
    return Click((int(place[0]), int(place[1]), int(place[2])), point.positive)


def _stack_box(volume: Volume, plan: SlicePlan, box: BoxPrompt) -> StackBox:
    ends = np.stack([plan.stack_position(to_voxel(volume, corner)) for corner in (box.corner0, box.corner1)])
    last = np.array(plan.shape) - 1
    low, high = np.rint(ends.min(axis=0)).astype(int), np.rint(ends.max(axis=0)).astype(int)
    if (high < 0).any() or (low > last).any():
        raise InputRefused("The box lies outside the scan.", "Draw it inside the image.")
    low, high = np.clip(low, 0, last), np.clip(high, 0, last)
    return StackBox((int(low[0]), int(low[1]), int(low[2])), (int(high[0]), int(high[1]), int(high[2])))

