"""A volume's slices as the input channels of the network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from medviewer.core.volume import Volume
from medviewer.models.preprocessing import (
    HEAD,
    SOFT_TISSUE,
    WIDE,
    Letterbox,
    Range,
    into_box,
    robust_range,
    to_input,
    to_unit,
)
from medviewer.models.tissue_window import tissue_window

_TOKENS = {"CT": "CT", "MR": "MR", "US": "US", "CR": "XR", "DX": "XR", "XR": "XR", "RG": "XR", "XA": "XR"}
NEIGHBOUR_MM = 3.0  # how far away the slices before and behind are that the network sees, or the next ones
FARTHEST_MM = 6.0  # slices farther apart are not shown as neighbours


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


def choose_windows(volume: Volume, head: bool, kind: str | None = None) -> Windows:
    """CT in HU gets fixed windows (`head`: for brain and blood); 8-bit pictures stay; the rest robust percentiles.

    CT pictures without HU that show everything from air to metal get a narrow window of their soft tissue; `kind` is
    the modality where the volume does not record it, as it looks.
    """
    windows = _stated_windows(volume, head)
    if volume.units == "HU" or volume.inverted or (kind or modality_of(volume)) != "CT":
        return windows
    narrow = tissue_window(_thinned(volume), windows.wide)
    return windows if narrow == windows.wide else Windows(f"{windows.name}, tissue", narrow, windows.wide)


def _stated_windows(volume: Volume, head: bool) -> Windows:
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


def neighbour_step(spacing: float) -> int:
    """How many slices away the neighbours are that the network sees, for slices `spacing` mm apart; 0: it sees none."""
    if not 0.0 < spacing <= FARTHEST_MM:
        return 0
    return max(1, round(NEIGHBOUR_MM / spacing))


def frame_values(stack: NDArray[Any], numbers: Sequence[int]) -> NDArray[np.float32]:
    """Slices of a stack (slices, rows, columns[, 3]) as scalar float32 (n, rows, columns)."""
    part = np.asarray(stack[list(numbers)], np.float32)
    return part @ np.array([0.299, 0.587, 0.114], np.float32) if part.ndim == 4 else part


def input_channels(
    stack: NDArray[Any], numbers: Sequence[int], step: int, windows: Windows, box: Letterbox
) -> Tensor:
    """Network input (n, 4, size, size) of slices of a stack (slices, rows, columns[, 3]): each in the narrow and in the
    wide window, and the slices `step` before and behind it in the narrow one (the outermost stand for those beyond)."""
    last = len(stack) - 1
    rows = [[n, min(max(n - step, 0), last), min(max(n + step, 0), last)] for n in numbers]
    needed = sorted({n for row in rows for n in row})
    place = {n: index for index, n in enumerate(needed)}
    values = frame_values(stack, needed)
    narrow = _fitted(values, windows.narrow, windows, box)
    own, before, behind = (narrow[[place[row[k]] for row in rows]] for k in range(3))
    wide = own
    if windows.wide != windows.narrow:
        wide = _fitted(values[[place[n] for n in numbers]], windows.wide, windows, box)
    return to_input(torch.stack([own, wide, before, behind], dim=1))


def _fitted(values: NDArray[np.float32], window: Range, windows: Windows, box: Letterbox) -> Tensor:
    unit = torch.from_numpy(to_unit(values, window))
    return into_box((1.0 - unit if windows.inverted else unit)[:, None], box)[:, 0]
