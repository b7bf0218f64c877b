"""Random affine and elastic change and letterboxing in one resampling."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

ELASTIC_CHANCE = 0.5


def random_grid(
    rows: int, cols: int, size: int, rng: np.random.Generator, flip_chance: float, turn: float = 10.0
) -> Tensor:
    """Sampling grid (1, size, size, 2) that letterboxes (rows, cols) into the square with a random affine and, half the
    time, a random elastic change. `turn`: standard deviation of the rotation in degrees."""
    flip = -1.0 if rng.random() < flip_chance else 1.0
    angle = np.deg2rad(rng.normal(0, turn))
    zoom = float(np.exp(rng.normal(0.05, 0.2)))
    stretch = float(np.exp(rng.normal(0, 0.06)))
    shift = rng.uniform(-0.13, 0.13, 2)
    cos, sin = np.cos(angle), np.sin(angle)
    turned = np.array([[cos, -sin], [sin, cos]]) / zoom
    longest = max(rows, cols)
    to_source = np.diag([longest / cols * flip * stretch, longest / rows / stretch])
    matrix = to_source @ turned
    theta = np.concatenate([matrix, (matrix @ shift)[:, None]], axis=1)
    grid = F.affine_grid(torch.from_numpy(theta[None]).float(), [1, 1, size, size], align_corners=False)
    return grid + _elastic(size, rng) if rng.random() < ELASTIC_CHANCE else grid


def _elastic(size: int, rng: np.random.Generator) -> Tensor:
    """Smooth displacements (1, size, size, 2) in grid units, small enough that nothing folds."""
    knots = int(rng.integers(4, 9))
    strength = rng.uniform(0.02, 0.16) / knots
    coarse = torch.from_numpy(rng.normal(0, strength, (1, 2, knots, knots))).float()
    smooth = F.interpolate(coarse, (size, size), mode="bicubic", align_corners=True)
    return smooth.permute(0, 2, 3, 1)


def sample(grid: Tensor, channels: Tensor) -> Tensor:
    """channels (c, rows, cols) float to (c, size, size); zero outside."""
    return F.grid_sample(channels[None], grid, mode="bilinear", padding_mode="zeros", align_corners=False)[0]
