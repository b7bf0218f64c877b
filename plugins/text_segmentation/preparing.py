"""Loads the model and encodes the shown scan ahead of the first prompt. Qt-free; GUI thread only."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from medviewer.api import PanelContext, SegmentRequest

from .model_choice import SETTING


def _nothing(_: object) -> None:
    return None


@dataclass(eq=False)
class Preparer:
    """Each scan once; a failure is left to the first prompt to tell, a closed scan ends its job."""

    context: PanelContext
    _asked: set[str] = field(default_factory=set)
    _running: tuple[str, Any] | None = None  # scan key and job

    def start(self) -> None:
        """Prepare the active scan, where the logic can."""
        scan, prepare = self.context.scene.active, getattr(self.context.logic, "prepare", None)
        if scan is None or not callable(prepare) or scan.key in self._asked:
            return
        self._asked.add(scan.key)
        volume, request = scan.volume, SegmentRequest("", model_id=self.context.settings.get(SETTING, "") or None)
        job = self.context.run_job(
            lambda progress: prepare(volume, request, progress), _nothing, _nothing, "Preparing the model"
        )
        self._running = (scan.key, job)

    def forget(self) -> None:
        """Another model was chosen: what was prepared for the old one does not count."""
        if self._running is not None:
            self._running[1].cancel()
        self._asked, self._running = set(), None

    def forget_closed(self) -> None:
        """End the job of a scan that was closed."""
        keys = {scan.key for scan in self.context.scene.scans}
        self._asked &= keys
        if self._running is not None and self._running[0] not in keys:
            self._running[1].cancel()
            self._running = None
