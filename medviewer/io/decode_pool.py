"""Keeps at most two decode workers, hands them requests, and replaces one that dies or hangs. Safe from any thread."""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import struct
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from medviewer.io.decode_limits import Guard, needs_watching, windows_job

WORKERS = 2
START_SECONDS = 30.0  # for a worker to start and to load the library of a task
SECONDS = 4.0  # for one request, before what its size adds
_LONGEST_ANSWER = 64 << 20  # bytes of JSON
STOPPED = "the decoder stopped, took too long or ran out of memory"


class WorkerFailed(Exception):
    """A request got no usable answer.

    `reason` is a clause, or the sentence of a refusal, which has a `hint`; `kind` is the name of the error, "" if the
    worker died.
    """

    def __init__(self, reason: str, kind: str = "", hint: str = "") -> None:
        super().__init__(reason)
        self.reason, self.kind, self.hint = reason, kind, hint


class _Died(Exception):
    """The worker ended or was ended while it worked."""


class DecodeWorker:
    """One worker process and its two pipes. Used by one thread at a time."""

    def __init__(self, watched: bool) -> None:
        self.watched = watched
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "medviewer.io.decode_worker", *(["watched"] if watched else [])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=_environment(),
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
        self.job = windows_job(self.process)
        self._prepared: set[str] = set()

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def prepare(self, task: str) -> None:
        """Have the library of a task loaded, so that its time limit is for the work alone. Raises `_Died`."""
        if task not in self._prepared:
            self.ask({"do": "prepare", "task": task}, START_SECONDS, 0)
            self._prepared.add(task)

    def ask(self, request: dict[str, Any], seconds: float, most: int) -> tuple[dict[str, Any], bytes]:
        """Send one request and read its answer of at most `most` bytes. Raises `_Died`."""
        with Guard(self.process.pid, seconds, self.process.kill, self.watched):
            try:
                text = json.dumps(request).encode()
                assert self.process.stdin is not None
                self.process.stdin.write(struct.pack("<I", len(text)) + text)
                self.process.stdin.flush()
                described = json.loads(self._read(min(struct.unpack("<I", self._read(4))[0], _LONGEST_ANSWER)))
                length = int(described["bytes"])
                if length > most:
                    raise _Died
                return described, self._read(length)
            except (OSError, ValueError, struct.error):
                raise _Died from None

    def _read(self, count: int) -> bytes:
        assert self.process.stdout is not None
        data = self.process.stdout.read(count)
        if len(data) < count:
            raise _Died
        return data

    def close(self) -> None:
        """End the process."""
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):  # what was not sent yet cannot be sent any more
                    pipe.close()


def _environment() -> dict[str, str]:
    root = str(Path(__file__).resolve().parents[2])
    paths = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH", ""))))
    return os.environ | {"PYTHONPATH": paths, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}


class DecodePool:
    """Workers are started on first use and kept; a broken one is thrown away, and counted in `deaths`."""

    def __init__(self, watched: bool | None = None) -> None:
        self._watched = needs_watching() if watched is None else watched
        self._idle: list[DecodeWorker] = []
        self._lock = threading.Lock()
        self._places = threading.Semaphore(WORKERS)
        self.deaths = 0

    def ask(self, request: dict[str, Any], seconds: float = SECONDS, most: int = 0) -> tuple[dict[str, Any], bytes]:
        """One request on a free worker, see `DecodeWorker.ask`. Raises `WorkerFailed`."""
        with self._places:
            try:
                described, data = self._ask(request | {"seconds": seconds}, seconds, most)
            except _Died:
                raise WorkerFailed(STOPPED) from None
        if "error" in described:
            raise WorkerFailed(*(str(described[key]) for key in ("error", "kind", "hint")))
        return described, data

    def _ask(self, request: dict[str, Any], seconds: float, most: int) -> tuple[dict[str, Any], bytes]:
        worker = self._take()
        try:
            if "path" in request:
                worker.prepare(request["do"])
            found = worker.ask(request, seconds, most)
        except BaseException:
            worker.close()
            with self._lock:
                self.deaths += 1
            raise
        with self._lock:
            self._idle.append(worker)
        return found

    def _take(self) -> DecodeWorker:
        with self._lock:
            while self._idle:
                worker = self._idle.pop()
                if worker.alive:
                    return worker
                worker.close()
        return DecodeWorker(self._watched)

    def close(self) -> None:
        """End all idle workers."""
        with self._lock:
            for worker in self._idle:
                worker.close()
            self._idle.clear()


POOL = DecodePool()
atexit.register(POOL.close)


def ask(task: str, path: Path, seconds: float, most: int = 0, **arguments: Any) -> tuple[dict[str, Any], bytes]:
    """Have a worker do one of decode_worker.TASKS on a file: (JSON, at most `most` bytes). Raises `WorkerFailed`."""
    return POOL.ask({"do": task, "path": os.path.abspath(path), "arguments": arguments}, seconds, most)


def ask_about(task: str, path: Path, most: int = 0, **arguments: Any) -> tuple[dict[str, Any], bytes]:
    """Like `ask`, for what is said beside the pixels: 4 s for a file of 10 MB, a minute at most. Raises `WorkerFailed`.

    A file that cost a worker its life is not tried twice: opening one file asks the same again for it alone.
    """
    try:
        status = path.stat()
    except OSError as error:
        raise WorkerFailed(str(error.strerror), "OSError") from None
    key = (task, os.path.abspath(path), status.st_mtime_ns, status.st_size)
    if key in _DEADLY:
        raise WorkerFailed(STOPPED)
    try:
        return ask(task, path, min(60.0, 3.5 + status.st_size * 5e-8), most, **arguments)
    except WorkerFailed as error:
        if not error.kind:
            _DEADLY[key] = None
            while len(_DEADLY) > _MOST_DEADLY:
                _DEADLY.pop(next(iter(_DEADLY)))
        raise


_DEADLY: dict[tuple[str, str, int, int], None] = {}
_MOST_DEADLY = 1000
