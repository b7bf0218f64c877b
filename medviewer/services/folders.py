"""Where the program keeps what belongs to the user: settings, logs, models, caches."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

import platformdirs

FolderKind = Literal["config", "data", "cache", "log"]


def user_folder(kind: FolderKind) -> Path:
    """Folder of that kind (not created). `MEDVIEWER_HOME` moves all of them under one folder."""
    home = os.environ.get("MEDVIEWER_HOME")
    if home:
        return Path(home) / kind
    dirs = platformdirs.PlatformDirs("medviewer", appauthor=False)
    return {
        "config": dirs.user_config_path,
        "data": dirs.user_data_path,
        "cache": dirs.user_cache_path,
        "log": dirs.user_log_path,
    }[kind]
