"""A quick look at Dice on held-out train rows: slices in memory, no 3D pipeline. `evaluate.py` gives real figures."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import torch

from medviewer.models.preprocessing import SOFT_TISSUE, WIDE, input_side, into_box, letterbox_of, to_input, to_unit
from medviewer.models.text_sam import MODALITIES, SparsePrompts, TextSam

from .data.dataset import PLANES, plane_slice
from .data.samples import Sample

SLICES = 8
LEAST_PIXELS = 12  # of a structure in a slice


@torch.inference_mode()
def quick_dice(model: TextSam, samples: Sequence[Sample]) -> dict[str, float]:
    """Mean Dice over pictures where a structure is visible, per "set name"."""
    scores: dict[str, list[float]] = defaultdict(list)
    for sample in samples:
        for plane, index in _views(sample):
            label = plane_slice(sample.label, plane, index)
            names = [n for n, table in sample.tables.items() if table[label].sum() >= LEAST_PIXELS]
            if names:
                dice = _dice_of(model, sample, plane, index, names)
                for name, value in zip(names, dice, strict=True):
                    scores[f"{sample.config.name} {name}"].append(value)
    return {key: round(float(np.mean(values)), 3) for key, values in sorted(scores.items())}


def _views(sample: Sample) -> list[tuple[str, int]]:
    if not sample.is_volume:
        return [("axial", 0)]
    planes = ("axial",) if sample.config.modality == "CT" else PLANES
    count = SLICES if len(planes) == 1 else 2
    views = []
    for axis, plane in enumerate(planes):
        last = sample.label.shape[axis]
        views += [(plane, int(i)) for i in np.linspace(0.15 * last, 0.85 * last, count)]
    return views


def _dice_of(model: TextSam, sample: Sample, plane: str, index: int, names: list[str]) -> list[float]:
    image = np.ascontiguousarray(plane_slice(sample.image, plane, index))
    label = np.ascontiguousarray(plane_slice(sample.label, plane, index))
    narrow, wide = (SOFT_TISSUE, WIDE) if sample.is_hu else ((0.0, 255.0), (0.0, 255.0))
    unit = torch.from_numpy(np.stack([to_unit(image, window) for window in (narrow, wide, narrow, narrow)]))[None]
    side = input_side(sample.config.modality, *label.shape)
    box = letterbox_of(label.shape[0], label.shape[1], (1.0, 1.0), side)
    device = model.no_text.device
    embedding, high_res = model.encode_images(to_input(into_box(unit, box)).to(device))
    count = len(names)
    modality = torch.full((count,), MODALITIES.index(sample.config.modality), device=device)
    pairs = (embedding.expand(count, -1, -1, -1), high_res.expand(count, -1, -1, -1))
    again = None if sample.is_volume else torch.ones(count, dtype=torch.bool, device=device)  # as the program asks
    decoded = model.decode(*pairs, model.encode_texts(names), modality, SparsePrompts(), again)
    masks = (decoded.logits > 0).cpu()
    truth = torch.from_numpy(np.stack([sample.tables[name][label] for name in names]).astype(np.float32))
    fitted = into_box(truth[:, None], box)[:, 0]
    target = torch.nn.functional.avg_pool2d(fitted[:, None], 2)[:, 0] > 0.5
    overlap = 2 * (masks & target).sum((1, 2)) + 1e-6
    return [float(v) for v in overlap / (masks.sum((1, 2)) + target.sum((1, 2)) + 1e-6)]
