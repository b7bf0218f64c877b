"""What the mouse does in a 2D view (Workstation profile)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QMouseEvent, QPainter, QWheelEvent

from medviewer.core.prediction import BoxPrompt, PointPrompt
from medviewer.gui.views.tools import ToolState

if TYPE_CHECKING:
    from medviewer.gui.views.slice_widget import SliceWidget

_NOTCH = 120  # eighths of a degree, as Qt counts
_CLICK_SLACK = 4.0  # logical pixels between press and release of a click
_ZOOM_STEP = 1.15
_SHAPES = {
    "navigate": Qt.CursorShape.CrossCursor,
    "window_level": Qt.CursorShape.SizeAllCursor,
    "click_plus": Qt.CursorShape.PointingHandCursor,
    "click_minus": Qt.CursorShape.PointingHandCursor,
    "box": Qt.CursorShape.CrossCursor,
}


class SliceMouse:
    """Left works the tool, right drags window/level, middle pans, the wheel scrolls, with Ctrl it zooms."""

    def __init__(self, widget: SliceWidget, tools: ToolState) -> None:
        self._widget, self._tools = widget, tools
        self._action = ""  # what the pressed button does
        self._start = self._last = QPointF()
        self._window = (1.0, 0.0)
        self._wheel = 0

    def press(self, event: QMouseEvent) -> None:
        if self._widget.view.volume is None or self._action:
            return
        tool = self._tools.tool
        actions = {Qt.MouseButton.RightButton: "window_level", Qt.MouseButton.MiddleButton: "pan"}
        self._action = tool if event.button() == Qt.MouseButton.LeftButton else actions.get(event.button(), "")
        self._start = self._last = event.position()
        self._window = self._widget.view.look.window
        if self._action == "navigate":
            self._navigate(event.position())

    def move(self, event: QMouseEvent) -> None:
        widget, here = self._widget, event.position()
        if widget.view.volume is None:
            return
        step, self._last = here - self._last, here
        if self._action == "navigate":
            self._navigate(here)
        elif self._action == "pan":
            widget.view.pan(step.x(), step.y())
            widget.refresh()
        elif self._action == "window_level":
            self._drag_window(here - self._start)
        widget.set_hover(widget.view.pick(here.x(), here.y()))

    def release(self, event: QMouseEvent) -> None:
        action, self._action = self._action, ""
        near = (event.position() - self._start).manhattanLength() <= _CLICK_SLACK
        if action in ("click_plus", "click_minus") and near:
            self._click(event.position(), action == "click_plus")
        elif action == "box":
            self._box(event.position())
        self._widget.update()

    def double_click(self, event: QMouseEvent) -> None:
        if event.button() == Qt.MouseButton.LeftButton and not self._tools.editing:
            self._action = ""
            self._widget.maximiseAsked.emit()
        else:
            self.press(event)

    def wheel(self, event: QWheelEvent) -> None:
        event.accept()
        if self._widget.view.volume is None:
            return
        self._wheel += event.angleDelta().y()
        notches = int(self._wheel / _NOTCH)
        self._wheel -= notches * _NOTCH
        if not notches:
            return
        if event.modifiers() & Qt.KeyboardModifier.ControlModifier:
            where = event.position()
            self._widget.view.zoom(_ZOOM_STEP**notches, where.x(), where.y())
            self._widget.refresh()
        else:
            self._widget.scrolled.emit(-notches)

    def update_shape(self) -> None:
        """The pointer shows the tool."""
        self._widget.setCursor(_SHAPES[self._tools.tool])

    def draw(self, painter: QPainter) -> None:
        """The box being drawn."""
        if self._action == "box":
            self._widget.rubber_band(painter, QRectF(self._start, self._last).normalized())

    def _navigate(self, where: QPointF) -> None:
        self._widget.cursorMoved.emit(self._widget.view.pick(where.x(), where.y()).position)

    def _click(self, where: QPointF, positive: bool) -> None:
        pick = self._widget.view.pick(where.x(), where.y())
        if pick.voxel is not None:
            self._widget.pointClicked.emit(PointPrompt(pick.position, positive))

    def _box(self, where: QPointF) -> None:
        if (where - self._start).manhattanLength() <= _CLICK_SLACK:
            return
        view = self._widget.view
        corners = [view.clamped(view.pick(p.x(), p.y()).position) for p in (self._start, where)]
        self._widget.boxDrawn.emit(BoxPrompt(corners[0], corners[1]))

    def _drag_window(self, moved: QPointF) -> None:
        """To the right widens, up brightens, in proportion to the width."""
        width, centre = self._window
        step = max(width, 1e-3) / 250.0
        whole = width >= 20
        new_width = max(width + moved.x() * step, 1.0 if whole else 1e-4)
        new_centre = centre + moved.y() * step
        if whole:
            new_width, new_centre = float(round(new_width)), float(round(new_centre))
        self._widget.windowDragged.emit(new_width, new_centre)
