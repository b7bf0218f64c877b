"""What "Choose…" answers counts as typed, in every dialog that asks for a path."""

from __future__ import annotations

from pathlib import Path

import pytest
from fakes import add_segment
from PySide6.QtWidgets import QFileDialog, QPushButton

from medviewer.gui.dialogs.deidentify_dialog import DeidentifyDialog
from medviewer.gui.dialogs.export_dialog import ExportDialog
from medviewer.gui.dialogs.training_set_dialog import TrainingSetDialog


def choose(dialog, number: int = 0) -> None:
    """Press the dialog's Choose… buttons in their order."""
    [item for item in dialog.findChildren(QPushButton) if item.text() == "Choose…"][number].click()


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the dialogs of the system answer, in this order."""
    given: list[str] = []
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *a, **k: given.pop(0))
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *a, **k: (given.pop(0), ""))
    return given


def test_a_chosen_folder_is_what_is_deidentified(window, qtbot, tmp_path: Path, answers: list[str]) -> None:
    (tmp_path / "in").mkdir()
    dialog = DeidentifyDialog(None, tmp_path, window.jobs, window)
    qtbot.addWidget(dialog)
    assert not dialog.start.isEnabled()
    dialog.a_folder.setAutoExclusive(False)
    dialog.a_folder.setChecked(False)
    answers += ["", str(tmp_path / "in"), str(tmp_path / "out")]
    choose(dialog, 0)
    assert not dialog.a_folder.isChecked(), "nothing was chosen"
    choose(dialog, 0)
    assert dialog.a_folder.isChecked()
    assert list(dialog.sources()) == [tmp_path / "in"]
    choose(dialog, 1)
    assert dialog.target.text() == str(tmp_path / "out")
    assert dialog.start.isEnabled()


def test_a_chosen_folder_is_that_of_the_training_set(ct_window, qtbot, tmp_path: Path, answers: list[str]) -> None:
    add_segment(ct_window)
    dialog = TrainingSetDialog(ct_window.scene, ct_window.jobs, ct_window.settings, tmp_path, ct_window)
    qtbot.addWidget(dialog)
    before = dialog.folder()
    answers += ["", str(tmp_path / "set")]
    choose(dialog)
    assert dialog.folder() == before
    choose(dialog)
    assert dialog.folder() == tmp_path / "set"


def test_a_chosen_file_keeps_its_name_in_another_format(ct_window, qtbot, tmp_path: Path, answers: list[str]) -> None:
    add_segment(ct_window)
    dialog = ExportDialog(ct_window.scene.active, tmp_path, ct_window)
    qtbot.addWidget(dialog)
    answers += [str(tmp_path / "mine.stl")]
    choose(dialog)
    assert dialog.path.text() == str(tmp_path / "mine.nii.gz")
    dialog.choose_format("stl")
    assert dialog.path.text() == str(tmp_path / "mine.stl")
