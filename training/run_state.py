"""The state of a run on the disk: `state.pt`, and `best.pt` where the best check is kept."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import torch

from medviewer.core.errors import InputRefused, OutputNotWritten
from medviewer.io.atomic import atomic_write

STATE, BEST = "state.pt", "best.pt"


def write_tensors(path: Path, content: dict[str, Any]) -> None:
    """Write tensors, numbers and texts atomically. Raises OutputNotWritten; the older file is then intact."""
    with atomic_write(path) as temporary:
        try:
            torch.save(content, temporary)
        except RuntimeError as error:  # torch's own words for a write that failed
            message = f"{path} was not written: the drive took only a part of it."
            raise OutputNotWritten(message, "Is there space left? Free some and resume.") from error


def read_tensors(path: Path, device: str | torch.device = "cpu") -> dict[str, Any]:
    """What `write_tensors` wrote; nothing in the file is executed. Raises InputRefused."""
    if not path.is_file():
        raise InputRefused(f"There is no {path.name} in {path.parent}.", "Name the folder of a run that was saved.")
    try:
        content = torch.load(path, map_location=device, weights_only=True)
        if not isinstance(content, dict):
            raise ValueError("no table of tensors")
        return content
    except (OSError, RuntimeError, ValueError, EOFError, KeyError, pickle.UnpicklingError) as error:
        raise InputRefused(f"{path} is not the state of a training.", "Name the folder of another run.") from error


def load_into(module: torch.nn.Module, tensors: dict[str, Any], path: Path) -> None:
    """Put tensors into a module. Raises InputRefused where they belong to a network of other sizes."""
    try:
        module.load_state_dict(tensors)
    except (RuntimeError, TypeError, AttributeError) as error:
        raise InputRefused(
            f"{path} holds a network of other sizes than the recipe states.", "Use the recipe of that run."
        ) from error
