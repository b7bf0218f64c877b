"""How long work tells of its progress and learns that it was cancelled."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from medviewer.core.errors import Cancelled


@dataclass
class Progress:
    """Passed to every job. Safe to call from the thread that runs the job.

    `on_report(fraction, text)` receives 0..1; `is_cancelled()` is polled by `check_cancelled`.
    """

    on_report: Callable[[float, str], None] = lambda fraction, text: None
    is_cancelled: Callable[[], bool] = lambda: False
    _start: float = field(default=0.0, repr=False)
    _span: float = field(default=1.0, repr=False)

    def report(self, fraction: float, text: str = "") -> None:
        """Report the done share of this (sub-)job and raise `Cancelled` if the user asked for it."""
        self.check_cancelled()
        self.on_report(self._start + self._span * min(max(fraction, 0.0), 1.0), text)

    def check_cancelled(self) -> None:
        """Raise `Cancelled` when the user cancelled."""
        if self.is_cancelled():
            raise Cancelled()

    def part(self, start: float, end: float) -> Progress:
        """A progress for a sub-job that fills `start`..`end` of this one."""
        return Progress(self.on_report, self.is_cancelled, self._start + self._span * start, self._span * (end - start))


def silent() -> Progress:
    """A progress nobody listens to."""
    return Progress()
