"""One 2D view in the window: picture, overlays, focus. What the mouse and keys do is in `slice_mouse` and `keys`."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QLineF, QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import (
    QColor,
    QEnterEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPen,
    QWheelEvent,
)
from PySide6.QtWidgets import QWidget

from medviewer.gui.text import tr
from medviewer.gui.theme.tokens import DARK
from medviewer.gui.views.overlay import OverlayPainter, Words, draw_frame
from medviewer.gui.views.picture import Picture
from medviewer.gui.views.slice_mouse import SliceMouse
from medviewer.gui.views.tools import ToolState
from medviewer.gui.views.view_widget import ViewWidget
from medviewer.render import labels
from medviewer.render.annotate import CROSSHAIR, crosshair_planes
from medviewer.render.masks import BoxCache
from medviewer.render.slice_grid import Plane
from medviewer.render.slice_view import Pick, SliceView

_TIP = (
    "Wheel: next image · Ctrl + wheel: zoom · right drag: window · middle drag: move · "
    "double click or M: large · F1: all keys"
)


_GAP = 9.0  # logical pixels
_QUIET = "#b9c3ce"  # the muted colour of the window, lighter: it stands on pictures


class SliceWidget(ViewWidget):
    """Shows a `SliceView`. Positions in signals are LPS mm (voxel indices where the scan has no affine)."""

    cursorMoved = Signal(object)  # (x, y, z)
    scrolled = Signal(int)  # images, +1 is the next one
    windowDragged = Signal(float, float)  # width, centre
    pointClicked = Signal(object)  # PointPrompt
    boxDrawn = Signal(object)  # BoxPrompt
    hovered = Signal(object)  # Pick or None
    previewPainted = Signal()
    refreshed = Signal()  # what it shows, or how, may have changed

    def __init__(self, plane: Plane, tools: ToolState, boxes: BoxCache, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.view = SliceView(plane, boxes)
        self.plane = plane
        self.show_crosshair = True
        self.hover_pick: Pick | None = None
        self._mouse = SliceMouse(self, tools)
        self._picture: Picture | None = None
        self.setMouseTracking(True)
        self.setAccessibleName(_name_of(plane))
        self.setAccessibleDescription(tr(_TIP))

    # -- picture ---------------------------------------------------------------
    def refresh(self, *, pixels: bool = True) -> None:
        """Draw again in the next turn of the event loop; with `pixels` False only the overlays changed."""
        if pixels:
            self._picture = None
        self.update()
        self.refreshed.emit()

    def sizeHint(self) -> QSize:
        return QSize(400, 400)

    def resizeEvent(self, event: QEvent) -> None:
        self._picture = None

    def paintEvent(self, event: QPaintEvent) -> None:
        with QPainter(self) as painter:  # ended also after an error: an open painter would end the process
            if self.view.volume is None:
                painter.fillRect(self.rect(), QColor(DARK.background))
            else:
                self.paint(painter)
            draw_frame(painter, self.width(), self.height(), active=self.active, focused=self.hasFocus())
        if self.view.volume is not None and self.view.drawn_previews and self.view.masks_shown:
            self.previewPainted.emit()

    def paint(self, painter: QPainter) -> None:
        """Picture and overlays, without the frame (also for pictures that are saved)."""
        ratio = self.devicePixelRatioF()
        self.view.set_size(self.width(), self.height(), ratio)
        if self._picture is None or self._picture.image.devicePixelRatio() != ratio:
            self._picture = Picture(self.view.render(), ratio)
        painter.fillRect(self.rect(), Qt.GlobalColor.black)  # at 125 % the last pixels are only partly the picture's
        painter.drawImage(QPointF(0, 0), self._picture.image)
        if self.show_crosshair and self.plane != "native":
            self._draw_crosshair(painter)
        self._mouse.draw(painter)
        OverlayPainter(painter, self.width(), self.height()).draw(self._words())

    def _draw_crosshair(self, painter: QPainter) -> None:
        """Lines in the colour of the plane they show, open around the cursor so that it can be seen."""
        ends = [QPointF(x, y) for x, y in self.view.crosshair()]
        middle = QPointF(*self.view.locate(self.view.position()))
        for name, start, end in zip(crosshair_planes(self.view), ends[::2], ends[1::2], strict=True):
            color = QColor(CROSSHAIR[name])
            color.setAlpha(190)
            painter.setPen(QPen(color, 1))
            for outer in (start, end):
                arm = QLineF(outer, middle)
                if arm.length() > _GAP:
                    arm.setLength(arm.length() - _GAP)
                    painter.drawLine(arm)

    def _words(self) -> Words:
        view, volume = self.view, self.view.volume
        if volume is None:
            return Words()
        left = [(labels.plane_line(view), DARK.text)]
        right = [(labels.window_line(view), DARK.text)]
        if self.show_identity:
            left.append((labels.identity_line(volume), _QUIET))
            right.append((" ", _QUIET))  # the identity has the row for itself
        left.append((labels.pacs_line(view), _QUIET))
        right.append((" ".join(labels.badges(view)), DARK.warn))
        bar = labels.scale_bar(view.mm_per_pixel(), self.width(), volume.spacing_note)
        return Words(tuple(left), tuple(right), self._position(), view.letters(), bar)

    def _position(self) -> tuple[str, ...]:
        volume, pick = self.view.volume, self.hover_pick
        if volume is None:
            return ()
        if pick is None:
            pick = self.view.pick_cursor()
        names = self.view.layers_at(pick.voxel) if pick.voxel is not None else []
        return labels.position_parts(volume, pick, names)

    # -- mouse and keys ---------------------------------------------------------------
    def mousePressEvent(self, event: QMouseEvent) -> None:
        self.setFocus(Qt.FocusReason.MouseFocusReason)
        self._mouse.press(event)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        self._mouse.move(event)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        self._mouse.release(event)

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        self._mouse.double_click(event)

    def wheelEvent(self, event: QWheelEvent) -> None:
        self._mouse.wheel(event)

    def enterEvent(self, event: QEnterEvent) -> None:
        self._mouse.update_shape()

    def leaveEvent(self, event: QEvent) -> None:
        self.set_hover(None)

    def set_hover(self, pick: Pick | None) -> None:
        """The pointer is over another place (None: outside)."""
        self.hover_pick = pick
        self.hovered.emit(pick)
        self.update()

    def rubber_band(self, painter: QPainter, rectangle: QRectF) -> None:
        """The box being drawn."""
        painter.setPen(QPen(QColor(DARK.accent), 1.5, Qt.PenStyle.DashLine))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawRect(rectangle)


def _name_of(plane: Plane) -> str:
    """For screen readers."""
    return {
        "axial": tr("Axial view"), "coronal": tr("Coronal view"), "sagittal": tr("Sagittal view"),
        "native": tr("Image view"),
    }[plane]  # fmt: skip
