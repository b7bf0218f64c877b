"""The 3D view in the window: prepared on a worker thread, drawn by another process, painted as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from PySide6.QtCore import QEvent, QPointF, QRectF, QSize, Qt, QTimer, Signal
from PySide6.QtGui import QColor, QMouseEvent, QPainter, QPaintEvent, QWheelEvent
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
from medviewer.gui.views.view_widget import ViewWidget
from medviewer.render.coarse import MAX_VOXELS, CoarseVolume, reduced
from medviewer.render.depth_picture import depth_picture
from medviewer.render.masks import Mask
from medviewer.render.raster import grey_to_bgra
from medviewer.render.remote_view import RemoteView
from medviewer.render.volume_looks import VolumeLook, looks_for

Prepared = tuple[tuple[str, bool], CoarseVolume, list[VolumeLook]]
_SETTLE_MS = 180  # a still picture of full quality comes this long after the last movement
_TURN = 0.4  # degrees per logical pixel
_TIP = "Left drag: turn · right drag or Ctrl + wheel: nearer · middle drag: move · F: from the front · 1 and 2: look"


class VolumeWidget(ViewWidget):
    """Scan and segments in 3D."""

    drawn = Signal()  # a picture of full quality was painted
    _answered = Signal(object)  # Drawn or UserError

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.view = RemoteView(self._answered.emit)
        self._answered.connect(self._arrived, Qt.ConnectionType.QueuedConnection)
        self.identity = ""
        self._background = Background(self)
        self._volume: Volume | None = None
        self._segments: list[Segment] = []
        self._surfaces: dict[str, Mask] = {}  # whose surfaces were ordered
        self._picture: Picture | None = None
        self._final, self._ready, self._plain, self._message = False, False, False, ""
        self._last = QPointF()
        self._settle = QTimer(self, singleShot=True, interval=_SETTLE_MS)
        self._settle.timeout.connect(self._settled)
        self._still_due = False  # the still picture follows the coarse one that is under way
        self._losses = 0  # ends of the process without a picture between
        self._prepared: Prepared | None = None
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
        self._final, self._still_due, self._prepared, self._losses = False, False, None, 0
        self._picture, self._plain = None, False
        self.view.clear()
        if not self._can_show(volume):
            self._message = "" if volume is None else tr("No 3D view of this image.")
        elif volume is not None:
            self._message = tr("Preparing 3D…")
            self.view.warm_up()
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
        return self._background.busy or self.view.busy

    @staticmethod
    def _can_show(volume: Volume | None) -> bool:
        return volume is not None and volume.kind == "volume" and volume.affine is not None and not volume.is_color

    def set_segments(self, segments: Sequence[Segment]) -> None:
        """The segments of the scan; surfaces of new masks are made on the worker."""
        self._segments = list(segments)
        known = {s.id for s in segments}
        self._surfaces = {i: mask for i, mask in self._surfaces.items() if i in known}
        volume = self._volume
        if volume is None or volume.affine is None or not self._can_show(volume):
            return
        for segment in segments:
            if self._ready and segment.visible and self._surfaces.get(segment.id) is not segment.mask:
                self._make_surface(segment.id, segment.mask, volume.affine)
        self._show_surfaces()

    def _make_surface(self, segment_id: str, mask: Mask, affine: Affine) -> None:
        self._surfaces[segment_id] = mask
        self.view.add_surface(segment_id, mask, affine)

    def _volume_ready(self, answer: Any) -> None:
        if isinstance(answer, UserError):
            self._fail(answer)
            return
        self._prepared = answer
        self._load()

    def _load(self) -> None:
        """Hand everything to the process that draws, as it is now."""
        volume, prepared = self._volume, self._prepared
        if volume is None or prepared is None:
            return
        window, coarse, looks = prepared
        self.view.load(window, coarse, looks, volume.orientation_recorded, self._device_size())
        self._ready = True
        self._surfaces.clear()
        self.set_segments(self._segments)

    def _fail(self, error: UserError) -> None:
        """Without OpenGL: a picture from the front that cannot be turned."""
        self._message, self._plain, self._ready = str(error), True, False
        self._make_plain()
        self.update()

    def _make_plain(self) -> None:
        volume, segments, size = self._volume, list(self._segments), self._device_size()
        if volume is not None and self._plain:
            self._background.start("plain", lambda: depth_picture(volume, segments, size), self._plain_ready)

    def _plain_ready(self, answer: Any) -> None:
        if not isinstance(answer, UserError):
            self._picture = Picture(grey_to_bgra(answer), self.devicePixelRatioF())
            self.update()

    def _show_surfaces(self) -> None:
        if not self._ready:
            self._make_plain()
            return
        shown = {s.id: (s.color, s.opacity) for s in self._segments if s.visible}
        self.view.show_surfaces(shown, [s.id for s in self._segments])
        self._redraw()

    # -- picture ---------------------------------------------------------------
    def _device_size(self) -> tuple[int, int]:
        ratio = self.devicePixelRatioF()
        return round(self.width() * ratio), round(self.height() * ratio)

    def _redraw(self, *, moving: bool = False) -> None:
        """A coarse picture now, the still one as soon as nothing moves. Until they come the old one is shown."""
        if self._plain or not self._ready:
            self.update()
            return
        self._final, self._still_due = False, False
        self.view.want(self._device_size(), moving=True)
        self._settle.start(_SETTLE_MS if moving else 0)

    def hold(self) -> None:
        """Somebody works in another view: the still picture waits, it would take their cores."""
        if self._settle.isActive():
            self._settle.start(_SETTLE_MS)

    def _settled(self) -> None:
        if self._ready and self.isVisible():
            self._still_due = self.view.busy  # then after the coarse one
            if not self._still_due:
                self.view.want(self._device_size(), moving=False)

    def _arrived(self, answer: Any) -> None:
        """A picture, or why there is none. GUI thread."""
        if not self._ready:
            return
        if isinstance(answer, UserError):
            self._lost(answer)
            return
        self._losses = 0
        self._message, self._final = "", answer.still and not self.view.busy
        self._picture = Picture(answer.picture, self.devicePixelRatioF())
        if self._still_due:
            self._still_due = False
            self.view.want(self._device_size(), moving=False)
        self.update()

    def _lost(self, error: UserError) -> None:
        """The process that draws has ended: once more, then a plain picture."""
        self._losses += 1
        if self._losses > 1:
            self._fail(error)
        else:
            self._load()

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
        if self._ready and still and not self._final:
            now = self.view.draw_now(self._device_size())
            if now is not None:
                self._picture = Picture(now.picture, self.devicePixelRatioF())
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

    def shutdown(self) -> None:
        """Stop the worker, end the process that draws."""
        self._settle.stop()
        self._background.stop()
        self._volume, self._segments, self._picture, self._ready = None, [], None, False
        self._prepared = None
        self._surfaces.clear()
        self.view.close()


def _prepare(volume: Volume) -> Prepared:
    """Worker thread: find a window that works, reduce the scan."""
    from medviewer.render.gl_backend import working_window

    window = working_window()
    coarse = reduced(volume, MAX_VOXELS["hardware" if window[1] else "software"])
    return window, coarse, looks_for(volume, coarse.array)
