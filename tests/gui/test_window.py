"""The window: start, keys, closing, defects, what is kept alive."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import weakref
from pathlib import Path

import pytest
from fakes import add_segment
from PySide6.QtCore import Qt, QTimer
from PySide6.QtWidgets import QApplication, QMessageBox, QPushButton, QToolButton

from medviewer.gui.widgets.toast import Toast


def toasts(window) -> list[str]:
    return [toast.text for toast in window.toasts.shown]


def test_the_empty_window_says_what_to_do(window) -> None:
    texts = [b.text() for b in window.empty.findChildren(QPushButton)]
    assert texts[:3] == ["Open file…", "Open folder…", "Try the sample"]
    assert not window.actions_["export"].isEnabled()
    shown = [n for n in (window.toolbar.notice, window.toolbar.notice_below) if n.isVisible()]
    assert ["Not for diagnosis" in n.text().replace("\n", " ") for n in shown] == [True]


def test_closing_asks_about_unsaved_segments(qtbot, ct_window, monkeypatch) -> None:
    add_segment(ct_window)
    asked: list[bool] = []
    monkeypatch.setattr(ct_window.commands, "may_lose", lambda scans: asked.append(True) or False)
    assert not ct_window.close()
    assert asked == [True]
    assert ct_window.isVisible()


def test_a_closed_scan_frees_its_voxels(qtbot, ct_window) -> None:
    add_segment(ct_window)
    qtbot.waitUntil(lambda: "Volume" in ct_window.figures.rows(), timeout=10000)
    volume = weakref.ref(ct_window.scene.active.volume)
    mask = weakref.ref(ct_window.scene.active.segments[0].mask)
    ct_window.documents.close(ct_window.scene.active)

    def gone() -> bool:
        gc.collect()
        return volume() is None and mask() is None

    qtbot.waitUntil(gone, timeout=10000)


def test_the_theme_switches_and_is_remembered(qtbot, window, settings) -> None:
    assert window.tokens.name == "dark"
    qtbot.keyClick(window, Qt.Key.Key_T, Qt.KeyboardModifier.ControlModifier)
    assert window.tokens.name == "light"
    assert settings.get("theme", "") == "light"


def test_f1_lists_every_key() -> None:
    from medviewer.gui.actions.table import ACTIONS
    from medviewer.gui.dialogs.keys_dialog import key_rows

    shown = [text for rows in key_rows().values() for _, text in rows]
    for info in ACTIONS:
        if info.keys:
            assert info.text.removesuffix("…") in shown


def test_no_two_actions_of_a_place_share_a_key() -> None:
    from medviewer.gui.actions.table import ACTIONS

    for where in ("window", "view", "segments", "find"):
        keys = [key for info in ACTIONS if info.where == where for key in info.keys]
        assert len(keys) == len(set(keys)), where


def test_tools_are_words_with_tooltips(window) -> None:
    for button in window.toolbar.buttons:
        assert button.text()
        assert button.toolTip()
        assert button.toolButtonStyle() != Qt.ToolButtonStyle.ToolButtonIconOnly


def test_everything_is_reached_by_tab(qtbot, ct_window) -> None:
    add_segment(ct_window)
    seen = set()
    widget = ct_window.plugins.panels["text_segmentation"].prompt
    widget.setFocus()
    for _ in range(120):
        seen.add(QApplication.focusWidget())
        qtbot.keyClick(QApplication.focusWidget(), Qt.Key.Key_Tab)
    wanted = [b for b in ct_window.toolbar.findChildren(QToolButton) if b.isEnabled()]
    wanted += [ct_window.scans.view, ct_window.segments.view]
    missing = [getattr(w, "text", w.objectName)() for w in wanted if w not in seen]
    assert not missing


def test_a_defect_is_one_dialog_with_the_logs_path(qtbot, window) -> None:
    from medviewer.gui.errors import ErrorReporter

    old = sys.excepthook
    reporter = ErrorReporter(window, window.notify)
    reporter.install()
    try:
        error = RuntimeError("secret name DOE^JANE")
        sys.excepthook(RuntimeError, error, None)
        qtbot.waitUntil(lambda: reporter.dialog is not None)
        text = reporter.dialog.text() + reporter.dialog.informativeText()
        assert "medviewer.log" in text
        assert "DOE" not in text
        assert "Traceback" not in text
        reporter.dialog.done(0)
        qtbot.waitUntil(lambda: reporter.dialog is None)
    finally:
        sys.excepthook = old


@pytest.mark.parametrize("keep", [True, False])
def test_the_question_before_closing_can_be_answered_both_ways(qtbot, ct_window, keep: bool) -> None:
    add_segment(ct_window)

    def answer() -> None:
        box = QApplication.activeModalWidget()
        assert isinstance(box, QMessageBox)
        words = "Keep open" if keep else "Close without saving"
        next(b for b in box.buttons() if b.text() == words).click()

    QTimer.singleShot(0, answer)
    ct_window.commands.close_scan()
    assert (ct_window.scene.active is not None) is keep


def test_starting_loads_neither_torch_nor_vtk(tmp_path: Path, repository: Path) -> None:
    code = (
        "import sys\n"
        "from medviewer.gui import app\n"
        "from medviewer.services.settings import Settings\n"
        "application = app.make_application()\n"
        "window = app.make_window(Settings())\n"
        "window.show()\n"
        "application.processEvents()\n"
        "print(sorted({'torch', 'vtkmodules', 'vtk', 'highdicom', 'SimpleITK'} & set(sys.modules)))\n"
        "window.close()\n"
    )
    environment = os.environ | {"MEDVIEWER_HOME": str(tmp_path), "PYTHONPATH": str(repository)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "[]"


def test_an_error_for_the_user_is_a_message(qtbot, window) -> None:
    from medviewer.core.errors import InputRefused
    from medviewer.gui.errors import ErrorReporter

    old = sys.excepthook
    reporter = ErrorReporter(window, window.notify)
    reporter.install()
    try:
        error = InputRefused("It cannot be read.", "Copy it again.")
        sys.excepthook(InputRefused, error, None)
        qtbot.waitUntil(lambda: toasts(window) == ["It cannot be read."])
        assert reporter.dialog is None
    finally:
        sys.excepthook = old


def test_a_message_too_many_replaces_the_oldest(window) -> None:
    for number in range(5):
        window.notify(f"error {number}", "error")
    shown = [toast.text for toast in window.findChildren(Toast) if toast.isVisible()]
    assert sorted(shown) == ["error 2", "error 3", "error 4"]
