"""Window presets (an editable data file) and the window a scan is first shown with (width, centre)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medviewer.core.errors import UserError
from medviewer.core.volume import Volume

Window = tuple[float, float]
_X_RAY = frozenset({"CR", "DX", "RG", "MG", "XA", "RF", "PX", "IO", "XR", "XRAY", "X-RAY"})
_MAX_SAMPLES = 400_000


@dataclass(frozen=True)
class WindowPreset:
    """One preset. `window` is (width, centre), None for the window stored in the source. `key` is "1".."9" or ""."""

    name: str
    window: Window | None
    key: str = ""
    needs_hu: bool = True
    id: str = ""
    name_de: str = ""


# Used only where the data file is absent (a damaged installation).
_BUILT_IN: tuple[WindowPreset, ...] = (
    WindowPreset("As stored", None, "1", False),
    WindowPreset("Soft tissue", (400, 40), "2"),
    WindowPreset("Lung", (1500, -600), "3"),
    WindowPreset("Mediastinum", (350, 50), "4"),
    WindowPreset("Bone", (2000, 500), "5"),
    WindowPreset("Brain", (80, 40), "6"),
    WindowPreset("Stroke", (40, 40), "7"),
    WindowPreset("Subdural", (200, 75), "8"),
    WindowPreset("Liver", (150, 90), "9"),
)


def window_presets(volume: Volume) -> list[WindowPreset]:
    """The presets that make sense for a scan: Hounsfield presets only where the unit is HU."""
    return [p for p in _all_presets() if not p.needs_hu or volume.units == "HU"]


def preset_window(volume: Volume, preset: WindowPreset) -> Window:
    """The window a preset gives on a scan."""
    return default_window(volume) if preset.window is None else preset.window


def default_window(volume: Volume) -> Window:
    """(width, centre) of the first picture.

    The window stored in the source; else soft tissue for CT in HU, 0.5-99.5 % for X-ray, 0-255 for 8-bit
    ultrasound and pictures, 1-99 % of the foreground for the rest.
    """
    modality = (volume.modality or "").upper()
    if volume.is_color:
        return 255.0, 127.5
    if volume.window is not None and volume.window[0] > 0:
        return volume.window
    if volume.units == "HU":
        return 400.0, 40.0
    if volume.array.dtype == np.uint8 and modality not in _X_RAY:
        return 255.0, 127.5
    values = _sample(volume.array)
    if volume.padding_value is not None and (scanned := values[values != volume.padding_value]).size:
        values = scanned
    if modality in _X_RAY or volume.kind == "image":
        return _percentiles(values, 0.5, 99.5)
    return _percentiles(_foreground(values), 1.0, 99.0)


def has_sigmoid(volume: Volume) -> bool:
    """Whether the stored window is to be applied as a sigmoid (DICOM VOI LUT Function)."""
    fact = volume.facts.get("voi_lut_function")
    return fact is not None and str(fact.value).upper() == "SIGMOID"


def _sample(array: NDArray[Any]) -> NDArray[np.float32]:
    """At most about 400,000 finite values spread over the volume."""
    step = max(1, round((array.size / _MAX_SAMPLES) ** (1 / max(array.ndim, 1))))
    steps = tuple(slice(None, None, step if n > 2 * step else 1) for n in array.shape)
    values = np.asarray(array[steps], np.float32).ravel()
    return values[np.isfinite(values)]


def _foreground(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Values above the background, which is taken as the lowest tenth of the range up to the mean."""
    if not len(values):
        return values
    low = float(values.min())
    above = values[values > low + 0.1 * (float(values.mean()) - low)]
    return above if len(above) > 100 else values


def _percentiles(values: NDArray[np.float32], low: float, high: float) -> Window:
    if not len(values):
        return 1.0, 0.5
    bottom, top = (float(v) for v in np.percentile(values, (low, high)))
    if top <= bottom:
        bottom, top = float(values.min()), float(values.max())
    return max(top - bottom, 1e-3), (top + bottom) / 2


def _all_presets() -> tuple[WindowPreset, ...]:
    table = _stored_presets()
    if not table:
        return _BUILT_IN
    return tuple(_preset_of(row) for row in table)


def _stored_presets() -> list[Mapping[str, Any]]:
    from medviewer.services import resources

    try:
        rows = resources.presets().get("presets", [])
    except UserError:
        return []
    return [row for row in rows if isinstance(row, Mapping)]


def _preset_of(row: Mapping[str, Any]) -> WindowPreset:
    width, level = row.get("width"), row.get("level")
    window = None if width is None or level is None else (float(width), float(level))
    names = str(row.get("name", "")), str(row.get("name_de", ""))
    key, name_id = str(row.get("key") or ""), str(row.get("id", ""))
    return WindowPreset(names[0], window, key, window is not None, name_id, names[1])
