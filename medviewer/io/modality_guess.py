"""Modality of files that do not record one: a hint in the name, or unmistakable intensities. Never silent."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medviewer.core.volume import Fact

_MR_WEIGHTING = {
    "t1": "T1", "t1w": "T1", "t1c": "T1 with contrast", "t1ce": "T1 with contrast", "t1gd": "T1 with contrast",
    "t1n": "T1", "t2": "T2", "t2w": "T2", "t2f": "FLAIR", "flair": "FLAIR", "bold": "BOLD", "dwi": "diffusion",
    "adc": "ADC", "swi": "SWI", "pdw": "PD", "pd": "PD", "t2star": "T2*", "mprage": "T1", "tof": "TOF",
    "dixon": "Dixon", "mra": "angiography", "cest": "CEST", "asl": "ASL",
}  # fmt: skip
_OTHERS = {"ct": "CT", "cta": "CT", "cbct": "CT", "ncct": "CT", "mr": "MR", "mri": "MR", "pet": "PT", "us": "US"}
_LABELS = {"label", "labels", "seg", "segmentation", "mask", "masks", "aal", "brodmann", "dseg", "gt", "parc", "aseg"}
_NOTE = "The modality was estimated from the intensities, not recorded in the file: {0}. Change it if it is wrong."


def guess(name: str, sample: NDArray[Any] | None) -> tuple[dict[str, Fact], str | None, tuple[str, ...]]:
    """Facts, units and warnings for a file without a recorded modality.

    `sample` are some voxel values, in any shape, or None. Values that can only be HU make a CT ("estimated", with a
    warning) unless the file name says otherwise; words of the name alone give a modality but no unit. Facts:
    "modality", "units", "weighting" (MR), "content" (label map).
    """
    words = _words(name)
    looks_hu = sample is not None and _looks_like_hu(sample)
    if words & _LABELS and not looks_hu:
        return {"modality": Fact(None, "unknown"), "content": Fact("label map", "file name")}, None, ()
    facts = _from_name(words) or {"modality": Fact(None, "unknown")}
    if not looks_hu or facts["modality"].value not in (None, "CT"):
        return facts, None, ()
    return {"modality": Fact("CT", "estimated"), "units": Fact("HU", "estimated")}, "HU", (_NOTE.format("CT in HU"),)


def _words(name: str) -> set[str]:
    return set(re.split(r"[^a-z0-9]+", name.lower()))


def _from_name(words: set[str]) -> dict[str, Fact] | None:
    for word in sorted(words):
        if word in _OTHERS:
            return {"modality": Fact(_OTHERS[word], "file name")}
    for word in sorted(words):
        if word in _MR_WEIGHTING:
            return {"modality": Fact("MR", "file name"), "weighting": Fact(_MR_WEIGHTING[word], "file name")}
    return None


def _looks_like_hu(sample: NDArray[Any]) -> bool:
    """Air (-1000 HU) and soft tissue (0 to 100 HU) side by side: no other modality stores numbers like these."""
    if sample.ndim == 0 or sample.size < 1000 or np.issubdtype(sample.dtype, np.unsignedinteger):
        return False
    flat = sample.reshape(-1, order="A")
    values = flat[:: max(1, flat.size // 200_000)]
    lowest, highest = float(values.min()), float(values.max())
    if lowest > -900 or lowest < -33000 or highest < 60 or highest > 33000:
        return False
    inside = values[(values > -1500) & (values < 4100)]
    air = float(np.mean((inside < -700) & (inside > -1200))) if inside.size else 0.0
    tissue = float(np.mean((inside > -200) & (inside < 300))) if inside.size else 0.0
    return inside.size > 0.5 * values.size and air > 0.01 and tissue > 0.02
