"""Colours and opacities of volume rendering. Numbers only; any thread."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medviewer.core.volume import Volume

Stops = tuple[tuple[float, float, float, float, float], ...]  # value, red, green, blue, opacity


@dataclass(frozen=True)
class VolumeLook:
    """One way to see a volume: values to colour (0..1) and opacity per mm-like unit step."""

    name: str
    stops: Stops


_BONE = VolumeLook(
    "bone",
    (
        (-3000, 0.0, 0.0, 0.0, 0.0), (130, 0.62, 0.46, 0.36, 0.0), (200, 0.74, 0.59, 0.47, 0.25),
        (350, 0.85, 0.74, 0.62, 0.75), (900, 0.95, 0.90, 0.81, 0.92), (3000, 1.0, 0.98, 0.94, 0.95),
    ),
)  # fmt: skip
_SOFT = VolumeLook(
    "skin and bone",
    (
        (-3000, 0.0, 0.0, 0.0, 0.0), (-320, 0.55, 0.35, 0.26, 0.0), (-180, 0.72, 0.50, 0.40, 0.10),
        (-40, 0.78, 0.55, 0.44, 0.14), (80, 0.75, 0.42, 0.34, 0.18), (250, 0.92, 0.82, 0.68, 0.7),
        (3000, 1.0, 0.98, 0.94, 0.95),
    ),
)  # fmt: skip


def looks_for(volume: Volume, array: NDArray[Any]) -> list[VolumeLook]:
    """The ways to see a scan, the usual one first. Hounsfield looks only where the unit is HU."""
    if volume.units == "HU":
        return [_BONE, _SOFT]
    return [_by_percentiles("surface", array, 0.35), _by_percentiles("translucent", array, 0.06)]


def _by_percentiles(name: str, array: NDArray[Any], density: float) -> VolumeLook:
    values = np.asarray(array[::3, ::3, ::3], np.float32)
    values = values[np.isfinite(values)]
    if not len(values):
        return VolumeLook(name, ((0.0, 0.0, 0.0, 0.0, 0.0), (1.0, 1.0, 1.0, 1.0, 0.3)))
    low, high = float(values.min()), float(values.max())
    noise = low + 0.12 * (float(np.percentile(values, 99)) - low)
    body = values[values > noise]
    if len(body) < 50 or high <= low:
        return VolumeLook(name, ((low, 0.0, 0.0, 0.0, 0.0), (max(high, low + 1), 1.0, 1.0, 1.0, 0.3)))
    p10, p50, p90, p99 = (float(v) for v in np.percentile(body, (10, 50, 90, 99.5)))
    stops = (
        (low, 0.0, 0.0, 0.0, 0.0), (noise, 0.1, 0.09, 0.08, 0.0), (p10, 0.35, 0.30, 0.27, 0.3 * density),
        (p50, 0.68, 0.62, 0.56, 0.7 * density), (p90, 0.92, 0.88, 0.83, density),
        (max(p99, high), 1.0, 1.0, 1.0, density),
    )  # fmt: skip
    return VolumeLook(name, stops)
