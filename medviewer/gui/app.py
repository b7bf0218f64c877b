"""Starts the window."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import QCoreApplication, QLocale, Qt, QTimer
from PySide6.QtWidgets import QApplication

from medviewer.core.scene import Scene
from medviewer.gui import preload
from medviewer.gui.endings import Endings, end_with_session
from medviewer.gui.errors import ErrorReporter
from medviewer.gui.main_window import MainWindow
from medviewer.services import log
from medviewer.services.settings import Settings


def run(paths: Sequence[Path] = ()) -> int:
    """Open the window and the paths in it; returns the exit status when it is closed. Main thread only."""
    application = make_application()
    window = make_window(Settings())
    endings = Endings(window.end, window)
    endings.install()
    end_with_session(application, window.recovery.journal.flush, window.ask_about_losses)
    window.show()
    QTimer.singleShot(0, window, window.recovery.look)
    preload.start(window.jobs)
    if paths:
        QTimer.singleShot(0, window, lambda: window.open_paths(list(paths)))
    status = application.exec()
    endings.remove()
    return status


def make_application() -> QApplication:
    """The one QApplication, with the platform that VTK needs and numbers with a point."""
    choose_platform()
    keep_triton_out()
    existing = QApplication.instance()
    if isinstance(existing, QApplication):
        return existing
    QCoreApplication.setApplicationName("medviewer")
    QLocale.setDefault(QLocale.c())
    rounding = Qt.HighDpiScaleFactorRoundingPolicy.PassThrough
    QApplication.setHighDpiScaleFactorRoundingPolicy(rounding)
    return QApplication(sys.argv[:1])


def keep_triton_out() -> None:
    """Torch imports triton where it finds it, whose LLVM crashes beside that of Mesa's software rendering.

    Triton only serves torch.compile, which the program does not use.
    """
    sys.modules.setdefault("triton", None)  # type: ignore[arg-type]


def choose_platform() -> None:
    """On Linux, VTK's render windows need X11 (or XWayland)."""
    if sys.platform.startswith("linux"):
        os.environ.setdefault("QT_QPA_PLATFORM", "xcb")


def make_window(settings: Settings) -> MainWindow:
    """A window with its error reporting."""
    log.start_log()
    window = MainWindow(Scene(), settings)
    window.reporter = ErrorReporter(window, window.notify)  # type: ignore[attr-defined]
    window.reporter.install()  # type: ignore[attr-defined]
    return window
