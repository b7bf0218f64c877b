"""The window that shows soft tissue in a CT picture whose publisher used a window for everything from air to metal."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from medviewer.models.preprocessing import Range

LOW_CONTRAST = 0.2  # of the whole range: the body's 10th and 90th percentiles lie closer in a picture that is too wide
LOW, HIGH = 0.2, 0.99  # percentiles of the body that become black and white
NARROWEST = 1 / 64  # of the whole range
BINS = 256


def tissue_window(values: NDArray[Any], whole: Range) -> Range:
    """The range of grey values of soft tissue in one CT picture or a stack of them, in the picture's own units.

    `whole`: the range that is black to white now. It is returned unchanged where the body has contrast in it already,
    so a picture that was published in a soft-tissue window stays as it is.
    """
    low, high = whole
    sample = np.asarray(values).reshape(-1)[:: max(1, np.size(values) // 200_000)].astype(np.float32)
    unit = np.nan_to_num((sample - low) / max(high - low, 1e-6)).clip(0.0, 1.0)
    body = unit[unit > air_limit(unit)]
    if body.size == 0:
        return whole
    dark, bright = np.quantile(body, (0.1, 0.9))
    if bright - dark >= LOW_CONTRAST:
        return whole
    first, last = (float(q) for q in np.quantile(body, (LOW, HIGH)))
    last = max(last, first + NARROWEST)
    return low + first * (high - low), low + last * (high - low)


def air_limit(unit: NDArray[np.float32]) -> float:
    """The grey value (0..1) between air and body: Otsu's threshold (IEEE Trans. SMC 9, 1979)."""
    counts, _ = np.histogram(unit, BINS, (0.0, 1.0))
    share = counts / max(1, counts.sum())
    weight, moment = np.cumsum(share), np.cumsum(share * np.arange(BINS))
    between = (moment[-1] * weight - moment) ** 2 / (weight * (1.0 - weight) + 1e-9)
    return float(np.argmax(between)) / BINS
