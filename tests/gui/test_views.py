"""Mouse and keys in the views, and how the views follow each other."""

from __future__ import annotations

import pytest

pytest.importorskip("PySide6")

import numpy as np
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication
from views_kit import LEFT, MIDDLE, RIGHT, at, axial, cine, ct, drag, grid, key, scene, wheel

from medviewer.core.geometry import lps_to_voxel
from medviewer.core.volume import Volume

__all__ = ["axial", "grid", "scene"]  # fixtures

# -- scrolling ---------------------------------------------------------------------


def test_one_notch_is_one_image(axial, scene):
    start = axial.view.index
    wheel(axial, -1)
    assert axial.view.index == start + 1
    wheel(axial, 2)
    assert axial.view.index == start - 1


def test_half_notches_add_up(axial):
    start = axial.view.index
    wheel(axial, -1, units=60)
    assert axial.view.index == start
    wheel(axial, -1, units=60)
    assert axial.view.index == start + 1


def test_scrolling_does_not_wrap(axial):
    wheel(axial, -500)
    assert axial.view.index == axial.view.grid.count - 1
    wheel(axial, -1)
    assert axial.view.index == axial.view.grid.count - 1


def test_keys_scroll(axial):
    key(axial, Qt.Key.Key_Home)
    assert axial.view.index == 0
    key(axial, Qt.Key.Key_PageDown)
    assert axial.view.index == 10
    key(axial, Qt.Key.Key_Down)
    key(axial, Qt.Key.Key_Right)
    key(axial, Qt.Key.Key_Up)
    assert axial.view.index == 11
    key(axial, Qt.Key.Key_PageUp)
    assert axial.view.index == 1
    key(axial, Qt.Key.Key_End)
    assert axial.view.index == axial.view.grid.count - 1


def test_many_notches_in_one_turn_are_painted_once(axial, monkeypatch):
    QApplication.processEvents()
    pictures = []
    original = axial.view.render
    monkeypatch.setattr(axial.view, "render", lambda: pictures.append(1) or original())
    for _ in range(8):
        wheel(axial, -1)
    QApplication.processEvents()
    assert len(pictures) == 1


# -- crosshair ---------------------------------------------------------------------


@pytest.mark.parametrize("plane", ["axial", "coronal", "sagittal"])
def test_navigating_links_every_view(grid, axial, scene, plane):
    voxel = {"axial": (9, 30, 14), "coronal": (9, 17, 25), "sagittal": (19, 30, 25)}[plane]
    view = grid.slices[plane]
    QTest.mouseClick(view, LEFT, Qt.KeyboardModifier.NoModifier, at(view, voxel))
    cursor = np.round(lps_to_voxel(ct().affine, scene.active.cursor))
    assert tuple(cursor) == voxel
    assert [grid.slices[p].view.index for p in ("sagittal", "coronal", "axial")] == list(voxel)


def test_scrolling_one_view_moves_the_crosshair_of_the_others(grid, axial):
    before = grid.slices["coronal"].view.crosshair()
    wheel(axial, -3)
    after = grid.slices["coronal"].view.crosshair()
    assert after[0][1] != before[0][1]  # the axial line
    assert after[2][0] == before[2][0]


def test_position_under_the_pointer_is_told(qtbot, grid, axial):
    with qtbot.waitSignal(grid.cursorChanged) as told:
        drag(axial, Qt.MouseButton.NoButton, at(axial, (5, 5, 14)), at(axial, (30, 20, 14)))
    assert told.args[0].voxel is not None


# -- window, pan, zoom ---------------------------------------------------------------


def test_right_drag_changes_the_window_of_every_view(grid, axial, scene):
    drag(axial, RIGHT, QPoint(100, 100), QPoint(150, 80))
    width, centre = scene.active.window
    assert width == pytest.approx(400 + 50 * 400 / 250, abs=1)
    assert centre == pytest.approx(40 - 20 * 400 / 250, abs=1)
    assert grid.slices["coronal"].view.look.window == (width, centre)


