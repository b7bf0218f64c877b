"""A second look at a mask on the fine grid: a small U-Net on the fine features, drawn prompts and the answer so far."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from medviewer.models.image_encoder import Residual, Up, conv_norm

LOGIT_SCALE = 0.25  # logits come to about the size of the features


class MaskRefiner(nn.Module):
    """Adds to the mask decoder's logits.

    The decoder places a structure or a prompt on a grid of 1/16 of the input; here it is seen at 1/2, together with
    the edges of the image and with the answer without it, over a neighbourhood that reaches across the picture (for
    prompts as in RITM, Sofiiuk et al. 2021, but on features that are computed once). The text says which of several
    edges is meant. `drawn`: channels of drawn prompts, 0 for the refiner of text alone. A new one changes nothing: its
    last layer begins with zeros.
    """

    def __init__(self, dim: int, high_res: int, drawn: int) -> None:
        super().__init__()
        self.at2 = conv_norm(high_res + drawn + 1, 24)
        self.down4 = nn.Sequential(conv_norm(24, 48, stride=2), Residual(48))
        self.down8 = nn.Sequential(conv_norm(48, 96, stride=2), Residual(96))
        self.down16 = nn.Sequential(conv_norm(96, 128, stride=2), Residual(128))
        self.gate = nn.Linear(dim, 256)
        self.up8, self.up4, self.up2 = Up(128, 96, 64), Up(64, 48, 32), Up(32, 24, 16)
        self.out = nn.Conv2d(16, 1, 1)
        nn.init.zeros_(self.out.weight)
        if self.out.bias is not None:
            nn.init.zeros_(self.out.bias)

    def forward(self, logits: Tensor, high_res: Tensor, drawn: Tensor | None, text: Tensor) -> Tensor:
        """logits (p, h, w), high_res (p, c, h, w), drawn (p, d, h, w) if any, text (p, dim), h and w multiples of 8, to
        new logits (p, h, w)."""
        answer = (logits * LOGIT_SCALE).clamp(-2.0, 2.0)[:, None].to(high_res.dtype)
        seen = [high_res, answer] if drawn is None else [high_res, drawn.to(high_res.dtype), answer]
        at2 = self.at2(torch.cat(seen, dim=1))
        at4 = self.down4(at2)
        at8 = self.down8(at4)
        at16 = self.down16(at8)
        scale, shift = self.gate(text)[:, :, None, None].chunk(2, dim=1)
        deep = torch.addcmul(shift, at16, 1 + scale)
        fine = self.up2(self.up4(self.up8(deep, at8), at4), at2)
        return logits + self.out(fine)[:, 0].to(logits.dtype)
