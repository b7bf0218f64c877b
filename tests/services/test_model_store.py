"""The model store: catalogue, installed folders, and what is missing."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from medviewer.core.errors import ModelMissing
from medviewer.services import model_store
from medviewer.services.model_store import find_bundle, find_model, list_models

CATALOGUE = """
default = "small"
[models.large]
name = "Large"
task = "text-segmentation"
[models.small]
name = "Small"
task = "text-segmentation"
version = "2"
licence = "research"
[models.writer]
name = "Writer"
task = "report"
"""


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MEDVIEWER_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(model_store, "shipped_folder", lambda name: tmp_path / name)
    (tmp_path / "resources" / "models").mkdir(parents=True)
    (tmp_path / "resources" / "models.toml").write_text(CATALOGUE)
    return tmp_path


def install(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    return folder


def test_the_default_comes_first_and_unknown_folders_last(store: Path) -> None:
    small = install(store / "resources" / "models" / "small")
    own = install(store / "home" / "data" / "models" / "tuned")
    models = list_models("text-segmentation")
    assert [model.id for model in models] == ["small", "large", "tuned"]
    assert (models[0].folder, models[0].version, models[0].licence) == (small, "2", "research")
    assert (models[1].installed, models[2].folder) == (False, own)
    assert [model.id for model in list_models("report")] == ["writer"]


def test_a_bundle_is_found_by_id_or_by_default(store: Path) -> None:
    small = install(store / "resources" / "models" / "small")
    own = install(store / "home" / "data" / "models" / "tuned")
    assert find_bundle() == small
    assert find_bundle("tuned") == own


def test_a_missing_model_names_the_fix(store: Path) -> None:
    with pytest.raises(ModelMissing, match="No segmentation model is installed"):
        find_bundle()
    install(store / "resources" / "models" / "small")
    with pytest.raises(ModelMissing, match=r"large.*Installed models: small"):
        find_bundle("large")


def test_a_checkout_without_models_lists_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDVIEWER_HOME", str(tmp_path))
    monkeypatch.setattr(model_store, "shipped_folder", lambda name: tmp_path / name)
    assert list_models() == []


def listed(store: Path, stated: str, size: int) -> Path:
    """A folder "small" whose description states a checksum, in a catalogue that expects "ab" and 5 bytes."""
    catalogue = CATALOGUE.replace('licence = "research"', 'licence = "research"\nweights_sha256 = "ab"\nsize_bytes = 5')
    (store / "resources" / "models.toml").write_text(catalogue)
    folder = install(store / "resources" / "models" / "small")
    (folder / "config.json").write_text(json.dumps({"weights_sha256": stated}))
    (folder / "model.safetensors").write_bytes(bytes(size))
    return folder


def test_the_folder_must_be_the_one_that_the_catalogue_lists(store: Path) -> None:
    folder = listed(store, "ab", 5)
    assert find_bundle() == find_bundle("small") == folder
    for stated, size in (("cd", 5), ("ab", 6), ("", 5)):
        (folder / "config.json").write_text(json.dumps({"weights_sha256": stated}))
        (folder / "model.safetensors").write_bytes(bytes(size))
        with pytest.raises(ModelMissing, match="other weights than the catalogue lists"):
            find_bundle()


@pytest.mark.parametrize("text", ["", "[]", "[" * 100_000, "\x00", '"x"'])
def test_a_damaged_description_is_told(store: Path, text: str) -> None:
    folder = listed(store, "ab", 5)
    (folder / "config.json").write_text(text)
    with pytest.raises(ModelMissing, match=r"incomplete or damaged|other weights"):
        find_bundle("small")
    (folder / "model.safetensors").unlink()
    with pytest.raises(ModelMissing, match="incomplete or damaged"):
        find_bundle("small")


def test_a_folder_of_ones_own_cannot_take_the_name_of_a_listed_model(store: Path) -> None:
    listed(store, "ab", 5)
    own = install(store / "home" / "data" / "models" / "small")
    (own / "config.json").write_text(json.dumps({"weights_sha256": "cd"}))
    (own / "model.safetensors").write_bytes(bytes(5))
    with pytest.raises(ModelMissing, match="name of its own"):
        find_bundle("small")


def test_a_folder_of_ones_own_describes_itself(store: Path) -> None:
    own = install(store / "home" / "data" / "models" / "tuned")
    (own / "model.safetensors").write_bytes(bytes(9))
    stated = {"version": "3", "licence": "mine", "commercial_use": True, "intended_use": "For the liver."}
    (own / "config.json").write_text(json.dumps(stated))
    (own / "card.md").write_text("# Tuned\n")
    model = find_model("tuned")
    assert (model.version, model.licence, model.commercial_use, model.size_bytes) == ("3", "mine", True, 9)
    assert (model.line, model.intended_use, model.card()) == ("tuned 3 – mine", "For the liver.", "# Tuned\n")


@pytest.mark.parametrize("text", ["[]", "{", '{"commercial_use": "yes", "licence": ""}', "[" * 100_000])
def test_a_folder_that_describes_itself_badly_states_nothing(store: Path, text: str) -> None:
    own = install(store / "home" / "data" / "models" / "tuned")
    (own / "config.json").write_text(text)
    model = find_model("tuned")
    assert (model.commercial_use, model.line) == (None, "tuned – licence not stated")
    assert model.card() == ""


def test_the_state_of_the_weights(store: Path) -> None:
    folder = listed(store, "ab", 5)
    digest = hashlib.sha256(bytes(5)).hexdigest()

    def state() -> str:
        return find_model("small").weights_state()

    assert state() == "differs"
    (folder / "config.json").write_text(json.dumps({"weights_sha256": digest}))
    assert state() == "differs"  # the catalogue expects others
    catalogue = (store / "resources" / "models.toml").read_text().replace('"ab"', f'"{digest}"')
    (store / "resources" / "models.toml").write_text(catalogue)
    assert state() == "ok"
    (folder / "model.safetensors").write_bytes(bytes(4) + b"x")
    assert state() == "differs"
    (folder / "model.safetensors").unlink()
    assert state() == "missing"
    assert next(model for model in list_models() if model.id == "large").weights_state() == "not installed"
