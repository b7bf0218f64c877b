"""Remarks about a scan: what its reader says, and what a look at the voxels adds, made in the background."""

from __future__ import annotations

import weakref

from PySide6.QtCore import QObject, Signal

from medviewer.core.progress import Progress
from medviewer.core.scene import Scan, Scene
from medviewer.gui.jobs import GuiJobs


class ScanChecks(QObject):
    """`warnings` is what the banner shows."""

    changed = Signal()

    def __init__(self, scene: Scene, jobs: GuiJobs, parent: QObject) -> None:
        super().__init__(parent)
        self._scene, self._jobs = scene, jobs
        self._found: dict[str, tuple[str, ...]] = {}

    def start(self, scan: Scan) -> None:
        """Look at a scan that was opened."""
        key, volume = scan.key, weakref.ref(scan.volume)

        def work(progress: Progress) -> tuple[str, ...]:
            from medviewer.core.mask_facts import metal_warning

            alive = volume()
            metal = metal_warning(alive) if alive is not None else None
            return (metal,) if metal else ()

        def done(found: tuple[str, ...]) -> None:
            keys = {open_scan.key for open_scan in self._scene.scans}
            self._found = {k: v for k, v in self._found.items() if k in keys} | {key: found}
            self.changed.emit()

        self._jobs.run_silently(work, done, f"checks {key}")

    def warnings(self, scan: Scan) -> tuple[str, ...]:
        """Everything known about a scan, each remark once."""
        return tuple(dict.fromkeys([*scan.volume.warnings, *self._found.get(scan.key, ())]))
