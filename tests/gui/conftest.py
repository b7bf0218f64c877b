"""Windows for tests: own settings, a stand-in for the model, everything closed afterwards."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

if sys.platform.startswith("linux"):
    os.environ.setdefault("QT_QPA_PLATFORM", "xcb")

sys.path.insert(0, str(Path(__file__).parent))

from fakes import FakeHost, FakeLogic, small_ct
from report_panel_kit import ReportHost, ReportLogic, WholeModel, abdomen, draft

from medviewer.gui.app import keep_triton_out

keep_triton_out()

MODULE_IS_GUI = pytest.mark.gui


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in this folder needs a display."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(MODULE_IS_GUI)


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Settings, logs and caches in a folder of the test's own."""
    from medviewer.services.settings import Settings

    monkeypatch.setenv("MEDVIEWER_HOME", str(tmp_path / "home"))
    return Settings()


@pytest.fixture
def fake() -> FakeLogic:
    return FakeLogic()


@pytest.fixture
def make_window(qtbot, settings) -> Iterator[Callable]:
    """A function that opens a shown window; all are closed afterwards, without questions."""
    from medviewer.core.scene import Scene
    from medviewer.gui.main_window import MainWindow

    windows: list[MainWindow] = []

    def make(host=None, size: tuple[int, int] = (1280, 800)) -> MainWindow:
        window = MainWindow(Scene(), settings, host)
        windows.append(window)
        window.resize(*size)
        window.show()
        qtbot.waitExposed(window)
        window.activateWindow()
        return window

    yield make
    for window in windows:
        window.scene.undo_stack.mark_saved()
        window.scene.saving.emit()
        for scan in window.scene.scans:
            scan.saved_notes = dict(scan.notes)
        window.close()
        window.deleteLater()
    qtbot.wait(1)


@pytest.fixture
def window(make_window, fake):
    """An empty window over the stand-in."""
    return make_window(FakeHost(fake))


@pytest.fixture
def panel(window):
    """Its Find panel."""
    return window.plugins.panels["text_segmentation"]


@pytest.fixture
def ct_window(window, qtbot):
    """A window with a small CT on display."""
    window.scene.add_volume(small_ct())
    qtbot.waitUntil(lambda: window.views.isVisible())
    return window


@pytest.fixture
def real_ct(shared_data: Path) -> Path:
    return shared_data / "ct3d" / "totalsegmentator" / "example_ct.nii.gz"


@pytest.fixture
def whole_model() -> WholeModel:
    """A stand-in that answers every prompt."""
    return WholeModel()


@pytest.fixture
def report_logic(whole_model) -> ReportLogic:
    return ReportLogic(whole_model)


@pytest.fixture
def report_window(make_window, whole_model, report_logic, qtbot):
    window = make_window(ReportHost(whole_model, report_logic))
    window.scene.add_volume(abdomen())
    qtbot.waitUntil(lambda: window.views.isVisible())
    window.plugins.tabs.setCurrentWidget(window.plugins.panels["report_generation"])
    return window


@pytest.fixture
def report_panel(report_window):
    return report_window.plugins.panels["report_generation"]


@pytest.fixture
def drafted(report_panel, qtbot):
    """The Report tab with a draft of the small CT."""
    draft(qtbot, report_panel)
    return report_panel
