"""When the system ends the program: logout, shutdown, `kill`, Ctrl+C. Nobody is asked, nothing is lost."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable
from typing import Any

from PySide6.QtCore import QObject, QSocketNotifier, QTimer
from PySide6.QtWidgets import QApplication

_SIGNALS = ("SIGTERM", "SIGINT", "SIGHUP", "SIGBREAK")
_LOGOUT_MS = 60_000
_TICK_MS = 500


class Endings(QObject):
    """Calls `end()` on the GUI thread soon after a signal, also while Qt waits for events. Main thread only.

    Python runs its signal handlers between its own instructions, of which there are none while Qt waits: so the signal
    writes a byte into a pipe (`signal.set_wakeup_fd`) that Qt watches. Windows has no such pipe: there Qt wakes twice a
    second.
    """

    def __init__(self, end: Callable[[], None], parent: QObject) -> None:
        super().__init__(parent)
        self._end = end
        self._asked = False
        self._before: dict[int, Any] = {}
        self._pipe: tuple[int, int] | None = None
        self._watch: QSocketNotifier | None = None
        self._ticks = QTimer(self, interval=_TICK_MS)
        self._ticks.timeout.connect(self._woken)

    def install(self) -> None:
        """Take the signals that ask a program to end."""
        for name in _SIGNALS:
            number = getattr(signal, name, None)
            if number is not None:
                self._before[number] = signal.signal(number, self._take)
        if os.name == "nt":
            self._ticks.start()
            return
        self._pipe = os.pipe()
        for end_of_pipe in self._pipe:
            os.set_blocking(end_of_pipe, False)
        self._watch = QSocketNotifier(self._pipe[0], QSocketNotifier.Type.Read, self)
        self._watch.activated.connect(self._woken)
        signal.set_wakeup_fd(self._pipe[1], warn_on_full_buffer=False)

    def remove(self) -> None:
        """Give the signals back."""
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before.clear()
        self._ticks.stop()
        if self._pipe is not None and self._watch is not None:
            signal.set_wakeup_fd(-1)
            self._watch.setEnabled(False)
            for end_of_pipe in self._pipe:
                os.close(end_of_pipe)
            self._pipe = None

    def _take(self, number: int, frame: Any) -> None:
        self._asked = True

    def _woken(self) -> None:
        if self._pipe is not None:
            with contextlib.suppress(BlockingIOError):
                while data := os.read(self._pipe[0], 64):
                    self._asked |= bool(set(data) & set(self._before))
        if self._asked:
            self._asked = False
            self._end()


def end_with_session(application: QApplication, flush: Callable[[], object], asked: Callable[[bool], None]) -> None:
    """At logout: write the journal, and ask nothing while the session ends. `asked(False)` switches questions off, and
    a minute later, if the logout was called off, `asked(True)` on."""

    def commit(*_: object) -> None:
        flush()
        asked(False)
        QTimer.singleShot(_LOGOUT_MS, application, lambda: asked(True))

    application.commitDataRequest.connect(commit)
