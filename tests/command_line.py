"""The command line in the process of the tests, for the fixtures of several folders."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from medviewer.cli.main import main
from medviewer.plugin_host import host


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


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, repository: Path) -> Call:
    """`medviewer ...` in this process; the example plugin of the tests is installed."""
    monkeypatch.setenv("MEDVIEWER_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("MEDVIEWER_PLUGINS", str(repository / "tests" / "plugins"))
    host.cache_clear()

    def call(*arguments: object) -> Ran:
        capfd.readouterr()
        status = main([str(argument) for argument in arguments])
        out, err = capfd.readouterr()
        return Ran(status, out, err)

    return call
