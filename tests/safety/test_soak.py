"""The window keeps its size, and the heavy libraries stay out of its process.

A short form of `tests/benchmarks/bench_soak.py`.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def figures() -> dict[str, Any]:
    if sys.platform.startswith("linux") and shutil.which("xvfb-run") is None:
        pytest.skip("there is no virtual screen (xvfb-run)")
    command = [
        sys.executable,
        "-m",
        "tests.benchmarks.bench_soak",
        "--cycles",
        "20",
        "--warm-up",
        "8",
        "--slices",
        "16",
    ]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=280, check=False)
    assert done.stdout, done.stderr[-2000:]
    return dict(json.loads(done.stdout[done.stdout.index("{") :]))


def test_memory_does_not_grow(figures: dict[str, Any]) -> None:
    assert figures["growth_percent"] <= 5.0 or figures["mb_per_cycle"] <= 1.0, figures


def test_files_threads_and_processes_stay_as_many(figures: dict[str, Any]) -> None:
    for name in ("files", "threads", "processes"):
        first, last = figures[name]
        assert last <= first, figures


def test_what_would_hold_up_the_window_is_not_in_its_process(figures: dict[str, Any]) -> None:
    assert figures["heavy_modules"] == []


def test_nothing_stays_behind(figures: dict[str, Any]) -> None:
    assert figures["processes_after_closing"] == 0
