"""The action that clears what the model keeps on the disk."""

from __future__ import annotations

import pytest

from medviewer.gui.model_cache import size_text
from medviewer.services.embedding_cache import cache_folder


def told(window) -> list[str]:
    return [toast.text for toast in window.toasts.shown]


def test_it_frees_the_disk_and_says_how_much(qtbot, window) -> None:
    folder = cache_folder()
    folder.mkdir(parents=True)
    (folder / ("a" * 64 + ".emb")).write_bytes(bytes(2_400_000))
    window.actions_["clear_model_cache"].trigger()
    qtbot.waitUntil(lambda: any("2 MB freed" in text for text in told(window)), timeout=10000)
    assert not list(folder.iterdir())
    window.actions_["clear_model_cache"].trigger()
    qtbot.waitUntil(lambda: any("cache is empty" in text for text in told(window)), timeout=10000)


def test_it_is_in_the_menu(window) -> None:
    menus = [action.objectName() for action in window.toolbar.open.menu().actions()]
    assert "clear_model_cache" in menus


@pytest.mark.parametrize(("count", "text"), [(1, "1 MB"), (82_575_504, "83 MB"), (1_250_000_000, "1.2 GB")])
def test_sizes_are_readable(count: int, text: str) -> None:
    assert size_text(count) == text
