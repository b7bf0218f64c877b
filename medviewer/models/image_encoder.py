"""A light image encoder: a small U-Net that gives SAM's decoder a coarse embedding and masks fine features."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

GROUPS = 8
CHANNELS = 4  # narrow window, wide window, and the neighbouring slices before and after in the narrow one
COARSE = 16  # input pixels per cell of the embedding
FINE = 2  # input pixels per cell of the features


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


class Attention(nn.Module):
    """Every cell of a small grid looks at every other (pre-norm transformer block): which organ it is depends on where
    it lies. The position is known from a zero-padded depthwise convolution, so any grid size works."""

    def __init__(self, channels: int, heads: int = 8) -> None:
        super().__init__()
        self.heads = heads
        self.place = nn.Conv2d(channels, channels, 3, 1, 1, groups=channels)
        self.norm1, self.norm2 = nn.LayerNorm(channels), nn.LayerNorm(channels)
        self.qkv = nn.Linear(channels, 3 * channels)
        self.out = nn.Linear(channels, channels)
        self.mlp = nn.Sequential(nn.Linear(channels, 2 * channels), nn.GELU(), nn.Linear(2 * channels, channels))

    def forward(self, x: Tensor) -> Tensor:
        """(n, c, h, w) to the same shape."""
        n, c, h, w = x.shape
        tokens = (x + self.place(x)).flatten(2).transpose(1, 2)
        qkv = self.qkv(self.norm1(tokens)).reshape(n, h * w, 3, self.heads, c // self.heads)
        query, key, value = qkv.permute(2, 0, 3, 1, 4)
        seen = F.scaled_dot_product_attention(query, key, value).transpose(1, 2).reshape(n, h * w, c)
        tokens = tokens + self.out(seen)
        tokens = tokens + self.mlp(self.norm2(tokens))
        return tokens.transpose(1, 2).reshape(n, c, h, w).contiguous(memory_format=torch.channels_last)


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
    """Images (n, 4, s, s), s a multiple of 32, to an embedding (n, dim, s/16, s/16) and features (n, 32, s/2, s/2).

    The channels are a narrow and a wide intensity window of one slice, equal where the source has only one (X-ray,
    ultrasound, MR, windowed pictures), and the slices before and behind it, equal to it where there are none.
    """

    def __init__(self, dim: int = 128, high_res: int = 32) -> None:
        super().__init__()
        self.stem = conv_norm(CHANNELS, 32, stride=2)
        self.down4 = nn.Sequential(conv_norm(32, 64, stride=2), Residual(64))
        self.down8 = nn.Sequential(conv_norm(64, 128, stride=2), Residual(128), Residual(128))
        self.down16 = nn.Sequential(conv_norm(128, 256, stride=2), Residual(256), Residual(256))
        self.down32 = nn.Sequential(conv_norm(256, 320, stride=2), Residual(320), Attention(320), Attention(320))
        self.up16 = Up(320, 256, 256)
        self.coarse = nn.Conv2d(256, dim, 1)
        self.up8 = Up(256, 128, 128)
        self.up4 = Up(128, 64, 64)
        self.up2 = Up(64, 32, high_res)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Returns (embedding, fine features)."""
        at2 = self.stem(images)
        at4 = self.down4(at2)
        at8 = self.down8(at4)
        at16 = self.down16(at8)
        up16 = self.up16(self.down32(at16), at16)
        return self.coarse(up16), self.up2(self.up4(self.up8(up16, at8), at4), at2)
