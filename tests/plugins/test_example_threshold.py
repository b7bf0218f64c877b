"""The example plugin as a user has it: a folder of her own, named in the environment."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

USE = """
import numpy as np
import medviewer
from medviewer.core.volume import Volume
array = np.full((6, 5, 4), -1000, np.int16)
array[2:4, 1, 1] = 900
answer = medviewer.segment(Volume(array, np.eye(4), "CT", "HU"), "bone", plugin="example_threshold")
print(answer.answer, int(answer.mask.sum()))
"""


@pytest.fixture
def environment(repository: Path) -> dict[str, str]:
    return {**os.environ, "MEDVIEWER_PLUGINS": str(repository / "tests" / "plugins"), "PYTHONPATH": str(repository)}


def run(arguments: list[str], environment: dict[str, str]) -> str:
    done = subprocess.run(
        [sys.executable, *arguments], env=environment, capture_output=True, text=True, timeout=120, check=True
    )
    return done.stdout


def test_it_is_short(repository: Path) -> None:
    lines = (repository / "tests" / "plugins" / "example_threshold" / "logic.py").read_text().splitlines()
    assert len(lines) <= 32


def test_it_is_listed(environment: dict[str, str]) -> None:
    rows = json.loads(run(["-m", "medviewer", "plugins", "list", "--json"], environment))["plugins"]
    example = next(row for row in rows if row["id"] == "example_threshold")
    assert (example["origin"], example["error"]) == ("user", None)
    assert rows[0]["id"] == "text_segmentation"


def test_it_is_used_from_python(environment: dict[str, str]) -> None:
    assert run(["-c", USE], environment).split() == ["found", "2"]
