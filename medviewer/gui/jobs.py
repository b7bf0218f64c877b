"""Jobs in worker threads, answered on the GUI thread through Qt's event queue."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from PySide6.QtCore import QObject, Qt, Signal

from medviewer.core.errors import Cancelled, UserError
from medviewer.services.jobs import Job, JobProgress, JobRunner, Work

Answer = Callable[[Any], None]
Failed = Callable[[UserError], None]


@dataclass(eq=False)
class _Shown:
    channel: str | None
    job: Job | None = None
    state: JobProgress = field(default_factory=lambda: JobProgress(0.0, "", None))


Lane = Literal["files", "plugins"]


class GuiJobs(QObject):
    """Lanes of work: files and plugins (shown in the status bar), and silent background work.

    A lane does one job after the other; opening a scan does not wait for a model. Everything here is called on the
    GUI thread, and all answers arrive there.
    """

    changed = Signal()  # the shown job started, moved on or ended
    failed = Signal(object)  # UserError of a job without its own `on_error`
    _posted = Signal(object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._posted.connect(lambda call: call(), Qt.ConnectionType.QueuedConnection)
        self._lanes: dict[str, JobRunner] = {
            name: JobRunner(self._posted.emit) for name in ("files", "plugins", "silent")
        }
        self._shown: list[_Shown] = []

    def run(
        self,
        title: str,
        work: Work,
        on_done: Answer,
        on_error: Failed | None = None,
        channel: str | None = None,
        lane: Lane = "files",
    ) -> Job:
        """Run `work(progress)`; then `on_done(result)` or `on_error(error)` (default: tell the user)."""
        shown = _Shown(channel)

        def done(result: Any) -> None:
            self._ended(shown)
            on_done(result)

        def error(problem: UserError) -> None:
            self._ended(shown)
            self._fail(problem, on_error)

        def moved(state: JobProgress) -> None:
            shown.state = state
            self.changed.emit()

        # A job that a newer one of its channel replaces is never answered: stop showing it.
        self._shown = [other for other in self._shown if channel is None or other.channel != channel]
        shown.job = self._lanes[lane].start(title, work, done, error, moved, channel)
        self._shown.append(shown)
        self.changed.emit()
        return shown.job

    def run_silently(self, work: Work, on_done: Answer, channel: str | None = None) -> Job:
        """Background work nobody waits for; failures are not shown (defects are in the log)."""
        return self._lanes["silent"].start("background", work, on_done, channel=channel)

    @property
    def current(self) -> tuple[Job, JobProgress] | None:
        """The oldest shown job and how far it is."""
        for shown in self._shown:
            if shown.job is not None:
                return shown.job, shown.state
        return None

    @property
    def waiting(self) -> int:
        """Shown jobs behind the current one."""
        return max(len(self._shown) - 1, 0)

    def cancel_current(self) -> None:
        """Ask the shown job to stop."""
        if self.current is not None:
            self.current[0].cancel()
            self.changed.emit()

    def cancel_all(self) -> None:
        """Ask every job to stop."""
        for runner in self._lanes.values():
            runner.cancel_all()

    def shutdown(self) -> None:
        """Cancel everything; nothing is delivered afterwards."""
        self._shown.clear()
        self.cancel_all()
        for runner in self._lanes.values():
            runner.shutdown(2.0)

    def _ended(self, shown: _Shown) -> None:
        if shown in self._shown:
            self._shown.remove(shown)
        self.changed.emit()

    def _fail(self, problem: UserError, on_error: Failed | None) -> None:
        if on_error is not None:
            on_error(problem)
        elif not isinstance(problem, Cancelled):
            self.failed.emit(problem)
