"""What the views paint: clicks at device-pixel ratios, overlays that do not overlap, 3D, and nothing left behind."""

from __future__ import annotations

import gc
import json
import os
import signal
import subprocess
import sys
import weakref
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("PySide6")

from PySide6.QtCore import QPoint, QRectF, Qt
from PySide6.QtGui import QImage, QPainter
from PySide6.QtWidgets import QApplication
from views_kit import drag, grid, key, scene, wheel

from medviewer.core.segmentation import Segment
from medviewer.core.volume import Fact, Patient, Volume
from medviewer.gui.views.overlay import OverlayPainter, Words
from medviewer.gui.views.view_grid import ViewGrid

__all__ = ["grid", "scene"]  # fixtures

REPOSITORY = Path(__file__).resolve().parents[2]
_CLICK = """
import json, sys
import numpy as np
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication
from medviewer.core.geometry import lps_to_voxel
from medviewer.core.scene import Scene
from medviewer.core.volume import Volume
from medviewer.gui.views.view_grid import ViewGrid
application = QApplication([])
values = np.asfortranarray(np.random.default_rng(0).integers(0, 255, (31, 27, 23)).astype(np.int16))
volume = Volume(values, np.diag([2.0, 2.0, 3.0, 1.0]), modality="CT", units="HU", window=(255.0, 127.5))
scene = Scene(); scene.add_volume(volume)
grid = ViewGrid(scene); grid.resize(641, 533); grid.show()
QTest.qWaitForWindowExposed(grid)
grid.smooth(); answers = []
view = grid.slices["axial"]
view.show_crosshair = False
for x, y in ((120, 90), (200, 160), (77, 201)):
    picture = grid.grab_view("axial")
    ratio = view.devicePixelRatioF()
    QTest.mouseClick(view, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, QPoint(x, y))
    voxel = np.floor(lps_to_voxel(volume.affine, scene.active.cursor) + 0.5).astype(int)
    grey = picture[int(y * ratio), int(x * ratio)].tolist()
    answers.append([ratio, grey, int(values[tuple(voxel)])])
print(json.dumps(answers))
grid.close()
"""


@pytest.mark.parametrize("ratio", ["1", "1.25", "2"])
def test_a_click_picks_the_pixel_under_it_at_every_ratio(ratio):
    environment = os.environ | {"QT_SCALE_FACTOR": ratio, "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(
        [sys.executable, "-c", _CLICK], env=environment, capture_output=True, text=True, timeout=120, cwd=REPOSITORY
    )
    assert done.returncode == 0, done.stderr
    for shown_ratio, grey, value in json.loads(done.stdout.strip().splitlines()[-1]):
        assert shown_ratio == float(ratio)
        assert max(grey) == min(grey)
        assert grey[0] == pytest.approx(value, abs=2)


def words() -> Words:
    who = "Doe, Jane · 4711 · born 1970-01-02 · F · 2024-01-31 · Abdomen"
    left = (("Axial (oblique) · image 187 of 1112", "#fff"), (who, "#fff"))
    letters = {"left": "RA", "right": "LP", "top": "AL", "bottom": "PR"}
    bottom = ("L 78 A 126 S 357 mm", "17 HU", "Left kidney", "Renal cyst")
    return Words(left, (("W 2000 L −600", "#fff"), ("FLIPPED INVERTED", "#fff")), bottom, letters, (90.0, "50 mm"))


@pytest.mark.parametrize("size", [(80, 80), (130, 90), (230, 180), (420, 390), (900, 800)])
def test_no_text_overlaps_or_leaves_the_view(qapp, size):
    image = QImage(*size, QImage.Format.Format_RGB32)
    painter = QPainter(image)
    overlay = OverlayPainter(painter, *size)
    overlay.draw(words())
    painter.end()
    view = QRectF(0, 0, *size)
    assert len(overlay.taken) >= 6  # all four letters and something in the corners
    for one in overlay.taken:
        assert view.contains(one), one
    for n, one in enumerate(overlay.taken):
        for other in overlay.taken[:n]:
            assert not one.adjusted(0.5, 0.5, -0.5, -0.5).intersects(other), (one, other)


def ct() -> Volume:
    values = np.full((40, 36, 30), -1000, np.int16, order="F")
    values[8:32, 8:28, 4:26] = 60
    values[16:24, 20:26, 4:26] = 800
    return Volume(
        values, np.diag([3.0, 3.0, 4.0, 1.0]), modality="CT", units="HU", patient=Patient("Doe^Jane", "42"),
        facts={"series_number": Fact(2)},
    )  # fmt: skip


def pixels(grid: ViewGrid, name: str) -> np.ndarray:
    return grid.grab_view(name).astype(int)


def test_identity_is_shown_once_and_p_hides_it(grid, scene):
    scene.add_volume(ct())
    with_name = pixels(grid, "axial")
    assert [n for n, v in grid.views.items() if v.isVisible() and v.show_identity] == ["axial"]
    grid.identity()
    assert (pixels(grid, "axial") != with_name).any()
    assert not any(v.show_identity for v in grid.views.values())


def test_the_crosshair_has_the_colour_of_the_plane_it_shows(grid, scene):
    scene.add_volume(ct())
    picture = pixels(grid, "coronal")
    reddish = (picture[..., 0] - picture[..., 1] > 60) & (picture[..., 0] - picture[..., 2] > 60)
    bluish = (picture[..., 2] - picture[..., 0] > 60) & (picture[..., 2] > picture[..., 1])
    assert reddish.any(axis=0).mean() > 0.5  # the axial plane, lying
    assert bluish.any(axis=1).mean() > 0.5  # the sagittal plane, standing


