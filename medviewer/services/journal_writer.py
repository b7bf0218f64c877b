"""The thread that writes a journal: no edit waits for the disk."""

from __future__ import annotations

import contextlib
import os
import queue
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock

from medviewer.services.journal_file import MARK, encode
from medviewer.services.journal_sync import Syncer, sync_folder

Make = Callable[[], tuple[dict[str, Any], bytes] | None]
SUFFIX = ".mvjournal"
_BINARY = getattr(os, "O_BINARY", 0)
_MOST_WAITING = 512  # steps in the queue before they are replaced by one whole copy


@dataclass(frozen=True)
class _Order:
    what: Literal["write", "whole", "call", "discard"]
    make: tuple[Callable[[], Any], ...] = ()


def lock_of(path: Path) -> Path:
    """The lock file beside a journal."""
    return path.with_name(path.name + ".lock")


class JournalWriter:
    """One file, made at the first `whole`. All methods return at once but `flush` and `close`, and none raises.

    `told(error)` is called from the thread when writing fails (once, until it works again) and with None when it works
    again. What is asked by `call` (packing) is done also while writing fails.
    """

    def __init__(self, folder: Path, told: Callable[[Exception | None], None]) -> None:
        self._folder, self._told = folder, told
        self._orders: deque[_Order] = deque()
        self._wake = threading.Condition()
        self._busy = self._ending = False
        self._thread: threading.Thread | None = None
        self._file: int | None = None
        self._lock: FileLock | None = None
        self._syncer = Syncer(self._fail)
        self._number = 0
        self.path: Path | None = None
        self.size = 0  # bytes in the file
        self.whole_size = 0  # of them, those of the last whole copy
        self.failed_at: float | None = None  # time.monotonic()

    # -- any thread -------------------------------------------------------------
    def write(self, make: Make) -> bool:
        """Append the record that `make` gives; False if too many are waiting: then ask for `whole`."""
        return self._put(_Order("write", (make,)))

    def whole(self, makes: Sequence[Make]) -> None:
        """Replace what is in the file, and what waits to be written, by these records."""
        with self._wake:
            kept = [order for order in self._orders if order.what not in ("write", "whole")]
            self._orders = deque(kept)
        self._put(_Order("whole", tuple(makes)), always=True)

    def call(self, function: Callable[[], Any]) -> None:
        """Do something in the thread, in turn."""
        self._put(_Order("call", (function,)), always=True)

    def discard(self) -> None:
        """Remove the file, after what was ordered before."""
        self._put(_Order("discard"), always=True)

    @property
    def waiting(self) -> int:
        """Orders that are not done yet."""
        return len(self._orders) + self._busy

    def flush(self, timeout_s: float) -> bool:
        """Wait until everything ordered so far is on the disk; False if that took too long or writing fails."""
        if self._thread is None:
            return True
        answer: queue.SimpleQueue[bool] = queue.SimpleQueue()
        try:
            return self.when_safe(answer.put) and answer.get(timeout=timeout_s)
        except queue.Empty:
            return False

    def when_safe(self, then: Callable[[bool], None]) -> bool:
        """Call `then(works)` from the thread once everything ordered so far is on the disk, or could not be written;
        False if the writer has ended."""

        def act() -> None:
            self._guard(self._syncer.now)
            then(self.failed_at is None)

        return self._put(_Order("call", (act,)), always=True)

    def close(self, timeout_s: float) -> None:
        """Do what was ordered, then end; the file stays unless it was discarded."""
        with self._wake:
            self._ending = True
            self._wake.notify()
        if self._thread is not None:
            self._thread.join(timeout_s)

    def _put(self, order: _Order, *, always: bool = False) -> bool:
        with self._wake:
            if self._ending or (len(self._orders) >= _MOST_WAITING and not always):
                return False
            self._orders.append(order)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
                self._thread.start()
            self._wake.notify()
        return True

    # -- the thread -----------------------------------------------------------------
    def _run(self) -> None:
        while orders := self._next():
            self._do(orders)
            orders.clear()  # the masks in them may go
            self._busy = False
        self._release()

    def _next(self) -> list[_Order]:
        """Everything that waits; empty at the end."""
        with self._wake:
            while not self._orders and not self._ending:
                self._wake.wait()
            self._busy = bool(self._orders)
            orders, self._orders = list(self._orders), deque()
            return orders

    def _do(self, orders: list[_Order]) -> None:
        """In turn."""
        records: list[Make] = []
        for order in orders:
            if order.what == "write":
                records += order.make
                continue
            self._guard(self._append, tuple(records))
            records = []
            if order.what == "whole":
                self._guard(self._replace, order.make)
            elif order.what == "discard":
                self._guard(self._remove)
            else:
                for function in order.make:
                    _quietly(function)
        self._guard(self._append, tuple(records))

    def _guard(self, act: Callable[..., None], *arguments: Any) -> None:
        try:
            act(*arguments)
        except Exception as error:  # a defect in a record must not end the thread
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        first = self.failed_at is None
        self.failed_at = time.monotonic()
        if first:
            self._tell(error)

    def _tell(self, error: Exception | None) -> None:
        _quietly(lambda: self._told(error))

    def _append(self, makes: Sequence[Make]) -> None:
        """Each record is written as soon as it is made; the disk follows."""
        for make in makes:
            for data in self._encode((make,)):  # packs the masks, also where nothing can be written
                self._add(data)
        if makes:
            self._syncer.soon()

    def _add(self, data: bytes) -> None:
        if self._file is None or self.failed_at is not None:
            return
        try:
            _write_all(self._file, data)
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(self._file, self.size)
                os.lseek(self._file, self.size, os.SEEK_SET)
            raise
        self.size += len(data)

    def _replace(self, makes: Sequence[Make]) -> None:
        """Write a new file; where there is an old one, beside it, and put it in its place."""
        data = [MARK, *self._encode(makes)]
        if self.path is None:
            self.path = self._claim()  # a part of the first copy is better than nothing: it stays if the disk is full
            self._use(self.path, os.O_EXCL, data)
        else:
            self._write_beside(self.path, data)
            self._use(self.path, 0, [])
        self.size = self.whole_size = sum(map(len, data))
        if self.failed_at is not None:
            self.failed_at = None
            self._tell(None)

    def _use(self, path: Path, flags: int, data: Sequence[bytes]) -> None:
        """Open the file for appending, and write; the sync follows."""
        self._close_file()
        create = os.O_CREAT if flags else 0
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | create | flags | _BINARY, 0o600)
        self._syncer.use(self._file)
        for block in data:
            _write_all(self._file, block)
        sync_folder(path.parent)
        self._syncer.soon()

    def _write_beside(self, path: Path, data: Sequence[bytes]) -> None:
        """Replace the file; a crash at any moment leaves the old or the new one."""
        new = path.with_name(path.name + ".new")
        try:
            descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | _BINARY, 0o600)
            try:
                for block in data:
                    _write_all(descriptor, block)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            self._close_file()
            os.replace(new, path)
        except OSError:
            with contextlib.suppress(OSError):
                new.unlink(missing_ok=True)
            raise

    def _encode(self, makes: Sequence[Make]) -> list[bytes]:
        blocks = []
        for make in makes:
            made = make()
            if made is not None:
                self._number += 1
                blocks.append(encode({"n": self._number, **made[0]}, made[1]))
        return blocks

    def _claim(self) -> Path:
        """A name of its own, numbered after those that are there, and its lock."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(OSError):
            self._folder.chmod(0o700)
        numbers = [int(p.name[:6]) for p in self._folder.glob(f"*{SUFFIX}") if p.name[:6].isdigit()]
        path = self._folder / f"{max(numbers, default=0) + 1:06d}-{secrets.token_hex(4)}{SUFFIX}"
        lock = FileLock(lock_of(path), timeout=0, mode=0o600, thread_local=False)
        with contextlib.suppress(NotImplementedError):  # a drive without locks
            lock.acquire()
        self._lock = lock
        return path

    def _remove(self) -> None:
        self._close_file()
        path, self.path = self.path, None
        self.size = self.whole_size = 0
        if path is not None:
            path.unlink(missing_ok=True)
            path.with_name(path.name + ".new").unlink(missing_ok=True)
        self._unlock(path)

    def _release(self) -> None:
        self._guard(self._syncer.now)
        self._syncer.end()
        self._close_file()
        self._unlock(None)

    def _unlock(self, gone: Path | None) -> None:
        lock, self._lock = self._lock, None
        if lock is not None:
            with contextlib.suppress(OSError):
                lock.release(force=True)
        if gone is not None:
            with contextlib.suppress(OSError):
                lock_of(gone).unlink(missing_ok=True)

    def _close_file(self) -> None:
        self._syncer.use(None)
        descriptor, self._file = self._file, None
        if descriptor is not None:
            with contextlib.suppress(OSError):
                os.close(descriptor)


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _quietly(function: Callable[[], Any]) -> None:
    """A defect in what others gave is written to the log and ends nothing."""
    from medviewer.services import log

    try:
        function()
    except Exception as error:
        log.record_defect(error)
