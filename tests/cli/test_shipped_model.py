"""The command line with the model that ships: answers, devices, and the demonstration's measurement."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

from medviewer.core.phantom import Phantom, torso_phantom
from medviewer.services.demo import REQUIRED_DICE, DemoReport, DemoRow, dice
from medviewer.services.save_data import save_volume_nifti


@pytest.fixture(scope="module")
def phantom() -> Phantom:
    """A coarse torso, so that the test is quick."""
    return torso_phantom(seed=0, shape=(76, 62, 76), spacing=(5.0, 5.0, 5.0))


@pytest.fixture
def torso(phantom: Phantom, tmp_path: Path) -> Path:
    path = tmp_path / "torso.nii.gz"
    save_volume_nifti(path, phantom.volume)
    return path


def test_the_kinds_of_answers(run: Any, torso: Path, phantom: Phantom, tmp_path: Path) -> None:
    out = tmp_path / "masks.nii.gz"
    prompts = ["hepatic parenchyma", "rechte Lunge", "no effusion", "zorgle"]
    named = [text for prompt in prompts for text in ("--prompt", prompt)]
    ran = run("segment", torso, *named, "--out", out, "--json")
    assert ran.status == 0, ran.err
    answers = [result["answer"] for result in ran.document["results"]]
    assert answers == ["found", "found", "negation is not supported", "not trained for this term"]
    assert ran.document["device"] == "cpu" or ran.document["device"] in ("cuda", "mps")
    labels = np.asarray(nibabel.load(out).dataobj)
    assert dice(labels == 1, phantom.mask("liver")) > 0.6
    assert dice(labels == 2, phantom.mask("lung", "right")) > 0.8
    for result in ran.document["results"]:
        assert result["presence"] is None or 0 <= result["presence"] <= 1


def test_a_device_that_is_not_there_is_told_with_the_fix(run: Any, torso: Path, tmp_path: Path) -> None:
    import torch

    missing = next(
        device
        for device, there in (("mps", torch.backends.mps.is_available()), ("cuda", torch.cuda.is_available()))
        if not there
    )
    ran = run("segment", torso, "--prompt", "liver", "--device", missing, "--out", tmp_path / "m.nii.gz", "--json")
    assert (ran.status, ran.document["error"]["code"]) == (4, "model-missing")
    assert ran.document["error"]["hint"]


def test_the_models_are_listed(run: Any) -> None:
    models = run("models", "list", "--json").document["models"]
    assert models[0]["default"] is True
    assert models[0]["installed"] is True
    assert models[0]["licence"]


def test_a_demonstration_that_is_worse_than_promised_fails() -> None:
    good = DemoRow("liver", "found", REQUIRED_DICE, 1.0)
    bad = DemoRow("spleen", "found", REQUIRED_DICE - 0.01, 1.0)
    free = DemoRow("heart", "not found by the model", 0.0, 1.0)
    assert DemoReport(Path(), (good, free), (), ()).good
    assert not DemoReport(Path(), (good, bad), (), ()).good


def test_dice() -> None:
    one = np.zeros((4, 1, 1), bool)
    one[:2] = True
    other = np.zeros((4, 1, 1), bool)
    other[1:3] = True
    assert dice(one, other) == 0.5
    assert dice(one, one) == 1.0
    assert dice(one & False, other & False) == 1.0
    assert dice(one, one & False) == 0.0
