"""Runs the command line as a user does: in a process of its own, or in this one where only its answer matters."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from medviewer.cli.main import main

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "io"))  # for dicom_factory


@dataclass(frozen=True)
class Ran:
    """One finished command line."""

    status: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """The one JSON document on standard output; fails where there is anything else."""
        return json.loads(self.out)

    @property
    def error(self) -> Any:
        """The error of a failed call with --json, after checking its form."""
        (error,) = (self.document["error"],)
        assert list(error) == ["code", "message", "hint"]
        assert error["message"].endswith(".")
        assert error["hint"]
        assert "Traceback" not in self.out + self.err
        return error


Call = Callable[..., Ran]


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


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, repository: Path) -> Call:
    """The same command line in this process; the example plugin of the tests is installed."""
    from medviewer.plugin_host import host

    monkeypatch.setenv("MEDVIEWER_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("MEDVIEWER_PLUGINS", str(repository / "tests" / "plugins"))
    host.cache_clear()

    def call(*arguments: object) -> Ran:
        capfd.readouterr()
        status = main([str(argument) for argument in arguments])
        out, err = capfd.readouterr()
        return Ran(status, out, err)

    return call
