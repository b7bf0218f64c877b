"""`medviewer train` and its kin reach the training package, hand it everything, and tell every mistake in words."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from medviewer.cli import training
from medviewer.cli.main import main
from medviewer.core.errors import ModelMissing


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """What the training package is asked; nothing is trained."""
    calls: list[list[str]] = []

    def run(arguments: list[str]) -> int:
        calls.append(list(arguments))
        return 0

    monkeypatch.setattr(training, "training_commands", lambda: run)
    return calls


@pytest.mark.parametrize(
    ("given", "forwarded"),
    [
        (["train", "smoke", "--set", "run.seed=1", "--resume"], ["train", "smoke", "--set", "run.seed=1", "--resume"]),
        (["export-model", "--run", "x", "-h"], ["export", "--run", "x", "-h"]),
    ],
)  # fmt: skip
def test_everything_is_handed_on(asked: list[list[str]], given: list[str], forwarded: list[str]) -> None:
    assert main(given) == 0
    assert asked == [forwarded]


def test_measuring_is_told_where_own_models_lie(asked: list[list[str]]) -> None:
    assert main(["evaluate", "--data", "cases", "--help"]) == 0
    assert asked[0][:4] == ["evaluate", "--data", "cases", "--help"]
    assert asked[0][4] == "--user-models"
    assert Path(asked[0][5]).name == "models"


def test_fine_tuning_is_handed_on(asked: list[list[str]]) -> None:
    assert main(["finetune", "--data", "cases", "--prompt", "my structure"]) == 0
    assert asked[0][:5] == ["finetune", "--data", "cases", "--prompt", "my structure"]


@pytest.mark.parametrize(
    ("arguments", "status", "told"),
    [
        (["train", "nothing"], 3, 'There is no recipe "nothing".'),
        (["train", "smoke", "--set", "data.shar=1"], 2, 'no key "data.shar"'),
        (["train", "smoke", "--set", "data.share=2"], 2, "data.share must be above 0"),
        (["train", "smoke", "--nonsense"], 2, "--nonsense"),
        (["train"], 2, "RECIPE"),
        (["export-model"], 2, "--run"),
        (["finetune", "nothing", "--data", "x", "--prompt", "y"], 3, 'There is no recipe "nothing".'),
    ],
)
def test_mistakes_are_told(
    capfd: pytest.CaptureFixture[str], arguments: list[str], status: int, told: str
) -> None:
    assert main(arguments) == status
    shown = capfd.readouterr()
    assert told in shown.err
    assert "Traceback" not in shown.err
    assert shown.out == ""


def test_json_is_one_document(asked: list[list[str]], capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "smoke", "--json"]) == 0
    shown = json.loads(capfd.readouterr().out)
    assert shown == {"command": "train", "arguments": ["smoke"], "exit_status": 0}
    assert asked == [["train", "smoke"]]


def test_mistakes_in_json(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "nothing", "--json"]) == 3
    assert json.loads(capfd.readouterr().out)["error"]["code"] == "input-refused"
    assert main(["train", "smoke", "--nonsense", "--json"]) == 2
    assert json.loads(capfd.readouterr().out)["error"]["code"] == "wrong-usage"


def test_ctrl_c_is_no_failure(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    def interrupted(arguments: list[str]) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(training, "training_commands", lambda: interrupted)
    assert main(["train", "smoke"]) == 130
    assert "Cancelled" in capfd.readouterr().err


def test_a_run_of_the_wrong_data_stops_before_training(
    capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    folder = tmp_path / "none"
    changes = ["--set", f"data.folder={folder}", "--set", "data.phantoms=0", "--run", str(tmp_path / "run")]
    assert main(["train", "smoke", *changes]) == 3
    assert f"{folder} holds no manifest.csv." in capfd.readouterr().err
    assert not (tmp_path / "run").exists()


def test_the_package_of_the_checkout_is_found_wherever_the_program_runs(tmp_path: Path, repository: Path) -> None:
    (tmp_path / "training").mkdir()
    (tmp_path / "training" / "__init__.py").write_text("raise AssertionError('another package of this name')")
    code = (
        "from medviewer.cli.training import training_commands as found; import sys; run = found(); "
        "print(sys.modules[run.__module__].__file__)"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(repository)])}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.strip()) == repository / "training" / "__main__.py"


def test_libraries_that_are_missing_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> None:
        raise ModuleNotFoundError("No module named 'yaml'", name="yaml")

    monkeypatch.setattr(training, "training_commands", missing)
    with pytest.raises(ModelMissing, match=r"PyYAML.*medviewer\[train\]"):
        training._run("train", [])
