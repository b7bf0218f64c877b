"""`--model` in every command that asks one, with a second bundle beside the shipped one; outputs name its licence."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from medviewer.core.phantom import torso_phantom
from medviewer.services.model_store import find_bundle
from medviewer.services.save_data import save_volume_nifti

FREE = "CC BY-SA 4.0, commercial use allowed"
LINE = f"own-open 7 – {FREE}"


@pytest.fixture
def second(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the shipped bundle under another id that knows nothing of X-ray pictures, in the user's folder."""
    monkeypatch.setenv("MEDVIEWER_HOME", str(tmp_path / "home"))
    source, folder = find_bundle(), tmp_path / "home" / "data" / "models" / "own-open"
    shutil.copytree(source, folder)
    config = json.loads((folder / "config.json").read_text("utf-8"))
    config |= {"id": "own-open", "version": "7", "licence": FREE, "commercial_use": True}
    for term in config["terms"].values():
        term["results"].pop("XR", None)
    config["terms"] = {name: term for name, term in config["terms"].items() if term["results"]}
    (folder / "config.json").write_text(json.dumps(config), "utf-8")
    return folder


@pytest.fixture
def torso(tmp_path: Path) -> Path:
    path = tmp_path / "torso.nii.gz"
    save_volume_nifti(path, torso_phantom(seed=0, shape=(48, 40, 24), spacing=(8.0, 8.0, 16.0)).volume)
    return path


def test_segment_uses_the_chosen_model_and_writes_its_licence(run: Any, second: Path, torso: Path) -> None:
    out = torso.with_name("masks.nii.gz")
    ran = run("segment", torso, "--prompt", "liver", "--model", "own-open", "--out", out, "--json")
    assert ran.status == 0, ran.err
    said = [ran.document[name] for name in ("model", "model_version", "licence")]
    assert said == ["own-open", "7", FREE]
    assert json.loads(out.with_name("masks.json").read_text())["models"][0]["licence"] == FREE
    told = run("segment", torso, "--prompt", "liver", "--model", "own-open", "--out", out)
    assert told.out.splitlines()[-1] == f"Model: {LINE}"
    other = run("segment", torso, "--prompt", "liver", "--out", out, "--json")
    assert (other.document["model"], other.document["licence"][:14]) == ("default", "non-commercial")


def test_batch_names_model_and_licence_in_every_row(run: Any, second: Path, torso: Path) -> None:
    table = torso.with_name("jobs.csv")
    with table.open("w", newline="") as file:
        csv.writer(file).writerows([["scan", "prompt", "out"], [torso.name, "liver", "liver.nii.gz"]])
    out = torso.with_name("out")
    (row,) = run("batch", table, "--out", out, "--model", "own-open", "--json").document["results"]
    assert (row["model"], row["licence"], row["error"]) == ("own-open 7", FREE, None)
    again = run("batch", table, "--out", out, "--model", "own-open", "--resume").out.splitlines()
    assert again[0].split("\t")[-2:] == ["model", "licence"]
    assert again[1].split("\t")[-2:] == ["own-open 7", FREE]
    (other,) = run("batch", table, "--out", out, "--resume", "--json").document["results"]  # asked anew
    assert other["model"].startswith("default ")


def test_a_screenshot_of_what_the_chosen_model_finds(run: Any, second: Path, torso: Path) -> None:
    picture = torso.with_name("view.png")
    ran = run("screenshot", torso, "--prompt", "lungs", "--model", "own-open", "--out", picture, "--json")
    assert ran.status == 0, ran.err
    assert [model["licence"] for model in ran.document["models"]] == [FREE]
    with Image.open(picture) as image:
        assert image.info["Comment"] == f"model own-open 7: {FREE}."
    alone = run("screenshot", torso, "--model", "own-open", "--out", picture, "--json")
    assert (alone.status, alone.error["code"]) == (2, "wrong-usage")


@pytest.mark.parametrize("command", [["segment", "--prompt", "liver", "--out", "m.nii.gz"],
                                     ["screenshot", "--prompt", "liver", "--out", "v.png"]])  # fmt: skip
def test_a_model_that_is_not_installed_is_told_with_those_that_are(
    run: Any, second: Path, torso: Path, command: list[str]
) -> None:
    ran = run(command[0], torso, *command[1:-1], torso.with_name(command[-1]), "--model", "mine", "--json")
    assert (ran.status, ran.error["code"]) == (4, "model-missing")
    assert ran.error["hint"] == "Installed models: default, default-open, own-open."


def test_the_demonstration_takes_a_model(run: Any, second: Path, tmp_path: Path) -> None:
    ran = run("demo", "--headless", "--model", "mine", "--out", tmp_path / "demo", "--json")
    assert (ran.status, ran.error["code"]) == (4, "model-missing")
    assert not (tmp_path / "demo").exists()


def test_not_trained_names_the_model_and_the_one_that_was(run: Any, second: Path, tmp_path: Path) -> None:
    chest, out = tmp_path / "chest.png", tmp_path / "m.png"
    Image.linear_gradient("L").resize((64, 64)).save(chest)
    options = ["--prompt", "clavicle", "--model", "own-open", "--modality", "DX", "--out", out, "--json"]
    ran = run("segment", chest, *options)
    (result,) = ran.document["results"]
    assert result["answer"] == "not trained for this term"
    (told,) = [text for text in ran.document["warnings"] if "clavicle" in text]
    assert "The model own-open was not trained for clavicle." in told
    assert "Trained for it and installed: default " in told
