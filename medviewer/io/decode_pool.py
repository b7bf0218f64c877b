"""Keeps at most two decode workers, hands them frames, and replaces one that dies or hangs. Safe from any thread."""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import struct
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medviewer.core.errors import InputRefused
from medviewer.core.progress import Progress
from medviewer.io.decode_codecs import unsupported
from medviewer.io.dicom_handle import FrameRef
from medviewer.io.dicom_pixels import THREADS, Then, in_parallel, stored_dtype

WORKERS = THREADS
START_SECONDS = 30.0  # for a worker to start
FRAME_SECONDS, MEGAPIXEL_SECONDS = 4.0, 5.0  # for one frame, and more for large ones
_HINT = "Copy it again from its source, or export it uncompressed."


class _Died(Exception):
    """The worker ended or was ended while it worked."""


class DecodeWorker:
    """One worker process and its two pipes. Used by one thread at a time."""

    def __init__(self) -> None:
        root = str(Path(__file__).resolve().parents[2])
        paths = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH", ""))))
        environment = os.environ | {"PYTHONPATH": paths, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "medviewer.io.decode_worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def ask(self, request: dict[str, Any], timeout: float, most: int) -> tuple[dict[str, Any], bytes]:
        """Send one request and read its answer of at most `most` bytes. Raises `_Died`."""
        guard = threading.Timer(timeout, self.process.kill)
        guard.daemon = True
        guard.start()
        try:
            text = json.dumps(request).encode()
            assert self.process.stdin is not None
            self.process.stdin.write(struct.pack("<I", len(text)) + text)
            self.process.stdin.flush()
            described = json.loads(self._read(struct.unpack("<I", self._read(4))[0]))
            return described, self._read(min(int(described["bytes"]), most))
        except (OSError, ValueError, struct.error):
            raise _Died from None
        finally:
            guard.cancel()

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


class DecodePool:
    """Workers are started on first use and kept; a broken one is thrown away."""

    def __init__(self) -> None:
        self._idle: list[DecodeWorker] = []
        self._lock = threading.Lock()
        self._places = threading.Semaphore(WORKERS)

    def ask(
        self, request: dict[str, Any], timeout: float = FRAME_SECONDS, most: int = 0
    ) -> tuple[dict[str, Any], bytes]:
        """One request on a free worker, see `DecodeWorker.ask`. Raises `_Died`."""
        with self._places:
            worker = self._take()
            try:
                found = worker.ask(request, timeout, most)
            except BaseException:
                worker.close()
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
        worker = DecodeWorker()
        try:
            worker.ask({"do": "start"}, START_SECONDS, 0)
        except BaseException:
            worker.close()
            raise
        return worker

    def close(self) -> None:
        """End all idle workers."""
        with self._lock:
            for worker in self._idle:
                worker.close()
            self._idle.clear()


POOL = DecodePool()
atexit.register(POOL.close)


def decode(ref: FrameRef, timeout: float | None = None) -> NDArray[Any]:
    """One compressed frame: stored values (rows, columns), or RGB uint8 (rows, columns, 3). Raises `InputRefused`."""
    if timeout is None:
        timeout = FRAME_SECONDS + MEGAPIXEL_SECONDS * ref.format.rows * ref.format.columns * 1e-6
    refusal = unsupported(ref.format.transfer_syntax, ref.path.name)
    if refusal is not None:
        raise refusal
    request = {
        "path": os.path.abspath(ref.path),
        "offset": ref.offset,
        "index": ref.index,
        "frames": ref.frames,
        "format": asdict(ref.format),
    }
    shape, dtype = _expected(ref)
    count = int(np.prod(shape)) * dtype.itemsize
    try:
        described, data = POOL.ask(request, timeout, count)
    except _Died:
        raise InputRefused(
            f"{ref.path.name} could not be decoded: the decoder stopped, took too long or ran out of memory.", _HINT
        ) from None
    if "error" in described:
        raise InputRefused(f"{ref.path.name} could not be decoded: {described['error']}.", _HINT)
    if len(data) != count:
        raise InputRefused(f"{ref.path.name} could not be decoded: its image has another size than it says.", _HINT)
    return np.frombuffer(data, dtype).reshape(shape)


def _expected(ref: FrameRef) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Shape and type of a decoded frame; the worker's own word is not taken for it."""
    pixels = ref.format
    if pixels.samples > 1:
        return (pixels.rows, pixels.columns, 3), np.dtype(np.uint8)
    return (pixels.rows, pixels.columns), stored_dtype(pixels)


def decode_into(refs: Sequence[FrameRef], out: NDArray[Any], progress: Progress, then: Then) -> None:
    """All frames into `out` (n, rows, columns[, 3]), two at a time. Raises `InputRefused`, `Cancelled`."""

    def fill(k: int) -> None:
        out[k] = decode(refs[k])
        then(k)

    in_parallel(fill, len(refs), progress, "Decoding slices")
