"""The network of the default bundle: image encoder, text encoder, prompt encoder, mask decoder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from medviewer.models.image_encoder import COARSE, FINE, ImageEncoder
from medviewer.models.mask_decoder import DRAWN, PairPromptEncoder, TextMaskDecoder, draw_prompts
from medviewer.models.mask_refiner import MaskRefiner
from medviewer.models.text_encoder import TextEncoder

MODALITIES = ("unknown", "CT", "MR", "XR", "US")


@dataclass(frozen=True)
class NetworkConfig:
    """Sizes of the network. `size`: usual side of the square input in pixels; any multiple of 32 can be encoded."""

    size: int = 256
    dim: int = 128
    high_res: int = 32
    text_buckets: int = 8192
    text_tokens: int = 2

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)

    def embedding_shapes(self, size: int) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
        """(channels, rows, columns) of one slice's embedding and of its fine features, for an input side."""
        return (self.dim, size // COARSE, size // COARSE), (self.high_res, size // FINE, size // FINE)


class SparsePrompts(NamedTuple):
    """Prompts of p pairs: clicks and boxes as points (p, k, 2) (x, y) with labels (p, k); masks as logits."""

    points: Tensor | None = None
    labels: Tensor | None = None
    masks: Tensor | None = None  # (p, 1, s/2, s/2)
    has_mask: Tensor | None = None  # (p,) bool


class Decoded(NamedTuple):
    """Mask logits (p, s/2, s/2), predicted IoU (p,), presence logits (p,)."""

    logits: Tensor
    iou: Tensor
    presence: Tensor


class TextSam(nn.Module):
    """Text-promptable segment-anything on a light encoder. Encode a slice once, decode any number of prompts."""

    def __init__(self, config: NetworkConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or NetworkConfig()
        grid = config.size // COARSE
        self.image_encoder = ImageEncoder(config.dim, config.high_res)
        self.text_encoder = TextEncoder(config.dim, config.text_buckets)
        self.prompt_encoder = PairPromptEncoder(config.dim, (grid, grid), (config.size, config.size), 16)
        self.mask_decoder = TextMaskDecoder(config.dim, config.high_res)
        self.no_text = nn.Parameter(torch.zeros(config.dim))
        self.text_to_tokens = nn.Linear(config.dim, config.text_tokens * config.dim)
        self.modality = nn.Embedding(len(MODALITIES), config.dim)
        self.click_refiner = MaskRefiner(config.dim, config.high_res, DRAWN)
        self.text_refiner = MaskRefiner(config.dim, config.high_res, 0)

    def encode_images(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """images (n, 4, s, s), about -1..1, to (embedding, high-resolution features)."""
        embedding, high_res = self.image_encoder(images)
        return embedding, high_res

    def encode_texts(self, texts: Sequence[str | None]) -> Tensor:
        """Texts to (n, dim); None (clicks alone) gets the learned "no text" vector."""
        vectors = self.text_encoder([text or "" for text in texts])
        known = torch.tensor([text is not None for text in texts], device=vectors.device)
        return torch.where(known[:, None], vectors, self.no_text.to(vectors.dtype))

    def decode(
        self, embedding: Tensor, high_res: Tensor, text: Tensor, modality: Tensor, prompts: SparsePrompts,
        looked_at: Tensor | None = None,
    ) -> Decoded:
        """Decode p pairs: embedding (p, ...), high_res (p, ...), text (p, dim), modality (p,) numbers. `looked_at` (p,)
        bool: pairs that get a second look where they have no prompt beyond the text."""
        sparse, dense, position = self._prompt_tokens(embedding, text, modality, prompts)
        source, token, iou, presence = self.mask_decoder.judge_pairs(embedding, position, sparse, dense)
        drawn = self._drawn(prompts, high_res)
        logits = self.mask_decoder.draw_pairs(source, high_res, token, text, drawn)
        clicked = torch.zeros_like(presence, dtype=torch.bool) if drawn is None else drawn.flatten(1).any(1)
        logits = _refined(self.click_refiner, clicked, logits, high_res, drawn, text)
        if looked_at is not None:
            logits = _refined(self.text_refiner, looked_at & ~clicked, logits, high_res, None, text)
        return Decoded(logits, iou, presence)

    def decode_visible(
        self, embedding: Tensor, high_res: Tensor, text: Tensor, modality: Tensor, least: float,
        second_look: bool = False,
    ) -> tuple[Tensor, Tensor]:
        """Text alone: presence logits (p,) and mask logits (p, s/2, s/2); masks are drawn only for pairs whose presence
        is at least `least` (0..1), the others stay at -10. `second_look` refines them: more exact, and slower."""
        sparse, dense, position = self._prompt_tokens(embedding, text, modality, SparsePrompts())
        source, token, _, presence = self.mask_decoder.judge_pairs(embedding, position, sparse, dense)
        half = high_res.shape[-1]
        logits = torch.full((len(presence), half, half), -10.0, device=high_res.device)
        shown = torch.nonzero(presence.sigmoid() >= least)[:, 0]
        if len(shown):
            fine = high_res[shown].float()
            drawn = self.mask_decoder.draw_pairs(source[shown], fine, token[shown], text[shown], None)
            if second_look:
                drawn = self.text_refiner(drawn, fine, None, text[shown])
            logits[shown] = drawn.to(logits.dtype)  # half under autocast
        return presence, logits

    def _prompt_tokens(
        self, embedding: Tensor, text: Tensor, modality: Tensor, prompts: SparsePrompts
    ) -> tuple[Tensor, Tensor, Tensor]:
        pairs, grid = text.shape[0], embedding.shape[-1]
        tokens = self.text_to_tokens(text).reshape(pairs, self.config.text_tokens, -1)
        sparse = [tokens, self.modality(modality)[:, None]]
        encoder = self.prompt_encoder
        if prompts.points is not None and prompts.labels is not None:
            sparse.append(encoder.embed_points(prompts.points, prompts.labels, grid * COARSE).to(tokens.dtype))
        dense = encoder.embed_masks(prompts.masks, prompts.has_mask, pairs)
        return torch.cat(sparse, 1), dense, encoder.pe_layer((grid, grid))[None].to(tokens.dtype)

    def _drawn(self, prompts: SparsePrompts, high_res: Tensor) -> Tensor | None:
        """Clicks, boxes and an earlier mask as pictures for the fine features; None where there are none."""
        if prompts.points is None and prompts.masks is None:
            return None
        pairs, side = high_res.shape[0], high_res.shape[-1]
        masks = prompts.masks if prompts.masks is not None else high_res.new_zeros(pairs, 1, side, side)
        points = prompts.points if prompts.points is not None else high_res.new_zeros(pairs, 1, 2)
        labels = prompts.labels
        if labels is None:
            labels = torch.full((pairs, 1), -1, device=high_res.device)
        return draw_prompts(points, labels, masks, side).to(high_res.dtype)


def _refined(
    refiner: MaskRefiner, chosen: Tensor, logits: Tensor, high_res: Tensor, drawn: Tensor | None, text: Tensor
) -> Tensor:
    """The logits (p, s/2, s/2), with those of the chosen pairs (p,) changed by a refiner."""
    rows = torch.nonzero(chosen)[:, 0]
    if not len(rows):
        return logits
    refined = refiner(logits[rows], high_res[rows], None if drawn is None else drawn[rows], text[rows])
    return logits.index_copy(0, rows, refined.to(logits.dtype))
