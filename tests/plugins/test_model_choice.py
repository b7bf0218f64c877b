"""The model that answers: chosen by id, one at a time in memory, and another one is named where it knows more."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest

from medviewer.api import Answer, Prediction, Progress, Provenance, SegmentRequest, Volume
from medviewer.services import model_store

LICENCES = {"default": "research weights", "default-open": "free"}
TERMS = {"default": {"liver": ["CT"], "lung": ["XR"]}, "default-open": {"liver": ["CT", "MR"]}}


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two installed bundles, of which only the first one knows the lung."""
    monkeypatch.setenv("MEDVIEWER_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(model_store, "shipped_folder", lambda name: tmp_path / name)
    for name, terms in TERMS.items():
        folder = tmp_path / "resources" / "models" / name
        folder.mkdir(parents=True)
        stated = {term: {"results": dict.fromkeys(kinds)} for term, kinds in terms.items()}
        config = {"id": name, "version": "2", "licence": LICENCES[name], "terms": stated}
        (folder / "config.json").write_text(json.dumps(config))
    catalogue = 'default = "default"\n[models.default]\nlicence = "research weights"\n'
    (tmp_path / "resources" / "models.toml").write_text(catalogue)
    return tmp_path / "resources" / "models"


class FakeSegmenter:
    """Knows the terms of its folder; `alive` are those in memory."""

    alive: ClassVar[list[str]] = []

    def __init__(self, folder: Path) -> None:
        self.info = SimpleNamespace(path=folder, id=folder.name)
        self.alive.append(folder.name)

    def __del__(self) -> None:
        self.alive.remove(self.info.id)

    @classmethod
    def load(cls, folder: Path, device: str, **more: Any) -> FakeSegmenter:
        return cls(folder)

    def segment(self, volume: Volume, prompt: Any, **more: Any) -> Prediction:
        term = prompt.term.id if prompt.term else None
        known = volume.modality in TERMS[self.info.id].get(term or "", [])
        answer = Answer.NOT_FOUND if known else Answer.NOT_TRAINED
        origin = Provenance(model_id=self.info.id, licence=LICENCES[self.info.id])
        mask = np.zeros(volume.shape, bool)
        return Prediction(prompt.text, answer, mask, term_id=term, reason="Why.", provenance=origin)

    def encode(self, volume: Volume, progress: Progress) -> None:
        return None


@pytest.fixture
def logic(models: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    from medviewer.plugin_host import host

    instance: Any = host().logic("text_segmentation")
    fresh = type(instance)()
    module = _module_of(instance)
    held = module._networks()[1]
    monkeypatch.setattr(module, "_networks", lambda: (FakeSegmenter, held))
    return fresh


def _module_of(instance: Any) -> ModuleType:
    return sys.modules[type(instance).__module__]


def scan(modality: str) -> Volume:
    return Volume(np.zeros((4, 4, 4), np.int16), np.eye(4), modality)


def ask(logic: Any, text: str, modality: str, model: str | None) -> Prediction:
    answer: Prediction = logic.run(scan(modality), SegmentRequest(text, model_id=model), Progress())
    return answer


def test_the_chosen_model_answers_and_says_so(logic: Any) -> None:
    assert ask(logic, "liver", "CT", None).provenance.model_line == "default – research weights"
    assert ask(logic, "liver", "CT", "default-open").provenance.model_line == "default-open – free"


def test_one_model_is_in_memory(logic: Any) -> None:
    for model in ("default", "default-open", "default", "default"):
        ask(logic, "liver", "CT", model)
        assert FakeSegmenter.alive == [model]
    logic.prepare(scan("CT"), SegmentRequest("", model_id="default-open"), Progress())
    assert FakeSegmenter.alive == ["default-open"]


def test_a_model_that_was_replaced_by_one_of_its_name_is_loaded_anew(logic: Any, models: Path) -> None:
    ask(logic, "liver", "CT", None)
    (before,) = logic._segmenters.values()
    ask(logic, "liver", "CT", None)
    assert list(logic._segmenters.values()) == [before]
    description = models / "default" / "config.json"
    os.utime(description, ns=(1, 1))
    ask(logic, "liver", "CT", None)
    (after,) = logic._segmenters.values()
    assert after is not before


def test_another_installed_model_that_was_trained_for_it_is_named(logic: Any) -> None:
    answer = ask(logic, "lung", "DX", "default-open")
    sentence = "Why. Trained for it and installed: {}. Choose that model to ask it."
    assert answer.reason == sentence.format("default – research weights")
    assert ask(logic, "liver", "MR", None).reason == sentence.format("default-open 2 – free")


@pytest.mark.parametrize(
    ("text", "modality", "model"),
    [("lung", "CT", "default-open"), ("spleen", "CT", None), ("zorgle", "CT", None), ("liver", "CT", None)],
)
def test_nothing_is_named_where_no_model_knows_it(logic: Any, text: str, modality: str, model: str | None) -> None:
    assert ask(logic, text, modality, model).reason == "Why."
