"""Pseudo-labels: `python -m training.pseudo_labels --bundle DIR --data DIR --names liver ... --sets ct/... --out FILE`.

A set annotates few structures; a trained model knows more. On the training pictures of such sets it is asked at several
sizes and zooms; where all views agree on a mask, or on its absence, that is taken as known (self-training with
consistency, as in Noisy Student, Xie et al. 2020). A recipe reads the file as `data.pseudo`.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from medviewer.models.bundle import load_network, read_info
from medviewer.models.preprocessing import into_box, letterbox_of, out_of_box, to_input
from medviewer.models.text_sam import MODALITIES, SparsePrompts, TextSam

from .data.dataset import load_all
from .data.pseudo import PseudoLabels, write_pseudo
from .data.samples import Sample
from .transforms.intensity import in_tissue_window

SIDES = (192, 224, 256, 288)
PRESENT, ABSENT = 0.5, 0.03  # presence of the mean view, for a mask to be taken, or its absence
AGREED = 0.85  # Dice of each view with the mean of all
LEAST_PIXELS = 30


@torch.inference_mode()
def views_of(network: TextSam, sample: Sample, name: str) -> tuple[NDArray[np.float32], float]:
    """Probabilities (views, rows, columns) of one structure in a picture, and its mean presence."""
    unit = torch.from_numpy(sample.image.astype(np.float32) / 255.0).expand(4, -1, -1)
    if sample.config.modality == "CT":
        unit = in_tissue_window(unit)
    modality = torch.tensor([MODALITIES.index(sample.config.modality)])
    masks, presences = [], []
    for side in SIDES:
        box = letterbox_of(sample.label.shape[1], sample.label.shape[2], (1.0, 1.0), side)
        features = network.encode_images(to_input(into_box(unit[None], box)))
        decoded = network.decode(*features, network.encode_texts([name]), modality, SparsePrompts())
        masks.append(out_of_box(decoded.logits.float(), box)[0].sigmoid().numpy())
        presences.append(float(decoded.presence.sigmoid()))
    return np.stack(masks), float(np.mean(presences))


def judged(masks: NDArray[np.float32], presence: float) -> NDArray[np.bool_] | None:
    """The mask that all views agree on, an empty one where they agree that there is none, None where they do not."""
    mean = masks.mean(0) > 0.5
    if presence <= ABSENT and mean.sum() < LEAST_PIXELS:
        return np.zeros_like(mean)
    if presence < PRESENT or mean.sum() < LEAST_PIXELS:
        return None
    each = [2 * (mean & (m > 0.5)).sum() / (mean.sum() + (m > 0.5).sum()) for m in masks]
    return mean if min(each) >= AGREED else None


def pseudo_labels(network: TextSam, samples: Sequence[Sample], names: Sequence[str]) -> PseudoLabels:
    """Of pictures (not volumes) whose sets do not annotate these structures."""
    codes: dict[str, NDArray[np.uint8]] = {}
    known: dict[str, tuple[str, ...]] = {}
    for sample in samples:
        if sample.is_volume or sample.synthesise:
            continue
        asked = [n for n in names if n not in sample.tables and n not in sample.config.throughout]
        found = {name: judged(*views_of(network, sample, name)) for name in asked}
        picture = np.zeros(sample.label.shape, np.uint8)
        for name, mask in found.items():
            if mask is not None:
                picture[0][mask] = names.index(name) + 1
        codes[sample.key] = picture
        known[sample.key] = tuple(name for name, mask in found.items() if mask is not None)
    return PseudoLabels(tuple(names), codes, known)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--names", nargs="+", required=True)
    parser.add_argument("--sets", nargs="+", required=True)
    parser.add_argument("--tiers", nargs="*", default=[])
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    kept, _ = load_all(options.data, 0, options.tiers, options.sets)
    labels = pseudo_labels(load_network(read_info(options.bundle)).eval(), kept, options.names)
    write_pseudo(options.out, labels)
    for name in options.names:
        where = [key for key, judged_names in labels.known.items() if name in judged_names]
        code = options.names.index(name) + 1
        seen = sum(bool((labels.codes[key] == code).any()) for key in where)
        print(f"{name}: {seen} masks, {len(where) - seen} surely absent, of {len(labels.codes)} pictures")


if __name__ == "__main__":
    main()
