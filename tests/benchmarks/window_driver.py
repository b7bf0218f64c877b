"""Works the real window as a user does: opens, asks, accepts, clicks, exports, scrolls, closes."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PySide6.QtCore import QEventLoop, QPoint, QPointF, Qt, QTimer
from PySide6.QtGui import QWheelEvent
from PySide6.QtWidgets import QApplication

SCROLL_MS = 30


def in_display(module: str) -> None:
    """Without a display, run the module again under Xvfb and end with its status."""
    if os.environ.get("DISPLAY") or not sys.platform.startswith("linux"):
        return
    xvfb = shutil.which("xvfb-run")
    if xvfb is None:
        sys.exit("There is no display, and xvfb-run is not installed.")
    os.execv(xvfb, [xvfb, "-a", "-s", "-screen 0 1920x1080x24", sys.executable, "-m", module, *sys.argv[1:]])


class Driver:
    """One shown window with a home of its own."""

    def __init__(self, host: Any = None) -> None:
        self._home = tempfile.TemporaryDirectory(prefix="medviewer-bench-")
        os.environ["MEDVIEWER_HOME"] = self._home.name
        from medviewer.core.scene import Scene
        from medviewer.gui import app, preload
        from medviewer.gui.main_window import MainWindow
        from medviewer.services.settings import Settings

        self.application: QApplication = app.make_application()
        self.window = app.make_window(Settings()) if host is None else MainWindow(Scene(), Settings(), host)
        self.window.show()
        preload.start(self.window.jobs)
        self.messages: list[str] = []
        show = self.window.toasts.show
        self.window.toasts.show = lambda text, kind, hint: (
            self.messages.append(f"{text} {hint}"),
            show(text, kind, hint),
        )
        self._wheel = QTimer(interval=SCROLL_MS)
        self._wheel.timeout.connect(self._scroll_once)
        self._steps = 0

    # -- waiting ---------------------------------------------------------------
    def until(self, ready: Callable[[], bool], seconds: float, what: str = "") -> float:
        """Let the event loop run until something is so; returns the seconds it took. Exits where it never is."""
        began = time.perf_counter()
        loop, poll = QEventLoop(), QTimer(interval=10)
        poll.timeout.connect(lambda: loop.quit() if ready() or time.perf_counter() - began > seconds else None)
        poll.start()
        loop.exec()
        poll.stop()
        if not ready():
            sys.exit(f"Gave up waiting for {what or 'the window'}; messages: {self.messages[-3:]}")
        return time.perf_counter() - began

    def run_for(self, seconds: float) -> None:
        """Let the event loop run."""
        end = time.perf_counter() + seconds
        self.until(lambda: time.perf_counter() >= end, seconds + 5)

    # -- the scan ---------------------------------------------------------------
    @property
    def scan(self) -> Any:
        return self.window.scene.active

    def open(self, path: Path) -> float:
        """Open a scan and wait until it is shown."""
        before = len(self.window.scene.scans)
        self.window.open_paths([path])
        return self.until(lambda: len(self.window.scene.scans) > before, 600, f"opening {path.name}")

    def settle(self, seconds: float = 120) -> float:
        """Wait for the 3D picture, thumbnails and whatever runs in the background."""
        volume = self.window.views.grid.volume
        return self.until(lambda: volume._final or bool(volume._plain and volume.message), seconds, "the 3D picture")

    def close_scan(self) -> None:
        """Close the shown scan without a question."""
        self.window.scene.undo_stack.mark_saved()
        self.window.documents.close(self.scan)

    # -- the model ---------------------------------------------------------------
    @property
    def panel(self) -> Any:
        return self.window.plugins.panels["text_segmentation"]

    def ask(self, prompt: str, seconds: float = 900) -> float:
        """Type a prompt and wait for its answer, painted where something was found."""
        self.panel.run_text(prompt)
        entry = self.panel.finder.entries[0]
        took = self.until(lambda: entry.state != "running", seconds, f"an answer to {prompt}")
        if entry.prediction is None or not entry.prediction.found:
            sys.exit(f"{prompt}: {entry.state} {entry.problem}")
        return took + self.until(lambda: self.scan.preview_painted, 20, "the painted mask")

    def accept(self) -> Any:
        """Ctrl+Enter."""
        self.panel.accept()
        return self.scan.segments[-1]

    def click(self, *, positive: bool = False, seconds: float = 600) -> float:
        """A click of the click tool at the cursor, on the selected segment, and its answer."""
        from medviewer.api import PointPrompt

        self.panel.clicked(PointPrompt(tuple(float(v) for v in self.scan.cursor), positive))
        return self.until(lambda: self.window.jobs.current is None, seconds, "the answer to a click")

    def export(self, path: Path, seconds: float = 600) -> float:
        """Save all segments in the format of the name, and wait until the file was checked."""
        from medviewer.gui.dialogs.export_dialog import FORMATS, ExportChoice

        ended: list[bool] = []
        self.window.exports.finished.connect(lambda: ended.append(True))
        form = next(f for f in FORMATS if path.name.endswith(f.suffix)) if hasattr(FORMATS[0], "suffix") else FORMATS[0]
        self.window.exports.run(self.scan, ExportChoice(path, form, tuple(self.scan.segments)))
        took = self.until(lambda: bool(ended), seconds, f"saving {path.name}")
        if not path.exists():
            sys.exit(f"{path.name} was not written: {self.messages[-2:]}")
        return took

    # -- the wheel ---------------------------------------------------------------
    def scroll(self, on: bool) -> None:
        """Turn the wheel over the axial view, 33 notches a second."""
        self._wheel.start() if on else self._wheel.stop()

    def _scroll_once(self) -> None:
        grid = self.window.views.grid
        if grid is None or self.scan is None:
            return
        view = grid.slices["axial"]
        middle = QPointF(view.rect().center())
        self._steps += 1
        turn = QPoint(0, -120 if (self._steps // 60) % 2 == 0 else 120)
        event = QWheelEvent(
            middle, view.mapToGlobal(middle), QPoint(), turn, Qt.MouseButton.NoButton,
            Qt.KeyboardModifier.NoModifier, Qt.ScrollPhase.NoScrollPhase, False,
        )  # fmt: skip
        QApplication.sendEvent(view, event)

    def close(self) -> None:
        """Close the window and what belongs to it."""
        self._wheel.stop()
        self.window.scene.undo_stack.mark_saved()
        self.window.close()
        self._home.cleanup()
