"""What kind of picture a file without a recorded modality shows, told from the encoder's embedding by a linear rule."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

SURE = 0.97  # share of the probability from which the guess is relied on
QUANTILES = (0.1, 0.5, 0.9)  # of each channel over the picture, beside its mean and standard deviation


@dataclass(frozen=True)
class PictureKind:
    """Softmax regression on `summary` of the coarse embedding: modality to its weights, the last one constant.

    Fitted on train rows by `training.evaluation.picture_kind`. Without weights nothing is guessed.
    """

    weights: Mapping[str, tuple[float, ...]] = field(default_factory=dict)

    def guess(self, embedding: Tensor) -> str | None:
        """The modality of a picture with the embedding (dim, h, w), or None where it is not clear."""
        if not self.weights:
            return None
        share = softmax(np.array(list(self.weights.values())) @ summary(embedding))
        best = int(np.argmax(share))
        return list(self.weights)[best] if share[best] >= SURE else None


def summary(embedding: Tensor) -> NDArray[np.float64]:
    """What the rule sees of an embedding (dim, h, w): `length_of(dim)` numbers, the last one 1."""
    values = embedding.detach().float().flatten(1)
    quantiles = torch.quantile(values, torch.tensor(QUANTILES, device=values.device), dim=1)
    parts = torch.cat([values.mean(1), values.std(1, correction=0), quantiles.flatten()])
    return np.append(parts.cpu().numpy().astype(np.float64), 1.0)


def length_of(dim: int) -> int:
    """Weights per modality for an embedding of `dim` channels."""
    return (2 + len(QUANTILES)) * dim + 1


def softmax(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Shares (..., n) that sum to 1."""
    raised = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=-1, keepdims=True))
