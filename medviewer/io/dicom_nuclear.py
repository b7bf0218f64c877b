"""Reconstructed NM tomography (SPECT): the slices of one multi-frame file (PS3.3 C.8.4.15).

The first slice lies at the image position of the detector information. The others follow along row direction x column
direction, behind it where Spacing Between Slices is positive, in front of it where that is negative.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np

from medviewer.io.decode_pool import WorkerFailed, ask_about
from medviewer.io.dicom_frames import Frame, classic_frame, is_finite, numbers
from medviewer.io.dicom_header import Header

_TAGS = ["DetectorInformationSequence", "SliceVector", "SpacingBetweenSlices"]


def is_reconstructed_tomography(header: Header) -> bool:
    """A multi-frame NM file of reconstructed slices, not gated."""
    kinds: tuple[str, ...] = header.get("ImageType") or ()
    return header.get("Modality") == "NM" and kinds[2:3] == ("RECON TOMO",)


def tomographic_frames(header: Header) -> list[Frame] | None:
    """The frames with their places, or None where the file does not state them all. A decode worker reads them."""
    try:
        found = ask_about("detector", header.path)[0]
        return _placed(header, **found)
    except WorkerFailed:  # a damaged sequence only means: no place
        return None


def detector_task(path: Path) -> tuple[dict[str, Any], bytes]:
    """In the worker: place of the first slice, order of the slices and the step between them."""
    import pydicom

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = pydicom.dcmread(path, force=True, stop_before_pixels=True, specific_tags=_TAGS)
        (detector,) = dataset.DetectorInformationSequence
        found = {
            "order": [int(v) for v in np.atleast_1d(dataset.SliceVector)],
            "step": float(dataset.SpacingBetweenSlices),
            "position": [float(v) for v in detector.ImagePositionPatient],
            "orientation": [float(v) for v in detector.ImageOrientationPatient],
        }
    return found, b""


def _placed(
    header: Header, order: list[int], step: float, position: list[float], orientation: list[float], **_: Any
) -> list[Frame] | None:
    count = header.get("NumberOfFrames") or 1
    start, turned = numbers(tuple(position), 3), numbers(tuple(orientation), 6)
    if sorted(order) != list(range(1, count + 1)) or step == 0.0 or not (is_finite(start) and is_finite(turned)):
        return None
    directions = np.asarray(turned, float)
    shift = np.cross(directions[:3], directions[3:]) * step
    first = classic_frame(header)
    return [
        Frame(
            header,
            index,
            tuple(float(v) for v in np.asarray(start) + (number - 1) * shift),
            turned,
            first.spacing,
            first.slope,
            first.intercept,
        )
        for index, number in enumerate(order)
    ]
