"""Nothing calls out, proven where there is no network. `python -m tests.safety.no_network` runs everything."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.safety import no_network
from tests.safety.command_journey import environment
from tests.safety.runs import CommandRuns, WindowRun


@pytest.fixture(autouse=True, scope="module")
def _tools() -> None:
    why = no_network.missing_tool()
    if why:
        pytest.skip(why)


def test_a_program_that_calls_out_is_seen_and_fails(tmp_path: Path) -> None:
    run = no_network.namespace_is_empty(environment(tmp_path / "home", tmp_path / "tmp"), tmp_path)
    assert run.internet
    assert run.status != 0


def test_the_window_works_without_a_network_and_asks_for_none(window_run: WindowRun) -> None:
    assert window_run.traced is not None
    assert window_run.status == 0, window_run.words[-2000:]
    assert "journey done" in window_run.words
    assert window_run.traced.internet == ()
    assert window_run.traced.local > 0, "the display was reached, so the trace was not blind"


def test_the_commands_work_without_a_network_and_ask_for_none(command_runs: CommandRuns) -> None:
    assert command_runs.traced
    for run in command_runs.traced:
        assert run.status == 0, f"{run.name}: {run.words[-1000:]}"
        assert run.internet == (), run.name


def test_training_works_without_a_network_and_asks_for_none(tmp_path: Path) -> None:
    run = no_network.training_run(tmp_path)
    assert "training done" in run.words, run.words[-2000:]
    assert run.internet == ()


def test_switches_are_set_for_libraries_that_call_home(monkeypatch: pytest.MonkeyPatch) -> None:
    from medviewer.services.offline import switch_off_calls_home

    for name in ("HF_HUB_OFFLINE", "DO_NOT_TRACK"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TRANSFORMERS_OFFLINE", "0")
    switch_off_calls_home()
    assert os.environ["HF_HUB_OFFLINE"] == os.environ["DO_NOT_TRACK"] == "1"
    assert os.environ["TRANSFORMERS_OFFLINE"] == "0", "the user's own choice stays"
    for name in ("HF_HUB_OFFLINE", "DO_NOT_TRACK", "HF_DATASETS_OFFLINE", "HF_HUB_DISABLE_TELEMETRY",
                 "DISABLE_TELEMETRY", "NO_ALBUMENTATIONS_UPDATE", "WANDB_MODE"):  # fmt: skip
        monkeypatch.delenv(name, raising=False)
