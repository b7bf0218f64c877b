"""`medviewer models`: listing, and clearing what the model keeps on the disk."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from medviewer.services import model_store
from medviewer.services.embedding_cache import cache_folder, embedding_store


def test_clear_cache_frees_and_says_how_much(run: Any) -> None:
    folder = cache_folder()
    folder.mkdir(parents=True)
    for name in ("a" * 64, "b" * 64):
        (folder / f"{name}.emb").write_bytes(bytes(1_500_000))
    done = run("models", "--clear-cache")
    assert (done.status, done.out) == (0, "3.0 MB of the model cache were freed.\n")
    assert not list(folder.iterdir())
    again = run("models", "--clear-cache", "--json")
    assert again.document == {"freed_bytes": 0, "left_bytes": 0, "folder": str(folder)}


def test_it_stands_alone(run: Any) -> None:
    done = run("models", "--clear-cache", "list")
    assert (done.status, "stand alone" in done.err) == (2, True)
    assert run("models", "--json").document["error"]["code"] == "wrong-usage"


def test_the_quota_is_set_and_zero_switches_it_off(run: Any) -> None:
    folder = cache_folder()
    folder.mkdir(parents=True)
    for name in ("a" * 64, "b" * 64):
        (folder / f"{name}.emb").write_bytes(bytes(1_500_000))
    assert "may keep 0.002 GB" in run("models", "--cache-gb", "0.002").out
    assert len(list(folder.iterdir())) == 1
    assert embedding_store().quota == 2_000_000
    done = run("models", "--cache-gb", 0, "--json")
    assert (done.document["freed_bytes"], done.document["left_bytes"]) == (1_500_000, 0)
    assert embedding_store().quota == 0
    assert run("models", "--cache-gb", "-1").status == 2


@pytest.fixture
def two_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A catalogue of two shipped models, of which the weights of the second one are damaged."""
    lines = ['default = "default"']
    for name, licence, commercial in (("default", "research weights", "false"), ("default-open", "free", "true")):
        folder = tmp_path / "resources" / "models" / name
        folder.mkdir(parents=True)
        digest = hashlib.sha256(bytes(2_000_000)).hexdigest()
        (folder / "model.safetensors").write_bytes(bytes(2_000_000))
        (folder / "config.json").write_text(json.dumps({"weights_sha256": digest}))
        (folder / "card.md").write_text(f"# Card of {name}\n\nmore\n")
        lines += [
            f'[models."{name}"]', f'name = "{name}"', 'version = "2"', f'licence = "{licence}"', "size_bytes = 2000000",
            f"commercial_use = {commercial}", f'weights_sha256 = "{digest}"', 'intended_use = "Draft masks."',
        ]  # fmt: skip
    (folder / "model.safetensors").write_bytes(b"x" + bytes(1_999_999))
    (tmp_path / "resources" / "models.toml").write_text("\n".join(lines))
    monkeypatch.setattr(model_store, "shipped_folder", lambda name: tmp_path / name)
    return tmp_path


def test_models_are_listed(run: Any, two_models: Path) -> None:
    first, second = run("models", "list", "--json").document["models"]
    assert (first["id"], first["version"], first["licence"], first["commercial_use"]) == (
        "default", "2", "research weights", False,
    )  # fmt: skip
    assert (first["size_bytes"], first["weights"], first["intended_use"]) == (2_000_000, "ok", "Draft masks.")
    assert (second["id"], second["commercial_use"], second["weights"]) == ("default-open", True, "differs")
    assert (first["default"], second["default"], second["installed"]) == (True, False, True)


def test_the_table_is_aligned_and_says_what_may_be_done(run: Any, two_models: Path) -> None:
    head, first, second = run("models", "list").out.splitlines()
    for name in ("version", "licence", "commercial use", "size", "sha256", "intended use"):
        assert name in head
    assert first.split()[2:9] == ["2", "research", "weights", "no", "2.0", "MB", "ok"]
    assert [first.index("no "), second.index("yes ")] == [head.index("commercial use")] * 2
    assert "differs" in second


def test_a_card_is_printed(run: Any, two_models: Path) -> None:
    assert run("models", "card").out.startswith("# Card of default\n")
    assert run("models", "card", "default-open", "--json").document["card"].startswith("# Card of default-open")
    missing = run("models", "card", "other", "--json")
    assert (missing.status, missing.error["code"]) == (4, "model-missing")
    assert "default, default-open" in missing.error["hint"]
    (two_models / "resources" / "models" / "default" / "card.md").unlink()
    assert run("models", "card").status == 4


def test_the_shipped_model_is_intact(run: Any) -> None:
    model = run("models", "list", "--json").document["models"][0]
    assert (model["id"], model["weights"], model["commercial_use"]) == ("default", "ok", False)
    assert model["licence"].startswith("non-commercial")
