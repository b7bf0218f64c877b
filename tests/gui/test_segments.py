"""The segment list, its figures, undo over scans, and export."""

from __future__ import annotations

import pytest
from fakes import add_segment, grey_image, small_ct
from PySide6.QtCore import Qt
from PySide6.QtGui import QColor
from PySide6.QtWidgets import QApplication, QColorDialog, QMenu, QSlider

from medviewer.core.prediction import Answer, Prediction
from medviewer.core.segmentation import Segment


def test_segments_can_be_renamed_hidden_coloured_deleted(qtbot, ct_window, monkeypatch) -> None:
    segment = add_segment(ct_window)
    scene, view = ct_window.scene, ct_window.segments.view
    view.setFocus()
    assert scene.selected_id == segment.id
    qtbot.keyClick(view, Qt.Key.Key_Space)
    assert not scene.active.get(segment.id).visible
    qtbot.keyClick(view, Qt.Key.Key_F2)
    editor = QApplication.focusWidget()
    editor.selectAll()  # type: ignore[union-attr]
    qtbot.keyClicks(editor, "Left kidney")
    qtbot.keyClick(editor, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: scene.active.get(segment.id).name == "Left kidney")
    monkeypatch.setattr(QColorDialog, "getColor", lambda *a, **k: QColor(1, 2, 3))
    view.setFocus()
    qtbot.keyClick(view, Qt.Key.Key_C)
    assert scene.active.get(segment.id).color == (1, 2, 3)
    qtbot.keyClick(view, Qt.Key.Key_Delete)
    assert scene.active.segments == []
    for expected in (1, 1, 1, 0):
        scene.undo()
        assert len(scene.active.segments) == expected
    for _ in range(4):
        scene.redo()
    assert scene.active.segments == []


def test_the_eye_hides_and_the_menu_fades(qtbot, ct_window) -> None:
    from medviewer.gui.panels.segments.ui import eye_rect

    segment = add_segment(ct_window)
    view = ct_window.segments.view
    row = view.visualRect(view.model().index(0))
    qtbot.mouseClick(view.viewport(), Qt.MouseButton.LeftButton, pos=eye_rect(row).center())
    assert not ct_window.scene.active.get(segment.id).visible
    menu: QMenu = ct_window.segment_menu.make()
    menu.findChild(QSlider).setValue(40)
    assert ct_window.scene.active.get(segment.id).opacity == pytest.approx(0.4)
    menu.deleteLater()


def test_jump_goes_into_the_segment(qtbot, ct_window) -> None:
    segment = add_segment(ct_window)
    ct_window.segments.view.setFocus()
    qtbot.keyClick(ct_window.segments.view, Qt.Key.Key_Return)
    volume = ct_window.scene.active.volume
    index = tuple(round(c / s) for c, s in zip(ct_window.scene.active.cursor, volume.spacing_mm, strict=True))
    assert segment.mask[index]


def test_facts_of_the_selected_segment(qtbot, ct_window) -> None:
    add_segment(ct_window)
    qtbot.waitUntil(lambda: "Median (5–95 %)" in ct_window.figures.rows(), timeout=10000)
    rows = ct_window.figures.rows()
    voxels = int((small_ct().array > 60).sum())
    assert rows["Volume"] == f"{voxels * 0.045:.1f} ml"
    assert "1288 HU" in rows["Look at"]
    assert rows["Origin"] == "file, not edited"


def test_a_cut_segment_shows_no_volume(qtbot, ct_window) -> None:
    segment = Segment("Liver", small_ct().array > 40, cut_edges=("upper",))
    ct_window.scene.add_segment(segment)
    qtbot.waitUntil(lambda: "Incomplete" in ct_window.figures.rows(), timeout=10000)
    assert "Volume" not in ct_window.figures.rows()
    assert ct_window.figures.rows()["Incomplete"] == "cut at the upper edge"


def test_no_picture_is_accepted_before_it_is_painted(ct_window) -> None:
    mask = small_ct().array > 60
    ct_window.scene.set_preview(Prediction("x", Answer.FOUND, mask, title="X"))
    assert ct_window.scene.accept_preview() is None


def test_export_refuses_what_the_scan_does_not_allow(ct_window, qtbot, tmp_path) -> None:
    from medviewer.gui.dialogs.export_dialog import FORMATS, refusal
    from medviewer.services import open_data

    image = open_data.open_volume(grey_image(tmp_path / "x.png"))
    allowed = [f.key for f in FORMATS if not refusal(f, image, 1)]
    assert allowed == ["png", "view"]
    volume = ct_window.scene.active.volume
    assert [f.key for f in FORMATS if refusal(f, volume, 1)] == ["png"]
    assert [f.key for f in FORMATS if not refusal(f, volume, 0)] == ["view"]


def test_an_export_that_fails_says_so_and_loses_nothing(qtbot, ct_window, tmp_path) -> None:
    from medviewer.gui.dialogs.export_dialog import FORMATS, ExportChoice

    segment = add_segment(ct_window)
    choice = ExportChoice(tmp_path / "no such folder" / "deeper" / "x.nii.gz", FORMATS[0], (segment,))
    (tmp_path / "no such folder").write_text("a file where a folder should be")
    with qtbot.waitSignal(ct_window.exports.finished, timeout=20000):
        ct_window.exports.run(ct_window.scene.active, choice)
    assert ct_window.toasts.shown[0].kind == "error"
    assert ct_window.toasts.shown[0].hint
    assert len(ct_window.scene.active.segments) == 1
    assert ct_window.scene.undo_stack.unsaved


def test_the_picture_of_the_views_is_saved(qtbot, ct_window, tmp_path) -> None:
    from PIL import Image

    from medviewer.gui.dialogs.export_dialog import FORMATS, ExportChoice

    with qtbot.waitSignal(ct_window.exports.saved, timeout=20000):
        ct_window.exports.run(ct_window.scene.active, ExportChoice(tmp_path / "view.png", FORMATS[-1], ()))
    with Image.open(tmp_path / "view.png") as picture:
        assert picture.width == round(ct_window.views.width() * ct_window.devicePixelRatioF())
        assert max(high for _, high in picture.getextrema()) > 150


def test_another_scan_has_its_own_segments(qtbot, ct_window) -> None:
    add_segment(ct_window)
    first = ct_window.scene.active
    ct_window.scene.add_volume(small_ct())
    assert ct_window.segments.model.rowCount() == 0
    ct_window.scans.view.setCurrentIndex(ct_window.scans.model.index(0))
    assert ct_window.scene.active is first
    assert ct_window.segments.model.rowCount() == 1


def test_undo_shows_the_scan_that_it_changes(qtbot, ct_window) -> None:
    first = ct_window.scene.active
    add_segment(ct_window)
    ct_window.scene.add_volume(small_ct())
    ct_window.actions_["undo"].trigger()
    assert ct_window.scene.active is first
    assert first.segments == []


def test_the_title_marks_unsaved_segments(qtbot, ct_window) -> None:
    assert not ct_window.isWindowModified()
    add_segment(ct_window)
    assert ct_window.isWindowModified()
    ct_window.scene.undo_stack.mark_saved()
    assert not ct_window.isWindowModified()
