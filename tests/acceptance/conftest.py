"""Runs the command line as a user does: in a process of its own, or in this one where only its answer matters."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.command_line import Call, Ran, run

__all__ = ["Call", "Ran", "run"]  # what the tests use

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "io"))  # for dicom_factory


@pytest.fixture(scope="module")
def program(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Call:
    """`medviewer ...` in a process of its own."""
    settings = {"MEDVIEWER_HOME": str(tmp_path_factory.mktemp("home")), "OMP_NUM_THREADS": "1"}

    def call(*arguments: object) -> Ran:
        command = [sys.executable, "-m", "medviewer", *map(str, arguments)]
        done = subprocess.run(
            command, cwd=repository, env=os.environ | settings, capture_output=True, text=True, timeout=280
        )
        return Ran(done.returncode, done.stdout, done.stderr)

    return call
