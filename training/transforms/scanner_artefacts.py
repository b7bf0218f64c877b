"""What one kind of scanner does to its pictures: MR (by changes of k-space), ultrasound and CT.

Every function takes a picture (rows, cols), float32 in 0..1, a strength and a random generator, and returns an array of
the same shape that may leave 0..1. Nothing is moved: masks stay valid.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import fft, ndimage
from scipy.special import expit

from ..synthesis.fields import resized, smooth_field
from .overlays import Picture

Rng = np.random.Generator


def _grid(picture: Picture) -> tuple[NDArray[Any], NDArray[Any]]:
    """Row and column of each pixel from -1 to 1, broadcastable."""
    rows, cols = picture.shape
    y = np.linspace(-1, 1, rows, dtype=np.float32)[:, None]
    x = np.linspace(-1, 1, cols, dtype=np.float32)[None, :]
    return y, x


# MR


def ghosting(picture: Picture, strength: float, rng: Rng) -> NDArray[Any]:
    """Copies along the phase axis: every n-th line of k-space is changed by `strength` (after TorchIO's
    RandomGhosting); the middle of k-space is kept, and with it the picture itself."""
    axis, copies = int(rng.integers(2)), int(rng.integers(2, 7))
    lines = fft.fft(picture, axis=axis)
    count = picture.shape[axis]
    factor = np.ones(count, np.float32)
    factor[int(rng.integers(copies)) :: copies] = 1 - strength * 2
    kept = max(1, round(0.02 * count))
    factor[:kept] = factor[-kept:] = 1
    return np.abs(fft.ifft(lines * np.expand_dims(factor, 1 - axis), axis=axis))


def gibbs_ringing(picture: Picture, share: float, rng: Rng) -> NDArray[Any]:
    """Ringing at edges: only the inner `share` of k-space is kept, along one axis or both; `share` is of the lines of a
    picture of 256 pixels, so that a larger picture rings alike."""
    both = rng.random() < 0.5
    spectrum = fft.rfft2(picture)
    y = np.abs(fft.fftfreq(picture.shape[0])) * picture.shape[0] / 128
    x = fft.rfftfreq(picture.shape[1]) * picture.shape[1] / 128
    alone = int(rng.integers(2))
    if both or alone == 0:
        spectrum[y > share] = 0
    if both or alone == 1:
        spectrum[:, x > share] = 0
    return np.asarray(fft.irfft2(spectrum, s=picture.shape))


def mr_motion(picture: Picture, reach: float, rng: Rng) -> NDArray[Any]:
    """Bursts of k-space lines come from the picture shifted by up to `reach` pixels (of 256) and turned by as many
    degrees. The innermost lines never move, so the anatomy stays in place (after Shaw et al. 2019)."""
    turned = rng.random() < 0.5  # the phase axis
    picture = picture.T if turned else picture
    spectrum = fft.rfft2(picture)
    line = np.abs(fft.fftfreq(picture.shape[0]))
    for _ in range(4):
        low = rng.uniform(0.008, 0.12)
        moved = _moved(picture, reach * max(picture.shape) / 256, reach, rng)
        burst = (line >= low) & (line < low + rng.uniform(0.03, 0.15))
        spectrum[burst] = fft.rfft2(moved)[burst]
    changed = np.asarray(fft.irfft2(spectrum, s=picture.shape))
    return changed.T if turned else changed


def _moved(picture: Picture, reach: float, degrees: float, rng: Rng) -> Picture:
    angle = np.deg2rad(rng.uniform(-degrees, degrees))
    shift = rng.uniform(-reach, reach, 2)
    cos, sin = float(np.cos(angle)), float(np.sin(angle))
    rows, cols = picture.shape
    x, y = cols / 2, rows / 2
    left, top = x - cos * x - sin * y + shift[0], y + sin * x - cos * y + shift[1]
    image = Image.fromarray(np.ascontiguousarray(picture))
    box = (cos, sin, left, -sin, cos, top)
    return np.asarray(image.transform((cols, rows), Image.Transform.AFFINE, box, Image.Resampling.BILINEAR))


def rician_noise(picture: Picture, spread: float, rng: Rng) -> NDArray[Any]:
    """Magnitude of a complex signal with Gaussian noise in both parts (Gudbjartsson and Patz 1995)."""
    real, imaginary = spread * rng.standard_normal((2, *picture.shape), dtype=np.float32)
    return np.hypot(picture + real, imaginary)


def spike(picture: Picture, strength: float, rng: Rng) -> NDArray[Any]:
    """One wrong sample of k-space: oblique stripes over the whole picture ("herringbone")."""
    y, x = _grid(picture)
    angle, frequency = rng.uniform(0, np.pi), rng.uniform(8, 45)
    phase = np.pi * frequency * (np.cos(angle) * x + np.sin(angle) * y)
    return np.asarray(np.abs(picture + strength * np.cos(phase + rng.uniform(0, 2 * np.pi))))


# ultrasound


def shadow(picture: Picture, strength: float, rng: Rng) -> NDArray[Any]:
    """A dark stripe behind something dense or a badly coupled part of the transducer, with soft edges."""
    y, x = _grid(picture)
    start, middle = rng.uniform(-1.2, 0.2), rng.uniform(-0.8, 0.8)
    width = rng.uniform(0.08, 0.28) * (1 + 0.3 * (y + 1))
    off = np.abs(x - middle - middle * rng.uniform(0, 0.5) * (y + 1))  # the beams of a curved transducer diverge
    return np.asarray(picture * (1 - strength * expit((width - off) * 18) * expit((y - start) * 14)))


def tissue_speckle(picture: Picture, strength: float, rng: Rng) -> NDArray[Any]:
    """Multiplicative grain that is wider than deep, as the resolution of the beam is (Rayleigh amplitudes)."""
    rows, cols = picture.shape
    scale = max(rows, cols) / 256
    small = (max(1, round(rows / scale / rng.uniform(1.0, 1.8))), max(1, round(cols / scale / rng.uniform(1.8, 3.5))))
    grain = resized(rng.rayleigh(0.798, small).astype(np.float32), (rows, cols), Image.Resampling.BICUBIC)
    return picture * (1 + strength * (grain - 1))


def depth_gain(picture: Picture, strength: float, rng: Rng) -> NDArray[Any]:
    """Wrong compensation of depth: the far half too dark or too bright, the near half the other way round."""
    y, _ = _grid(picture)
    sign = 1.0 if rng.random() < 0.3 else -1.0
    return picture * np.exp(sign * strength * (y + rng.uniform(-0.3, 0.3)))


# CT


def low_dose(picture: Picture, spread: float, rng: Rng) -> NDArray[Any]:
    """Noise with the grain of filtered back projection: its spectrum rises with frequency, then falls."""
    noise = rng.standard_normal(picture.shape, dtype=np.float32)
    scale = max(picture.shape) / 256
    grain = ndimage.gaussian_filter(noise, 0.55 * scale) - ndimage.gaussian_filter(noise, 1.6 * scale)
    return picture + spread / float(grain.std() + 1e-6) * grain


def _polar(picture: Picture, centre: tuple[float, float]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Distance in pixels of 256 from `centre` (row, col in -1..1), and angle."""
    y, x = _grid(picture)
    longest = max(picture.shape)
    dy, dx = (y - centre[0]) * picture.shape[0] / longest * 128, (x - centre[1]) * picture.shape[1] / longest * 128
    return np.hypot(dy, dx), np.arctan2(dy, dx)


