"""What kind of picture a file without a recorded modality shows, told from the encoder's embedding by a linear rule."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

SURE = 0.95  # share of the probability from which the guess is relied on


@dataclass(frozen=True)
class PictureKind:
    """Softmax regression on the mean of the coarse embedding: modality to (dim + 1) weights, the last one constant.

    Fitted on train rows by `training.evaluation.picture_kind`. Without weights nothing is guessed.
    """

    weights: Mapping[str, tuple[float, ...]] = field(default_factory=dict)

    def guess(self, embedding: Tensor) -> str | None:
        """The modality of a picture with the embedding (dim, h, w), or None where it is not clear."""
        if not self.weights:
            return None
        mean = np.append(embedding.float().mean((1, 2)).cpu().numpy(), 1.0)
        scores = np.array([float(np.dot(row, mean)) for row in self.weights.values()])
        share = softmax(scores)
        best = int(np.argmax(share))
        return list(self.weights)[best] if share[best] >= SURE else None


def softmax(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Shares (..., n) that sum to 1."""
    raised = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=-1, keepdims=True))
