"""Decoding a text on every slice of an encoded volume."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from medviewer.core.progress import Progress
from medviewer.models.cancelling import check
from medviewer.models.embeddings import VolumeEmbedding
from medviewer.models.fusion import drop_specks, keep_parts, smooth_along, visible_slices, volume_presence
from medviewer.models.preprocessing import into_box, out_of_box
from medviewer.models.text_sam import MODALITIES, SparsePrompts, TextSam

LEAST_PRESENCE = 0.04  # slices below are given no mask at all
EDGE = 6.0  # logits are clipped to +-this before neighbouring slices are averaged


@dataclass(frozen=True)
class Query:
    """What is asked of the network: a text vector (1, dim) and the modality's name."""

    network: TextSam
    text: Tensor
    modality: str

    def rows(self, count: int) -> tuple[Tensor, Tensor]:
        """Text (count, dim) and modality (count,) for a batch."""
        number = torch.full((count,), MODALITIES.index(self.modality), device=self.text.device)
        return self.text.expand(count, -1), number


@dataclass(frozen=True)
class SliceScores:
    """Presence (n,) in 0..1, smoothed over neighbours, and mask logits (n, s/2, s/2)."""

    presence: NDArray[np.float32]
    logits: NDArray[np.float32]


def score_slices(query: Query, embedding: VolumeEmbedding, progress: Progress, step: int = 1) -> SliceScores:
    """Presence and mask logits of a text on all slices. Raises Cancelled between batches.

    With `step` n only every n-th slice is decoded and stands for the next ones too: enough to find a midline.
    """
    presence, logits = [], []
    batch = 2 * embedding.batch * step
    for start in range(0, embedding.count, batch):
        progress.report(start / embedding.count, "Segmenting")
        numbers = list(range(start, min(start + batch, embedding.count), step))
        image, features = embedding.get(numbers)
        seen, drawn = query.network.decode_visible(image, features, *query.rows(len(numbers)), LEAST_PRESENCE)
        presence.append(seen.sigmoid().cpu().numpy())
        logits.append(drawn.clamp(-EDGE, EDGE).cpu().numpy())
    spacing = embedding.plan.spacing[0]
    filled = [
        smooth_along(np.repeat(np.concatenate(part), step, axis=0)[: embedding.count].astype(np.float32), spacing)
        for part in (presence, logits)
    ]
    return SliceScores(filled[0], filled[1])


@dataclass(frozen=True)
class StackMask:
    """A mask on the slice stack (slices, rows, columns), and the presence of the structure in the scan."""

    mask: NDArray[np.bool_]
    presence: float


def mask_of(scores: SliceScores, embedding: VolumeEmbedding, threshold: float, parts: int) -> StackMask:
    """The mask of the slices that show the structure; `parts` largest pieces (0: any number)."""
    logits = scores.logits.copy()
    logits[~visible_slices(scores.presence, threshold)] = -EDGE
    coarse = logits > 0
    single = embedding.count == 1
    check()
    kept = keep_parts(logits, parts) if parts or not single else drop_specks(coarse)
    logits[coarse & ~kept] = -EDGE
    return StackMask(_to_slices(logits, embedding), volume_presence(scores.presence))


def _to_slices(logits: NDArray[np.float32], embedding: VolumeEmbedding) -> NDArray[np.bool_]:
    mask = np.zeros(embedding.plan.shape, bool)
    shown = np.flatnonzero((logits > 0).any(axis=(1, 2)))
    for start in range(0, len(shown), embedding.batch):
        check()
        numbers = shown[start : start + embedding.batch]
        mask[numbers] = (out_of_box(torch.from_numpy(logits[numbers]), embedding.box) > 0).numpy()
    return mask


def prompted_logits(
    query: Query,
    embedding: VolumeEmbedding,
    number: int,
    points: NDArray[np.float64],
    labels: NDArray[np.int64],
    previous: NDArray[np.bool_] | None,
) -> NDArray[np.float32]:
    """Mask logits (rows, columns) of one slice for clicks and boxes, points (k, 2) as (row, column) of the slice."""
    image, features = embedding.get([number])
    device = image.device
    box = embedding.box
    scale = np.array([box.height / box.rows, box.width / box.cols])
    places = (np.asarray(points, float).reshape(-1, 2) + 0.5) * scale - 0.5 + [box.top, box.left]
    pixels = torch.from_numpy(places[:, ::-1].astype(np.float32).copy())[None].to(device)
    kinds = torch.from_numpy(np.asarray(labels, np.int64))[None].to(device)
    masks = None if previous is None else _mask_prompt(previous, embedding).to(device)
    has_mask = None if previous is None else torch.ones(1, dtype=torch.bool, device=device)
    prompts = SparsePrompts(pixels if len(labels) else None, kinds if len(labels) else None, masks, has_mask)
    decoded = query.network.decode(image, features, *query.rows(1), prompts)
    return np.asarray(out_of_box(decoded.logits.float().cpu(), box)[0].numpy())


def _mask_prompt(mask: NDArray[np.bool_], embedding: VolumeEmbedding) -> Tensor:
    fitted = into_box(torch.from_numpy(mask.astype(np.float32))[None, None], embedding.box)
    return (torch.nn.functional.avg_pool2d(fitted, 2) * 2 - 1) * 4.0
