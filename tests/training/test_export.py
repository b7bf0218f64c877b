"""A bundle is replaced as a whole: a failed export leaves the old one, a good one is read back equal and loads."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from medviewer.models.bundle import CONFIG, WEIGHTS
from medviewer.models.text_sam import NetworkConfig, TextSam
from training import export


def write(out: Path, network: TextSam) -> None:
    options = argparse.Namespace(data=Path("none"), version="2")
    export.write_bundle(out, network, [], {"threshold": 0.3, "slice_threshold": 0.2}, {}, options)


def test_a_bundle_is_whole_or_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "list_sources", lambda data: ["none"])
    monkeypatch.setattr(export, "describe_terms", lambda *a: {"liver": {}})
    network = TextSam(NetworkConfig())
    out = tmp_path / "models" / "default"
    write(out, network)
    assert sorted(path.name for path in out.iterdir()) == sorted([CONFIG, WEIGHTS, "card.md"])
    read = load_file(out / WEIGHTS)
    assert all(torch.equal(read[k], v.half() if v.is_floating_point() else v) for k, v in network.state_dict().items())
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    monkeypatch.setattr(export, "card", lambda *a: (_ for _ in ()).throw(RuntimeError("a defect")))
    with pytest.raises(RuntimeError):
        write(out, network)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    assert [path.name for path in out.parent.iterdir()] == ["default"]
