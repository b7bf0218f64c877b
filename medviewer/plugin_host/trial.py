"""A user's plugin is imported in a process of its own first; what hangs or crashes there never reaches the program."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import IO

IMPORT_SECONDS = 10.0
_START_SECONDS = 90.0  # for Python and the large libraries, on a slow disk
_LONGEST_REASON = 500


class TrialNotMade(Exception):
    """The process could not be started: that says nothing about the plugin."""


def try_plugin(folder: Path, name: str, seconds: float | None = None) -> str:
    """Import the plugin in `folder` and make its logic in a new process: "" or why it cannot be used, one sentence.

    Takes at most `seconds` (IMPORT_SECONDS) from when the libraries it needs are there. Not a sandbox: the plugin's
    code runs with the user's rights. Any thread. Raises TrialNotMade.
    """
    seconds = IMPORT_SECONDS if seconds is None else seconds
    process = _started(folder)
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()
    assert process.stdout is not None
    threading.Thread(target=_read, args=(process.stdout, lines), name="plugin-trial", daemon=True).start()
    try:
        ready = _line(lines, _START_SECONDS)
        if ready.strip() != "ready":
            raise TrialNotMade("Python did not start")
        answer = _line(lines, seconds)
        return _verdict(answer, process, name, seconds)
    finally:
        _end(process)


def _started(folder: Path) -> subprocess.Popen[str]:
    root = str(Path(__file__).resolve().parents[2])
    paths = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH", ""))))
    quiet = {"PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1", "QT_QPA_PLATFORM": "offscreen"}
    try:
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "medviewer.plugin_host.trial_process", str(folder.resolve())],
            stdin=subprocess.PIPE,  # when this side is gone, the process ends
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            encoding="utf-8",
            env=os.environ | quiet,
            start_new_session=os.name == "posix",
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
    except OSError as error:
        raise TrialNotMade(error.strerror or "no process") from error


def _read(pipe: IO[str], lines: queue.SimpleQueue[str]) -> None:
    with contextlib.suppress(ValueError, OSError):
        for line in pipe:
            lines.put(line)
    lines.put("")


def _line(lines: queue.SimpleQueue[str], seconds: float) -> str:
    """The next line, "" at the end of the process, "late" after `seconds`."""
    try:
        return lines.get(timeout=seconds)
    except queue.Empty:
        return "late"


def _verdict(answer: str, process: subprocess.Popen[str], name: str, seconds: float) -> str:
    if answer == "late":
        return f'The plugin "{name}" was not loaded: it did not finish loading within {seconds:g} seconds.'
    with contextlib.suppress(ValueError, TypeError, KeyError):
        return str(json.loads(answer)["error"])[:_LONGEST_REASON]
    status = _status(process)
    if status < 0:
        return f'The plugin "{name}" was not loaded: it crashed while it was imported ({_signal(-status)}).'
    return f'The plugin "{name}" was not loaded: it ended the process while it was imported.'


def _status(process: subprocess.Popen[str]) -> int:
    try:
        return process.wait(5.0)
    except subprocess.TimeoutExpired:
        return 0


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _end(process: subprocess.Popen[str]) -> None:
    """End the process and what it started, and wait until it is gone."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if os.name == "posix":
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
    if process.stdin is not None:
        process.stdin.close()
    until = time.monotonic() + 5.0
    while process.poll() is None and time.monotonic() < until:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.5)
