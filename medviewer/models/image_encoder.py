"""A light image encoder: a small U-Net that gives SAM's decoder an embedding and high-resolution features."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

GROUPS = 8


def conv_norm(inputs: int, outputs: int, stride: int = 1, kernel: int = 3) -> nn.Sequential:
    """Convolution without bias, group norm (no batch statistics: batches mix modalities), SiLU."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False),
        nn.GroupNorm(GROUPS, outputs),
        nn.SiLU(inplace=True),
    )


class Residual(nn.Module):
    """Two 3x3 convolutions beside an identity."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = conv_norm(channels, channels)
        self.second = nn.Sequential(
            nn.Conv2d(channels, channels, 3, 1, 1, bias=False), nn.GroupNorm(GROUPS, channels)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(n, c, h, w) to the same shape."""
        return F.silu(x + self.second(self.first(x)))


class Up(nn.Module):
    """Doubles the resolution and merges the skip connection of the same size."""

    def __init__(self, inputs: int, skip: int, outputs: int) -> None:
        super().__init__()
        self.reduce = conv_norm(inputs, outputs, kernel=1)
        self.merge = conv_norm(outputs + skip, outputs)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """x (n, inputs, h, w), skip (n, skip, 2h, 2w) to (n, outputs, 2h, 2w)."""
        up = F.interpolate(self.reduce(x), scale_factor=2.0, mode="nearest")
        return torch.as_tensor(self.merge(torch.cat([up, skip], dim=1)))


class ImageEncoder(nn.Module):
    """Images (n, 2, s, s) to an embedding (n, dim, s/8, s/8) and features (n, 32, s/2, s/2).

    The two input channels are a narrow and a wide intensity window of one slice; they are equal where the
    source has only one (X-ray, ultrasound, MR, windowed pictures).
    """

    def __init__(self, dim: int = 128, high_res: int = 32) -> None:
        super().__init__()
        self.stem = nn.Sequential(conv_norm(2, 32, stride=2), Residual(32))
        self.down4 = nn.Sequential(conv_norm(32, 64, stride=2), Residual(64))
        self.down8 = nn.Sequential(conv_norm(64, 128, stride=2), Residual(128), Residual(128))
        self.down16 = nn.Sequential(conv_norm(128, 192, stride=2), Residual(192), Residual(192))
        self.down32 = nn.Sequential(conv_norm(192, 256, stride=2), Residual(256))
        self.up16 = Up(256, 192, 192)
        self.up8 = Up(192, 128, dim)
        self.up4 = Up(dim, 64, 64)
        self.up2 = Up(64, 32, high_res)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Returns (embedding, high-resolution features)."""
        at2 = self.stem(images)
        at4 = self.down4(at2)
        at8 = self.down8(at4)
        at16 = self.down16(at8)
        up16 = self.up16(self.down32(at16), at16)
        embedding = self.up8(up16, at8)
        return embedding, self.up2(self.up4(embedding, at4), at2)
