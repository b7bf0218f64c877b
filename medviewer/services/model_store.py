"""Which models are known and which are installed. Reads the catalogue; loads no network."""

from __future__ import annotations

import hashlib
import json
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medviewer.core.errors import ModelMissing
from medviewer.services.folders import user_folder
from medviewer.services.resources import read_data_file, shipped_folder

TEXT_SEGMENTATION = "text-segmentation"
LANGUAGE = "language"  # vision-language models, which write sentences of reports
_REINSTALL = "Install the model again (see `medviewer models list`)."
_MOST_DESCRIPTION = 8_000_000  # bytes
_CONFIG, _WEIGHTS, _CARD = "config.json", "model.safetensors", "card.md"


@dataclass(frozen=True)
class ModelInfo:
    """One entry of the catalogue, or a folder that it does not list, described by its own `config.json`.

    `folder` is None while the model is not installed; `commercial_use` None where nobody stated it.
    """

    id: str
    title: str
    task: str
    folder: Path | None
    default: bool = False
    version: str = ""
    licence: str = ""
    commercial_use: bool | None = None
    weights_sha256: str = ""  # what the catalogue expects; empty for folders that it does not list
    size_bytes: int = 0
    intended_use: str = ""

    @property
    def installed(self) -> bool:
        return self.folder is not None

    @property
    def line(self) -> str:
        """Id, version and what the weights may be used for: "default 2 – non-commercial research weights"."""
        name = " ".join(part for part in (self.id, self.version) if part)
        return f"{name} – {self.licence or 'licence not stated'}"

    def card(self) -> str:
        """The model card (Markdown); empty where there is none."""
        try:
            return _description(self.folder / _CARD) if self.folder is not None else ""
        except (OSError, ValueError):
            return ""

    def weights_state(self) -> str:
        """Whether the weights on the disk are those that were described: "ok" (SHA-256 agrees), "differs", "missing",
        "not installed", "not recorded" for a published language model. Reads the whole file."""
        if self.folder is None:
            return "not installed"
        if self.task == LANGUAGE:
            return "not recorded"
        try:
            stated = _stated(self.folder).get("weights_sha256")
            with (self.folder / _WEIGHTS).open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError:
            return "missing"
        return "ok" if found == stated == (self.weights_sha256 or stated) else "differs"


def model_folders() -> list[Path]:
    """Where bundles are looked for: shipped ones, then the user's own (`<user data>/models`)."""
    return [shipped_folder("resources") / "models", user_folder("data") / "models"]


def list_models(task: str | None = None) -> list[ModelInfo]:
    """Models of the catalogue, then bundles found only as folders; the default one first."""
    known = _catalogue()
    for folder in _bundle_folders():
        if folder.name not in known:
            known[folder.name] = _from_folder(folder)
    models = [model for model in known.values() if task is None or model.task == task]
    return sorted(models, key=lambda model: (not model.default, model.id))


def find_bundle(model_id: str | None = None, task: str = TEXT_SEGMENTATION) -> Path:
    """Folder of an installed bundle (the default one without an id); raises ModelMissing with the fix."""
    return _checked(find_model(model_id, task))


def find_model(model_id: str | None = None, task: str = TEXT_SEGMENTATION) -> ModelInfo:
    """An installed model (the default one without an id); raises ModelMissing with the fix."""
    models = list_models(task)
    ready = [model for model in models if model.installed]
    match = next((model for model in ready if model_id is None or model.id == model_id), None)
    if match is not None:
        return match
    if model_id is None:
        raise ModelMissing(
            "No segmentation model is installed.",
            f"Install medviewer again, or put a model bundle into {model_folders()[1]}.",
        )
    names = ", ".join(model.id for model in ready) or "none"
    raise ModelMissing(f'The model "{model_id}" is not installed.', f"Installed models: {names}.")


def _checked(model: ModelInfo) -> Path:
    """The folder, whose description and size must be those that the catalogue lists. (The weights themselves are hashed
    against the description when they are loaded.)"""
    assert model.folder is not None
    if not model.weights_sha256:
        return model.folder
    try:
        stated = json.loads(_description(model.folder / _CONFIG)).get("weights_sha256")
        size = (model.folder / _WEIGHTS).stat().st_size
    except (OSError, ValueError, AttributeError, RecursionError) as error:
        raise ModelMissing(f'The model "{model.id}" is incomplete or damaged.', _REINSTALL) from error
    if stated != model.weights_sha256 or (model.size_bytes and size != model.size_bytes):
        message = f'The folder of the model "{model.id}" holds other weights than the catalogue lists.'
        raise ModelMissing(message, f"{_REINSTALL} A model of your own needs a name of its own.")
    return model.folder


def _description(path: Path) -> str:
    """The text of a regular file that is not far too large."""
    status = path.stat()
    if not stat.S_ISREG(status.st_mode) or status.st_size > _MOST_DESCRIPTION:
        raise ValueError("no description of a model")
    return path.read_text(encoding="utf-8")


def _catalogue() -> dict[str, ModelInfo]:
    path = shipped_folder("resources") / "models.toml"
    if not path.is_file():
        return {}
    data = read_data_file(path)
    installed = {folder.name: folder for folder in _bundle_folders()}
    return {
        model_id: _from_table(model_id, table, installed.get(model_id), model_id == data.get("default"))
        for model_id, table in data.get("models", {}).items()
    }


def _from_table(model_id: str, table: Mapping[str, Any], folder: Path | None, default: bool) -> ModelInfo:
    return ModelInfo(
        model_id,
        str(table.get("name", model_id)),
        str(table.get("task", TEXT_SEGMENTATION)),
        folder,
        default,
        str(table.get("version", "")),
        str(table.get("licence", "")),
        _yes_or_no(table.get("commercial_use")),
        str(table.get("weights_sha256", "")),
        int(table.get("size_bytes", 0)),
        str(table.get("intended_use", "")),
    )


def _from_folder(folder: Path) -> ModelInfo:
    """A bundle that the catalogue does not list, as far as it describes itself."""
    stated = _stated(folder)
    version, licence, use = (str(stated.get(name, "")) for name in ("version", "licence", "intended_use"))
    try:
        size = (folder / _WEIGHTS).stat().st_size
    except OSError:
        size = 0
    commercial = _yes_or_no(stated.get("commercial_use"))
    task = LANGUAGE if "vision_config" in stated else TEXT_SEGMENTATION
    return ModelInfo(
        folder.name, folder.name, task, folder, version=version, licence=licence,
        commercial_use=commercial, size_bytes=size, intended_use=use,
    )  # fmt: skip


def _stated(folder: Path) -> dict[str, Any]:
    """What a bundle's `config.json` says; nothing where it cannot be read."""
    try:
        stated = json.loads(_description(folder / _CONFIG))
    except (OSError, ValueError, RecursionError):
        return {}
    return stated if isinstance(stated, dict) else {}


def _yes_or_no(value: Any) -> bool | None:
    return value if isinstance(value, bool) else None


def _bundle_folders() -> list[Path]:
    found = []
    for parent in model_folders():
        if parent.is_dir():
            found += sorted(folder for folder in parent.iterdir() if (folder / _CONFIG).is_file())
    return found
