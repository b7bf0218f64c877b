"""`models.toml`: the catalogue of the shipped models. One entry is written, the others stay as they are."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from medviewer.core.errors import InputRefused
from medviewer.io.atomic import write_text_atomic
from medviewer.models.bundle import WEIGHTS

NAME = "models.toml"
_HEAD = "# Models shipped with the program. Weights are data: safetensors only, checked by SHA-256 before loading.\n"
_FIRST = "default"  # id of the model that answers where none was chosen
_TITLES = {"default": "Default text segmentation", "default-open": "Default text segmentation, open weights"}


def write_catalogue(out: Path, config: Mapping[str, Any]) -> None:
    """Put the bundle in the folder `out` (`.../models/ID`) into the catalogue beside the folder `models`.

    An entry of the same id is replaced, others are kept. Raises InputRefused where the catalogue cannot be read,
    OutputNotWritten where it cannot be written; it is then as it was.
    """
    path = out.parent.parent / NAME
    known = read_catalogue(path)
    entries = {**known.get("models", {}), str(config["id"]): entry_of(out, config)}
    first = known.get("default") if known.get("default") in entries else None
    chosen = _FIRST if _FIRST in entries else first or str(config["id"])
    write_text_atomic(path, catalogue_text(chosen, entries))


def read_catalogue(path: Path) -> dict[str, Any]:
    """The catalogue as it is; empty where there is none. Raises InputRefused."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        hint = "Mend it or remove it, then export again."
        raise InputRefused(f"{path.name} is no catalogue of models.", hint) from error


def entry_of(out: Path, config: Mapping[str, Any]) -> dict[str, Any]:
    """What the catalogue says of a bundle."""
    model_id = str(config["id"])
    return {
        "name": _TITLES.get(model_id, model_id),
        "task": "text-segmentation",
        "version": str(config["version"]),
        "folder": f"models/{model_id}",
        "weights_sha256": str(config["weights_sha256"]),
        "licence": str(config["licence"]),
        "commercial_use": bool(config.get("commercial_use", False)),
        "intended_use": str(config.get("intended_use", "")),
        "size_bytes": (out / WEIGHTS).stat().st_size,
        "sources": [str(source) for source in config["sources"]],
    }


def catalogue_text(first: str, entries: Mapping[str, Mapping[str, Any]]) -> str:
    """TOML; the model that answers by default comes first, the others by name."""
    lines = [_HEAD + f"default = {_toml(first)}\n"]
    for model_id in sorted(entries, key=lambda name: (name != first, name)):
        lines.append(f"[models.{_toml(model_id)}]")
        lines += [f"{key} = {_toml(value)}" for key, value in entries[model_id].items()]
        lines.append("")
    return "\n".join(lines[:-1]) + "\n"


def _toml(value: Any) -> str:
    """JSON's texts, numbers and booleans are TOML's (no value here holds a control character beyond U+007E)."""
    if isinstance(value, list):
        return "[\n" + "".join(f"  {_toml(item)},\n" for item in value) + "]"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
