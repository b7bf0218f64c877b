"""What a training tells while it runs: a bar on a terminal, lines elsewhere, TensorBoard events, `log.jsonl`."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from medviewer.core.errors import ModelMissing

LOG = "log.jsonl"
EVENTS = "tensorboard"


class Reporter:
    """One per run; a silent one (`quiet`) for the processes beside the first. Main thread only."""

    def __init__(self, folder: Path, tensorboard: bool, quiet: bool = False) -> None:
        self.folder, self.quiet = folder, quiet
        self._bar = None if quiet or not sys.stderr.isatty() else _Bar()
        self._events = _event_writer(folder / EVENTS) if tensorboard and not quiet else None
        self._sums: dict[str, float] = {}
        self._count = 0
        self._begin = time.monotonic()

    def say(self, text: str) -> None:
        """One line."""
        if self._bar is not None:
            self._bar.say(text)
        elif not self.quiet:
            print(text, flush=True)

    def step(self, share: float, step: int, parts: Mapping[str, float]) -> None:
        """Losses of one step; `share` of the budget is done."""
        self._count += 1
        for name, value in parts.items():
            self._sums[name] = self._sums.get(name, 0.0) + value
        if self._bar is not None:
            self._bar.move(share, f"step {step}  loss {self._sums['total'] / self._count:.3f}")

    def means(self, step: int, minutes: float, rate: float) -> None:
        """The mean losses since the last call: a line and TensorBoard scalars."""
        means = {name: value / max(1, self._count) for name, value in self._sums.items()}
        seconds, self._begin = time.monotonic() - self._begin, time.monotonic()
        speed = self._count / max(seconds, 1e-9)
        texts = " ".join(f"{name} {value:.3f}" for name, value in means.items())
        self.say(f"step {step} {minutes:.1f} min rate {rate:.1e} {speed:.2f} steps/s {texts}")
        self.scalars(step, {f"loss/{name}": value for name, value in means.items()} | {"rate": rate})
        self._sums, self._count = {}, 0

    def check(self, step: int, minutes: float, dice: Mapping[str, float]) -> None:
        """Dice on held-out cases: a line, TensorBoard scalars and a line of `log.jsonl`."""
        if self.quiet:
            return
        with (self.folder / LOG).open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, "minutes": round(minutes, 2), "dice": dict(dice)}) + "\n")
        self.say(f"held out after step {step} {json.dumps(dict(dice))}")
        self.scalars(step, {f"dice/{name}": value for name, value in dice.items()})

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """TensorBoard scalars by their tags."""
        if self._events is not None:
            for tag, value in values.items():
                self._events.add_scalar(tag, value, step)

    def close(self) -> None:
        """Take the bar away and write the events to the disk."""
        if self._bar is not None:
            self._bar.close()
        if self._events is not None:
            self._events.close()


def _event_writer(folder: Path) -> Any:
    """A writer of event files. Raises ModelMissing where TensorBoard is not installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise ModelMissing(
            "The recipe asks for TensorBoard, which is not installed.",
            'Install it with `pip install "medviewer[train]"`, or use --set run.tensorboard=false.',
        ) from error
    return SummaryWriter(str(folder))


class _Bar:
    """Progress with the time left, on standard error."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description}", markup=False), BarColumn(), TimeRemainingColumn())
        self._progress = Progress(*columns, console=Console(stderr=True), transient=True)
        self._task = self._progress.add_task("Training", total=1.0)
        self._progress.start()

    def move(self, share: float, text: str) -> None:
        self._progress.update(self._task, completed=share, description=text)

    def say(self, text: str) -> None:
        self._progress.console.print(text, markup=False, highlight=False)

    def close(self) -> None:
        self._progress.stop()
