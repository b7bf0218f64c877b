"""Measures segments in the background and remembers the answers while the masks live."""

from __future__ import annotations

import weakref
from typing import Any

from PySide6.QtCore import QObject, Signal

from medviewer.core.scene import Scene
from medviewer.core.segmentation import Segment
from medviewer.gui.jobs import GuiJobs
from medviewer.gui.panels.facts.logic import Looked, look


class FactsCache(QObject):
    """`get` answers at once with what is known; `changed` tells that more is."""

    changed = Signal()

    def __init__(self, scene: Scene, jobs: GuiJobs, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._scene, self._jobs = scene, jobs
        self._known: dict[str, tuple[weakref.ref[Any], bool, Looked]] = {}
        self._asked: dict[str, weakref.ref[Any]] = {}

    def get(self, segment: Segment) -> Looked | None:
        """Facts of this very mask, None while they are being computed."""
        known = self._known.get(segment.id)
        if known is not None and known[0]() is segment.mask and known[1] == segment.incomplete:
            return known[2]
        self._ask(segment)
        return None

    def _ask(self, segment: Segment) -> None:
        asked = self._asked.get(segment.id)
        scan = self._scene.active
        if scan is None or (asked is not None and asked() is segment.mask):
            return
        self._asked[segment.id] = weakref.ref(segment.mask)
        volume, mask, cut = scan.volume, weakref.ref(segment.mask), segment.incomplete
        key = segment.id

        def done(looked: Looked) -> None:
            self._known[key] = (mask, cut, looked)
            self._asked.pop(key, None)
            self.changed.emit()

        self._jobs.run_silently(lambda progress: look(volume, segment, progress), done, f"facts {key}")

    def forget(self) -> None:
        """Drop what belongs to masks that are gone."""
        self._known = {key: value for key, value in self._known.items() if value[0]() is not None}
