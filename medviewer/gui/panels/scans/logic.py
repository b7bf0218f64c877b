"""What the scan list says about a scan, and its small picture. Qt-free."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medviewer.core.geometry import direction_letter
from medviewer.core.volume import Fact, SeriesEntry, Volume

_MODALITIES = {
    "CT": "CT", "MR": "MR", "CR": "X-ray", "DX": "X-ray", "US": "Ultrasound", "XA": "Angiography", "RF": "Fluoroscopy",
    "MG": "Mammogram", "PT": "PET", "NM": "Scintigram", "OT": "Image", "SC": "Secondary capture",
}  # fmt: skip


@dataclass(frozen=True)
class ScanText:
    """Three lines at most."""

    title: str
    detail: str
    note: str = ""


def modality_name(modality: str | None) -> str:
    """The plain name of a DICOM modality."""
    return _MODALITIES.get(modality or "", modality or "Modality not recorded")


def scan_text(scan: Volume | SeriesEntry) -> ScanText:
    """Name, series number, image count, spacing; the phase only where it is recorded."""
    shape = scan.shape if isinstance(scan, Volume) else scan.shape_xyz
    title = scan.title or modality_name(scan.modality)
    parts = [_series_number(scan.facts), _count(scan.kind, shape), _spacing(scan, shape)]
    return ScanText(title, " · ".join(p for p in parts if p), _phase(scan))


def _series_number(facts: object) -> str:
    number = fact_value(facts, "series_number", "SeriesNumber", "series number")
    return f"Series {number}" if number not in (None, "") else ""


def fact_value(facts: object, *names: str) -> object:
    """The value of the first fact of these names, None if none is known."""
    assert hasattr(facts, "get")
    for name in names:
        fact = facts.get(name)
        if isinstance(fact, Fact) and fact.value is not None:
            return fact.value
    return None


def _count(kind: str, shape: tuple[int, int, int]) -> str:
    if kind == "cine":
        return "1 frame" if shape[2] == 1 else f"{shape[2]} frames"
    if kind == "image":
        return f"{shape[0]} × {shape[1]}"
    return "1 slice" if shape[2] == 1 else f"{shape[2]} slices"


def _spacing(scan: Volume | SeriesEntry, shape: tuple[int, int, int]) -> str:
    spacing = scan.spacing_mm
    if spacing is None:
        return "spacing unknown"
    if scan.kind == "volume":
        return f"{spacing[2]:.1f} mm"
    return f"{spacing[0]:.2f} mm"


def _phase(scan: Volume | SeriesEntry) -> str:
    phase = fact_value(scan.facts, "contrast_phase", "phase", "contrast phase")
    if phase is not None:
        return f"Phase: {phase}"
    return "Phase not recorded" if scan.modality == "CT" and scan.kind == "volume" else ""


def thumbnail(volume: Volume, size: int = 96) -> NDArray[np.uint8]:
    """The middle image as it is looked at, uint8 (rows, cols, 3), longest side about `size`."""
    plane = _display_plane(volume)
    step = max(1, max(plane.shape[:2]) // (2 * size))
    plane = plane[::step, ::step]
    if plane.ndim == 3:
        return np.ascontiguousarray(plane.astype(np.uint8))
    low, high = _limits(volume, plane)
    grey = np.clip((plane.astype(np.float32) - low) / max(high - low, 1e-6), 0, 1)
    if volume.inverted:
        grey = 1 - grey
    return np.repeat((grey * 255).astype(np.uint8)[..., None], 3, axis=2)


def _display_plane(volume: Volume) -> NDArray[np.generic]:
    """The middle native image, (rows, columns), turned so that left or back is on the right, back or feet below."""
    picture = volume.array[:, :, volume.shape[2] // 2].swapaxes(0, 1)
    if volume.affine is None or volume.kind != "volume":
        return picture
    right, down = direction_letter(volume.affine[:3, 0]), direction_letter(volume.affine[:3, 1])
    if right in "SI" or down in "LR":
        picture, right, down = picture.swapaxes(0, 1), down, right
    if right not in "LP":
        picture = picture[:, ::-1]
    return picture if down in "PI" else picture[::-1]


def _limits(volume: Volume, plane: NDArray[np.generic]) -> tuple[float, float]:
    if volume.units == "HU":
        return -160.0, 240.0
    if volume.window is not None:
        width, centre = volume.window
        return centre - width / 2, centre + width / 2
    low, high = np.percentile(plane.astype(np.float32), (1, 99))
    return float(low), float(high)
