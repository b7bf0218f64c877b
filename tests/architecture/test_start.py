"""start.py: it must be readable by Pythons that are too old, and do its work once."""

from __future__ import annotations

import ast
import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest


@pytest.fixture
def start(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module, as if it lay in an empty checkout."""
    spec = importlib.util.spec_from_file_location("start", repository / "start.py")
    assert spec is not None
    assert spec.loader is not None
    module: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / "pyvenv.cfg").write_text("version = 3.11")
    (tmp_path / "pyproject.toml").write_text("[project]")
    (tmp_path / "constraints.txt").write_text("numpy==2")
    monkeypatch.setattr(module, "HERE", tmp_path)
    monkeypatch.setattr(module, "ENVIRONMENT", tmp_path / ".venv")
    monkeypatch.setattr(module, "CONSTRAINTS", tmp_path / "constraints.txt")
    return module


def test_an_old_python_can_read_it_and_is_told(
    start: Any, repository: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ast.parse((repository / "start.py").read_text(), feature_version=(3, 7))
    monkeypatch.setattr(start.sys, "version_info", (3, 9, 2))
    assert start.main([]) == 1
    assert "needs Python 3.11 or later; this is 3.9" in capsys.readouterr().err


def test_it_uses_the_standard_library_only(repository: Path) -> None:
    tree = ast.parse((repository / "start.py").read_text())
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name.split(".")[0] for name in names} <= set(sys.stdlib_module_names)


def test_the_second_start_installs_nothing(start: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[list[str]] = []
    monkeypatch.setattr(start.subprocess, "call", lambda command, **options: calls.append(command) or 0)
    monkeypatch.setattr(start, "install_system_libraries", lambda: None)
    monkeypatch.setattr(start, "environment_works", lambda: True)
    assert start.set_up("dev") == ""
    assert len(calls) == 1
    assert calls[0][-1].endswith("[dev]")
    assert start.set_up("dev") == start.set_up("") == ""
    assert len(calls) == 1
    start.CONSTRAINTS.write_text("numpy==3")
    assert start.set_up("") == ""
    assert len(calls) == 2


def test_a_failed_installation_is_told_and_tried_again(start: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(start.subprocess, "call", lambda command, **options: 1)
    monkeypatch.setattr(start, "install_system_libraries", lambda: None)
    monkeypatch.setattr(start, "environment_works", lambda: True)
    assert "failed" in start.set_up("")
    assert not start.is_installed("")


def test_a_missing_venv_module_names_the_package(start: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(start, "can_make_environments", lambda: False)
    monkeypatch.setattr(start, "apt_install", lambda packages: False)
    assert "apt-get install python3-venv" in start.make_environment()


def test_the_list_of_debian_packages(start: Any) -> None:
    assert "libegl1" in start.debian_packages("needed")
    assert "dcm2niix" in start.debian_packages("wanted")
    assert not set(start.debian_packages("needed")) & set(start.debian_packages("wanted"))


def test_a_failing_and_a_hanging_step_fail_the_run(
    start: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    home = str(tmp_path)
    assert start.run_step("good", [sys.executable, "-c", "pass"], 1, home)[1] == "passed"
    assert start.run_step("bad", [sys.executable, "-c", "raise SystemExit(1)"], 1, home)[1] == "FAILED"
    assert start.run_step("missing", [str(tmp_path / "nothing")], 1, home)[1] == "FAILED"
    endless = [sys.executable, "-c", "import threading; threading.Event().wait(60)"]
    assert start.run_step("endless", endless, 0.01, home)[1] == "FAILED"
    assert "did not end" in capfd.readouterr().out


def test_ci_runs_start_py(repository: Path) -> None:
    text = (repository / ".ci" / "run").read_text()
    assert "python3 start.py test" in text
    subprocess.run(["bash", "-n", repository / ".ci" / "run"], check=True)
