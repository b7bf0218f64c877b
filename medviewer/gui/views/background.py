"""Makes arrays for the 3D view on one worker thread; answers arrive on the GUI thread, late ones are dropped."""

from __future__ import annotations

import contextlib
import logging
import threading
import weakref
from collections.abc import Callable
from typing import Any

from PySide6.QtCore import QObject, QRunnable, QThreadPool, Signal

from medviewer.core.errors import UserError

_log = logging.getLogger(__name__)


class Background(QObject):
    """Runs pure functions that return arrays, one after the other."""

    _answered = Signal(str, int, object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._pool = QThreadPool(self)
        self._pool.setMaxThreadCount(1)
        self._newest: dict[str, tuple[int, Callable[[Any], None]]] = {}
        self._count = 0
        self._jobs: weakref.WeakSet[_Job] = weakref.WeakSet()
        self._stopped = threading.Event()
        self._answered.connect(self._deliver)

    def start(self, name: str, work: Callable[[], Any], done: Callable[[Any], None]) -> None:
        """Call `done(result or UserError)` on the GUI thread unless a newer job of that name was started."""
        self._count += 1
        self._newest[name] = self._count, done
        job = _Job(self, name, self._count, work)
        self._jobs.add(job)
        self._pool.start(job)

    def cancel_all(self) -> None:
        """Forget every job; their answers will be dropped."""
        self._forget()

    @property
    def busy(self) -> bool:
        return bool(self._newest)

    def wanted(self, name: str, number: int) -> bool:
        """Whether an answer is still waited for; any thread."""
        return not self._stopped.is_set() and self._newest.get(name, (0,))[0] == number

    def stop(self) -> None:
        """Drop everything and wait for the running job. GUI thread."""
        self._stopped.set()
        self._forget()
        self._pool.waitForDone()

    def _forget(self) -> None:
        """Drop what waits, with the masks it holds: a cleared pool keeps the Python half of its jobs alive."""
        self._newest.clear()
        self._pool.clear()
        for job in list(self._jobs):
            job.work = None

    def _deliver(self, name: str, number: int, answer: Any) -> None:
        if self.wanted(name, number):
            self._newest.pop(name)[1](answer)


class _Job(QRunnable):
    def __init__(self, owner: Background, name: str, number: int, work: Callable[[], Any]) -> None:
        super().__init__()
        self._owner = weakref.ref(owner)
        self._name, self._number = name, number
        self.work: Callable[[], Any] | None = work

    def run(self) -> None:
        owner, work = self._owner(), self.work
        self.work = None
        if owner is None or work is None or not owner.wanted(self._name, self._number):
            return
        answer = _guarded(work)
        if owner.wanted(self._name, self._number):
            with contextlib.suppress(RuntimeError):  # the window closed just now
                owner._answered.emit(self._name, self._number, answer)


def _guarded(work: Callable[[], Any]) -> Any:
    try:
        return work()
    except UserError as error:
        return error
    except Exception:  # a picture in 3D must never take the window with it
        _log.exception("preparing the 3D view failed")
        return UserError("The 3D picture could not be made.", "The slices are not affected; see the log.")
