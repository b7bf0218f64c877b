"""What a model folder must be."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from medviewer.core.errors import ModelMissing, WrongUsage
from medviewer.models.bundle import load_network, read_info
from medviewer.models.devices import choose_device
from medviewer.models.pipeline import TextSegmenter

from .conftest import write_config


def test_reads_what_was_written(untrained: Path) -> None:
    info = read_info(untrained)
    assert info.term_ids == ("liver", "kidney", "heart")
    assert info.result("liver", "CT").text() == "dev Dice 0.90, n = 24"
    assert info.result("liver", "MR").text() == "untested"
    assert info.result("liver", "unknown").n == 24
    assert info.result(None, "CT").text() == "untested"
    assert not load_network(info).training


def test_refuses_altered_weights(untrained: Path) -> None:
    path = untrained / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(ModelMissing, match="checksum"):
        load_network(read_info(untrained))


def test_refuses_weights_that_do_not_fit(untrained: Path) -> None:
    weights = load_file(untrained / "model.safetensors")
    weights["unexpected"] = weights.pop("no_text")
    save_file(weights, untrained / "model.safetensors")
    write_config(untrained)
    with pytest.raises(ModelMissing, match="do not fit"):
        load_network(read_info(untrained))


@pytest.mark.parametrize("missing", ["model.safetensors", "config.json"])
def test_refuses_incomplete_folders(untrained: Path, missing: str) -> None:
    (untrained / missing).unlink()
    with pytest.raises(ModelMissing):
        TextSegmenter.load(untrained, "cpu")


def test_refuses_a_broken_description(untrained: Path) -> None:
    (untrained / "config.json").write_text('{"id": "x", "layout": 4}', encoding="utf-8")
    with pytest.raises(ModelMissing, match="no readable model"):
        read_info(untrained)


@pytest.mark.parametrize("layout", [1, 2, None])
def test_refuses_another_layout(untrained: Path, layout: int | None) -> None:
    if layout is None:  # as the first bundles were written
        config = json.loads((untrained / "config.json").read_text(encoding="utf-8"))
        del config["layout"]
        (untrained / "config.json").write_text(json.dumps(config), encoding="utf-8")
    else:
        write_config(untrained, layout=layout)
    with pytest.raises(ModelMissing, match=f"untrained has layout {layout or 1}; this version") as caught:
        TextSegmenter.load(untrained, "cpu")
    assert "Install the model again" in caught.value.hint


def test_calibration_is_read_and_rises(untrained: Path) -> None:
    assert read_info(untrained).probability(0.3, 1) == 0.3
    write_config(untrained, calibration={"picture": [1.5, -1.0], "volume": [2, 0]}, commercial_use=False)
    info = read_info(untrained)
    assert info.commercial_use is False
    raw = np.linspace(0, 1, 21)
    for slices, (slope, shift) in ((1, (1.5, -1.0)), (40, (2.0, 0.0))):
        found = [info.probability(float(p), slices) for p in raw]
        assert (np.diff(found) > 0).all()
        assert 0 <= found[0] < found[-1] <= 1
        wanted = 1 / (1 + np.exp(-(slope * np.log(raw[1:-1] / (1 - raw[1:-1])) + shift)))
        np.testing.assert_allclose(found[1:-1], wanted)


@pytest.mark.parametrize(
    "calibration", [{"picture": [0, 0]}, {"picture": [-1, 0]}, {"slice": [1, 0]}, {"volume": [1]}, {"volume": [1, "0"]}]
)
def test_refuses_an_impossible_calibration(untrained: Path, calibration: dict[str, object]) -> None:
    write_config(untrained, calibration=calibration)
    with pytest.raises(ModelMissing, match="no readable model"):
        read_info(untrained)


def test_a_device_that_is_not_here_is_an_error_with_the_fix() -> None:
    here = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    for name in [name for name, present in here.items() if not present]:
        with pytest.raises(ModelMissing, match="--device cpu"):
            choose_device(name)
    with pytest.raises(WrongUsage):
        choose_device("gpu")
    assert choose_device("auto").type in ("cpu", "cuda", "mps")
