"""The loss of a batch of (image, prompt) pairs."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from medviewer.models.text_sam import Decoded


def soft_dice_loss(logits: Tensor, target: Tensor) -> Tensor:
    """1 - soft Dice per pair (p,); logits and target (p, h, w)."""
    probability = logits.sigmoid()
    overlap = (probability * target).sum((1, 2))
    total = probability.sum((1, 2)) + target.sum((1, 2))
    return 1 - (2 * overlap + 1) / (total + 1)


def hard_iou(logits: Tensor, target: Tensor) -> Tensor:
    """IoU of the thresholded masks per pair (p,)."""
    mask, truth = logits > 0, target > 0.5
    union = (mask | truth).sum((1, 2)).float()
    return (mask & truth).sum((1, 2)).float() / union.clamp(min=1)


def pair_loss(decoded: Decoded, target: Tensor, visible: Tensor, presence_known: Tensor) -> dict[str, Tensor]:
    """Loss parts: mask (BCE and, where visible, Dice), presence, predicted IoU; and their weighted sum "total".

    target (p, h, w) in 0..1, visible (p,) bool, presence_known (p,) bool: pairs that may teach presence.
    """
    logits = decoded.logits.float()
    bce = F.binary_cross_entropy_with_logits(logits, target, reduction="none").mean((1, 2))
    shown = visible.float()
    dice = (soft_dice_loss(logits, target) * shown).sum() / shown.sum().clamp(min=1)
    cross = (bce * (0.5 + 1.5 * shown)).mean()
    presence = F.binary_cross_entropy_with_logits(decoded.presence.float(), shown, reduction="none")
    known = presence_known.float()
    presence = (presence * known).sum() / known.sum().clamp(min=1)
    with torch.no_grad():
        truth = hard_iou(logits, target)
    iou = (F.mse_loss(decoded.iou.float(), truth, reduction="none") * shown).sum() / shown.sum().clamp(min=1)
    total = dice + cross + 0.6 * presence + 0.1 * iou
    return {"total": total, "dice": dice, "bce": cross, "presence": presence, "iou": iou}


def dense_loss(logits: Tensor, target: Tensor) -> Tensor:
    """BCE and, where a structure is visible, Dice of many (picture, name) masks (q, h, w)."""
    shown = (target.sum((1, 2)) >= 2).float()
    bce = F.binary_cross_entropy_with_logits(logits, target, reduction="none").mean((1, 2))
    dice = (soft_dice_loss(logits, target) * shown).sum() / shown.sum().clamp(min=1)
    return dice + (bce * (0.5 + 1.5 * shown)).mean()
