"""Which grey each tissue of the head has: priors of common MR contrasts, mixtures of them, and free draws.

Codes are FreeSurfer numbers; 500 and above are tissues outside the brain as in the label maps of SynthSeg, 900 and 901
a planted tumour (`lesions`). Levels are 0..1 of the brightest tissue.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .lesions import CORE, OEDEMA

CODES = 1024
FAT, MUSCLE, RIM = 1000, 1001, 1002  # codes used while painting only: parts of 507 and of the tumour's core

# class: codes, then the level in T1, T1 with contrast agent, T2, FLAIR, PD; approximate, from ordinary clinical scans
_ORDER = ("T1", "T1c", "T2", "FLAIR", "PD")
_TISSUES: Mapping[str, tuple[tuple[int, ...], tuple[float, float, float, float, float]]] = {
    "csf": ((24,), (0.12, 0.13, 0.92, 0.12, 0.66)),
    "ventricle": ((4, 43, 5, 44, 14, 15, 72), (0.10, 0.10, 0.97, 0.08, 0.70)),
    "cortex": ((3, 42), (0.48, 0.48, 0.58, 0.62, 0.78)),
    "cerebellar cortex": ((8, 47), (0.47, 0.48, 0.57, 0.60, 0.77)),
    "white": ((2, 41), (0.73, 0.70, 0.38, 0.50, 0.58)),
    "cerebellar white": ((7, 46), (0.71, 0.68, 0.40, 0.50, 0.58)),
    "thalamus": ((10, 49), (0.60, 0.60, 0.45, 0.55, 0.66)),
    "caudate": ((11, 50), (0.50, 0.51, 0.56, 0.61, 0.75)),
    "putamen": ((12, 51), (0.53, 0.54, 0.51, 0.58, 0.71)),
    "accumbens": ((26, 58), (0.50, 0.51, 0.55, 0.61, 0.74)),
    "pallidum": ((13, 52), (0.66, 0.64, 0.29, 0.45, 0.54)),
    "brain stem": ((16, 512), (0.66, 0.64, 0.42, 0.50, 0.60)),
    "ventral": ((28, 60), (0.65, 0.63, 0.40, 0.50, 0.60)),
    "hippocampus": ((17, 53), (0.47, 0.48, 0.61, 0.67, 0.80)),
    "amygdala": ((18, 54), (0.47, 0.48, 0.61, 0.66, 0.80)),
    "chiasm": ((85, 530), (0.60, 0.60, 0.45, 0.50, 0.60)),
    "choroid plexus": ((136, 137, 163, 164), (0.30, 0.85, 0.78, 0.45, 0.70)),
    "white matter lesion": ((25, 57, 77), (0.52, 0.52, 0.72, 0.90, 0.80)),
    "vessel": ((30, 62, 502, 514), (0.15, 0.90, 0.10, 0.12, 0.25)),
    "eye": ((506,), (0.15, 0.15, 0.95, 0.15, 0.70)),
    "muscle": ((508, MUSCLE), (0.42, 0.46, 0.25, 0.40, 0.50)),
    "fat": ((FAT,), (0.95, 0.80, 0.70, 0.70, 0.80)),
    "soft tissue": ((507,), (0.55, 0.55, 0.40, 0.50, 0.60)),
    "mucosa": ((509,), (0.45, 0.85, 0.85, 0.80, 0.80)),
    "skin": ((511,), (0.55, 0.60, 0.45, 0.50, 0.60)),
    "compact bone": ((515,), (0.06, 0.06, 0.05, 0.05, 0.10)),
    "marrow": ((516,), (0.60, 0.55, 0.42, 0.42, 0.55)),
    "oedema": ((OEDEMA,), (0.46, 0.45, 0.76, 0.92, 0.86)),
    "tumour core": ((CORE,), (0.34, 0.30, 0.80, 0.50, 0.80)),
    "tumour rim": ((RIM,), (0.48, 0.97, 0.62, 0.78, 0.78)),
}
_NAMES = tuple(_TISSUES)
_PRIORS: Mapping[str, NDArray[np.float64]] = {
    name: np.array([levels[column] for _, levels in _TISSUES.values()]) for column, name in enumerate(_ORDER)
}
_SHARES = (0.30, 0.16, 0.2, 0.26, 0.08)  # how often a contrast is drawn, in `_ORDER`
_FATTY = [_NAMES.index("fat"), _NAMES.index("marrow")]
_TUMOUR = [_NAMES.index(name) for name in ("oedema", "tumour core", "tumour rim")]
_BRAIN = [_NAMES.index(name) for name in ("white", "cortex")]
_VESSEL = _NAMES.index("vessel")
LEAST_STEP = 0.12  # between a planted tumour and the tissue around it: a lesion that cannot be seen teaches nothing


@dataclass(frozen=True)
class Mixture:
    """Per code (CODES,) float32: mean level, deviation of the fine grain, deviation of the slow drift."""

    mean: NDArray[np.float32]
    grain: NDArray[np.float32]
    drift: NDArray[np.float32]


def random_mixture(rng: np.random.Generator) -> Mixture:
    """One contrast: seven times in ten near a clinical one or between two, else every tissue free (SynthSeg)."""
    levels = _clinical(rng) if rng.random() < 0.7 else rng.uniform(0.05, 0.95, len(_NAMES))
    levels = _visible_tumour(levels, rng)
    grain = rng.uniform(0.004, 0.035, len(_NAMES))
    drift = rng.uniform(0.005, 0.05, len(_NAMES))
    return Mixture(*(_per_code(values, rng) for values in (levels, grain, drift)))


def _clinical(rng: np.random.Generator) -> NDArray[np.float64]:
    first, second = rng.choice(len(_ORDER), 2, p=_SHARES)
    share = rng.uniform(0, 0.35) if rng.random() < 0.5 else 0.0
    levels = (1 - share) * _PRIORS[_ORDER[first]] + share * _PRIORS[_ORDER[second]]
    levels = levels + rng.normal(0, 0.045, len(levels))
    levels[_TUMOUR] += rng.normal(0, 0.1, len(_TUMOUR))  # lesions vary more than tissues do
    if rng.random() < 0.4:  # fat suppression
        levels[_FATTY] *= rng.uniform(0.1, 0.6)
    if rng.random() < 0.3:  # slow or inflowing blood is bright
        levels[_VESSEL] = rng.uniform(0.5, 1.0)
    return levels


def _visible_tumour(levels: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """Oedema, core and rim moved away from white matter and cortex where they are nearer than LEAST_STEP."""
    around = levels[_BRAIN]
    for index in _TUMOUR:
        for _ in range(8):
            if np.abs(levels[index] - around).min() >= LEAST_STEP:
                break
            levels[index] = rng.normal(levels[index], 0.2)
    return levels.clip(0.0, 1.1)


def _per_code(values: NDArray[np.float64], rng: np.random.Generator) -> NDArray[Any]:
    """Values per class to values per code; codes of one class differ by a hundredth, as left and right do."""
    table = np.zeros(CODES, np.float32)
    for (codes, _), value in zip(_TISSUES.values(), values, strict=True):
        table[list(codes)] = value * (1 + 0.01 * rng.standard_normal(len(codes)))
    return table
