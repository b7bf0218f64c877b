"""Every command and every line of Python in the README is run."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from medviewer.cli.main import COMMANDS


def blocks(repository: Path, language: str) -> list[str]:
    text = (repository / "README.md").read_text()
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


@pytest.fixture(scope="module")
def environment(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    home = tmp_path_factory.mktemp("home")
    return {**os.environ, "PYTHONPATH": str(repository), "MEDVIEWER_HOME": str(home)}


def test_the_two_commands_stand_first_and_are_those_of_start_py(repository: Path) -> None:
    lines = [line.split("#")[0].split() for line in blocks(repository, "sh")[0].splitlines()]
    assert lines == [["python3", "start.py"], ["python3", "start.py", "test"]]
    shown = subprocess.run(
        [sys.executable, repository / "start.py", "--help"], capture_output=True, text=True, check=True, timeout=60
    ).stdout
    assert "python3 start.py [--headless]" in shown
    assert "python3 start.py test" in shown


def test_the_table_names_every_command(repository: Path) -> None:
    table = set(re.findall(r"`medviewer ([a-z-]+)", (repository / "README.md").read_text()))
    assert set(COMMANDS) <= table


def test_links_lead_somewhere(repository: Path) -> None:
    for page in [repository / "README.md", *(repository / "docs").glob("*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


@pytest.mark.slow
def test_commands_and_python_run_one_after_the_other(
    repository: Path, tmp_path: Path, environment: dict[str, str]
) -> None:
    for line in blocks(repository, "sh")[1].splitlines():
        command = shlex.split(line)
        assert command[0] == "medviewer"
        run([sys.executable, "-m", *command], tmp_path, environment)
    assert (tmp_path / "sample" / "coronal.png").stat().st_size > 10_000
    (python,) = blocks(repository, "python")
    assert run([sys.executable, "-c", python], tmp_path, environment).startswith("found ")


def run(command: list[str], folder: Path, environment: dict[str, str]) -> str:
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, f"{command}: {done.stdout[-800:]} {done.stderr[-2000:]}"
    return done.stdout


def test_every_requirement_has_its_licence_told(repository: Path) -> None:
    project = tomllib.loads((repository / "pyproject.toml").read_text())["project"]
    told = (repository / "docs" / "third-party.md").read_text().lower().replace("_", "-")
    pinned = (repository / ".ci" / "constraints.txt").read_text()
    extras = [requirement for extra in project["optional-dependencies"].values() for requirement in extra]
    for requirement in (*project["dependencies"], *extras):
        name = re.split(r"[^A-Za-z0-9-]", requirement)[0].lower()
        if name == project["name"]:  # the extra of another
            continue
        assert f"| {name} |" in told, name
        assert f"\n{name}==" in pinned, name
    assert "gpl-3.0-only |" not in told.replace("lgpl-3.0-only or gpl-2.0-only or gpl-3.0-only", "")
