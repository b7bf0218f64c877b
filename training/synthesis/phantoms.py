"""Generated torsos as training samples. Seed 0 is the demonstration's and never trained on."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from medviewer.core.phantom import torso_phantom

from ..data.samples import Sample
from ..data.sets import SetConfig

HELD_OUT_SEED = 0


def phantom_samples(config: SetConfig, seeds: Iterable[int]) -> list[Sample]:
    """One HU volume per seed (z, y, x), LPS. Raises ValueError for the held-out seed."""
    chosen = list(seeds)
    if HELD_OUT_SEED in chosen:
        raise ValueError("the demonstration's phantom is held out")
    return [_sample(config, seed) for seed in chosen]


def held_out_phantom(config: SetConfig) -> Sample:
    """The demonstration's phantom, for measuring only."""
    return _sample(config, HELD_OUT_SEED)


def _sample(config: SetConfig, seed: int) -> Sample:
    phantom = torso_phantom(seed)
    voxels = np.asarray(phantom.volume.array).clip(-1100, 3000).astype(np.int16)
    labels = {value: label.name for value, label in phantom.names.items()}
    tables = {
        name: np.isin(np.arange(256), values) for name, values in config.values(labels).items()
    }
    image = np.ascontiguousarray(voxels.transpose(2, 1, 0))
    label = np.ascontiguousarray(phantom.labels.transpose(2, 1, 0))
    return Sample(f"phantom {seed}", config, image, label, tables, is_hu=True)
