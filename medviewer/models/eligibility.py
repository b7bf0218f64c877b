"""What can be answered before the model is asked: untrained terms, other parts of the body, useless images."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from medviewer.core.prediction import Answer
from medviewer.core.volume import Volume
from medviewer.models.bundle import BundleInfo
from medviewer.models.channels import modality_of

if TYPE_CHECKING:
    from medviewer.core.prompts import ParsedPrompt

MIN_PIXELS = 16
_NAMES = {"CT": "CT", "MR": "MR", "XR": "X-ray", "US": "ultrasound"}
# DICOM Body Part Examined (PS3.16 annex L) to the parts of the body that a structure may lie in
_BODY_PARTS = {
    "HEAD": {"head"}, "BRAIN": {"head"}, "SKULL": {"head"}, "ABDOMEN": {"abdomen", "chest", "pelvis", "spine"},
    "CHEST": {"chest", "abdomen", "neck", "spine", "breast"}, "THORAX": {"chest", "abdomen", "neck", "spine", "breast"},
    "PELVIS": {"pelvis", "abdomen", "spine"}, "LSPINE": {"spine", "abdomen", "pelvis", "chest"},
    "BREAST": {"breast", "chest"}, "HEART": {"chest", "abdomen"}, "KNEE": {"knee", "limbs"},
    "FOOT": {"limbs"}, "HAND": {"limbs"}, "ANKLE": {"limbs"}, "WRIST": {"limbs"}, "ELBOW": {"limbs"},
}
_UNSTATED = ("", "OT", "SC")  # DICOM: other, secondary capture; all else names a kind of picture
_HEAD = ("HEAD", "BRAIN", "SKULL")
Refusal = tuple[Answer, str]


def body_part(volume: Volume) -> str:
    """DICOM Body Part Examined, upper case; empty where the source does not state it."""
    fact = volume.facts.get("body_part")
    stated = fact is not None and fact.origin == "DICOM" and fact.value
    return str(fact.value).upper().replace(" ", "") if fact is not None and stated else ""


def shows_head(volume: Volume) -> bool:
    """Whether the source states that the head was scanned."""
    return body_part(volume) in _HEAD


def refuse_before_model(volume: Volume, prompt: ParsedPrompt, info: BundleInfo, interactive: bool) -> Refusal | None:
    """The answer and its reason where the model need not be asked; None where it must be."""
    unusable = _unusable(volume)
    if unusable:
        return Answer.NOT_ASSESSABLE, unusable
    if prompt.negated:
        return Answer.NEGATION, "Negated prompts are not segmented; ask for the structure itself."
    if interactive:
        return None
    return _untrained(volume, prompt, info)


def _untrained(volume: Volume, prompt: ParsedPrompt, info: BundleInfo) -> Refusal | None:
    if prompt.term is None:
        return Answer.NOT_TRAINED, f'"{prompt.unknown_text or prompt.text}" is not a structure the program knows.'
    trained = info.terms.get(prompt.term.id)
    regions = set(trained.regions if trained else ())
    allowed = _BODY_PARTS.get(body_part(volume))
    if allowed and regions and not regions & allowed:
        return Answer.OUTSIDE, f"The scan is stated to show the {body_part(volume).lower()}."
    if trained is None:
        return Answer.NOT_TRAINED, f"The model {info.id} was not trained for {prompt.term.name}."
    modality, stated = modality_of(volume), (volume.modality or "").upper()
    other = modality == "unknown" and stated not in _UNSTATED
    if other or (modality != "unknown" and modality not in trained.results):
        known = " and ".join(_NAMES.get(m, "pictures that state no modality") for m in trained.results)
        shown = stated if other else _NAMES[modality]
        return Answer.NOT_TRAINED, f"The model {info.id} was trained for {prompt.term.name} on {known}, not on {shown}."
    return None


def other_kind(text: str, shown: str, trained: Iterable[str]) -> str:
    """Why a term is not answered on a picture without a recorded modality that looks like another kind of picture."""
    known = " and ".join(_NAMES.get(m, "other pictures") for m in trained)
    return (
        f"The picture records no modality and looks like {_NAMES[shown]}; the model knows {text} on {known} only. "
        "State the modality if that is wrong."
    )


def _unusable(volume: Volume) -> str:
    rows, columns = sorted(volume.shape)[1:]
    if rows < MIN_PIXELS or columns < MIN_PIXELS:
        return f"The image is too small ({' x '.join(str(n) for n in volume.shape)})."
    sample = volume.array[::2, ::2, :: max(1, volume.shape[2] // 16)]
    low, high = np.nanmin(sample), np.nanmax(sample)
    if not np.isfinite(low) or low == high:
        return "The image has no contrast: all values are equal."
    return ""
