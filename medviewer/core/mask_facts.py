"""What is said of a mask: size, intensities, and voxels a reader should look at.

Numbers are computed from the voxels of the scan and nothing else. A mask cut by the edge of the scan has no volume.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medviewer.core.geometry import position_text, voxel_to_lps
from medviewer.core.mask_patch import bounding_box
from medviewer.core.volume import Volume

Mask = NDArray[np.bool_]

# Beyond these no parenchyma lies, with or without contrast medium; expected ranges of single structures widen them.
SOFT_TISSUE_HU = (-200.0, 300.0)
METAL_HU = 3000.0  # cortical bone and teeth stay below
_METAL_MIN_VOXELS = 2


@dataclass(frozen=True)
class Outliers:
    """Voxels far outside what the structure can be: calcium, metal, gas, or a wrong mask."""

    count: int
    extreme: float  # the value farthest from the expected range
    position: tuple[float, float, float]  # of the extreme voxel: LPS mm, or voxel indices without affine

    def text(self, unit: str | None) -> str:
        """One short phrase, for instance "voxels up to 1288 HU"."""
        direction = "up to" if self.extreme > 0 else "down to"
        return f"voxels {direction} {self.extreme:.0f} {unit or ''}".strip()


@dataclass(frozen=True)
class MaskFacts:
    """Facts of one mask on one scan; None where the scan does not allow the number."""

    voxels: int
    volume_ml: float | None
    area_mm2: float | None
    median: float | None
    low: float | None  # 5th percentile
    high: float | None  # 95th percentile
    look_at: Outliers | None


def mask_facts(
    volume: Volume, mask: Mask, *, cut: bool = False, expected: tuple[float, float] | None = None
) -> MaskFacts:
    """Facts of `mask` (i, j, k) on `volume`. `expected` is the structure's plausible range in HU (CT only)."""
    box = bounding_box(mask)
    if box is None:
        return MaskFacts(0, None, None, None, None, None, None)
    values = np.asarray(volume.luminance()[box][mask[box]], np.float64)
    scanned = values if volume.padding_value is None else values[values != volume.padding_value]
    low, median, high = _percentiles(scanned)
    volume_ml = None if cut or volume.voxel_ml is None else len(values) * volume.voxel_ml
    area = None if cut or volume.pixel_area_mm2 is None else len(values) * volume.pixel_area_mm2
    return MaskFacts(len(values), volume_ml, area, median, low, high, outliers(volume, mask, expected))


def _percentiles(values: NDArray[np.float64]) -> tuple[float | None, float | None, float | None]:
    """(5th, 50th, 95th); None where no voxel was scanned."""
    if not len(values):
        return None, None, None
    low, median, high = np.percentile(values, (5, 50, 95))
    return float(low), float(median), float(high)


def outliers(volume: Volume, mask: Mask, expected: tuple[float, float] | None) -> Outliers | None:
    """Voxels of a CT's mask outside what soft tissue can be, widened by the structure's `expected` HU; None where there
    are none."""
    if volume.units != "HU":
        return None
    low, high = SOFT_TISSUE_HU
    if expected is not None:
        low, high = min(low, expected[0]), max(high, expected[1])
    return _outside(volume, mask, low, high)


def _outside(volume: Volume, mask: Mask, low: float, high: float) -> Outliers | None:
    box = bounding_box(mask)
    if box is None:
        return None
    counted = mask[box] if volume.padding_value is None else mask[box] & (volume.array[box] != volume.padding_value)
    values = np.where(counted, volume.array[box], np.float32((low + high) / 2))
    beyond = np.maximum(values - high, low - values)
    count = int((beyond > 0).sum())
    if count == 0:
        return None
    index = np.unravel_index(int(np.argmax(beyond)), beyond.shape)
    return Outliers(count, float(values[index]), _place(volume, [s.start + i for s, i in zip(box, index, strict=True)]))


def _place(volume: Volume, index: list[int]) -> tuple[float, float, float]:
    point = np.asarray(index, float) if volume.affine is None else voxel_to_lps(volume.affine, index)
    return float(point[0]), float(point[1]), float(point[2])


def metal_warning(volume: Volume) -> str | None:
    """A sentence where a CT holds metal, with the place of the densest voxel; None otherwise."""
    metal = densest_metal(volume)
    if metal is None:
        return None
    peak, where = metal
    return f"Very dense material, probably metal, up to {peak:.0f} HU at {where}: values near it are unreliable."


def densest_metal(volume: Volume) -> tuple[float, str] | None:
    """HU and place ("L 133 A 119 S 100 mm") of the densest voxel of a CT that holds metal; None otherwise."""
    if volume.units != "HU" or volume.affine is None or volume.is_color:
        return None
    index = np.unravel_index(int(np.argmax(volume.array)), volume.shape)
    peak = float(volume.array[index])
    if peak < METAL_HU or int((volume.array >= METAL_HU).sum()) < _METAL_MIN_VOXELS:
        return None
    return peak, position_text(_place(volume, [int(i) for i in index]))
