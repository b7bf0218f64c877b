"""Reconstructed NM tomography (SPECT): the slices of one multi-frame file (PS3.3 C.8.4.15).

The first slice lies at the image position of the detector information. The others follow along row direction x column
direction, behind it where Spacing Between Slices is positive, in front of it where that is negative.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from medviewer.io.dicom_frames import Frame, classic_frame, is_finite, numbers
from medviewer.io.dicom_header import Header

_TAGS = ["DetectorInformationSequence", "SliceVector", "SpacingBetweenSlices"]


def is_reconstructed_tomography(header: Header) -> bool:
    """A multi-frame NM file of reconstructed slices, not gated."""
    kinds: tuple[str, ...] = header.get("ImageType") or ()
    return header.get("Modality") == "NM" and kinds[2:3] == ("RECON TOMO",)


def tomographic_frames(header: Header) -> list[Frame] | None:
    """The frames with their places, or None where the file does not state them all."""
    import pydicom

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            dataset = pydicom.dcmread(header.path, force=True, stop_before_pixels=True, specific_tags=_TAGS)
            return _placed(header, dataset)
    except Exception:  # a damaged sequence only means: no place
        return None


def _placed(header: Header, dataset: Any) -> list[Frame] | None:
    detectors, order = dataset.DetectorInformationSequence, [int(v) for v in np.atleast_1d(dataset.SliceVector)]
    count, step = header.get("NumberOfFrames") or 1, float(dataset.SpacingBetweenSlices)
    if len(detectors) != 1 or sorted(order) != list(range(1, count + 1)) or step == 0.0:
        return None
    position = numbers(tuple(float(v) for v in detectors[0].ImagePositionPatient), 3)
    orientation = numbers(tuple(float(v) for v in detectors[0].ImageOrientationPatient), 6)
    if not (is_finite(position) and is_finite(orientation)):
        return None
    directions = np.asarray(orientation, float)
    shift = np.cross(directions[:3], directions[3:]) * step
    first = classic_frame(header)
    return [
        Frame(
            header,
            index,
            tuple(float(v) for v in np.asarray(position) + (number - 1) * shift),
            orientation,
            first.spacing,
            first.slope,
            first.intercept,
        )
        for index, number in enumerate(order)
    ]