def test_the_3d_view_is_drawn_and_follows_the_segments(qtbot, grid, scene):
    with qtbot.waitSignal(grid.volume.drawn, timeout=60000):
        scene.add_volume(ct())
    bone = pixels(grid, "volume")
    assert bone[60:-60, 60:-60].max() > 100
    with qtbot.waitSignal(grid.volume.drawn, timeout=60000):
        scene.add_segment(Segment("body", scene.active.volume.array == 60, (0, 0, 255)))
    qtbot.waitUntil(lambda: grid.volume.view.title == "3D · bone + segments", timeout=60000)
    blue = pixels(grid, "volume")
    assert ((blue[..., 2] - blue[..., 0]) > 80).mean() > 0.02
    grid.volume.setFocus()
    grid.preset("2")
    assert "skin" in grid.volume.view.title


def test_the_3d_view_turns_zooms_and_resets(qtbot, grid, scene):
    with qtbot.waitSignal(grid.volume.drawn, timeout=60000):
        scene.add_volume(ct())
    view = grid.volume
    front = pixels(grid, "volume")
    with qtbot.waitSignal(view.drawn, timeout=60000):  # coarse while moving, then in full again
        drag(view, Qt.MouseButton.LeftButton, QPoint(60, 60), QPoint(160, 90))
    turned = pixels(grid, "volume")
    assert np.abs(turned - front).mean() > 1
    with qtbot.waitSignal(view.drawn, timeout=60000):
        wheel(view, 3)
    assert np.abs(pixels(grid, "volume") - turned).mean() > 1
    view.setFocus()
    with qtbot.waitSignal(view.drawn, timeout=60000):
        key(view, Qt.Key.Key_F)
    assert np.abs(pixels(grid, "volume") - front).mean() < 0.5


def test_the_3d_view_survives_the_end_of_the_process_that_draws(qtbot, grid, scene):
    loaded = "vtkmodules" in sys.modules  # by a test of screenshots without a window
    with qtbot.waitSignal(grid.volume.drawn, timeout=60000):
        scene.add_volume(ct())
    scene.add_segment(Segment("body", scene.active.volume.array == 60, (0, 0, 255)))
    qtbot.waitUntil(lambda: grid.volume.view.title == "3D · bone + segments" and not grid.volume.busy, timeout=60000)
    before, pid = pixels(grid, "volume"), grid.volume.view.pid
    os.kill(pid, signal.SIGKILL)
    with qtbot.waitSignal(grid.volume.drawn, timeout=60000):
        grid.volume.reset()
    assert grid.volume.view.pid not in (pid, None)
    qtbot.waitUntil(lambda: not grid.volume.busy, timeout=60000)
    assert np.abs(pixels(grid, "volume") - before).mean() < 0.5
    assert ("vtkmodules" in sys.modules) == loaded


def test_3d_of_a_computer_without_opengl_says_so(qtbot, grid, scene, monkeypatch):
    from medviewer.core.errors import UserError

    def none() -> None:
        raise UserError("This computer has no OpenGL.", "Install Mesa.")

    monkeypatch.setattr("medviewer.render.gl_backend.working_window", none)
    scene.add_volume(ct())
    qtbot.waitUntil(lambda: "OpenGL" in grid.volume.message and not grid.volume.busy, timeout=60000)
    assert pixels(grid, "axial").max() > 100
    assert pixels(grid, "volume")[80:-80, 60:-60].max() > 100  # a plain picture from the front instead


def test_closing_a_scan_frees_its_volume(qtbot, grid, scene):
    scan = scene.add_volume(ct())
    mask = np.asfortranarray(scan.volume.array == 60)
    scene.add_segment(Segment("body", mask))
    with qtbot.waitSignal(grid.volume.drawn, timeout=60000):
        pass
    QApplication.processEvents()
    gone = [weakref.ref(scan.volume), weakref.ref(mask)]
    del mask
    scene.close(scan)
    del scan
    qtbot.waitUntil(lambda: not grid.volume.busy, timeout=60000)
    QApplication.processEvents()
    gc.collect()
    assert [ref() for ref in gone] == [None, None]


def test_closing_the_grid_leaves_nothing_behind(qtbot, scene):
    scan = scene.add_volume(ct())
    grid = ViewGrid(scene)
    grid.resize(300, 300)
    with qtbot.waitExposed(grid):
        grid.show()
    with qtbot.waitSignal(grid.volume.drawn, timeout=60000):
        pass
    picture_process = grid.volume.view.pid
    names = [weakref.ref(v) for v in grid.slices.values()]
    views = [weakref.ref(v.view) for v in grid.slices.values()]
    gone = weakref.ref(grid)
    grid.close()
    grid.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    grid.deleteLater()
    del grid
    QApplication.sendPostedEvents(None, 52)  # DeferredDelete
    QApplication.processEvents()
    gc.collect()
    assert gone() is None
    assert picture_process is not None
    assert not Path(f"/proc/{picture_process}").exists()
    assert [ref() for ref in (*names, *views)] == [None] * 8
    scene.set_cursor((0.0, 0.0, 0.0))  # nobody listens any more
    scene.close(scan)
