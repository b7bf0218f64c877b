"""What the user chose, kept between sessions in one JSON file. Holds no patient data."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any, TypeVar

from medviewer.services.folders import user_folder

T = TypeVar("T")


class Settings:
    """Named values (JSON types). Reading is tolerant: what is missing or of another type becomes the default.

    A file that is no JSON object is kept as `settings.json.broken` and the defaults apply. Safe to use from any thread.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or user_folder("config") / "settings.json"
        self._lock = threading.Lock()
        self._values = self._read()

    def get(self, key: str, default: T) -> T:
        """The stored value if it has the type of `default` (an int where a float is expected is taken)."""
        value = self._values.get(key, default)
        if isinstance(default, float) and isinstance(value, int) and not isinstance(value, bool):
            return float(value)  # type: ignore[return-value]
        same = default is None or type(value) is type(default)
        return value if same else default

    def set(self, key: str, value: Any) -> None:
        """Store a value and write the file (atomically); a folder that cannot be written is not an error here."""
        with self._lock:
            if self._values.get(key) == value and key in self._values:
                return
            json.dumps(value)  # a value that JSON cannot hold is the caller's defect, found here
            self._values[key] = value
            self._write()

    def as_dict(self) -> dict[str, Any]:
        return dict(self._values)

    def _read(self) -> dict[str, Any]:
        try:
            values = json.loads(self.path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, RecursionError):
            values = None
        if isinstance(values, dict):
            return values
        self._put_aside()
        return {}

    def _put_aside(self) -> None:
        try:
            self.path.replace(self.path.with_name(self.path.name + ".broken"))
        except OSError:
            return

    def _write(self) -> None:
        from medviewer.core.errors import OutputNotWritten
        from medviewer.io.atomic import atomic_write, write_text

        text = json.dumps(self._values, indent=1, sort_keys=True, ensure_ascii=False)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with atomic_write(self.path) as temporary:
                temporary.touch(mode=0o600)  # paths of scans can hold names
                write_text(temporary, text)
        except (OSError, OutputNotWritten):
            return
