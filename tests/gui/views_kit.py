"""Scans, views and hands for the tests of the views."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

pytest.importorskip("PySide6")

from PySide6.QtCore import QEvent, QPoint, QPointF, Qt
from PySide6.QtGui import QMouseEvent, QWheelEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

from medviewer.core.geometry import voxel_to_lps
from medviewer.core.prediction import Answer, Prediction
from medviewer.core.scene import Scene
from medviewer.core.volume import Volume
from medviewer.gui.views.view_grid import ViewGrid

LEFT, RIGHT, MIDDLE = Qt.MouseButton.LeftButton, Qt.MouseButton.RightButton, Qt.MouseButton.MiddleButton


def ct(shape=(40, 36, 30)) -> Volume:
    rng = np.random.default_rng(0)
    values = np.asfortranarray(rng.integers(-100, 200, shape).astype(np.int16))
    affine = np.diag([3.0, 3.0, 4.0, 1.0])
    affine[:3, 3] = (-60, -50, 20)
    return Volume(values, affine, modality="CT", units="HU")


def cine(frames: int = 12) -> Volume:
    values = np.asfortranarray(np.random.default_rng(1).integers(0, 255, (50, 40, frames)).astype(np.uint8))
    return Volume(values, None, "US", kind="cine", frame_time_ms=40.0)


def cube(volume: Volume) -> np.ndarray:
    mask = np.zeros(volume.shape, bool, order="F")
    mask[20:28, 16:26, 10:14] = True
    return mask


def found(volume: Volume, mask: np.ndarray) -> Prediction:
    return Prediction("cube", Answer.FOUND, mask, 0.9, title="Cube")


@pytest.fixture
def scene() -> Scene:
    return Scene()


@pytest.fixture
def grid(qtbot, scene) -> Iterator[ViewGrid]:
    widget = ViewGrid(scene)
    widget.resize(700, 600)
    qtbot.addWidget(widget)
    with qtbot.waitExposed(widget):
        widget.show()
    widget.activateWindow()
    qtbot.waitUntil(widget.isActiveWindow)
    yield widget
    widget.shutdown()


@pytest.fixture
def axial(grid, scene):
    scene.add_volume(ct())
    view = grid.slices["axial"]
    view.setFocus()
    QApplication.processEvents()
    return view


def wheel(view, notches: int, modifiers=Qt.KeyboardModifier.NoModifier, units: int = 120) -> None:
    """Negative notches turn towards the user."""
    where = QPointF(view.width() / 2, view.height() / 2)
    event = QWheelEvent(
        where, QPointF(view.mapToGlobal(where.toPoint())), QPoint(), QPoint(0, units * notches),
        Qt.MouseButton.NoButton, modifiers, Qt.ScrollPhase.NoScrollPhase, False,
    )  # fmt: skip
    QApplication.sendEvent(view, event)


def at(view, voxel) -> QPoint:
    """Where a voxel of the scan lies in a view."""
    x, y = view.view.locate(voxel_to_lps(view.view.volume.affine, voxel))
    return QPoint(round(x), round(y))


def drag(view, button, start: QPoint, end: QPoint) -> None:
    QTest.mousePress(view, button, Qt.KeyboardModifier.NoModifier, start)
    for step in (0.5, 1.0):
        here = start + (end - start) * step
        QTest.mouseMove(view, here)
        move = QMouseEvent(
            QEvent.Type.MouseMove, QPointF(here), QPointF(view.mapToGlobal(here)), Qt.MouseButton.NoButton, button,
            Qt.KeyboardModifier.NoModifier,
        )  # fmt: skip
        QApplication.sendEvent(view, move)
    QTest.mouseRelease(view, button, Qt.KeyboardModifier.NoModifier, end)


def key(view, which) -> None:
    QTest.keyClick(view, which)
