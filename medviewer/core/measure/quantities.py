"""The quantities of a single mask: how each is measured, and its unit where there is no number."""

from __future__ import annotations

from collections.abc import Callable

from medviewer.core.measure import aorta, in_plane, intensity, place, sagittal, size
from medviewer.core.measure.outcome import Outcome
from medviewer.core.measure.target import Target

Measure = Callable[[Target], Outcome]

SINGLE: dict[str, tuple[Measure, str]] = {
    "volume": (size.volume, "ml"),
    "area": (size.area, "mm2"),
    "parts": (size.parts, "1"),
    "intensity_median": (intensity.median, "HU"),
    "intensity_p5": (intensity.low, "HU"),
    "intensity_p95": (intensity.high, "HU"),
    "intensity_mean": (intensity.mean, "HU"),
    "intensity_sd": (intensity.deviation, "HU"),
    "parenchyma_mean": (intensity.parenchyma, "HU"),
    "axial_diameter": (in_plane.axial_diameter, "mm"),
    "long_axis": (in_plane.long_axis, "mm"),
    "short_axis": (in_plane.short_axis, "mm"),
    "longest_diameter": (size.longest_diameter, "mm"),
    "length": (size.pole_to_pole, "mm"),
    "z_extent": (size.z_extent, "mm"),
    "extent_left_right": (lambda target: size.extents(target)[0], "mm"),
    "extent_front_back": (lambda target: size.extents(target)[1], "mm"),
    "extent_feet_head": (lambda target: size.extents(target)[2], "mm"),
    "aortic_diameter": (aorta.largest_diameter, "mm"),
    "height_front": (sagittal.front, "mm"),
    "height_middle": (sagittal.middle, "mm"),
    "height_back": (sagittal.back, "mm"),
    "side_share": (lambda target: place.side_share(target, target.cache.get("spine")), "%"),
}

PAIRED: dict[str, str] = {
    "length_difference": "mm",
    "asymmetry_index": "%",
    "liver_minus_spleen": "HU",
    "cardiothoracic_ratio": "1",
    "width_ratio": "1",
    "distance": "mm",
    "offset_left_right": "mm",
    "offset_up_down": "mm",
}

KNOWN: tuple[str, ...] = (*SINGLE, *PAIRED)
