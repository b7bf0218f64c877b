"""Which structures to offer for a scan: trained for its modality, the common ones first. Qt-free."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from medviewer.api import UserError, Volume, find_bundle, terminology

_X_RAY = frozenset({"CR", "DX", "RG", "DR", "PX", "XR"})
_COMMON = (
    "liver", "kidney", "spleen", "lung", "heart", "aorta", "spine", "pancreas", "stomach", "urinary_bladder",
    "clavicle",
)  # fmt: skip

Trained = Mapping[str, frozenset[str]]  # term id to modalities (CT MR XR US); no modalities: any


def trained_terms(model_id: str | None = None) -> Trained:
    """What the installed model was trained for, from its description; empty where no model is installed."""
    try:
        config = json.loads((Path(find_bundle(model_id)) / "config.json").read_text("utf-8"))
        return {str(term): frozenset(entry.get("results", {})) for term, entry in config["terms"].items()}
    except (UserError, OSError, ValueError, KeyError, AttributeError, TypeError):
        return {}


def suggestions(volume: Volume, trained: Trained, done: Iterable[str], most: int = 6) -> list[str]:
    """Names to offer. `done` are term ids that were asked for already."""
    modality, skip = modality_group(volume.modality), set(done)
    fitting = [
        (_COMMON.index(term) if term in _COMMON else len(_COMMON), term)
        for term, modalities in trained.items()
        if term not in skip and (modality is None or not modalities or modality in modalities)
    ]
    known = terminology()
    names = [known.get(term).name for _, term in sorted(fitting, key=lambda pair: pair[0]) if term in known]
    return names[:most]


def modality_group(modality: str | None) -> str | None:
    """CT, MR, XR or US as descriptions of models name them; None where the scan does not state what it is."""
    if not modality or modality in ("OT", "SC"):
        return None
    return "XR" if modality.upper() in _X_RAY else modality.upper()
