"""The models that can be asked: which one is chosen, and which other one knows a structure. Qt-free, torch-free."""

from __future__ import annotations

from pathlib import Path

from medviewer.api import Answer, Prediction, Volume, list_models

from .suggestions import modality_group, trained_terms

_TASK = "text-segmentation"
SETTING = "model"  # id of the chosen model; empty for the default one


def chosen_line(model_id: str) -> str:
    """The chosen model and what its weights may be used for: "default 2 – non-commercial research weights"."""
    ready = [model for model in list_models(_TASK) if model.installed]
    chosen = next((model for model in ready if model_id in ("", model.id)), None)
    if chosen is not None:
        return chosen.line
    return f"{model_id} – not installed" if model_id else "No model is installed"


def others_trained_for(term_id: str, volume: Volume, asked: Path) -> list[str]:
    """Installed models other than that in the folder `asked` that were trained for a structure in scans of this kind,
    as lines with their licences."""
    kind, lines = modality_group(volume.modality), []
    for model in list_models(_TASK):
        if model.folder is None or model.folder == asked:
            continue
        modalities = trained_terms(model.id).get(term_id)
        if modalities is not None and (kind is None or not modalities or kind in modalities):
            lines.append(model.line)
    return lines


def hint_of(answer: Prediction, volume: Volume, asked: Path) -> str:
    """Which installed model to ask instead, as a sentence; empty where there is none or the answer needs none."""
    if answer.answer is not Answer.NOT_TRAINED or answer.term_id is None:
        return ""
    lines = others_trained_for(answer.term_id, volume, asked)
    if not lines:
        return ""
    return f"Trained for it and installed: {'; '.join(lines)}. Choose that model to ask it."
