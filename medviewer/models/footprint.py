"""How much memory a model takes, known before it is loaded: the description's sizes, measured factors."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import nn

from medviewer.models.text_sam import NetworkConfig, TextSam

# Measured by tests/benchmarks/bench_model_memory.py, rounded up.
_ACTIVATIONS = 60.0  # float32 numbers per input pixel of one slice while it is encoded, per 32 high-resolution channels
_LOAD_FACTOR = 3.0  # file, tensors in the file's type and the network together, in bytes of the float32 network
_ANSWER_BYTES = 4.0  # per voxel: masks on the slice stack and on the grid, side filter, edges
_SCORE_FACTOR = 8.0  # float32 numbers per pixel of the decoder's grid and slice: logits and their smoothed copies
_ALWAYS = 64_000_000  # allocator and threads


@dataclass(frozen=True)
class Footprint:
    """Bytes of the network's parts."""

    weights_bytes: int
    config: NetworkConfig

    @classmethod
    def of(cls, config: NetworkConfig) -> Footprint:
        """From the sizes alone; no memory is taken for the weights."""
        return cls(4 * _parameters(config), config)

    @property
    def to_load(self) -> int:
        """Peak bytes while the weights are read and put into the network."""
        return int(_LOAD_FACTOR * self.weights_bytes) + _ALWAYS

    def embedding_bytes(self, side: int) -> int:
        """Of one slice's embedding and features (float16), for an input side."""
        return 2 * sum(math.prod(shape) for shape in self.config.embedding_shapes(side))

    def to_encode(self, shape: tuple[int, int, int], batch: int, side: int) -> int:
        """Bytes for `batch` slices of a stack (slices, rows, columns) in the encoder, beside the embeddings kept."""
        network = _ACTIVATIONS * self.config.high_res / 32 * side**2 * 4
        slices = 4.0 * 8 * shape[1] * shape[2]  # with neighbours as float32, in two windows, clipped and fitted
        return int(min(batch, shape[0]) * (network + slices)) + _ALWAYS

    def to_answer(self, shape: tuple[int, int, int], side: int) -> int:
        """Bytes for the scores and masks of one prompt."""
        scores = _SCORE_FACTOR * 4 * shape[0] * (side // 2) ** 2
        return int(scores + _ANSWER_BYTES * math.prod(shape))


def _parameters(config: NetworkConfig) -> int:
    import torch

    with torch.device("meta"):
        network: nn.Module = TextSam(config)
    return sum(tensor.numel() for tensor in network.state_dict().values())
