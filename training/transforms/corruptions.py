"""Corruptions of pictures by name and severity, for augmentation and for the table of robustness.

After MedMNIST-C (Di Salvo et al. 2024, arXiv 2406.17536): digital, noise, blur, brightness and contrast, and what
happens to one kind of scan only. No corruption moves anything: blurs are centred and what lies outside the picture is
taken from its edge, so a mask of the clean picture stays valid. Lengths are in pixels of a picture whose longer side is
256 and grow with the picture. Needs numpy, scipy and Pillow; no global state, so every function may run on any thread.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage, signal

from ..synthesis.fields import bias_field, resized, smooth_field
from . import overlays
from .overlays import Picture
from .scanner_artefacts import (
    beam_hardening,
    depth_gain,
    ghosting,
    gibbs_ringing,
    low_dose,
    mr_motion,
    radial_streaks,
    rician_noise,
    rings,
    shadow,
    spike,
    tissue_speckle,
)

Apply = Callable[[Picture, float, np.random.Generator], NDArray[Any]]
SEVERITIES = (1, 2, 3, 4, 5)
REFERENCE_SIDE = 256


@dataclass(frozen=True)
class _Kind:
    """`levels` are the parameters of the five severities; `apply` may leave 0..1, the caller clips."""

    modalities: frozenset[str]
    levels: tuple[float, float, float, float, float]
    apply: Apply


def corrupt(picture: Picture, name: str, severity: int, rng: np.random.Generator) -> Picture:
    """A corrupted copy of `picture` (rows, cols), float32 in 0..1, of the same shape, type and range.

    Two channels of one scan are corrupted alike by two generators of the same seed. Raises ValueError for an unknown
    name, a severity outside 1..5 or an array that is not two-dimensional.
    """
    if name not in _KINDS:
        raise ValueError(f"unknown corruption {name!r}; known are {', '.join(_KINDS)}")
    if severity not in SEVERITIES:
        raise ValueError(f"the severity of a corruption is 1 to 5, not {severity}")
    if picture.ndim != 2:
        raise ValueError(f"a picture of rows and columns was expected, not an array of shape {picture.shape}")
    kind = _KINDS[name]
    changed = kind.apply(np.asarray(picture, np.float32), kind.levels[severity - 1], rng)
    return np.asarray(changed, np.float32).clip(0.0, 1.0)


def names_for(modality: str) -> tuple[str, ...]:
    """Corruptions that happen to pictures of a modality ("CT", "MR", "XR", "US"), in a fixed order."""
    return tuple(name for name, modalities in CORRUPTIONS.items() if modality in modalities)


def _scale(picture: Picture) -> float:
    return max(picture.shape) / REFERENCE_SIDE


# digital


def _jpeg(picture: Picture, quality: float, _: np.random.Generator) -> NDArray[Any]:
    stream = io.BytesIO()
    Image.fromarray((picture.clip(0, 1) * 255).round().astype(np.uint8)).save(stream, "JPEG", quality=int(quality))
    return np.asarray(Image.open(stream), np.float32) / 255.0


def _pixelate(picture: Picture, share: float, _: np.random.Generator) -> NDArray[Any]:
    factor = share / _scale(picture)
    small = tuple(max(1, round(side * factor)) for side in picture.shape)
    coarse = resized(picture, (small[0], small[1]), Image.Resampling.BOX)
    return resized(coarse, (picture.shape[0], picture.shape[1]), Image.Resampling.NEAREST)


# noise


def _gaussian_noise(picture: Picture, spread: float, rng: np.random.Generator) -> NDArray[Any]:
    return picture + spread * rng.standard_normal(picture.shape, dtype=np.float32)


def _speckle_noise(picture: Picture, spread: float, rng: np.random.Generator) -> NDArray[Any]:
    return picture * (1 + spread * rng.standard_normal(picture.shape, dtype=np.float32))


def _impulse_noise(picture: Picture, share: float, rng: np.random.Generator) -> NDArray[Any]:
    chance = rng.random(picture.shape, dtype=np.float32)
    return np.where(chance < share / 2, 0.0, np.where(chance > 1 - share / 2, 1.0, picture))


def _shot_noise(picture: Picture, photons: float, rng: np.random.Generator) -> NDArray[Any]:
    return rng.poisson(picture.clip(0, 1) * photons) / photons


# blur


def _convolved(picture: Picture, kernel: NDArray[Any]) -> NDArray[Any]:
    """Centred convolution with an odd kernel that sums to one; the edge is continued."""
    margin = [(side // 2, side // 2) for side in kernel.shape]
    wide = np.pad(picture, margin, mode="edge")
    return np.asarray(signal.fftconvolve(wide, kernel.astype(np.float32), mode="valid"))


def _offsets(reach: float) -> tuple[NDArray[Any], NDArray[Any]]:
    half = int(np.ceil(reach))
    y, x = np.mgrid[-half : half + 1, -half : half + 1]
    return y, x


def _defocus(picture: Picture, radius: float, _: np.random.Generator) -> NDArray[Any]:
    radius *= _scale(picture)
    y, x = _offsets(radius + 0.5)
    disc = (radius + 0.5 - np.hypot(y, x)).clip(0, 1)
    return _convolved(picture, disc / disc.sum())


def _gaussian_blur(picture: Picture, spread: float, _: np.random.Generator) -> NDArray[Any]:
    return np.asarray(ndimage.gaussian_filter(picture, spread * _scale(picture), mode="nearest"))


def _motion_blur(picture: Picture, length: float, rng: np.random.Generator) -> NDArray[Any]:
    half = length * _scale(picture) / 2
    angle = rng.uniform(0, np.pi)
    y, x = _offsets(half + 0.5)
    along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    line = (half + 0.5 - np.abs(along)).clip(0, 1) * (1 - np.abs(across)).clip(0, 1)
    return _convolved(picture, line / line.sum())


def _zoom_blur(picture: Picture, most: float, _: np.random.Generator) -> NDArray[Any]:
    zooms = np.exp(np.log(most) * np.array([-1, -2 / 3, -1 / 3, 1 / 3, 2 / 3, 1]))
    return np.asarray(np.mean([picture, *zoomed(picture, zooms.tolist())], axis=0))


def zoomed(picture: Picture, zooms: Sequence[float]) -> list[Picture]:
    """`picture` enlarged (zoom > 1) or reduced about its centre, on the same grid; the edge is continued."""
    rows, cols = picture.shape
    margin = int(np.ceil(max(rows, cols) * max(0.0, 1 / min(zooms) - 1) / 2)) + 1
    wide = Image.fromarray(np.pad(picture, margin, mode="edge"))
    found = []
    for zoom in zooms:
        left, top = (margin + side / 2 * (1 - 1 / zoom) for side in (cols, rows))
        box = (1 / zoom, 0, left, 0, 1 / zoom, top)
        moved = wide.transform((cols, rows), Image.Transform.AFFINE, box, Image.Resampling.BILINEAR)
        found.append(np.asarray(moved, np.float32))
    return found


# brightness, contrast, gamma


def _brightness(picture: Picture, factor: float, _: np.random.Generator) -> NDArray[Any]:
    return picture * factor


def _contrast(picture: Picture, factor: float, _: np.random.Generator) -> NDArray[Any]:
    mean = picture.mean()
    return mean + (picture - mean) * factor


def _gamma(picture: Picture, power: float, _: np.random.Generator) -> NDArray[Any]:
    return np.asarray(picture.clip(0, 1) ** power)


# one kind of scan


def _bias_field(picture: Picture, strength: float, rng: np.random.Generator) -> NDArray[Any]:
    shape = (picture.shape[0], picture.shape[1])
    return picture * bias_field(shape, strength, float(rng.uniform(1.5, 3.5)), rng)


def _thick_slice(picture: Picture, factor: float, rng: np.random.Generator) -> NDArray[Any]:
    """Fewer samples along one axis, as in a plane that was not acquired."""
    rows, cols = picture.shape
    count = max(1, round(max(rows, cols) / _scale(picture) / factor))
    small = (min(rows, count), cols) if rng.random() < 0.5 else (rows, min(cols, count))
    return resized(resized(picture, small, Image.Resampling.BOX), (rows, cols), Image.Resampling.BILINEAR)


def _uneven_exposure(picture: Picture, strength: float, rng: np.random.Generator) -> NDArray[Any]:
    """The heel effect or a badly centred beam: brightness drifts across the detector."""
    return picture * (1 + strength * np.tanh(smooth_field((picture.shape[0], picture.shape[1]), 1.0, rng)))


_ALL = frozenset({"CT", "MR", "XR", "US"})
_CT, _MR, _XR, _US = (frozenset({name}) for name in ("CT", "MR", "XR", "US"))

_KINDS: Mapping[str, _Kind] = {
    "jpeg_compression": _Kind(_ALL, (50, 30, 15, 10, 7), _jpeg),
    "pixelate": _Kind(_ALL, (0.6, 0.45, 0.35, 0.25, 0.18), _pixelate),
    "gaussian_noise": _Kind(_ALL, (0.03, 0.06, 0.10, 0.16, 0.24), _gaussian_noise),
    "speckle_noise": _Kind(_ALL, (0.05, 0.12, 0.20, 0.32, 0.45), _speckle_noise),
    "impulse_noise": _Kind(_ALL, (0.005, 0.01, 0.03, 0.06, 0.12), _impulse_noise),
    "shot_noise": _Kind(_ALL, (300, 120, 60, 25, 10), _shot_noise),
    "defocus_blur": _Kind(_ALL, (0.8, 1.3, 2.0, 3.0, 4.5), _defocus),
    "gaussian_blur": _Kind(_ALL, (0.6, 1.0, 1.6, 2.4, 3.5), _gaussian_blur),
    "motion_blur": _Kind(_ALL, (3, 5, 8, 12, 18), _motion_blur),
    "zoom_blur": _Kind(_ALL, (1.01, 1.02, 1.035, 1.055, 1.08), _zoom_blur),
    "brightness_up": _Kind(_ALL, (1.1, 1.2, 1.3, 1.45, 1.65), _brightness),
    "brightness_down": _Kind(_ALL, (0.9, 0.8, 0.65, 0.5, 0.35), _brightness),
    "contrast_up": _Kind(_ALL, (1.1, 1.2, 1.35, 1.6, 2.0), _contrast),
    "contrast_down": _Kind(_ALL, (0.85, 0.7, 0.55, 0.4, 0.28), _contrast),
    "gamma_up": _Kind(_ALL, (1.15, 1.3, 1.5, 1.8, 2.3), _gamma),
    "gamma_down": _Kind(_ALL, (0.88, 0.78, 0.66, 0.54, 0.4), _gamma),
    "bias_field": _Kind(_MR, (0.15, 0.3, 0.45, 0.65, 0.9), _bias_field),
    "ghosting": _Kind(_MR, (0.08, 0.15, 0.25, 0.4, 0.6), ghosting),
    "gibbs_ringing": _Kind(_MR, (0.7, 0.55, 0.42, 0.32, 0.24), gibbs_ringing),
    "mr_motion": _Kind(_MR, (0.8, 1.6, 2.6, 4.0, 6.0), mr_motion),
    "rician_noise": _Kind(_MR, (0.03, 0.06, 0.10, 0.16, 0.24), rician_noise),
    "spike": _Kind(_MR, (0.02, 0.04, 0.07, 0.10, 0.15), spike),
    "thick_slice": _Kind(_MR, (1.5, 2.2, 3.0, 4.2, 6.0), _thick_slice),
    "acoustic_shadow": _Kind(_US, (0.3, 0.45, 0.6, 0.75, 0.9), shadow),
    "tissue_speckle": _Kind(_US, (0.12, 0.22, 0.35, 0.5, 0.7), tissue_speckle),
    "depth_gain": _Kind(_US, (0.2, 0.4, 0.6, 0.9, 1.3), depth_gain),
    "characters": _Kind(frozenset({"XR", "US", "CT"}), (1, 2, 3, 5, 8), overlays.characters),
    "calipers": _Kind(_US, (1, 2, 3, 4, 6), overlays.calipers),
    "black_corner": _Kind(_XR, (0.04, 0.07, 0.11, 0.16, 0.22), overlays.black_corner),
    "device_lines": _Kind(_XR, (1, 2, 3, 5, 8), overlays.device_lines),
    "grid_lines": _Kind(_XR, (0.015, 0.03, 0.05, 0.08, 0.12), overlays.grid_lines),
    "uneven_exposure": _Kind(_XR, (0.12, 0.22, 0.35, 0.5, 0.65), _uneven_exposure),
    "low_dose": _Kind(_CT, (0.03, 0.06, 0.10, 0.16, 0.24), low_dose),
    "rings": _Kind(_CT, (0.02, 0.04, 0.07, 0.11, 0.16), rings),
    "radial_streaks": _Kind(_CT, (0.06, 0.12, 0.2, 0.3, 0.45), radial_streaks),
    "beam_hardening": _Kind(_CT, (0.08, 0.15, 0.24, 0.35, 0.5), beam_hardening),
}
CORRUPTIONS: Mapping[str, frozenset[str]] = MappingProxyType({name: kind.modalities for name, kind in _KINDS.items()})
