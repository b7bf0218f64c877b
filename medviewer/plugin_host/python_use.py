"""`medviewer.open_volume` and `medviewer.segment`: the program for a Python session."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medviewer.api.requests import SegmentRequest
from medviewer.core.prediction import BoxPrompt, PointPrompt, Prediction
from medviewer.core.progress import Progress
from medviewer.core.volume import Volume
from medviewer.plugin_host.segmenting import DEFAULT_PLUGIN, segment_with


def open_volume(path: str | Path, series: str | None = None, modality: str | None = None) -> Volume:
    """Read one scan: a file or a DICOM folder. Voxels [i, j, k], affine to LPS mm.

    `series` is the id of one series (see `medviewer info`) where the path holds several. `modality` ("CT", "MR",
    "DX", "US") is what the user states, for files that do not record it. Raises InputRefused, saying why.
    """
    from medviewer.services.open_data import open_volume as read

    return read(Path(path), series, modality=modality)


def segment(
    volume: Volume,
    prompt: str,
    *,
    points: Sequence[PointPrompt] = (),
    box: BoxPrompt | None = None,
    previous: NDArray[np.bool_] | None = None,
    model: str | None = None,
    device: str = "auto",
    frame: int | None = None,
    plugin: str = DEFAULT_PLUGIN,
    progress: Progress | None = None,
) -> Prediction:
    """Ask for one structure by text ("left kidney"). The answer's `mask` is bool [i, j, k] on the volume's grid.

    Points and box are LPS mm. The second prompt on the same volume is fast: its encoding is kept.
    """
    request = SegmentRequest(prompt, tuple(points), box, previous, model, device, frame)
    return segment_with(plugin, volume, request, progress)
