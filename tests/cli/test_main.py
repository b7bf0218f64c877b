"""Dispatch, exit statuses and the shape of what is printed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import medviewer
from medviewer.cli import info as info_command
from medviewer.cli.main import COMMANDS, app, is_window_call, main
from medviewer.cli.output import Report, json_text
from medviewer.core.errors import Cancelled, ModelMissing, OutputNotWritten


def test_every_command_is_known_to_the_dispatcher() -> None:
    names = {command.name or command.callback.__name__ for command in app.registered_commands if command.callback}
    assert names | {group.name for group in app.registered_groups} == set(COMMANDS)


@pytest.mark.parametrize(
    ("arguments", "window"),
    [([], True), (["scan.nii"], True), (["./info"], True), (["info"], False), (["--help"], False), (["--json"], False)],
)
def test_a_first_argument_that_is_a_commands_name_is_the_command(arguments: list[str], window: bool) -> None:
    assert is_window_call(arguments) is window


def test_paths_open_the_window(scan: Path) -> None:
    seen: list[list[Path]] = []

    def open_window(paths: list[Path]) -> int:
        seen.append(paths)
        return 0

    assert main([str(scan), str(scan.parent)], open_window) == 0
    assert main([], open_window) == 0
    assert seen == [[scan, scan.parent], []]


def test_a_path_that_does_not_exist_opens_no_window(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["inof", "scan.nii"], lambda paths: pytest.fail("opened")) == 3
    assert "Commands: info" in capfd.readouterr().err


def test_version_and_help(run: Any) -> None:
    assert run("--version").out == f"medviewer {medviewer.__version__}\n"
    shown = run("--help")
    assert shown.status == 0
    assert all(command in shown.out for command in COMMANDS)
    assert run("segment", "--help").status == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ("info",),
        ("info", "a", "b"),
        ("segment", "scan.nii", "--out", "x.nii.gz"),
        ("screenshot", "scan.nii", "--out", "x.png", "--view", "oblique"),
        ("--no-such-option",),
        ("plugins", "remove"),
    ],
)
def test_wrong_usage_is_two(run: Any, arguments: tuple[str, ...]) -> None:
    plain = run(*arguments)
    assert (plain.status, plain.out) == (2, "")
    assert plain.err.startswith("Error: ")
    as_json = run(*arguments, "--json")
    assert as_json.status == 2
    assert as_json.document["error"]["code"] == "wrong-usage"


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (ModelMissing("No model.", "Install one."), 4, "model-missing"),
        (OutputNotWritten("Disk full.", "Free some space."), 5, "output-not-written"),
        (Cancelled(), 130, "cancelled"),
        (KeyboardInterrupt(), 130, "cancelled"),
        (ZeroDivisionError("secret"), 1, "internal-error"),
    ],
)
def test_every_ending_has_its_status(
    run: Any, monkeypatch: pytest.MonkeyPatch, error: BaseException, status: int, code: str
) -> None:
    def fail(path: Path) -> Report:
        raise error

    monkeypatch.setattr(info_command, "describe", fail)
    ran = run("info", "scan", "--json")
    assert (ran.status, ran.document["error"]["code"]) == (status, code)
    plain = run("info", "scan")
    assert (plain.status, plain.out) == (status, "")
    assert "Traceback" not in plain.err
    assert "secret" not in plain.err


def test_an_internal_error_names_the_log(run: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(info_command, "describe", lambda path: 1 / 0)
    hint = run("info", "scan", "--json").document["error"]["hint"]
    log = Path(hint.rpartition(" ")[2])
    assert log.is_relative_to(tmp_path)
    assert "ZeroDivisionError" in log.read_text()


def test_what_libraries_print_stays_out_of_standard_output(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def noisy(path: Path) -> Report:
        print("a library prints")
        os.write(1, b"C code prints\n")
        subprocess.run([sys.executable, "-c", "print('a child prints')"], check=True)
        return Report({"volumes": []}, ("plain",))

    monkeypatch.setattr(info_command, "describe", noisy)
    ran = run("info", "scan", "--json")
    assert ran.document == {"volumes": []}
    for text in ("a library prints", "C code prints", "a child prints"):
        assert text in ran.err
    assert run("info", "scan").out == "plain\n"


def test_json_holds_neither_nan_nor_locale() -> None:
    assert json.loads(json_text({"a": float("nan"), "b": [1.5, float("inf")]})) == {"a": None, "b": [1.5, None]}


@pytest.mark.parametrize("arguments", [["--help"], ["info", "--help"]])
def test_help_loads_nothing_heavy(arguments: list[str], repository: Path) -> None:
    code = (
        "import sys; from medviewer.cli.main import main; status = main(sys.argv[1:]);"
        "heavy = {'numpy', 'torch', 'vtkmodules', 'PySide6', 'pydicom', 'scipy'} & set(sys.modules);"
        "print(status, sorted(heavy), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=repository, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stderr.strip() == "0 []"
