"""segment-anything's prompt encoder and mask decoder for batches of (image, prompt) pairs with a text."""

from __future__ import annotations

import torch
from segment_anything.modeling import MaskDecoder, PromptEncoder, TwoWayTransformer
from segment_anything.modeling.common import LayerNorm2d
from segment_anything.modeling.mask_decoder import MLP
from torch import Tensor, nn

# labels of sparse prompts: a click outside, a click inside, the two corners of a box; -1 fills up
NOT_A_POINT, NEGATIVE, POSITIVE, BOX_FIRST, BOX_LAST = -1, 0, 1, 2, 3


class PairPromptEncoder(PromptEncoder):
    """PromptEncoder for pairs that differ in what they have: missing points, boxes and masks are filled up."""

    def embed_points(self, points: Tensor, labels: Tensor) -> Tensor:
        """points (p, k, 2) as (x, y) input pixels, labels (p, k) to (p, k, dim)."""
        size = self.input_image_size
        embedding = self.pe_layer.forward_with_coords(points + 0.5, size)
        embedding = embedding * (labels >= 0)[..., None]
        kinds = torch.cat([self.not_a_point_embed.weight, *[e.weight for e in self.point_embeddings]])
        return torch.as_tensor(embedding + kinds[labels + 1])

    def embed_masks(self, masks: Tensor | None, has_mask: Tensor | None, pairs: int) -> Tensor:
        """masks (p, 1, s/2, s/2) as logits, has_mask (p,) bool to (p, dim, s/8, s/8)."""
        height, width = self.image_embedding_size
        none = self.no_mask_embed.weight.reshape(1, -1, 1, 1).expand(pairs, -1, height, width)
        if masks is None or has_mask is None:
            return none
        return torch.where(has_mask[:, None, None, None], self._embed_masks(masks), none)


class TextMaskDecoder(MaskDecoder):
    """MaskDecoder whose mask also sees high-resolution features gated by the text, with a presence score."""

    def __init__(self, dim: int = 128, high_res: int = 32) -> None:
        transformer = TwoWayTransformer(depth=2, embedding_dim=dim, num_heads=8, mlp_dim=4 * dim)
        super().__init__(transformer_dim=dim, transformer=transformer, num_multimask_outputs=0)
        self.output_upscaling = nn.Sequential(
            nn.ConvTranspose2d(dim, dim // 2, kernel_size=2, stride=2),
            LayerNorm2d(dim // 2),
            nn.GELU(),
            nn.ConvTranspose2d(dim // 2, high_res, kernel_size=2, stride=2),
        )
        self.output_hypernetworks_mlps = nn.ModuleList([MLP(dim, dim, high_res, 3)])
        self.iou_prediction_head = MLP(dim, dim, 1, 3)
        self.presence_head = MLP(2 * dim, dim, 1, 3)
        self.gate = nn.Linear(2 * dim, 2 * high_res)
        self.refine = nn.Conv2d(high_res, high_res, 3, padding=1)
        self.mask_bias = nn.Linear(dim, 1)
        self.query = nn.Sequential(nn.Linear(dim, dim), nn.GELU(), nn.Linear(dim, high_res + 1))

    def predict_pairs(
        self, embedding: Tensor, image_pe: Tensor, sparse: Tensor, dense: Tensor, high_res: Tensor, text: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """One mask per pair.

        embedding (p, dim, h, w), image_pe (1, dim, h, w), sparse (p, k, dim), dense (p, dim, h, w),
        high_res (p, c, 4h, 4w), text (p, dim). Returns mask logits (p, 4h, 4w), predicted IoU (p,) and
        presence logits (p,).
        """
        source, mask_token, iou, presence = self.judge_pairs(embedding, image_pe, sparse, dense)
        return self.draw_pairs(source, high_res, mask_token, text), iou, presence

    def judge_pairs(
        self, embedding: Tensor, image_pe: Tensor, sparse: Tensor, dense: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The transformer alone: image state (p, dim, h, w), mask token (p, dim), IoU (p,), presence logits (p,)."""
        pairs, dim, height, width = embedding.shape
        output_tokens = torch.cat([self.iou_token.weight, self.mask_tokens.weight])
        tokens = torch.cat([output_tokens.expand(pairs, -1, -1), sparse], dim=1)
        positions = image_pe.expand(pairs, -1, -1, -1)
        states, source = self.transformer(embedding + dense, positions, tokens)
        source = source.transpose(1, 2).reshape(pairs, dim, height, width)
        presence = self.presence_head(torch.cat([states[:, 0], states[:, 1]], dim=1))
        return source, states[:, 1], self.iou_prediction_head(states[:, 0])[:, 0], presence[:, 0]

    def draw_pairs(self, source: Tensor, high_res: Tensor, mask_token: Tensor, text: Tensor) -> Tensor:
        """Mask logits (p, 4h, 4w) from what `judge_pairs` gave."""
        return self._mask(source, high_res, mask_token, text)

    def _mask(self, source: Tensor, high_res: Tensor, mask_token: Tensor, text: Tensor) -> Tensor:
        scale, shift = self.gate(torch.cat([text, mask_token], dim=1))[:, :, None, None].chunk(2, dim=1)
        features = self.output_upscaling(source) + high_res * (1 + scale) + shift
        features = nn.functional.silu(self.refine(nn.functional.silu(features)))
        weights = self.output_hypernetworks_mlps[0](mask_token)
        logits = torch.einsum("pc,pchw->phw", weights, features) * 0.25
        return logits + self.mask_bias(mask_token)[:, :, None] + self.direct_logits(text, high_res)

    def direct_logits(self, text: Tensor, high_res: Tensor) -> Tensor:
        """Mask logits (p, h, w) by one product of a text's query (p, dim) with the features (p, c, h, w): the part of
        the mask that needs no decoder, and a dense training signal for the encoder."""
        query = self.query(text)
        return torch.einsum("pc,pchw->phw", query[:, 1:], high_res) * 0.25 + query[:, :1, None]
