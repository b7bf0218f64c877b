"""The wheel, alone in an empty environment, runs the demonstration."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow


def call(command: list[object], folder: Path, **environment: str) -> str:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "MEDVIEWER"))}
    done = subprocess.run(
        [str(part) for part in command],
        cwd=folder, env=inherited | environment, capture_output=True, text=True, timeout=280,
    )  # fmt: skip
    assert done.returncode == 0, f"{done.stdout[-1500:]}\n{done.stderr[-3000:]}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    call([sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", out, repository], out)
    (built,) = out.glob("*.whl")
    return built


def test_it_holds_what_it_needs_and_no_general_names(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names if "dist-info" not in name} == {"medviewer"}
    training = ("training/__main__.py", "training/recipes/smoke.yaml")
    for part in ("plugins/text_segmentation/plugin.toml", "resources/models.toml", *training):
        assert f"medviewer/{part}" in names
    assert not [name for name in names if "__pycache__" in name or name.startswith("medviewer/tests")]


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Python of an empty environment with the wheel; the libraries it requires are borrowed from this one."""
    place = tmp_path_factory.mktemp("environment")
    call([sys.executable, "-m", "venv", place / "env"], place)
    python = place / "env" / ("Scripts" if os.name == "nt" else "bin") / "python"
    call([python, "-m", "pip", "install", "--no-deps", "--no-index", "--quiet", wheel], place)
    site = call([python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], place).strip()
    libraries = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    Path(site, "libraries.pth").write_text("".join(f"{path}\n" for path in libraries))
    return python


def test_it_is_the_wheel_that_runs_and_the_libraries_it_requires_are_declared(installed: Path) -> None:
    place = installed.parent
    code = "import medviewer, sys; print(medviewer.__file__); print(medviewer.__version__)"
    assert str(place.parent) in call([installed, "-c", code], place)
    required = call([installed, "-c", "import importlib.metadata as m; print(*m.requires('medviewer'))"], place)
    assert "pydicom" in required


def test_training_can_be_started_under_its_name_in_the_wheel(installed: Path, tmp_path: Path) -> None:
    assert "--resume" in call([installed, "-m", "medviewer.training", "train", "--help"], tmp_path)
    assert "smoke" in call([installed.parent / "medviewer", "train", "--help"], tmp_path)


def test_the_demonstration_runs_headless(installed: Path, tmp_path: Path) -> None:
    out = call(
        [installed.parent / "medviewer", "demo", "--headless", "--out", tmp_path / "out", "--json"],
        tmp_path,
        MEDVIEWER_HOME=str(tmp_path / "home"),
    )
    report = json.loads(out)
    assert report["good"] is True
    assert all(Path(path).exists() for path in report["outputs"])
    assert {Path(path).name for path in report["outputs"]} >= {"phantom.nii.gz", "segments.nii.gz", "segments.dcm"}
