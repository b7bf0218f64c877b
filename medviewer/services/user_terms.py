"""The structures that the user's own models brought along (`user_terms` of their `config.json`)."""

from __future__ import annotations

import json
from typing import Any

_MOST_DESCRIPTION = 8_000_000  # bytes
State = tuple[tuple[str, int, int], ...]


def installed_state() -> State:
    """Path, time and size of the description of every model on the disk: changes where one comes, goes or is replaced.
    Reads no file; any thread."""
    from medviewer.services.model_store import model_folders

    found = []
    for path in (path for parent in model_folders() for path in parent.glob("*/config.json")):
        try:
            status = path.stat()
        except OSError:  # it has just gone
            continue
        found.append((str(path), status.st_mtime_ns, status.st_size))
    return tuple(sorted(found))


def user_terms() -> list[Any]:
    """Entries of all installed models, unchecked; see `core.user_terms.with_user_terms`."""
    from medviewer.services.model_store import list_models

    found: list[Any] = []
    for model in list_models():
        if model.folder is None:
            continue
        try:
            path = model.folder / "config.json"
            stated = json.loads(path.read_text("utf-8")) if path.stat().st_size <= _MOST_DESCRIPTION else {}
            entries = stated.get("user_terms", [])
        except (OSError, ValueError, AttributeError, RecursionError):
            continue  # a damaged model is told of where it is asked
        found += entries if isinstance(entries, list) else []
    return found
