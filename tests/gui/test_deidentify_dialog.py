"""De-identify in the window: the question, the work, the report."""

from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtWidgets import QApplication

from medviewer.gui.dialogs.deidentify_dialog import DeidentifyDialog
from tests.safety.planted import PlantedSeries, scan_tree


@pytest.fixture
def series(tmp_path: Path) -> Path:
    PlantedSeries(slices=3).write(tmp_path / "in")
    return tmp_path / "in"


@pytest.fixture
def dialog(window, qtbot, series: Path):
    """The dialog over a window that shows the planted series."""
    window.open_paths([series])
    qtbot.waitUntil(lambda: window.scene.active is not None)
    shown = DeidentifyDialog(window.scene.active.volume, series.parent, window.jobs, window)
    qtbot.addWidget(shown)
    shown.show()
    return shown


def test_the_scan_on_display_is_copied_without_identities(dialog, qtbot, series: Path) -> None:
    assert dialog.this_scan.isChecked()
    assert "3 files" in dialog.this_scan.text()
    out = series.parent / "copies"
    dialog.target.setText(str(out))
    with qtbot.waitSignal(dialog.finished_run):
        dialog.start.click()
    assert dialog.report.files == 3
    assert scan_tree(out).places == {}
    assert "NOT cleaned" in dialog.text.toPlainText()
    assert dialog.pages.currentIndex() == 2


def test_a_typed_folder_is_what_is_copied(dialog, qtbot, series: Path) -> None:
    qtbot.keyClicks(dialog.source, str(series))
    assert dialog.a_folder.isChecked()
    assert list(dialog.sources()) == [series]


def test_a_target_inside_the_originals_cannot_be_started(dialog, series: Path) -> None:
    dialog.target.setText(str(series / "out"))
    assert not dialog.start.isEnabled()
    assert "inside each other" in dialog.remark.text()
    dialog.target.setText("")
    assert not dialog.start.isEnabled()


def test_cancel_stops_the_work_and_leaves_nothing(dialog, qtbot, series: Path) -> None:
    PlantedSeries(slices=150).write(series.parent / "many")
    dialog.a_folder.setChecked(True)
    dialog.source.setText(str(series.parent / "many"))
    out = series.parent / "copies"
    dialog.target.setText(str(out))
    with qtbot.waitSignal(dialog.finished_run):
        dialog.start.click()
        qtbot.waitUntil(lambda: "of 150" in dialog.doing.text())
        dialog.reject()
    assert dialog.isVisible()
    assert dialog.report is None
    qtbot.waitUntil(lambda: {p.name for p in series.parent.iterdir()} == {"home", "in", "many"})
    assert dialog.start.isEnabled()


def test_the_action_opens_the_dialog(window, qtbot, monkeypatch) -> None:
    opened: list[DeidentifyDialog] = []
    monkeypatch.setattr(DeidentifyDialog, "exec", lambda self: opened.append(self))
    window.actions_["deidentify"].trigger()
    QApplication.processEvents()
    assert opened
    assert not opened[0].this_scan.isEnabled(), "nothing is open"
    assert opened[0].a_folder.isChecked()
