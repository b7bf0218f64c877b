"""The one place where what nobody caught ends: UserError becomes a message, a defect one dialog with the log's path."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QMessageLogContext, QObject, Qt, QtMsgType, Signal, qInstallMessageHandler
from PySide6.QtWidgets import QMessageBox, QWidget

from medviewer.core.errors import Cancelled, UserError
from medviewer.gui.text import tr
from medviewer.services import log


class ErrorReporter(QObject):
    """Install once. `notify(text, kind, hint)` shows a message; at most one dialog is open at a time."""

    _raised = Signal(object, object)

    def __init__(self, window: QWidget, notify: Callable[[str, str, str], None]) -> None:
        super().__init__(window)
        self._window, self._notify = window, notify
        self.dialog: QMessageBox | None = None
        self._raised.connect(self._show, Qt.ConnectionType.QueuedConnection)

    def install(self) -> None:
        """Take every uncaught exception of every thread, and what libraries and Qt would print."""
        log.guard_output()
        qInstallMessageHandler(_log_qt)
        log.install_hook(lambda error, path: self._raised.emit(cause_of(error), path))

    def _show(self, error: BaseException, path: Path) -> None:
        if isinstance(error, Cancelled):
            return
        if isinstance(error, UserError):
            self._notify(error.message, "error", error.hint)
            return
        if self.dialog is not None:
            return
        self.dialog = defect_dialog(path, self._window)
        self.dialog.finished.connect(self._closed)
        self.dialog.open()

    def _closed(self) -> None:
        self.dialog = None


def _log_qt(kind: QtMsgType, context: QMessageLogContext, message: str) -> None:
    """Qt's own warnings name files and texts."""
    if kind not in (QtMsgType.QtDebugMsg, QtMsgType.QtInfoMsg):
        log.record(f"window toolkit: {message}")


def cause_of(error: BaseException) -> BaseException:
    """The UserError under an error that an event system wrapped, else the error itself."""
    inner: BaseException | None = error
    while inner is not None:
        if isinstance(inner, UserError):
            return inner
        inner = inner.__cause__
    return error


def defect_dialog(path: Path, parent: QWidget) -> QMessageBox:
    """What the user sees of a defect: no traceback, no patient data."""
    box = QMessageBox(parent)
    box.setIcon(QMessageBox.Icon.Warning)
    box.setWindowTitle(tr("medviewer"))
    box.setTextFormat(Qt.TextFormat.PlainText)
    box.setText(tr("The program made an internal error. Your scan and segments are still here; save them now."))
    box.setInformativeText(tr("Details, without patient data, are in the log:\n{path}").format(path=path))
    box.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    return box
