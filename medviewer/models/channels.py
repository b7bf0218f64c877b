"""A volume's slices as the two input channels of the network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from medviewer.core.volume import Volume
from medviewer.models.preprocessing import HEAD, SOFT_TISSUE, WIDE, Range, robust_range, to_unit

_TOKENS = {"CT": "CT", "MR": "MR", "US": "US", "CR": "XR", "DX": "XR", "XR": "XR", "RG": "XR", "XA": "XR"}


def modality_of(volume: Volume) -> str:
    """CT, MR, XR, US or "unknown"."""
    return _TOKENS.get((volume.modality or "").upper(), "unknown")


@dataclass(frozen=True)
class Windows:
    """The two intensity windows and a name for the cache; `inverted` turns MONOCHROME1 round."""

    name: str
    narrow: Range
    wide: Range
    inverted: bool = False


def choose_windows(volume: Volume, head: bool) -> Windows:
    """CT in HU gets fixed windows (`head`: for brain and blood); 8-bit pictures stay; the rest robust percentiles."""
    if volume.units == "HU":
        return Windows("head", HEAD, HEAD) if head else Windows("body", SOFT_TISSUE, WIDE)
    if volume.array.dtype == np.uint8:
        return Windows("8 bit", (0.0, 255.0), (0.0, 255.0), volume.inverted)
    span = robust_range(_thinned(volume))
    return Windows("robust", span, span, volume.inverted)


def _thinned(volume: Volume) -> NDArray[Any]:
    step = max(1, volume.shape[2] // 40)
    thin = volume.array[:, :, ::step]
    return thin if not volume.is_color else thin.mean(axis=3)


def frame_values(volume: Volume, stack: NDArray[Any], start: int, stop: int) -> NDArray[np.float32]:
    """Slices start..stop of a stack (slices, rows, columns[, 3]) as scalar float32."""
    part = np.asarray(stack[start:stop], np.float32)
    return part @ np.array([0.299, 0.587, 0.114], np.float32) if volume.is_color else part


def to_channels(values: NDArray[np.float32], windows: Windows) -> Tensor:
    """Slices (n, rows, columns) to (n, 2, rows, columns) in 0..1."""
    narrow = to_unit(values, windows.narrow)
    wide = narrow if windows.wide == windows.narrow else to_unit(values, windows.wide)
    pair = torch.from_numpy(np.stack([narrow, wide], axis=1))
    return 1.0 - pair if windows.inverted else pair
