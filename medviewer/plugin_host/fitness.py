"""Which plugins of the user may be loaded: remembers what their trial said, and which one brought the program down."""

from __future__ import annotations

import atexit
import contextlib
import hashlib
import json
import os
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from medviewer.api import API_VERSION
from medviewer.core.errors import OutputNotWritten
from medviewer.io.atomic import write_text_atomic
from medviewer.plugin_host.manifest import Manifest
from medviewer.plugin_host.trial import TrialNotMade, try_plugin
from medviewer.services import log
from medviewer.services.folders import user_folder

_MOST_FILES, _WHOLE_FILE = 2000, 8 << 20  # larger files count by size and time
_MOST_VERDICTS = 500
HINT = "It stays off until its files change. To try it again: medviewer plugins list --retry"


class Fitness:
    """Verdicts by the content of the plugin's folder, in one JSON file; marks of plugins that are being started.

    A mark of a process that is gone means that the program ended while it started that plugin: the plugin is off from
    then on. Any thread; only `reason_against` waits for a trial.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._trying = threading.Lock()  # one trial at a time
        self._marks: dict[str, Path] = {}
        self._starting: Counter[str] = Counter()

    def reason_against(self, manifest: Manifest) -> str:
        """Why a user's plugin is off, one sentence, or "": of its trial, which is made where none is remembered."""
        key = content_key(manifest.folder)
        known = self._verdict(key)
        if known is not None:
            return known
        with self._trying:
            known = self._verdict(key)  # another thread may have tried it meanwhile
            return self._tried(key, manifest) if known is None else known

    def _tried(self, key: str, manifest: Manifest) -> str:
        """The trial takes seconds: whoever only asks what is known does not wait for it."""
        try:
            verdict = try_plugin(manifest.folder, manifest.name)
        except TrialNotMade as error:
            return f'The plugin "{manifest.name}" could not be tried: {error}.'
        with self._lock:
            self._remember(key, verdict)
        if verdict:
            log.record("a plugin was switched off after its trial")
        return verdict

    def _verdict(self, key: str) -> str | None:
        with self._lock:
            self._judge_left_marks()
            return self._verdicts().get(key)

    def known(self, manifest: Manifest) -> bool:
        """Whether `reason_against` answers without a trial."""
        return self._verdict(content_key(manifest.folder)) is not None

    def forget(self, manifest: Manifest | None = None) -> None:
        """Try that plugin (or every one) anew at its next use."""
        with self._lock:
            self._judge_left_marks()
            verdicts = self._verdicts()
            if manifest is None:
                verdicts.clear()
            else:
                verdicts.pop(content_key(manifest.folder), None)
            self._store(verdicts)

    @contextmanager
    def starting(self, manifest: Manifest) -> Iterator[None]:
        """Mark the plugin as being started; the mark goes when the block ends, however it ends."""
        self.begin(manifest)
        try:
            yield
        finally:
            self.end(manifest)

    def begin(self, manifest: Manifest) -> None:
        """Set the mark (they nest); see `starting`."""
        with self._lock:
            self._starting[manifest.id] += 1
            if self._starting[manifest.id] > 1:
                return
            path = _marks_folder() / f"{content_key(manifest.folder)}.{os.getpid()}.json"
            self._marks[manifest.id] = path
            atexit.register(_remove, path)
            with contextlib.suppress(OSError):
                path.parent.mkdir(parents=True, exist_ok=True)
                text = json.dumps({"name": manifest.name, "began": _process_began(os.getpid())})
                path.with_suffix(".new").write_text(text, encoding="utf-8")
                path.with_suffix(".new").replace(path)

    def end(self, manifest: Manifest) -> None:
        """Remove the mark with the last `end`; more ends than beginnings do nothing."""
        with self._lock:
            self._starting[manifest.id] = max(self._starting[manifest.id] - 1, 0)
            if not self._starting[manifest.id] and (path := self._marks.pop(manifest.id, None)) is not None:
                _remove(path)

    # -- what is stored ---------------------------------------------------------------
    def _judge_left_marks(self) -> None:
        for path in sorted(_marks_folder().glob("*.json")):
            key, _, pid = path.name.removesuffix(".json").partition(".")
            mark = _read_json(path)
            if path in self._marks.values() or (pid.isdigit() and _process_began(int(pid)) == mark.get("began", -1)):
                continue
            when = datetime.fromtimestamp(_modified(path)).strftime("%Y-%m-%d %H:%M")
            name = str(mark.get("name", ""))[:100] or "of this content"
            text = f'The plugin "{name}" was switched off: the program ended while it started this plugin ({when}).'
            self._remember(key, text)
            _remove(path)

    def _verdicts(self) -> dict[str, str]:
        stored = _read_json(_verdict_file()).get("verdicts")
        if not isinstance(stored, dict):
            return {}
        return {key: text for key, text in stored.items() if isinstance(text, str)}

    def _remember(self, key: str, reason: str) -> None:
        verdicts = self._verdicts()
        verdicts.pop(key, None)
        self._store(dict([*verdicts.items(), (key, reason)][-_MOST_VERDICTS:]))

    def _store(self, verdicts: dict[str, str]) -> None:
        with contextlib.suppress(OSError, OutputNotWritten):  # then the trial is made again next time
            _verdict_file().parent.mkdir(parents=True, exist_ok=True)
            write_text_atomic(_verdict_file(), json.dumps({"version": 1, "verdicts": verdicts}, indent=1))


def content_key(folder: Path) -> str:
    """SHA-256 of a plugin's files (names and contents) and of what decides whether they can be loaded."""
    digest = hashlib.sha256(f"{API_VERSION} {sys.version_info[:3]} {folder.resolve()}".encode())
    for path in _files(folder):
        digest.update(b"\0" + path.relative_to(folder).as_posix().encode(errors="surrogateescape") + b"\0")
        with contextlib.suppress(OSError):
            stat = path.stat()
            if stat.st_size > _WHOLE_FILE:
                digest.update(f"{stat.st_size} {stat.st_mtime_ns}".encode())
            else:
                digest.update(path.read_bytes())
    return digest.hexdigest()


def _files(folder: Path) -> list[Path]:
    found: list[Path] = []
    for root, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if name not in ("__pycache__", ".git"))
        found += [Path(root, name) for name in sorted(names)]
        if len(found) > _MOST_FILES:
            break
    return [path for path in found[:_MOST_FILES] if path.is_file()]


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)


def _verdict_file() -> Path:
    return user_folder("cache") / "plugin-trials.json"


def _marks_folder() -> Path:
    return user_folder("cache") / "plugins-starting"


def _read_json(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return data if isinstance(data, dict) else {}


def _modified(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _process_began(pid: int) -> float:
    """When the process started, 0 where there is none: tells a process from a later one of the same number."""
    import psutil

    try:
        return float(psutil.Process(pid).create_time())
    except psutil.Error:
        return 0.0
