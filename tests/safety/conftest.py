"""Runs of the whole program that several tests of this folder look at."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.safety import runs
from tests.safety.planted import PlantedSeries


@pytest.fixture(scope="session")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A series with 40 planted identifiers; do not write into it."""
    folder = tmp_path_factory.mktemp("planted") / "scan"
    PlantedSeries().write(folder)
    return folder


@pytest.fixture(scope="session")
def window_run(planted: Path, tmp_path_factory: pytest.TempPathFactory) -> runs.WindowRun:
    """The window's journey on it."""
    if runs.screen_is_missing():
        pytest.skip("there is no virtual screen (xvfb-run)")
    return runs.run_window(tmp_path_factory.mktemp("window"), planted)


@pytest.fixture(scope="session")
def command_runs(planted: Path, tmp_path_factory: pytest.TempPathFactory) -> runs.CommandRuns:
    """Some commands on it."""
    return runs.run_commands(tmp_path_factory.mktemp("commands"), planted)
