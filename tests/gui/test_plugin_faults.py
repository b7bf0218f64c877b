"""Panels of plugins that fail: a tab that names the plugin and says why, and a window that works on."""

from __future__ import annotations

from pathlib import Path

import pytest
from fakes import small_ct
from PySide6.QtWidgets import QLabel

from medviewer.core.prediction import PointPrompt
from medviewer.plugin_host import PluginHost, trial
from medviewer.plugin_host.loading import unload
from medviewer.services.folders import user_folder

MANIFEST = (
    '[plugin]\nid = "{id}"\nname = "{id}"\nversion = "1"\napi = 1\nkind = "text-segmentation"\n'
    'logic = "logic:Probe"\npanel = "panel:Panel"\ntab = "{id}"\n'
)
LOGIC = "class Probe:\n    def run(self, volume, request, progress):\n        return None\n"
HEAD = "import sys\nfrom PySide6.QtWidgets import QWidget, QPushButton, QVBoxLayout\nclass Panel(QWidget):\n"
INIT = "    def __init__(self, context):\n        super().__init__()\n"
PANELS = {
    "good": HEAD + "    pass\n",
    "raises": HEAD + "    def __init__(self, context):\n        raise ValueError('no panel today')\n",
    "exits": HEAD + "    def __init__(self, context):\n        sys.exit(2)\n",
    "no_widget": "class Panel:\n    def __init__(self, context):\n        pass\n",
    "no_import": "import nothing_of_this_name\n",
    "hangs": "while True:\n    pass\n",
    "in_click": HEAD + "    def clicked(self, point):\n        raise KeyError('clicked')\n",
    "exits_in_click": HEAD + "    def clicked(self, point):\n        sys.exit(3)\n",
}
SAID = {
    "raises": "ValueError: no panel today", "exits": "SystemExit", "no_widget": "no QWidget",
    "no_import": "nothing_of_this_name", "hangs": "did not finish loading",
}  # fmt: skip


def make(folder: Path, names: list[str]) -> PluginHost:
    for name in names:
        (folder / name).mkdir(parents=True)
        (folder / name / "plugin.toml").write_text(MANIFEST.format(id=name))
        (folder / name / "logic.py").write_text(LOGIC)
        code = PANELS[name]
        if "def __init__" not in code:
            code = code.replace("(QWidget):\n", "(QWidget):\n" + INIT)
        (folder / name / "panel.py").write_text(code)
    return PluginHost([], [folder])


@pytest.fixture(autouse=True)
def _short(monkeypatch, settings):
    monkeypatch.setattr(trial, "IMPORT_SECONDS", 4.0)
    yield
    for name in PANELS:
        unload(name)


def text_of(window, name: str) -> str:
    """Every word on the tab of that name."""
    tabs = window.plugins.tabs
    page = next(tabs.widget(n) for n in range(tabs.count()) if tabs.tabText(n).removesuffix(" (off)") == name)
    return " ".join(label.text() for label in page.findChildren(QLabel))


def _name(tabs, index: int) -> str:
    return tabs.tabText(index).removesuffix(" (off)")


def loaded(window) -> bool:
    tabs = window.plugins.tabs
    return tabs.count() > 0 and not any("checked" in text_of(window, _name(tabs, n)) for n in range(tabs.count()))


def test_a_failing_panel_says_why_and_the_rest_works(make_window, qtbot, tmp_path) -> None:
    names = ["good", *SAID]
    window = make_window(make(tmp_path / "mine", names))
    assert "being checked" in text_of(window, "good")  # the window is there before the trials are made
    qtbot.waitUntil(lambda: loaded(window), timeout=90_000)
    tabs = window.plugins.tabs
    shown = [tabs.tabText(n) for n in range(tabs.count())]
    assert shown[0] == "good"  # what is off stands behind
    assert sorted(shown[1:]) == sorted(f"{name} (off)" for name in SAID)
    for name, said in SAID.items():
        assert said in text_of(window, name), name
    assert list(window.plugins.panels) == ["good"]
    window.scene.add_volume(small_ct())
    qtbot.waitUntil(window.views.isVisible)
    window.close()


@pytest.mark.parametrize("name", ["in_click", "exits_in_click"])
def test_a_panel_that_fails_in_a_callback_is_switched_off(make_window, qtbot, tmp_path, name: str) -> None:
    window = make_window(make(tmp_path / "mine", ["good", name]))
    qtbot.waitUntil(lambda: loaded(window), timeout=60_000)
    window.views.clicked.emit(PointPrompt((0.0, 0.0, 0.0), True))
    assert "switched off because it failed" in text_of(window, name)
    assert "good" in window.plugins.panels
    assert name not in window.plugins.panels
    window.views.clicked.emit(PointPrompt((0.0, 0.0, 0.0), True))  # nobody is asked any more


def test_the_mark_of_a_start_goes_when_the_panel_lives(make_window, qtbot, tmp_path) -> None:
    marks = user_folder("cache") / "plugins-starting"
    window = make_window(make(tmp_path / "mine", ["good"]))
    qtbot.waitUntil(lambda: loaded(window) and "good" in window.plugins.panels, timeout=60_000)
    assert list(marks.glob("*.json"))
    qtbot.waitUntil(lambda: not list(marks.glob("*.json")), timeout=5000)
