"""Decoding a text on every slice of an encoded volume."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from medviewer.core.progress import Progress
from medviewer.models.cancelling import check
from medviewer.models.embeddings import RELAXED_EVERY, VolumeEmbedding
from medviewer.models.fusion import (
    LONE_SHARE,
    PICTURE_SHARE,
    around,
    drop_specks,
    keep_parts,
    smooth_along,
    visible_slices,
    volume_presence,
)
from medviewer.models.image_encoder import FINE
from medviewer.models.plane_fusion import MAIN_WEIGHT, PICTURE_WEIGHT, brought, fused
from medviewer.models.preprocessing import into_box, out_of_box
from medviewer.models.text_sam import MODALITIES, SparsePrompts, TextSam

LEAST_PRESENCE = 0.04  # slices below are given no mask at all
LEAST_SHARE = 0.3  # of the slices' threshold; the same for slices below that
MASK_LOGIT = 4.0  # of an earlier mask that is given as a prompt
EDGE = 6.0  # logits are clipped to +-this before neighbouring slices are averaged


@dataclass(frozen=True)
class Query:
    """What is asked of the network: a text vector (1, dim) and the modality's name."""

    network: TextSam
    text: Tensor
    modality: str
    least: float = LEAST_PRESENCE  # masks are drawn only on slices of at least this presence

    def rows(self, count: int) -> tuple[Tensor, Tensor]:
        """Text (count, dim) and modality (count,) for a batch."""
        number = torch.full((count,), MODALITIES.index(self.modality), device=self.text.device)
        return self.text.expand(count, -1), number


@dataclass(frozen=True)
class SliceScores:
    """Presence (n,) in 0..1, smoothed over neighbours, mask logits (n, s/2, s/2), the presence in the whole scan."""

    presence: NDArray[np.float32]
    logits: NDArray[np.float32]
    whole: float


def score_slices(query: Query, embedding: VolumeEmbedding, progress: Progress, step: int = 1) -> SliceScores:
    """Presence and mask logits of a text on all slices. Raises Cancelled between batches.

    With `step` n only every n-th slice is decoded and stands for the next ones too: enough to find a midline.
    """
    half = embedding.box.size // FINE
    presence, logits = np.empty(embedding.count, np.float32), np.empty((embedding.count, half, half), np.float32)
    batch, single = embedding.batch * step, embedding.count == 1
    for start in range(0, embedding.count, batch):
        progress.report(start / embedding.count, "Segmenting")
        numbers = range(start, min(start + batch, embedding.count), step)
        given = (*embedding.get(numbers), *query.rows(len(numbers)), query.least)
        seen, drawn = query.network.decode_visible(*given, single)  # a second look is too slow for many slices
        here = slice(start, min(start + batch, embedding.count))
        presence[here] = _each(seen.float().sigmoid(), step)[: here.stop - start]
        logits[here] = _each(drawn.float().clamp(-EDGE, EDGE), step)[: here.stop - start]
        if here.stop // RELAXED_EVERY != start // RELAXED_EVERY:
            embedding.relax()
    spacing = embedding.view.spacing
    presence = smooth_along(presence, spacing)
    for start in range(0, half, 16):  # rows at a time: no second copy of everything
        logits[:, start : start + 16] = smooth_along(logits[:, start : start + 16], spacing)
    return SliceScores(presence, logits, volume_presence(presence))


def _each(values: Tensor, step: int) -> NDArray[np.float32]:
    """Values of every n-th slice, for the slices between them too."""
    found = values.cpu().numpy()
    return found if step == 1 else np.repeat(found, step, axis=0)


def score_planes(
    query: Query, embedding: VolumeEmbedding, others: Sequence[VolumeEmbedding], progress: Progress
) -> SliceScores:
    """As `score_slices`, of the main view's slices, to whose logits and presence those of the others are added."""
    ends = np.cumsum([0, embedding.count, *(other.count for other in others)])
    ends = ends / ends[-1]
    main = score_slices(query, embedding, progress.part(0.0, float(ends[1])))
    if not others:
        return main
    seen = [score_slices(query, other, progress.part(float(start), float(stop)))
            for other, start, stop in zip(others, ends[1:], ends[2:], strict=False)]
    check()
    parts = (brought(s.logits, o.view, embedding.view) for s, o in zip(seen, others, strict=True))
    weight = PICTURE_WEIGHT if embedding.count == 1 else MAIN_WEIGHT
    logits = fused(main.logits, parts, len(others), weight)
    whole = weight * main.whole + (1.0 - weight) * float(np.mean([scores.whole for scores in seen]))
    return SliceScores(main.presence, logits, whole)


@dataclass(frozen=True)
class StackMask:
    """A mask on the slice stack (slices, rows, columns), and the presence of the structure in the scan."""

    mask: NDArray[np.bool_]
    presence: float


def mask_of(
    scores: SliceScores, embedding: VolumeEmbedding, threshold: float, parts: int, lone: bool = False
) -> StackMask:
    """The mask of the slices that show the structure; `parts` largest pieces (0: any number; `lone`: a whole body has
    one). Changes the scores."""
    logits = scores.logits
    logits[~visible_slices(scores.presence, threshold)] = -EDGE
    single, share = embedding.count == 1, LONE_SHARE if lone else PICTURE_SHARE
    check()
    inner = logits[around(logits > 0)]
    if inner.size:
        kept = keep_parts(inner, parts) if parts or not single else drop_specks(inner > 0, share)
        inner[(inner > 0) & ~kept] = -EDGE
    return StackMask(_to_slices(logits, embedding), scores.whole)


def _to_slices(logits: NDArray[np.float32], embedding: VolumeEmbedding) -> NDArray[np.bool_]:
    mask = embedding.plan.empty_stack()
    for number in np.flatnonzero((logits > 0).any(axis=(1, 2))):
        check()
        found = (out_of_box(torch.from_numpy(logits[number : number + 1]), embedding.box)[0] > 0).numpy()
        box = around(found)  # writing across the array's order takes longer than computing
        mask[number][box] = found[box]
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
    image, features = (part.float() for part in embedding.get(range(number, number + 1)))
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
    """As in training: +-MASK_LOGIT on the decoder's grid, without anything between."""
    fitted = into_box(torch.from_numpy(mask.astype(np.float32))[None, None], embedding.box)
    inside = torch.nn.functional.avg_pool2d(fitted, FINE) > 0.5
    return (inside.float() * 2 - 1) * MASK_LOGIT
