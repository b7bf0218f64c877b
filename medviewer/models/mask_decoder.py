"""segment-anything's prompt encoder and mask decoder for batches of (image, prompt) pairs with a text."""

from __future__ import annotations

import torch
from segment_anything.modeling import MaskDecoder, PromptEncoder, TwoWayTransformer
from segment_anything.modeling.common import LayerNorm2d
from segment_anything.modeling.mask_decoder import MLP
from torch import Tensor, nn

from medviewer.models.image_encoder import FINE

# labels of sparse prompts: a click outside, a click inside, the two corners of a box; -1 fills up
NOT_A_POINT, NEGATIVE, POSITIVE, BOX_FIRST, BOX_LAST = -1, 0, 1, 2, 3
DRAWN = 5  # channels of the prompts drawn as pictures
CLICK_RADIUS = 2.5  # cells of the fine features


class PairPromptEncoder(PromptEncoder):
    """PromptEncoder for pairs that differ in what they have: missing points, boxes and masks are filled up."""

    def embed_points(self, points: Tensor, labels: Tensor, size: int) -> Tensor:
        """points (p, k, 2) as (x, y) input pixels of a square of `size`, labels (p, k) to (p, k, dim)."""
        embedding = self.pe_layer.forward_with_coords(points + 0.5, (size, size))
        embedding = embedding * (labels >= 0)[..., None]
        kinds = torch.cat([self.not_a_point_embed.weight, *[e.weight for e in self.point_embeddings]])
        return torch.as_tensor(embedding + kinds[labels + 1])

    def embed_masks(self, masks: Tensor | None, has_mask: Tensor | None, pairs: int) -> Tensor:
        """masks (p, 1, s/2, s/2) as logits, has_mask (p,) bool to (p, dim, s/16, s/16); (p, dim, 1, 1) without."""
        none = self.no_mask_embed.weight.reshape(1, -1, 1, 1).expand(pairs, -1, 1, 1)
        if masks is None or has_mask is None:
            return none
        embedded = self._embed_masks(nn.functional.avg_pool2d(masks, 2))
        return torch.where(has_mask[:, None, None, None], embedded, none)


class TextMaskDecoder(MaskDecoder):
    """MaskDecoder on the coarse embedding whose mask also sees the fine features, gated by the text, and the prompts
    drawn at that resolution; with a presence score."""

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
        self.presence_head = MLP(3 * dim, dim, 1, 3)
        self.gate = nn.Linear(2 * dim, 2 * high_res)
        self.hints = nn.Conv2d(DRAWN, high_res, 3, padding=1)
        self.refine = nn.Conv2d(high_res, high_res, 3, padding=1)
        self.mask_bias = nn.Linear(dim, 1)
        self.query = nn.Sequential(nn.Linear(dim, dim), nn.GELU(), nn.Linear(dim, high_res + 1))

    def judge_pairs(
        self, embedding: Tensor, image_pe: Tensor, sparse: Tensor, dense: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The transformer alone, on p pairs: embedding (p, dim, h, w), image_pe (1, dim, h, w), sparse (p, k, dim),
        dense (p, dim, h, w) or (p, dim, 1, 1). Returns the image state (p, dim, h, w), the mask token (p, dim), the
        predicted IoU (p,) and presence logits (p,)."""
        pairs, dim, height, width = embedding.shape
        output_tokens = torch.cat([self.iou_token.weight, self.mask_tokens.weight])
        tokens = torch.cat([output_tokens.expand(pairs, -1, -1), sparse], dim=1)
        positions = image_pe.expand(pairs, -1, -1, -1)
        states, source = self.transformer(embedding + dense, positions, tokens)
        seen = torch.cat([states[:, 0], states[:, 1], source.amax(1)], dim=1)
        presence = self.presence_head(seen)
        source = source.transpose(1, 2).reshape(pairs, dim, height, width)
        return source, states[:, 1], self.iou_prediction_head(states[:, 0])[:, 0], presence[:, 0]

    def draw_pairs(
        self, source: Tensor, high_res: Tensor, mask_token: Tensor, text: Tensor, drawn: Tensor | None
    ) -> Tensor:
        """Mask logits (p, 8h, 8w) from what `judge_pairs` gave, high_res (p, c, 8h, 8w), text (p, dim) and the drawn
        prompts (p, DRAWN, 8h, 8w) of `draw_prompts`, if any."""
        scale, shift = self.gate(torch.cat([text, mask_token], dim=1))[:, :, None, None].chunk(2, dim=1)
        coarse = self.output_upscaling(source)
        coarse = nn.functional.interpolate(coarse, scale_factor=2.0, mode="bilinear", align_corners=False)
        features = coarse + torch.addcmul(shift, high_res, 1 + scale)
        if drawn is not None:
            features = features + self.hints(drawn)
        features = nn.functional.silu(self.refine(nn.functional.silu(features)))
        weights = self.output_hypernetworks_mlps[0](mask_token)
        bias = self.mask_bias(mask_token)
        query = self.query(text)
        product = torch.einsum("pc,pchw->phw", weights, features) + torch.einsum("pc,pchw->phw", query[:, 1:], high_res)
        return product * 0.25 + (bias + query[:, :1])[:, :, None]


def draw_prompts(points: Tensor, labels: Tensor, masks: Tensor, side: int) -> Tensor:
    """Prompts as pictures (p, DRAWN, side, side): the earlier mask's logits, its outline of knowledge (1 where there is
    a mask), discs of clicks inside, discs of clicks outside, the inside of boxes. points (p, k, 2) (x, y) in input
    pixels of a square of FINE * side; labels (p, k); masks (p, 1, side, side), zero where there is none. The discs
    are those of RITM (Sofiiuk et al. 2021)."""
    grid = torch.arange(side, device=points.device, dtype=torch.float32)
    places = (points.float() + 0.5) / FINE - 0.5
    near_x = (grid - places[..., :1]) ** 2  # (p, k, side)
    near_y = (grid - places[..., 1:]) ** 2
    discs = (near_y[..., :, None] + near_x[..., None, :] <= CLICK_RADIUS**2).float()
    kinds = [(discs * (labels == kind)[..., None, None]).amax(1, keepdim=True) for kind in (POSITIVE, NEGATIVE)]
    known = (masks != 0).flatten(1).any(1).float()[:, None, None, None].expand_as(masks)
    return torch.cat([masks.float() * 0.25, known, *kinds, _inside_boxes(grid, places, labels)], 1)


def _inside_boxes(grid: Tensor, places: Tensor, labels: Tensor) -> Tensor:
    """(p, 1, side, side): 1 inside the box of a pair that has one."""
    first, last = (_corner(places, labels, kind) for kind in (BOX_FIRST, BOX_LAST))
    inside = (grid >= first[..., None]) & (grid <= last[..., None])  # (p, 2, side)
    has_box = (labels == BOX_FIRST).any(1)[:, None, None]
    return (inside[:, 1, :, None] & inside[:, 0, None, :] & has_box).float()[:, None]


def _corner(places: Tensor, labels: Tensor, kind: int) -> Tensor:
    return (places * (labels == kind)[..., None]).sum(1)
