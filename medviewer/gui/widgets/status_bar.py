"""The line at the bottom: what runs, how long it takes, Cancel; the computer; where the data stays."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable

from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QFrame, QHBoxLayout, QSizePolicy

from medviewer.gui.jobs import GuiJobs
from medviewer.gui.text import tr
from medviewer.gui.widgets.basic import button, label
from medviewer.gui.widgets.elided import ElidedLabel
from medviewer.gui.widgets.progress_line import ProgressLine
from medviewer.services.jobs import JobProgress

_MEMORY_EVERY_MS = 2000
_TITLE_PX = 320


class StatusBar(QFrame):
    """Follows the jobs of the window."""

    def __init__(self, jobs: GuiJobs, processes: Callable[[], Iterable[int]] = lambda: ()) -> None:
        """`processes`: those that work for this window; their memory counts, too."""
        super().__init__()
        self.setObjectName("statusbar")
        self._jobs, self._processes = jobs, processes
        self.device = tr("CPU")
        self.title = ElidedLabel(role="muted")
        self.title.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)
        self.title.setMaximumWidth(_TITLE_PX)
        self.bar = ProgressLine()
        self.left = label(role="muted")
        self.cancel = button(tr("Cancel"), "link", tr("Stop the running job"))
        self.cancel.clicked.connect(jobs.cancel_current)
        self.machine = label(role="muted")
        self.stays = label(tr("Everything stays on this computer"), "muted")
        self._arrange()
        self._memory = QTimer(self)
        self._memory.timeout.connect(self.refresh_machine)
        self._memory.start(_MEMORY_EVERY_MS)
        self.refresh_machine()
        jobs.changed.connect(self.refresh)
        self.refresh()

    def _arrange(self) -> None:
        row = QHBoxLayout(self)
        row.setContentsMargins(12, 0, 12, 0)
        row.setSpacing(12)
        self.setFixedHeight(32)
        row.addWidget(self.title)
        row.addWidget(self.bar)
        row.addWidget(self.left)
        row.addWidget(self.cancel)
        row.addStretch(1)
        row.addWidget(self.machine)
        row.addWidget(self.stays)

    def refresh(self) -> None:
        """Show the current job, or nothing."""
        current = self._jobs.current
        for widget in (self.bar, self.left, self.cancel):
            widget.setVisible(current is not None)
        if current is None:
            self._show_title("")
            return
        job, state = current
        self._show_title(job_text(job.title, state, self._jobs.waiting))
        self.bar.set_fraction(state.fraction)
        self.left.setText(time_left(state.seconds_left))
        self.cancel.setEnabled(not job.cancelled)

    def _show_title(self, text: str) -> None:
        self.title.setText(text)
        self.title.setVisible(bool(text))

    def show_device(self, device: str) -> None:
        """Name what computes, for instance "cpu" or "cuda:0"."""
        self.device = device.split(":")[0].upper().replace("CUDA", "GPU")
        self.refresh_machine()

    def refresh_machine(self) -> None:
        """Device, cores and memory of this program."""
        self.machine.setText(f"{self.device} · {_cores()} · {_memory_text(self._processes())}")


def job_text(title: str, state: JobProgress, waiting: int) -> str:
    """What runs now, and how many jobs wait behind it."""
    text = f"{title}: {state.text}" if state.text and state.text != title else title
    return text + (tr(" (+{n} waiting)").format(n=waiting) if waiting else "")


def time_left(seconds: float | None) -> str:
    """For instance "4 s left"; empty while unknown."""
    if seconds is None:
        return ""
    if seconds < 90:
        return tr("{n} s left").format(n=max(1, round(seconds)))
    return tr("{n} min left").format(n=round(seconds / 60))


def _cores() -> str:
    count = os.cpu_count() or 1
    return tr("{n} cores").format(n=count) if count > 1 else tr("1 core")


def _memory_text(processes: Iterable[int]) -> str:
    import psutil

    used = psutil.Process().memory_info().rss
    for number in processes:
        with contextlib.suppress(psutil.Error):
            used += psutil.Process(number).memory_info().rss
    return f"{used / 1024**3:.1f} GB"
