"""Tools, masks and cine in the views."""

from __future__ import annotations

import pytest

pytest.importorskip("PySide6")

import numpy as np
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication
from views_kit import LEFT, at, axial, cine, ct, cube, drag, found, grid, key, scene, wheel

from medviewer.core.geometry import lps_to_voxel, voxel_to_lps
from medviewer.core.prediction import BoxPrompt, PointPrompt
from medviewer.core.segmentation import Segment

__all__ = ["axial", "grid", "scene"]  # fixtures

# -- tools ---------------------------------------------------------------------


@pytest.mark.parametrize(("tool", "positive"), [("click_plus", True), ("click_minus", False)])
def test_clicks_ask_for_corrections(qtbot, grid, axial, scene, tool, positive):
    grid.tools.choose(tool)
    cursor = scene.active.cursor
    with qtbot.waitSignal(grid.clicked) as told:
        QTest.mouseClick(axial, LEFT, Qt.KeyboardModifier.NoModifier, at(axial, (12, 25, 14)))
    prompt = told.args[0]
    assert isinstance(prompt, PointPrompt)
    assert prompt.positive is positive
    assert tuple(np.round(lps_to_voxel(ct().affine, prompt.position))) == (12, 25, 14)
    assert scene.active.cursor == cursor


def test_a_click_outside_the_scan_is_not_a_prompt(qtbot, grid, axial):
    grid.tools.choose("click_plus")
    axial.view.zoom(0.3)
    with qtbot.assertNotEmitted(grid.clicked):
        QTest.mouseClick(axial, LEFT, Qt.KeyboardModifier.NoModifier, QPoint(4, 4))


def test_dragging_a_box(qtbot, grid, axial):
    grid.tools.choose("box")
    with qtbot.waitSignal(grid.boxDrawn) as told:
        drag(axial, LEFT, at(axial, (8, 9, 14)), at(axial, (30, 28, 14)))
    box = told.args[0]
    assert isinstance(box, BoxPrompt)
    corners = np.round(lps_to_voxel(ct().affine, [box.corner0, box.corner1]))
    assert corners.tolist() == [[8, 9, 14], [30, 28, 14]]


def test_window_tool_works_with_the_left_button(grid, axial, scene):
    grid.tools.choose("window_level")
    cursor = scene.active.cursor
    drag(axial, LEFT, QPoint(100, 100), QPoint(140, 100))
    assert scene.active.window[0] > 400
    assert scene.active.cursor == cursor


def test_unknown_tools_are_refused(grid):
    with pytest.raises(ValueError, match="unknown tool"):
        grid.tools.choose("hammer")


# -- masks ---------------------------------------------------------------------


def test_a_preview_counts_as_painted_only_after_it_was_drawn(qtbot, grid, axial, scene):
    volume = scene.active.volume
    scene.set_cursor(tuple(voxel_to_lps(volume.affine, (24, 20, 12))))
    with qtbot.waitSignal(grid.masksPainted):
        scene.set_preview(found(volume, cube(volume)))
        assert scene.accept_preview() is None  # nothing has been drawn yet
    assert scene.active.preview_painted
    assert scene.accept_preview() is not None


def test_a_hidden_preview_is_not_painted(grid, axial, scene):
    volume = scene.active.volume
    scene.set_cursor(tuple(voxel_to_lps(volume.affine, (24, 20, 12))))
    key(axial, Qt.Key.Key_H)
    scene.set_preview(found(volume, cube(volume)))
    QApplication.processEvents()
    assert not scene.active.preview_painted


def test_the_views_go_to_a_preview_that_is_out_of_sight(qtbot, grid, axial, scene):
    volume = scene.active.volume
    scene.set_cursor(tuple(voxel_to_lps(volume.affine, (2, 2, 2))))
    with qtbot.waitSignal(grid.masksPainted):
        scene.set_preview(found(volume, cube(volume)))
    assert cube(volume)[tuple(np.round(lps_to_voxel(volume.affine, scene.active.cursor)).astype(int))]


def test_h_hides_and_shows_and_peeks(axial, grid, scene, monkeypatch):
    scene.add_segment(Segment("cube", cube(scene.active.volume)))
    key(axial, Qt.Key.Key_H)
    assert grid.masks_hidden
    key(axial, Qt.Key.Key_H)
    assert not grid.masks_hidden
    monkeypatch.setattr("medviewer.gui.views.keys._PEEK_MS", 0)  # any press counts as held
    QTest.keyPress(axial, Qt.Key.Key_H)
    assert grid.masks_hidden
    QTest.keyRelease(axial, Qt.Key.Key_H)
    assert not grid.masks_hidden


def test_the_mask_under_the_pointer_is_filled(grid, axial, scene):
    volume = scene.active.volume
    scene.set_cursor(tuple(voxel_to_lps(volume.affine, (24, 20, 12))))
    scene.add_segment(Segment("cube", cube(volume)))
    assert axial.view.layers[0].fill == 0
    axial.set_hover(axial.view.pick(*at(axial, (24, 20, 12)).toTuple()))
    assert axial.view.layers[0].fill > 0
    axial.set_hover(None)
    assert axial.view.layers[0].fill == 0


def test_hidden_segments_leave_the_views(axial, scene):
    segment = Segment("cube", cube(scene.active.volume))
    scene.add_segment(segment)
    assert len(axial.view.layers) == 1
    scene.show_segment(segment.id, visible=False)
    assert len(axial.view.layers) == 0
    scene.undo()
    assert len(axial.view.layers) == 0


# -- cine ---------------------------------------------------------------------


def test_cine_plays_loops_and_steps(qtbot, grid, scene):
    scene.add_volume(cine())
    view = grid.slices["native"]
    view.setFocus()
    assert grid.cine.speed.value() == 25  # 40 ms a frame
    grid.cine.speed.setValue(120)
    seen: list[int] = []
    scene.frame_changed.connect(lambda: seen.append(scene.active.frame))
    key(view, Qt.Key.Key_Space)
    assert grid.cine.playing
    qtbot.waitUntil(lambda: len(seen) > 14, timeout=10000)
    key(view, Qt.Key.Key_Space)
    assert not grid.cine.playing
    assert seen[:12] == [*range(1, 12), 0]
    scene.set_frame(11)
    key(view, Qt.Key.Key_Right)
    assert scene.active.frame == 11
    wheel(view, 1)
    assert scene.active.frame == view.view.index == 10
    grid.cine.slider.setValue(4)
    assert view.view.index == 4


def test_playing_stops_when_another_scan_is_shown(grid, scene):
    scene.add_volume(cine())
    grid.play()
    scene.add_volume(ct())
    assert not grid.cine.playing


def test_a_mask_belongs_to_its_frame(grid, scene):
    scan = scene.add_volume(cine())
    mask = np.ones(scan.volume.shape, bool, order="F")
    scene.add_segment(Segment("left ventricle", mask, frame=3))
    view = grid.slices["native"].view
    scene.set_frame(3)
    assert view.layers_at((5, 5, 3)) == ["left ventricle"]
    scene.set_frame(4)
    assert view.layers_at((5, 5, 4)) == []
