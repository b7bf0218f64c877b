"""Export as training set in the window: the question, the work, and that the trainer reads what was on the screen."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np
import pytest
from clipping import clipped
from fakes import add_segment, small_ct
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "training"))

import own_cases as own

from medviewer.core.segmentation import Segment
from medviewer.core.volume import Fact
from medviewer.gui.dialogs.training_set_dialog import TrainingSetDialog


@pytest.fixture
def make_dialog(qtbot, tmp_path: Path):
    """A function that opens the dialog over a window."""

    def make(window) -> TrainingSetDialog:
        dialog = TrainingSetDialog(window.scene, window.jobs, window.settings, tmp_path, window)
        qtbot.addWidget(dialog)
        dialog.show()
        return dialog

    return make


def export(dialog, qtbot) -> None:
    with qtbot.waitSignal(dialog.finished_run, timeout=20000):
        dialog.start.click()


@pytest.mark.parametrize("orientation", ["LPS", "RAS", "coronal", "sagittal", "oblique"])
def test_what_was_found_and_accepted_is_what_the_trainer_reads(
    window, panel, make_dialog, qtbot, tmp_path: Path, orientation: str
) -> None:
    from training.data.cases import load_sample
    from training.data.folders import read_cases

    affine = own.affine_of(orientation)
    path = own.save_nifti(tmp_path / "ct" / "scan.nii.gz", own.coded(affine), affine)
    with qtbot.waitSignal(window.documents.opened, timeout=20000):
        window.open_paths([path])
    qtbot.keyClicks(panel.prompt, "spleen")
    qtbot.keyClick(panel.prompt, Qt.Key.Key_Return)
    scan = window.scene.active
    qtbot.waitUntil(lambda: scan.preview is not None and scan.preview_painted)
    qtbot.keyClick(panel.prompt, Qt.Key.Key_Return, Qt.KeyboardModifier.ControlModifier)
    qtbot.waitUntil(lambda: len(scan.segments) == 1)
    window.scene.add_segment(Segment("Blob", own.blob(scan.volume.affine)))
    dialog = make_dialog(window)
    dialog.target.setText(str(tmp_path / "set"))
    export(dialog, qtbot)
    (found,) = read_cases(tmp_path / "set")
    sample = load_sample(found)
    assert set(found.names) == {segment.name for segment in scan.segments}
    for segment in scan.segments:
        mask = sample.tables[segment.name][sample.label]
        # the value of a voxel tells its place: the same places are marked in the set as on the screen
        assert mask.sum() == segment.mask.sum() > 0
        assert marked(sample.image, mask) == marked(shown(scan.volume), segment.mask)


def shown(volume) -> np.ndarray:
    """As the trainer stores it, still (i, j, k)."""
    from medviewer.models.preprocessing import robust_range

    values = np.asarray(volume.array)
    if volume.units == "HU":
        return values
    low, high = robust_range(values)
    unit = (np.asarray(values, np.float32) - np.float32(low)) / np.float32(high - low)
    return np.rint(unit.clip(0.0, 1.0) * 255).astype(np.uint8)


def marked(image: np.ndarray, mask: np.ndarray) -> list[int]:
    return sorted(image[mask].tolist())


def test_all_open_scans_or_the_one_on_display(ct_window, make_dialog, qtbot, tmp_path: Path) -> None:
    add_segment(ct_window, "Kidney")
    other = small_ct((20, 20, 10))
    ct_window.scene.add_volume(other)
    ct_window.scene.add_segment(Segment("Kidney", np.asarray(other.array) > 60))
    ct_window.scene.add_segment(Segment("Node", np.asarray(other.array) > 1000))
    dialog = make_dialog(ct_window)
    assert dialog.all_scans.isChecked()
    assert "2 scans, 3 segments" in dialog.all_scans.text()
    assert "1 scan, 2 segments" in dialog.this_scan.text()
    assert "A new training set" in dialog.remark.text()
    dialog.this_scan.setChecked(True)
    dialog.target.setText(str(tmp_path / "set"))
    export(dialog, qtbot)
    assert len(dialog.report.added) == 1
    assert dialog.pages.currentIndex() == 2
    assert "1 case added" in dialog.text.toPlainText()
    again = make_dialog(ct_window)
    assert again.target.text() == str(tmp_path / "set"), "the folder is remembered"
    assert "has 1 case: Kidney, Node" in again.remark.text()
    export(again, qtbot)
    assert (len(again.report.added), len(again.report.replaced)) == (1, 1)


def test_a_wrong_folder_cannot_be_started(ct_window, make_dialog, tmp_path: Path) -> None:
    add_segment(ct_window)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "x.txt").write_text("x")
    dialog = make_dialog(ct_window)
    for text, words in ((str(tmp_path / "other"), "holds other files"), ("", "Name a folder")):
        dialog.target.setText(text)
        assert not dialog.start.isEnabled()
        assert words in dialog.remark.text()
    dialog.target.setText(str(tmp_path / "new"))
    assert dialog.start.isEnabled()


def test_nothing_but_the_models_masks_is_told(ct_window, make_dialog, qtbot, tmp_path: Path) -> None:
    add_segment(ct_window)
    dialog = make_dialog(ct_window)
    dialog.target.setText(str(tmp_path / "set"))
    dialog.only_corrected.setChecked(True)
    export(dialog, qtbot)
    assert "nothing to export" in dialog.remark.text()
    assert dialog.pages.currentIndex() == 0
    assert dialog.start.isEnabled()
    assert not (tmp_path / "set").exists()


def test_burned_in_text_is_told_before(window, make_dialog) -> None:
    volume = small_ct()
    flagged = volume.with_changes(facts=dict(volume.facts) | {"burned_in_annotation": Fact("YES")})
    window.scene.add_volume(flagged)
    add_segment(window)
    dialog = make_dialog(window)
    assert dialog.burned_in.isVisible()
    assert "1 scan says" in dialog.burned_in.text()


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_no_text_is_cut(window, make_dialog, qtbot, tmp_path: Path, theme: str) -> None:
    window.set_theme(theme)
    volume = small_ct()
    window.scene.add_volume(volume.with_changes(facts=dict(volume.facts) | {"burned_in_annotation": Fact("YES")}))
    add_segment(window, "Inferior vena cava, the longest name in the list")
    dialog = make_dialog(window)
    assert clipped(dialog) == []
    dialog.target.setText(str(tmp_path / "set"))
    export(dialog, qtbot)
    assert clipped(dialog) == []


def test_closing_cancels_and_keeps_whole_cases(ct_window, make_dialog, qtbot, tmp_path: Path, monkeypatch) -> None:
    from medviewer.services import training_set
    from training.data.folders import read_cases

    for number in range(3):
        volume = small_ct((24, 20, 10 + number))
        ct_window.scene.add_volume(volume)
        ct_window.scene.add_segment(Segment("Kidney", np.asarray(volume.array) > 60))
    dialog = make_dialog(ct_window)
    dialog.target.setText(str(tmp_path / "set"))
    real, waited = training_set.write_item, []

    def slow(*arguments):
        if waited:
            while True:
                arguments[-1].report(0.1, "waiting")
                time.sleep(0.005)
        waited.append(1)
        return real(*arguments)

    monkeypatch.setattr(training_set, "write_item", slow)
    with qtbot.waitSignal(dialog.finished_run, timeout=20000):
        dialog.start.click()
        qtbot.waitUntil(lambda: "waiting" in dialog.doing.text())
        dialog.reject()
    assert dialog.isVisible()
    assert "This set has 1 case: Kidney" in dialog.remark.text()
    assert len(read_cases(tmp_path / "set")) == 1


def test_the_action_waits_for_a_segment_and_opens_the_dialog(ct_window, monkeypatch) -> None:
    opened: list[TrainingSetDialog] = []
    monkeypatch.setattr(TrainingSetDialog, "exec", lambda self: opened.append(self))
    action = ct_window.actions_["export_training_set"]
    assert not action.isEnabled()
    add_segment(ct_window)
    assert action.isEnabled()
    assert action in ct_window.segment_menu.make().actions()
    assert action in ct_window.toolbar.open.menu().actions()
    action.trigger()
    QApplication.processEvents()
    assert opened
