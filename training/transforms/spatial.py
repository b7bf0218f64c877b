"""Random affine change and letterboxing in one resampling."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor


def random_grid(rows: int, cols: int, size: int, rng: np.random.Generator, flip_chance: float) -> Tensor:
    """Sampling grid (1, size, size, 2) that letterboxes (rows, cols) into the square with a random affine."""
    flip = -1.0 if rng.random() < flip_chance else 1.0
    angle = np.deg2rad(rng.normal(0, 9))
    zoom = float(np.exp(rng.normal(0.04, 0.17)))
    stretch = float(np.exp(rng.normal(0, 0.05)))
    shift = rng.uniform(-0.12, 0.12, 2)
    cos, sin = np.cos(angle), np.sin(angle)
    turn = np.array([[cos, -sin], [sin, cos]]) / zoom
    longest = max(rows, cols)
    to_source = np.diag([longest / cols * flip * stretch, longest / rows / stretch])
    matrix = to_source @ turn
    theta = np.concatenate([matrix, (matrix @ shift)[:, None]], axis=1)
    return F.affine_grid(torch.from_numpy(theta[None]).float(), [1, 1, size, size], align_corners=False)


def sample(grid: Tensor, channels: Tensor) -> Tensor:
    """channels (c, rows, cols) float to (c, size, size); zero outside."""
    return F.grid_sample(channels[None], grid, mode="bilinear", padding_mode="zeros", align_corners=False)[0]
