"""A small untrained bundle, and the shipped one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from medviewer.models.bundle import LAYOUT, sha256_of
from medviewer.models.pipeline import TextSegmenter
from medviewer.models.text_sam import NetworkConfig, TextSam

SMALL = NetworkConfig(size=64)


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def untrained(tmp_path: Path) -> Path:
    """A bundle of random weights that knows liver (CT), kidney (CT) and heart (X-ray)."""
    torch.manual_seed(0)
    folder = tmp_path / "untrained"
    folder.mkdir()
    save_file({k: v.contiguous() for k, v in TextSam(SMALL).state_dict().items()}, folder / "model.safetensors")
    write_config(folder)
    return folder


def write_config(folder: Path, **changes: object) -> None:
    """A valid description of the weights in a folder, with some fields replaced."""
    def term(text: str, modality: str, parts: int) -> dict[str, object]:
        results = {modality: {"dice": 0.9, "n": 24}}
        return {"text": text, "results": results, "parts": parts, "regions": ["abdomen"], "note": ""}

    config = {
        "id": folder.name, "version": "0", "layout": LAYOUT, "weights_sha256": sha256_of(folder / "model.safetensors"),
        "network": SMALL.as_dict(), "threshold": 0.0, "slice_threshold": 0.0, "licence": "none", "sources": ["random"],
        "terms": {"liver": term("liver", "CT", 1), "kidney": term("kidney", "CT", 2), "heart": term("heart", "XR", 1)},
    }
    (folder / "config.json").write_text(json.dumps(config | changes), encoding="utf-8")


@pytest.fixture(scope="session")
def shipped(repository: Path) -> TextSegmenter:
    """The default bundle on the CPU."""
    folder = repository / "resources" / "models" / "default"
    assert (folder / "config.json").is_file(), "the default bundle is part of the repository"
    return TextSegmenter.load(folder, "cpu")
