"""A dialog with three pages: the question, the progress of the work, the report of what was done."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QPlainTextEdit, QStackedWidget, QVBoxLayout, QWidget

from medviewer.core.errors import Cancelled, UserError
from medviewer.core.progress import Progress
from medviewer.gui.dialogs.base import PlainDialog
from medviewer.gui.jobs import GuiJobs
from medviewer.gui.text import tr
from medviewer.gui.widgets.basic import label
from medviewer.gui.widgets.progress_line import ProgressLine

if TYPE_CHECKING:
    from medviewer.services.jobs import Job

_WIDTH = 560


class WorkDialog(PlainDialog):
    """Modal. A subclass fills `question` and calls `work`. Closing it while it works cancels the work. GUI thread."""

    finished_run = Signal()
    _moved = Signal(float, str)

    def __init__(self, title: str, explanation: str, action: str, jobs: GuiJobs, parent: QWidget | None) -> None:
        super().__init__(title, explanation, parent)
        self._jobs, self._title = jobs, title
        self._job: Job | None = None
        self.question = QVBoxLayout()
        self.remark = label("", "muted", wrap=True)
        self.line, self.doing = ProgressLine(_WIDTH), label("", "muted", wrap=True)
        self.text = QPlainTextEdit()
        self.pages = QStackedWidget()
        for column in (self.question, self._progress_column(), self._report_column()):
            self.pages.addWidget(_page(column))
        self.body.addWidget(self.pages)
        self.cancel = self.add_cancel()
        self.start = self.add_action(action)
        self._moved.connect(self._show_progress, Qt.ConnectionType.QueuedConnection)
        self.resize(_WIDTH + 60, 0)

    def say(self, text: str, *, may_start: bool) -> None:
        """Show a remark below the question; `may_start` enables the action."""
        self.remark.setText(text)
        self.remark.setVisible(bool(text))
        self.start.setEnabled(may_start)

    def ask_again(self) -> None:
        """The question page is shown again after work that was cancelled or failed."""
        self.say("", may_start=True)

    def work(self, job: Callable[[Progress], Any], done: Callable[[Any], str], name: str = "") -> None:
        """Run a job and show its progress, then the text that `done` makes of its result. `name`: of the job, where it
        is not the dialog's title."""

        def run(progress: Progress) -> Any:
            return job(Progress(self._reporter(progress), progress.is_cancelled))

        self.start.setEnabled(False)
        self.doing.setText("")
        self.pages.setCurrentIndex(1)
        self._job = self._jobs.run(name or self._title, run, lambda result: self._done(done(result)), self._failed)

    def reject(self) -> None:
        """Cancel the work where some is running; else close."""
        if self._job is not None:
            self._job.cancel()
            self.doing.setText(tr("Cancelling…"))
            return
        super().reject()

    def _progress_column(self) -> QVBoxLayout:
        column = QVBoxLayout()
        column.addStretch(1)
        column.addWidget(self.line)
        column.addWidget(self.doing)
        column.addStretch(2)
        return column

    def _report_column(self) -> QVBoxLayout:
        self.text.setReadOnly(True)
        self.text.setTabChangesFocus(True)
        self.text.setAccessibleName(tr("What was done"))
        self.text.setMinimumHeight(200)
        column = QVBoxLayout()
        column.addWidget(self.text)
        return column

    def _reporter(self, progress: Progress) -> Callable[[float, str], None]:
        def report(fraction: float, text: str) -> None:
            progress.on_report(fraction, text)
            self._moved.emit(fraction, text)

        return report

    def _show_progress(self, fraction: float, text: str) -> None:
        self.line.set_fraction(fraction)
        self.doing.setText(text)

    def _done(self, text: str) -> None:
        self._job = None
        self.text.setPlainText(text)
        self.pages.setCurrentIndex(2)
        self.start.hide()
        self.cancel.setText(tr("Close"))
        self.finished_run.emit()

    def _failed(self, error: UserError) -> None:
        self._job = None
        self.pages.setCurrentIndex(0)
        self.ask_again()
        if not isinstance(error, Cancelled):
            self.say(str(error), may_start=self.start.isEnabled())
        self.finished_run.emit()


def _page(column: QVBoxLayout) -> QWidget:
    page = QWidget()
    column.setContentsMargins(0, 0, 0, 0)
    column.setSpacing(8)
    page.setLayout(column)
    return page
