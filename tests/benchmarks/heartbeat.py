"""Measures how long the event loop of a window stands still, and says what it stood in."""

from __future__ import annotations

import sys
import threading
import time
import traceback
from collections import Counter
from dataclasses import dataclass, field

import numpy as np
from PySide6.QtCore import QObject, Qt, QTimer

BEAT_MS = 5
SUSPECT_MS = 60.0  # from here on the watchdog writes down where the threads are
BARS_MS = (100.0, 500.0)  # 99th percentile and longest gap allowed


@dataclass
class Phase:
    """The gaps between beats (ms) while one thing was done."""

    name: str
    gaps: list[float] = field(default_factory=list)
    seen: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0

    def line(self) -> str:
        """Percentiles as a row of the table."""
        gaps = np.array(self.gaps or [0.0])
        p50, p95, p99 = np.percentile(gaps, (50, 95, 99))
        long = int((gaps > BARS_MS[0]).sum())
        return (
            f"{self.name:<44}{self.seconds:8.1f}{len(gaps):8d}{p50:8.1f}{p95:8.1f}{p99:8.1f}{gaps.max():9.1f}{long:6d}"
        )

    @property
    def good(self) -> bool:
        """Within the bars."""
        gaps = np.array(self.gaps or [0.0])
        return bool(np.percentile(gaps, 99) <= BARS_MS[0] and gaps.max() <= BARS_MS[1])


HEADER = f"{'phase':<44}{'seconds':>8}{'beats':>8}{'p50':>8}{'p95':>8}{'p99':>8}{'max ms':>9}{'>100':>6}"


class Heartbeat(QObject):
    """Beats on the GUI thread every few ms; `phase` begins another row. Stop it before the window closes."""

    def __init__(self) -> None:
        super().__init__()
        self.phases: list[Phase] = []
        self._last = time.perf_counter()
        self._began = self._last
        self._gui = threading.get_ident()
        self._stopped = threading.Event()
        self._timer = QTimer(self, timerType=Qt.TimerType.PreciseTimer, interval=BEAT_MS)
        self._timer.timeout.connect(self._beat)
        self._watch = threading.Thread(target=self._look, name="heartbeat-watch", daemon=True)

    def phase(self, name: str) -> Phase:
        """Everything from now on belongs to this phase."""
        self._close_phase()
        print(f"... {name}", file=sys.stderr, flush=True)
        self.phases.append(Phase(name))
        if not self._timer.isActive():
            self._timer.start()
            self._watch.start()
        self._last = self._began = time.perf_counter()
        return self.phases[-1]

    def stop(self) -> None:
        """No more beats."""
        self._close_phase()
        self._timer.stop()
        self._stopped.set()
        self._watch.join()

    def report(self) -> str:
        """The table, and under it where the long gaps came from."""
        lines = [HEADER, *(phase.line() for phase in self.phases)]
        for phase in self.phases:
            lines += [f"  {phase.name}: {count} x {where}" for where, count in phase.seen.most_common(12)]
        return "\n".join(lines)

    def _close_phase(self) -> None:
        if self.phases:
            self.phases[-1].seconds = time.perf_counter() - self._began

    def _beat(self) -> None:
        now = time.perf_counter()
        self.phases[-1].gaps.append(1000 * (now - self._last))
        self._last = now

    def _look(self) -> None:
        """Where the GUI thread is while it does not beat; where all are if this thread was kept from running, too."""
        before = time.perf_counter()
        while not self._stopped.wait(0.015):
            now = time.perf_counter()
            late, since = 1000 * (now - before - 0.015), 1000 * (now - self._last)
            if self.phases and (since > SUSPECT_MS or late > SUSPECT_MS):
                frames = sys._current_frames()
                places = [("GUI", frames.get(self._gui))]
                if late > SUSPECT_MS:  # somebody held the interpreter: it may be any thread
                    places += [
                        (t.name, frames.get(t.ident or 0)) for t in threading.enumerate() if t.ident != self._gui
                    ]
                text = " | ".join(f"{name} {_place(frame)}" for name, frame in places if frame is not None)
                self.phases[-1].seen[("held " if late > SUSPECT_MS else "") + text] += 1
            before = time.perf_counter()


def _place(frame: object) -> str:
    stack = traceback.extract_stack(frame)  # type: ignore[arg-type]
    own = [f for f in stack if "/medviewer/" in f.filename or "/plugins/" in f.filename]
    deepest = stack[-1]
    chain = [*own[-3:]] + ([deepest] if deepest not in own[-1:] else [])
    return " > ".join(f"{f.filename.rpartition('/')[2]}:{f.lineno} {f.name}" for f in chain)
