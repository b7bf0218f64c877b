"""Runs exports in the worker and tells what happened; "saved" is only said after the file was checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QObject, Signal

from medviewer.core.errors import Cancelled, UserError
from medviewer.core.prediction import Prediction
from medviewer.core.progress import Progress
from medviewer.core.scene import Scan, Scene
from medviewer.core.segmentation import Segment
from medviewer.core.undo import Command
from medviewer.gui.dialogs.export_dialog import VIEW, ExportChoice
from medviewer.gui.jobs import GuiJobs
from medviewer.gui.text import tr
from medviewer.services.settings import Settings

FOLDER_KEY = "export_folder"
Grab = Callable[[bool], NDArray[np.uint8]]


def export_folder(settings: Settings) -> Path:
    """Where the last export went; the home folder at first."""
    stored = settings.get(FOLDER_KEY, "")
    return Path(stored) if stored and Path(stored).is_dir() else Path.home()


class Exports(QObject):
    """`grab(identity)` gives the picture of the views, uint8 (rows, columns, 3), with or without identity."""

    notified = Signal(str, str, str)  # text, kind, hint
    saved = Signal(object)  # Path
    finished = Signal()

    def __init__(self, scene: Scene, jobs: GuiJobs, settings: Settings, grab: Grab, parent: QObject) -> None:
        super().__init__(parent)
        self._scene, self._jobs, self._settings, self._grab = scene, jobs, settings, grab

    def run(self, scan: Scan, choice: ExportChoice) -> None:
        """Write what was chosen."""
        self._settings.set(FOLDER_KEY, str(choice.path.parent))
        title = tr("Saving {name}").format(name=choice.path.name)
        view = choice.format.key == VIEW
        work = self._picture_work(scan, choice) if view else _mask_work(scan, choice)
        whole = choice.format.key != VIEW and len(choice.segments) == len(scan.segments)
        steps = {scan.key: self._scene.undo_stack.newest(scan.key)} if whole else {}
        self._jobs.run(title, work, lambda report: self._done(report, steps), self._failed)

    def _picture_work(self, scan: Scan, choice: ExportChoice) -> Callable[[Progress], Any]:
        picture, path, volume = self._grab(choice.identity), choice.path, scan.volume
        drawn: list[Segment | Prediction] = [segment for segment in scan.segments if segment.visible]
        drawn += [scan.preview] if scan.preview is not None else []

        def work(progress: Progress) -> Any:
            from medviewer.services import save_data

            progress.report(0.2, tr("Writing the picture"))
            return save_data.save_view_png(path, picture, volume, drawn)

        return work

    def _done(self, report: Any, steps: Mapping[str, Command | None]) -> None:
        if steps:
            self._scene.undo_stack.mark_saved(steps)  # edits made while it was written stay unsaved
        names = [report.path.name, *(p.name for p in report.extra_paths)]
        text = tr("Saved and checked: {names}").format(names=", ".join(names[:4]))
        self.notified.emit(text, "warning" if report.warnings else "success", " ".join(report.warnings))
        self.saved.emit(report.path)
        self.finished.emit()

    def _failed(self, error: UserError) -> None:
        if not isinstance(error, Cancelled):
            self.notified.emit(error.message, "error", error.hint)
        self.finished.emit()


def _mask_work(scan: Scan, choice: ExportChoice) -> Callable[[Progress], Any]:
    volume = scan.volume

    def work(progress: Progress) -> Any:
        from medviewer.services import save_apart

        return save_apart.save_segments(choice.path, volume, choice.segments, progress)

    return work