def test_presets_and_inversion(grid, axial, scene):
    key(axial, Qt.Key.Key_3)
    assert scene.active.window == (1500, -600)
    key(axial, Qt.Key.Key_1)
    assert scene.active.window is None
    assert axial.view.look.window == (400, 40)
    key(axial, Qt.Key.Key_I)
    assert scene.active.inverted
    assert grid.slices["sagittal"].view.look.inverted


def test_middle_drag_pans_only_this_view(grid, axial, scene):
    voxel = (20, 20, 14)
    before, cursor = at(axial, voxel), scene.active.cursor
    other = grid.slices["coronal"].view.camera
    drag(axial, MIDDLE, QPoint(100, 100), QPoint(130, 90))
    moved = at(axial, voxel) - before
    assert (moved.x(), moved.y()) == (30, -10)
    assert scene.active.cursor == cursor
    assert grid.slices["coronal"].view.camera == other
    key(axial, Qt.Key.Key_F)
    assert at(axial, voxel) == before


def test_ctrl_wheel_zooms_about_the_pointer(axial):
    middle = axial.width() / 2, axial.height() / 2
    start, under = axial.view.index, axial.view.pick(*middle).position
    wheel(axial, 3, Qt.KeyboardModifier.ControlModifier)
    assert axial.view.index == start
    assert axial.view.camera.zoom > 1.3
    assert axial.view.pick(*middle).position == pytest.approx(under)


def test_every_scan_keeps_its_zoom_and_window(axial, scene):
    first = scene.active
    axial.view.zoom(2.0)
    scene.set_window((111.0, 22.0))
    scene.add_volume(ct())
    assert axial.view.camera.zoom == 1.0
    assert axial.view.look.window == (400.0, 40.0)
    scene.activate(first)
    assert axial.view.camera.zoom == pytest.approx(2.0)
    assert axial.view.look.window == (111.0, 22.0)


def test_flipping_and_turning(axial):
    key(axial, Qt.Key.Key_X)
    assert axial.view.letters()["left"] == "L"
    key(axial, Qt.Key.Key_Y)
    key(axial, Qt.Key.Key_R)
    assert axial.view.camera.quarter_turns == 1


# -- layout ---------------------------------------------------------------------


def test_double_click_and_m_maximise_and_restore(qtbot, grid, axial):
    with qtbot.waitSignal(grid.layoutChanged):
        QTest.mouseDClick(grid.slices["coronal"], LEFT, Qt.KeyboardModifier.NoModifier, QPoint(50, 50))
    assert grid.maximised == "coronal"
    assert not axial.isVisible()
    key(grid.slices["coronal"], Qt.Key.Key_M)
    assert grid.maximised is None
    assert axial.isVisible()
    assert grid.volume.isVisible()


def test_images_and_cine_have_one_view(grid, scene):
    scene.add_volume(Volume(np.zeros((30, 20, 1), np.uint8), None, "DX", kind="image"))
    assert [n for n, v in grid.views.items() if v.isVisible()] == ["native"]
    assert not grid.cine.isVisible()
    scene.add_volume(ct((40, 36, 1)))  # a single slice
    assert [n for n, v in grid.views.items() if v.isVisible()] == ["native"]
    assert grid.slices["native"].view.letters()["left"] == "R"
    grid.maximise("axial")
    assert grid.maximised is None
    scene.add_volume(cine())
    assert grid.cine.isVisible()
    scene.add_volume(ct())
    assert [n for n, v in grid.views.items() if v.isVisible()] == ["axial", "coronal", "sagittal", "volume"]


def test_the_active_view_is_framed_and_tab_reaches_every_view(grid, axial):
    reached = set()
    for _ in range(12):
        reached.add(QApplication.focusWidget())
        QTest.keyClick(QApplication.focusWidget(), Qt.Key.Key_Tab)
    assert {grid.slices["axial"], grid.slices["coronal"], grid.slices["sagittal"], grid.volume} <= reached
    grid.slices["sagittal"].setFocus()
    assert grid.active_name == "sagittal"
    assert [n for n, v in grid.views.items() if v.active] == ["sagittal"]


def test_views_have_names_for_screen_readers(grid):
    names = [view.accessibleName() for view in grid.views.values()]
    assert all(names)
    assert len(set(names)) == len(names)
