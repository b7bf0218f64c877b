"""The loss of one batch: every prompt is answered, then answers are corrected by clicks as a reader would."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from medviewer.models.text_sam import Decoded, SparsePrompts, TextSam

from ..data.batches import Batch
from ..transforms.clicks import correction
from .losses import dense_loss, pair_loss, soft_dice_loss

DENSE_WEIGHT = 0.6
CLICK_WEIGHT = 1.0
MOST_CLICKED = 4  # pairs of a batch that are corrected
MOST_LOOKED_AT = 4  # pairs of a batch, asked by text alone, that get a second look
SECOND_CLICK = 0.25  # chance of a further correction
Features = tuple[Tensor, Tensor]


def batch_loss(
    model: TextSam, batch: Batch, rng: np.random.Generator | None = None, half: bool = True
) -> dict[str, Tensor]:
    """Loss parts of a batch on the model's device; "total" is their weighted sum. `rng` chooses what is clicked
    (without it, torch's state does); `half` computes in bfloat16 where that is safe."""
    rng = rng or np.random.default_rng(int(torch.randint(2**31, (1,))))
    with _autocast(batch, half):
        features = model.encode_images(batch.images)
        text = model.encode_texts(batch.texts)
        decoded = _decode(model, features, text, batch, _looked_at(batch, rng))
        direct = dense_logits(model, features[1], batch)
    parts = pair_loss(decoded, batch.target, batch.visible, batch.presence_known)
    parts["dense"] = dense_loss(direct.float(), batch.dense_target)
    decoder = _Decoder(model, features, half)
    parts["click"] = _click_loss(decoder, text, batch, decoded.logits.detach().float(), rng)
    return parts | {"total": parts["total"] + DENSE_WEIGHT * parts["dense"] + CLICK_WEIGHT * parts["click"]}


def second_look_loss(model: TextSam, batch: Batch, half: bool = True) -> dict[str, Tensor]:
    """Loss of the second look alone, at all pairs that show what their text names, asked without clicks; nothing else
    gets a gradient. Zero for a batch without such a pair."""
    rows = [row for row, text in enumerate(batch.texts) if text is not None and bool(batch.visible[row])]
    if not rows:
        nothing = 0.0 * sum(parameter.sum() for parameter in model.text_refiner.parameters())
        return dict.fromkeys(("dice", "bce", "total"), torch.as_tensor(nothing))
    chosen = torch.tensor(rows, device=batch.index.device)
    with torch.no_grad(), _autocast(batch, half):
        embedding, high_res = model.encode_images(batch.images)
        text = model.encode_texts([batch.texts[row] for row in rows])
        index = batch.index[chosen]
        fine = high_res.index_select(0, index)
        pairs = (embedding.index_select(0, index), fine, text, batch.modality[chosen])
        first = model.decode(*pairs, SparsePrompts()).logits
    with _autocast(batch, half):
        logits = model.text_refiner(first, fine, None, text).float()
    target = batch.target[chosen]
    dice, bce = soft_dice_loss(logits, target).mean(), F.binary_cross_entropy_with_logits(logits, target)
    return {"dice": dice, "bce": bce, "total": dice + 2.0 * bce}


def _autocast(batch: Batch, half: bool) -> torch.autocast:
    return torch.autocast(batch.images.device.type, torch.bfloat16, enabled=half)


def _looked_at(batch: Batch, rng: np.random.Generator) -> Tensor:
    """(p,) bool: some of the pairs that show what their text names and have no other prompt."""
    alone = batch.visible & ~batch.has_mask & (batch.labels < 0).all(1)
    rows = torch.nonzero(alone)[:, 0].cpu().numpy()
    chosen = torch.zeros_like(batch.visible)
    chosen[torch.from_numpy(rng.permutation(rows)[:MOST_LOOKED_AT].copy()).to(chosen.device)] = True
    return chosen


def _decode(
    model: TextSam, features: Features, text: Tensor, batch: Batch, looked_at: Tensor | None = None
) -> Decoded:
    prompts = SparsePrompts(batch.points, batch.labels, batch.masks, batch.has_mask)
    pictures = (features[0].index_select(0, batch.index), features[1].index_select(0, batch.index))
    return model.decode(*pictures, text, batch.modality, prompts, looked_at)


@dataclass(frozen=True)
class _Decoder:
    """The network with the pictures of a batch encoded."""

    model: TextSam
    features: Features
    half: bool

    def decode(self, text: Tensor, batch: Batch) -> Decoded:
        with _autocast(batch, self.half):
            return _decode(self.model, self.features, text, batch)


def _click_loss(
    decoder: _Decoder, text: Tensor, batch: Batch, logits: Tensor, rng: np.random.Generator
) -> Tensor:
    """The mask loss after one click on the largest error of each answer, and now and then after a second one."""
    total, rounds = torch.zeros((), device=logits.device), 0
    while rounds == 0 or (rounds == 1 and rng.random() < SECOND_CLICK):
        chosen = _corrected(batch, logits, rng)
        if chosen is None:
            break
        batch, rows = chosen
        text = text[rows]
        decoded = decoder.decode(text, batch)
        parts = pair_loss(decoded, batch.target, batch.visible, batch.presence_known)
        total, rounds, logits = total + parts["total"], rounds + 1, decoded.logits.detach().float()
    return total / max(1, rounds)


def _corrected(batch: Batch, logits: Tensor, rng: np.random.Generator) -> tuple[Batch, Tensor] | None:
    """The pairs whose answer deserves a click, with it; and which ones they are. None where there are none."""
    found = []
    for row in rng.permutation(len(logits))[:MOST_CLICKED].tolist():
        before = (batch.points[row].cpu().numpy(), batch.labels[row].cpu().numpy())
        prompt = correction(logits[row].cpu(), batch.target[row].cpu(), before, rng)
        if prompt is not None and prompt.mask is not None:
            found.append((row, prompt, prompt.mask))
    if not found:
        return None
    device = logits.device
    rows = torch.tensor([entry[0] for entry in found], device=device)
    clicked = replace(
        batch, index=batch.index[rows], modality=batch.modality[rows], target=batch.target[rows],
        visible=batch.visible[rows], presence_known=torch.zeros(len(rows), dtype=torch.bool, device=device),
        points=torch.from_numpy(np.stack([p.points for _, p, _ in found])).to(device),
        labels=torch.from_numpy(np.stack([p.labels for _, p, _ in found])).to(device),
        masks=torch.stack([mask for _, _, mask in found])[:, None].to(device),
        has_mask=torch.ones(len(rows), dtype=torch.bool, device=device),
    )
    return clicked, rows


def dense_logits(model: TextSam, high_res: Tensor, batch: Batch) -> Tensor:
    """Direct mask logits (q, h, w) of all dense names, picture by picture so that no features are copied."""
    query = model.mask_decoder.query(model.encode_texts(batch.dense_names))
    parts = []
    for number, features in enumerate(high_res):
        mine = query[batch.dense_index == number]
        parts.append(torch.einsum("qc,chw->qhw", mine[:, 1:], features) * 0.25 + mine[:, :1, None])
    return torch.cat(parts)
