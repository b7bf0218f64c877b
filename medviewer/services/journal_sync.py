"""Brings what was written onto the disk itself, beside the thread that writes.

Written data survives the end of the program; synced data also survives a power failure. Syncing takes tens of
milliseconds, in which edits must not wait to be written.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable
from pathlib import Path


class Syncer:
    """Syncs one open file, soon after `soon` and at once in `now`. `failed(error)` is called from its thread."""

    def __init__(self, failed: Callable[[OSError], None]) -> None:
        self._failed = failed
        self._file: int | None = None
        self._using = threading.Lock()  # the file is not closed while it is synced
        self._wake = threading.Condition()
        self._wanted = self._ending = False
        self._thread: threading.Thread | None = None

    def use(self, descriptor: int | None) -> None:
        """The file to sync; None before it is closed."""
        with self._using:
            self._file = descriptor

    def soon(self) -> None:
        """Ask for a sync; returns at once."""
        with self._wake:
            self._wanted = True
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="journal-sync", daemon=True)
                self._thread.start()
            self._wake.notify()

    def now(self) -> None:
        """Sync in this thread. Raises OSError."""
        with self._using:
            if self._file is not None:
                os.fsync(self._file)

    def end(self) -> None:
        """End the thread."""
        with self._wake:
            self._ending = True
            self._wake.notify()
        if self._thread is not None:
            self._thread.join(5.0)

    def _run(self) -> None:
        while self._next():
            try:
                self.now()
            except OSError as error:
                self._failed(error)

    def _next(self) -> bool:
        with self._wake:
            while not self._wanted and not self._ending:
                self._wake.wait()
            self._wanted = False
            return not self._ending


def sync_folder(path: Path) -> None:
    """Make names of files durable, where the system can."""
    if os.name == "nt":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