def rings(picture: Picture, strength: float, rng: Rng) -> NDArray[Any]:
    """Circles about the axis of rotation, from detector elements that answer wrongly."""
    radius, _ = _polar(picture, (rng.normal(0, 0.05), rng.normal(0, 0.05)))
    profile = rng.standard_normal(400) * (rng.random(400) < 0.25)
    profile = ndimage.gaussian_filter1d(profile, 0.6)
    value = np.interp(radius, np.arange(400), profile / (profile.std() + 1e-6))
    return picture + strength * value * np.minimum(1.0, 12 / (radius + 6) + 0.35)


def radial_streaks(picture: Picture, strength: float, rng: Rng) -> NDArray[Any]:
    """Bright and dark rays from a small piece of metal."""
    at = (float(rng.uniform(-0.7, 0.7)), float(rng.uniform(-0.7, 0.7)))
    radius, angle = _polar(picture, at)
    rays = ndimage.gaussian_filter1d(rng.standard_normal(180), rng.uniform(1.0, 3.0), mode="wrap")
    value = np.interp((angle / np.pi + 1) * 90, np.arange(181), np.append(rays, rays[0]) / rays.std())
    reach = rng.uniform(30, 70)
    metal = expit((rng.uniform(1.5, 3.0) - radius) * 3)
    return picture + strength * value * np.exp(-radius / reach) + metal


def beam_hardening(picture: Picture, strength: float, rng: Rng) -> NDArray[Any]:
    """Cupping, and dark bands: the middle of the body darker, more so along one direction."""
    y, x = _grid(picture)
    angle = rng.uniform(-0.3, 0.3)
    across = y * np.cos(angle) + x * np.sin(angle) - rng.uniform(-0.4, 0.4)
    cup = np.exp(-(x**2 + y**2) / 0.5)
    band = np.exp(-(across**2) / rng.uniform(0.01, 0.05)) * np.exp(-(x**2) / 0.6)
    wave = 1 + 0.3 * smooth_field((picture.shape[0], picture.shape[1]), 4.0, rng)
    return picture - strength * (0.6 * cup + 0.7 * band * wave) * (picture > 0.02)
