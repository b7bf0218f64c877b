"""Simulated clicks, boxes and earlier masks, so that the decoder learns to be corrected."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from medviewer.models.mask_decoder import BOX_FIRST, BOX_LAST, NEGATIVE, NOT_A_POINT, POSITIVE

SLOTS = 4  # sparse prompts per pair; unused ones are filled up
MASK_LOGIT = 4.0
LEAST_ERROR = 6  # pixels of the decoder's grid that are worth a click


class PairPrompt:
    """Prompts of one pair, in input pixels: points (SLOTS, 2) (x, y), labels (SLOTS,), mask (s/2, s/2) or None."""

    def __init__(self) -> None:
        self.points = np.zeros((SLOTS, 2), np.float32)
        self.labels = np.full(SLOTS, NOT_A_POINT)
        self.mask: Tensor | None = None
        self.use_text = True

    def add(self, x: float, y: float, label: int) -> None:
        """Fill the next free slot; ignored when all are used."""
        free = np.flatnonzero(self.labels == NOT_A_POINT)
        if len(free):
            self.points[free[0]] = (x, y)
            self.labels[free[0]] = label


def draw_prompt(truth: Tensor, visible: bool, rng: np.random.Generator) -> PairPrompt:
    """truth (s, s) 0..1. Mostly text alone; else a corrected earlier mask, clicks or a box, with or without text."""
    prompt = PairPrompt()
    chance = rng.random()
    mask = (truth > 0.5).numpy()
    if not visible or chance < 0.62 or not mask.any():
        return prompt
    if chance < 0.76:
        _correction(prompt, mask, rng)
    elif chance < 0.88:
        _clicks(prompt, mask, rng)
        prompt.use_text = rng.random() < 0.5
    else:
        _box(prompt, mask, rng)
        prompt.use_text = rng.random() < 0.4
    return prompt


def _pick(region: NDArray[np.bool_], rng: np.random.Generator) -> tuple[float, float] | None:
    where = np.flatnonzero(region)
    if not len(where):
        return None
    y, x = divmod(int(where[rng.integers(len(where))]), region.shape[1])
    return float(x), float(y)


def _clicks(prompt: PairPrompt, mask: NDArray[np.bool_], rng: np.random.Generator) -> None:
    core = ndimage.binary_erosion(mask)
    inside = _pick(core if core.any() else mask, rng)
    if inside:
        prompt.add(*inside, POSITIVE)
    if rng.random() < 0.35:
        near = ndimage.binary_dilation(mask, iterations=12) & ~ndimage.binary_dilation(mask, iterations=2)
        outside = _pick(near, rng)
        if outside:
            prompt.add(*outside, NEGATIVE)


def _box(prompt: PairPrompt, mask: NDArray[np.bool_], rng: np.random.Generator) -> None:
    ys, xs = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    edges = np.array([xs[0], ys[0], xs[-1], ys[-1]], float)
    spread = 0.05 * max(edges[2] - edges[0], edges[3] - edges[1], 8)
    edges += rng.normal(0, spread, 4).clip(-2 * spread, 2 * spread)
    prompt.add(edges[0], edges[1], BOX_FIRST)
    prompt.add(edges[2], edges[3], BOX_LAST)


def _correction(prompt: PairPrompt, mask: NDArray[np.bool_], rng: np.random.Generator) -> None:
    wrong = _degraded(mask, rng)
    missing, extra = mask & ~wrong, wrong & ~mask
    label, region = (POSITIVE, missing) if missing.sum() >= extra.sum() else (NEGATIVE, extra)
    core = ndimage.binary_erosion(region)
    click = _pick(core if core.any() else region, rng)
    if click and rng.random() < 0.6:  # else the mask of a neighbouring slice, as a correction spreads through a volume
        prompt.add(*click, label)
    prompt.mask = mask_logits(torch.from_numpy(wrong))
    prompt.use_text = rng.random() < 0.7


def correction(
    logits: Tensor, truth: Tensor, before: tuple[NDArray[np.float32], NDArray[np.int64]], rng: np.random.Generator
) -> PairPrompt | None:
    """The prompt with which a reader corrects a prediction: one more click near the middle of the largest error, and
    the prediction as the earlier mask. logits, truth (s/2, s/2); `before`: the pair's points and labels. None where
    there is nothing worth a click."""
    mask, wanted = (logits > 0).numpy(), (truth > 0.5).numpy()
    place = _worst_place(mask, wanted, rng)
    if place is None:
        return None
    prompt = PairPrompt()
    prompt.points, prompt.labels = before[0].copy(), before[1].copy()
    if not (prompt.labels == NOT_A_POINT).any():
        prompt.points[:-1], prompt.labels[:-1] = prompt.points[1:].copy(), prompt.labels[1:].copy()
        prompt.labels[-1] = NOT_A_POINT
    row, column = place
    prompt.add(2.0 * column + 0.5, 2.0 * row + 0.5, POSITIVE if wanted[row, column] else NEGATIVE)
    prompt.mask = (torch.from_numpy(mask).float() * 2 - 1) * MASK_LOGIT
    return prompt


def _worst_place(
    mask: NDArray[np.bool_], truth: NDArray[np.bool_], rng: np.random.Generator
) -> tuple[int, int] | None:
    """The innermost pixel of the largest error, or one around it."""
    pieces, count = ndimage.label(mask != truth)
    sizes = np.bincount(pieces.reshape(-1))
    if count == 0 or sizes[1:].max() < LEAST_ERROR:
        return None
    error = np.pad(pieces == 1 + int(np.argmax(sizes[1:])), 1)
    depth = ndimage.distance_transform_cdt(error)[1:-1, 1:-1]
    places = np.flatnonzero(depth >= (depth.max() if rng.random() < 0.5 else max(1, 0.5 * depth.max())))
    row, column = divmod(int(places[rng.integers(len(places))]), mask.shape[1])
    return row, column


def mask_logits(mask: Tensor) -> Tensor:
    """A bool mask (s, s) as the decoder's mask prompt (s/2, s/2): +-MASK_LOGIT, soft at the edge."""
    pooled = torch.nn.functional.avg_pool2d(mask.float()[None, None], 2)[0, 0]
    return (pooled * 2 - 1) * MASK_LOGIT


def _degraded(mask: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.bool_]:
    """The mask with a piece cut off or a blob added, and a shifted edge."""
    out = mask.copy()
    size = np.sqrt(mask.sum())
    steps = max(1, int(size * rng.uniform(0.0, 0.08)))
    change = ndimage.binary_erosion if rng.random() < 0.5 else ndimage.binary_dilation
    if size > 6:
        out = change(out, iterations=steps)
    yy, xx = np.mgrid[: mask.shape[0], : mask.shape[1]]
    centre = _pick(ndimage.binary_dilation(mask, iterations=3), rng)
    if centre:
        radius = size * rng.uniform(0.15, 0.55)
        blob = (xx - centre[0]) ** 2 + (yy - centre[1]) ** 2 < radius**2
        out = (out & ~blob) if rng.random() < 0.6 else (out | blob)
    return np.asarray(out, bool)
