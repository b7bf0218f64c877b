"""The 3D view in the window: prepared on a worker thread, drawn off-screen, painted as a picture."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from PySide6.QtCore import QEvent, QPointF, QRectF, QSize, Qt, QTimer, Signal
from PySide6.QtGui import QColor, QFocusEvent, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QWheelEvent
from PySide6.QtWidgets import QWidget

from medviewer.core.errors import UserError
from medviewer.core.geometry import Affine
from medviewer.core.segmentation import Segment
from medviewer.core.volume import Volume
from medviewer.gui.text import tr
from medviewer.gui.theme.tokens import DARK
from medviewer.gui.views.background import Background
from medviewer.gui.views.overlay import OverlayPainter, Words, draw_frame
from medviewer.gui.views.picture import Picture
from medviewer.render.coarse import MAX_VOXELS, CoarseVolume, Surface, reduced, surface_of
from medviewer.render.depth_picture import depth_picture
from medviewer.render.masks import Mask
from medviewer.render.raster import Bytes, grey_to_bgra
from medviewer.render.volume_view import VolumeView

_SETTLE_MS = 180  # a still picture of full quality comes this long after the last movement
_TURN = 0.4  # degrees per logical pixel
_TIP = "Left drag: turn · right drag or Ctrl + wheel: nearer · middle drag: move · F: from the front · 1 and 2: look"


class VolumeWidget(QWidget):
    """Scan and segments in 3D."""

    focused = Signal()
    maximiseAsked = Signal()
    keyPressed = Signal(object)
    keyReleased = Signal(object)
    drawn = Signal()  # a picture of full quality was painted

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.view = VolumeView()
        self.active = False
        self.show_identity = False
        self.identity = ""
        self._background = Background(self)
        self._volume: Volume | None = None
        self._segments: list[Segment] = []
        self._surfaces: dict[str, tuple[object, Surface | None]] = {}  # id to (mask, surface)
        self._picture: Picture | None = None
        self._final, self._ready, self._plain, self._message = False, False, False, ""
        self._last = QPointF()
        self._settle = QTimer(self, singleShot=True, interval=_SETTLE_MS)
        self._settle.timeout.connect(self._settled)
        self._step = QTimer(self, interval=0)  # a part of the still picture per turn of the event loop
        self._step.timeout.connect(self._next_part)
        self._parts: Iterator[Bytes | None] | None = None
        self._coarse: CoarseVolume | None = None  # prepared, not yet handed to VTK
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
        self.setMinimumSize(80, 80)
        self.setAccessibleName(tr("3D view"))
        self.setAccessibleDescription(tr(_TIP))

    # -- content ---------------------------------------------------------------
    def set_volume(self, volume: Volume | None) -> None:
        """Show another scan (None: free everything). The picture comes when the worker has prepared it."""
        self._volume, self._ready, self._message = volume, False, ""
        self._surfaces.clear()
        self._segments = []
        self._background.cancel_all()
        self._settle.stop()
        self._step.stop()
        self._final, self._parts, self._coarse = False, None, None
        self._picture, self._plain = None, False
        if not self._can_show(volume):
            self.view.load(None, None)
            self._message = "" if volume is None else tr("No 3D view of this image.")
        elif volume is not None:
            self._message = tr("Preparing 3D…")
            self._background.start("volume", lambda: _prepare(volume), self._volume_ready)
        self.update()

    @property
    def identity_source(self) -> Volume | None:
        """The scan that is shown."""
        return self._volume

    @property
    def message(self) -> str:
        """What stands in the place of the picture, while there is none."""
        return self._message

    @property
    def busy(self) -> bool:
        """Whether the worker is preparing something."""
        return self._background.busy

    @staticmethod
    def _can_show(volume: Volume | None) -> bool:
        return volume is not None and volume.kind == "volume" and volume.affine is not None and not volume.is_color

    def set_segments(self, segments: Sequence[Segment]) -> None:
        """The segments of the scan; surfaces of new masks are made on the worker."""
        self._segments = list(segments)
        known = {s.id for s in segments}
        self._surfaces = {i: made for i, made in self._surfaces.items() if i in known}
        volume = self._volume
        if volume is None or volume.affine is None or not self._can_show(volume):
            return
        for segment in segments:
            made = self._surfaces.get(segment.id)
            if segment.visible and (made is None or made[0] is not segment.mask):
                self._surfaces[segment.id] = segment.mask, None if made is None else made[1]  # the old one until then
                self._make_surface(segment.id, segment.mask, volume.affine)
        self._show_surfaces()

    def _make_surface(self, segment_id: str, mask: Mask, affine: Affine) -> None:
        self._background.start(
            f"surface {segment_id}",
            lambda: surface_of(mask, affine),
            lambda answer: self._surface_ready(segment_id, mask, answer),
        )

    def _volume_ready(self, answer: Any) -> None:
        if isinstance(answer, UserError):
            self._message, self._plain = str(answer), True
            self._make_plain()
            self.update()
            return
        self._coarse = answer
        self._settle.start(0)

    def _make_plain(self) -> None:
        """Without OpenGL: a picture from the front that cannot be turned."""
        volume, segments, size = self._volume, list(self._segments), self._device_size()
        if volume is not None and self._plain:
            self._background.start("plain", lambda: depth_picture(volume, segments, size), self._plain_ready)

    def _plain_ready(self, answer: Any) -> None:
        if not isinstance(answer, UserError):
            self._picture = Picture(grey_to_bgra(answer), self.devicePixelRatioF())
            self.update()

    def _load(self, coarse: CoarseVolume) -> None:
        self._coarse = None
        self.view.load(self._volume, coarse)
        self._ready, self._message = True, ""
        self.view.set_size(*self._device_size())
        self.view.reset()
        self._show_surfaces()
        self._redraw()

    def _surface_ready(self, segment_id: str, mask: Any, answer: Any) -> None:
        known = self._surfaces.get(segment_id)
        if known is not None and known[0] is mask and not isinstance(answer, UserError):
            self._surfaces[segment_id] = mask, answer
            self._show_surfaces()

    def _show_surfaces(self) -> None:
        if not self._ready:
            self._make_plain()
            return
        shown = {}
        for segment in self._segments:
            surface = self._surfaces.get(segment.id, (None, None))[1]
            if segment.visible and surface is not None:
                shown[segment.id] = surface, segment.color, segment.opacity
        self.view.set_surfaces(shown)
        self._redraw()

    # -- picture ---------------------------------------------------------------
    def _device_size(self) -> tuple[int, int]:
        ratio = self.devicePixelRatioF()
        return round(self.width() * ratio), round(self.height() * ratio)

    def _redraw(self, *, moving: bool = False) -> None:
        """A coarse picture now, the still one in parts as soon as nothing moves."""
        self._step.stop()
        if self._plain:
            return
        self._picture, self._parts, self._final = None, None, False
        if self._ready:
            self._settle.start(_SETTLE_MS if moving else 0)
        self.update()

    def hold(self) -> None:
        """Somebody works in another view: go on with drawing when that pauses."""
        if self._coarse is not None or self._parts is not None or self._settle.isActive():
            self._step.stop()
            self._settle.start(_SETTLE_MS)

    def _settled(self) -> None:
        """One step a turn: the graphics context, the scan, the parts of the picture; none holds up the window long."""
        if self._coarse is not None and not self.view.warm:
            self.view.warm_up()
            self._settle.start(0)
        elif self._coarse is not None:
            self._load(self._coarse)
        elif self._ready and self.isVisible():
            if self._parts is None:
                self.view.set_size(*self._device_size())
                self._parts = self.view.render_parts()
            self._step.start()

    def _next_part(self) -> None:
        picture = next(self._parts) if self._parts is not None else None
        if picture is not None:
            self._step.stop()
            self._parts, self._final = None, True
            self._picture = Picture(picture, self.devicePixelRatioF())
            self.update()

    def resizeEvent(self, event: QEvent) -> None:
        self._redraw(moving=self._picture is not None)

    def sizeHint(self) -> QSize:
        return QSize(400, 400)

    def paintEvent(self, event: QPaintEvent) -> None:
        with QPainter(self) as painter:  # ended also after an error: an open painter would end the process
            self.paint(painter)
            draw_frame(painter, self.width(), self.height(), active=self.active, focused=self.hasFocus())
        if self._final:
            self.drawn.emit()

    def showEvent(self, event: QEvent) -> None:
        self._redraw()

    def paint(self, painter: QPainter, *, still: bool = False) -> None:
        """Picture and words, without the frame; `still` waits for full quality (for pictures that are saved)."""
        painter.fillRect(self.rect(), QColor(DARK.background))
        if self._ready and (self._picture is None or (still and not self._final)):
            self.view.set_size(*self._device_size())
            self._picture = Picture(self.view.render(moving=not still), self.devicePixelRatioF())
        if self._picture is not None:
            painter.drawImage(QRectF(self.rect()), self._picture.image)
        self._write(painter)

    def _write(self, painter: QPainter) -> None:
        title = self.view.title if self._ready else ("3D" if self._volume is not None else "")
        lines = [(title, DARK.text)]
        if self.show_identity:
            lines.append((self.identity, "#b9c3ce"))
        OverlayPainter(painter, self.width(), self.height()).draw(Words(tuple(lines)))
        if self._message:
            painter.setPen(QColor(DARK.muted))
            room = self.rect().adjusted(12, 30, -12, -12)
            where = Qt.AlignmentFlag.AlignBottom if self._plain else Qt.AlignmentFlag.AlignVCenter
            flags = Qt.AlignmentFlag.AlignHCenter | where | Qt.TextFlag.TextWordWrap
            painter.drawText(room, int(flags), self._message)

    # -- mouse and keys ---------------------------------------------------------------
    def mousePressEvent(self, event: QMouseEvent) -> None:
        self.setFocus(Qt.FocusReason.MouseFocusReason)
        self._last = event.position()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        step, self._last = event.position() - self._last, event.position()
        if not self._ready:
            return
        if event.buttons() & Qt.MouseButton.LeftButton:
            self.view.rotate(step.x() * _TURN, step.y() * _TURN)
        elif event.buttons() & Qt.MouseButton.MiddleButton:
            ratio = self.devicePixelRatioF()
            self.view.pan(step.x() * ratio, -step.y() * ratio)
        elif event.buttons() & Qt.MouseButton.RightButton:
            self.view.zoom(1.01 ** (-step.y()))
        else:
            return
        self._redraw(moving=True)

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        self.maximiseAsked.emit()

    def wheelEvent(self, event: QWheelEvent) -> None:
        event.accept()
        if self._ready:
            self.view.zoom(1.1 ** (event.angleDelta().y() / 120))
            self._redraw(moving=True)

    def refresh_moving(self) -> None:
        """Draw again, coarse first."""
        self._redraw(moving=True)

    def reset(self) -> None:
        """Look from the front again."""
        if self._ready:
            self.view.reset()
            self._redraw()

    def choose_look(self, index: int) -> None:
        """Another way to see the volume (bone, skin and bone, ...)."""
        if self._ready and index < len(self.view.looks):
            self.view.set_look(index)
            self._redraw()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        event.ignore()
        self.keyPressed.emit(event)
        if not event.isAccepted():
            super().keyPressEvent(event)

    def keyReleaseEvent(self, event: QKeyEvent) -> None:
        event.ignore()
        self.keyReleased.emit(event)

    def focusInEvent(self, event: QFocusEvent) -> None:
        self.focused.emit()
        self.update()

    def focusOutEvent(self, event: QFocusEvent) -> None:
        self.update()

    def shutdown(self) -> None:
        """Stop the worker and free every VTK object."""
        self._settle.stop()
        self._step.stop()
        self._coarse = None
        self._background.stop()
        self._volume, self._segments, self._picture, self._ready = None, [], None, False
        self._parts = None
        self._surfaces.clear()
        self.view.close()


def _prepare(volume: Volume) -> Any:
    """Worker thread: find a window that works, load VTK's code, reduce the scan."""
    from medviewer.render.gl_backend import working_window

    _, accelerated = working_window()
    import medviewer.render.vtk_stage  # noqa: F401

    return reduced(volume, MAX_VOXELS["hardware" if accelerated else "software"])
