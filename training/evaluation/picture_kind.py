"""Fit the rule that tells what kind of picture a file without a modality shows, on train rows only."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize

from medviewer.models.picture_kind import softmax
from medviewer.models.preprocessing import input_side, into_box, letterbox_of, to_input
from medviewer.models.text_sam import TextSam

from ..data.samples import Sample

PENALTY = 1e-3


@torch.inference_mode()
def fit_picture_kind(network: TextSam, samples: Sequence[Sample]) -> dict[str, list[float]]:
    """Modality to weights (dim + 1,) by softmax regression, every modality counting alike; pictures only."""
    pictures = [s for s in samples if not s.is_volume and not s.synthesise and not s.is_hu]
    names = sorted({s.config.modality for s in pictures})
    means = np.stack([_mean(network, sample) for sample in pictures])
    truth = np.array([names.index(s.config.modality) for s in pictures])
    share = 1.0 / np.bincount(truth, minlength=len(names))[truth] / len(names)
    spread = np.append(means.std(axis=0)[:-1] + 1e-6, 1.0)
    start = np.zeros(len(names) * means.shape[1])
    found = minimize(_loss, start, (means / spread, truth, share), jac=True, method="L-BFGS-B")
    weights = found.x.reshape(len(names), -1) / spread
    return {name: [round(float(w), 6) for w in row] for name, row in zip(names, weights, strict=True)}


def _mean(network: TextSam, sample: Sample) -> NDArray[np.float64]:
    """The mean embedding of a picture as the program sees one that records no modality, and a constant 1."""
    unit = torch.from_numpy(np.asarray(sample.image, np.float32) / 255.0)[None].expand(1, 4, -1, -1)
    rows, columns = sample.label.shape[1:]
    box = letterbox_of(rows, columns, (1.0, 1.0), input_side("unknown", rows, columns))
    embedding, _ = network.encode_images(to_input(into_box(unit, box)))
    return np.append(embedding[0].float().mean((1, 2)).numpy(), 1.0)


def _loss(
    flat: NDArray[np.float64], means: NDArray[np.float64], truth: NDArray[np.intp], share: NDArray[np.float64]
) -> tuple[float, NDArray[np.float64]]:
    weights = flat.reshape(-1, means.shape[1])
    guessed = softmax(means @ weights.T)
    loss = -float(share @ np.log(guessed[np.arange(len(truth)), truth] + 1e-12)) + PENALTY * float(flat @ flat)
    guessed[np.arange(len(truth)), truth] -= 1.0
    slope = (guessed * share[:, None]).T @ means
    return loss, (slope + 2 * PENALTY * weights).reshape(-1)
