"""One run of the window and one of the commands, shared by the tests that look at them from several sides."""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.safety import canaries, no_network
from tests.safety.command_journey import Spoken
from tests.safety.no_network import Traced
from tests.safety.planted import TOKENS

COMMANDS = ("info", "info --json", "segment nii.gz", "screenshot", "export-training-set")


@dataclass(frozen=True)
class WindowRun:
    """A finished journey in the window; `traced` where the machine permits a run without a network."""

    folder: Path
    status: int
    words: str
    traced: Traced | None


@dataclass(frozen=True)
class CommandRuns:
    """Finished commands by name."""

    folder: Path
    spoken: dict[str, Spoken]
    traced: tuple[Traced, ...]


def run_window(folder: Path, scan: Path) -> WindowRun:
    """The journey, without a network where that is possible."""
    if no_network.missing_tool():
        said = canaries.window_words(scan, folder)
        return WindowRun(folder, said.status, said.words, None)
    run = no_network.window_run(folder, scan, TOKENS)
    return WindowRun(folder, run.status, run.words, run)


def run_commands(folder: Path, scan: Path) -> CommandRuns:
    """The commands, without a network where that is possible."""
    if no_network.missing_tool():
        return CommandRuns(folder, canaries.run_commands(folder, scan, COMMANDS), ())
    runs = no_network.command_runs(folder, scan, COMMANDS)
    return CommandRuns(folder, {run.name: Spoken(run.name, run.status, run.words) for run in runs}, tuple(runs))


def screen_is_missing() -> bool:
    """Whether there is no virtual screen for the window."""
    return not sys.platform.startswith("linux") or shutil.which("xvfb-run") is None
