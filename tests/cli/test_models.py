"""`medviewer models`: listing, and clearing what the model keeps on the disk."""

from __future__ import annotations

from typing import Any

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


def test_models_are_listed(run: Any) -> None:
    assert run("models", "list", "--json").document["models"][0]["id"] == "default"
    assert "default" in run("models", "list").out
