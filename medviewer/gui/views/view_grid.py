"""Axial, coronal, sagittal and 3D of the active scan, or one view of an image; embedded by the main window."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from PySide6.QtCore import QEvent, Qt, Signal
from PySide6.QtGui import QCloseEvent, QImage, QPainter
from PySide6.QtWidgets import QGridLayout, QVBoxLayout, QWidget

from medviewer.core.prediction import BoxPrompt, PointPrompt
from medviewer.core.scene import Scene
from medviewer.gui.views.cine_bar import CineBar
from medviewer.gui.views.keys import ViewKeys
from medviewer.gui.views.picture import image_to_rgb
from medviewer.gui.views.scene_link import SceneLink
from medviewer.gui.views.slice_widget import SliceWidget
from medviewer.gui.views.tools import ToolState
from medviewer.gui.views.volume_widget import VolumeWidget
from medviewer.render import labels
from medviewer.render.masks import BoxCache
from medviewer.render.presets import window_presets
from medviewer.render.raster import Bytes
from medviewer.render.slice_grid import has_one_view
from medviewer.render.slice_view import Pick

_PLACES = {"axial": (0, 0), "coronal": (0, 1), "sagittal": (1, 0), "volume": (1, 1)}
View = SliceWidget | VolumeWidget


class ViewGrid(QWidget):
    """Shows `scene.active`. GUI thread only.

    `clicked` and `boxDrawn` carry prompts in LPS mm (voxel indices where the scan has no affine). `masksPainted`
    comes after a preview mask has really been drawn in a view; the scene then lets it be accepted. `cursorChanged`
    carries the `Pick` under the pointer (None outside). `layoutChanged`: a view was maximised or restored.
    """

    clicked = Signal(object)  # PointPrompt
    boxDrawn = Signal(object)  # BoxPrompt
    masksPainted = Signal()
    cursorChanged = Signal(object)
    layoutChanged = Signal()

    def __init__(self, scene: Scene, tools: ToolState | None = None, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.scene = scene
        self.tools = tools or ToolState(self)
        boxes = BoxCache()
        self.slices = {p: SliceWidget(p, self.tools, boxes, self) for p in ("axial", "coronal", "sagittal", "native")}
        self.volume = VolumeWidget(self)
        self.views: dict[str, View] = {**self.slices, "volume": self.volume}
        self.cine = CineBar(self)
        self._maximised: str | None = None
        self._active = "axial"
        self._identity_shown = True
        self.link = SceneLink(scene, list(self.slices.values()), boxes)
        self.keys = ViewKeys(self)
        self._build()
        self._connect()
        self.link.show_scan()

    # -- setting up ---------------------------------------------------------------
    def _build(self) -> None:
        self._panes = QGridLayout()
        self._panes.setSpacing(2)
        for name, (row, column) in _PLACES.items():
            self._panes.addWidget(self.views[name], row, column)
        self._panes.addWidget(self.views["native"], 0, 0, 2, 2)
        whole = QVBoxLayout(self)
        whole.setContentsMargins(0, 0, 0, 0)
        whole.setSpacing(0)
        whole.addLayout(self._panes, 1)
        whole.addWidget(self.cine)

    def _connect(self) -> None:
        for name, widget in self.views.items():
            widget.focused.connect(lambda name=name: self._activate(name))
            widget.maximiseAsked.connect(lambda name=name: self.maximise(name))
            widget.keyPressed.connect(self.keys.press)
            widget.keyReleased.connect(self.keys.release)
        for widget in self.slices.values():
            widget.cursorMoved.connect(self._move_cursor)
            widget.scrolled.connect(lambda n, w=widget: self._scroll(w, n))
            widget.windowDragged.connect(lambda width, centre: self.scene.set_window((width, centre)))
            widget.pointClicked.connect(self.clicked)
            widget.boxDrawn.connect(self.boxDrawn)
            widget.hovered.connect(self._hover)
            widget.previewPainted.connect(self._preview_painted)
        self.cine.frameAsked.connect(self.scene.set_frame)
        self.tools.changed.connect(self._tool_changed)
        self.link.connect(self._volume_changed)
        self.scene.segments_changed.connect(self._segments_changed)
        self.scene.preview_changed.connect(self._segments_changed)
        self.scene.frame_changed.connect(self._frame_changed)
        self.scene.cursor_changed.connect(self.volume.hold)
        self.scene.window_changed.connect(self.volume.hold)

    # -- what is visible ---------------------------------------------------------------
    def _volume_changed(self) -> None:
        scan = self.scene.active
        volume = None if scan is None else scan.volume
        self._maximised = None
        flat = volume is not None and has_one_view(volume)
        self._activate("native" if flat else "axial")
        if self.volume.identity_source is not volume:
            self.volume.set_volume(None if flat else volume)
        self.volume.identity = "" if volume is None else labels.identity_line(volume)
        if scan is not None and volume is not None and volume.kind == "cine":
            self.cine.set_cine(volume.shape[2], scan.frame, volume.frame_time_ms)
        else:
            self.cine.pause()
        self._arrange()
        self._segments_changed()

    def _arrange(self) -> None:
        scan = self.scene.active
        flat = scan is not None and has_one_view(scan.volume)
        names = ["native"] if flat else ([self._maximised] if self._maximised else list(_PLACES))
        for name, widget in self.views.items():
            widget.setVisible(name in names)
            widget.show_identity = self._identity_shown and name == names[0]
        for index in (0, 1):
            used = {_PLACES[n][0] for n in names if n in _PLACES} or {0}
            columns = {_PLACES[n][1] for n in names if n in _PLACES} or {0}
            self._panes.setRowStretch(index, 1 if index in used else 0)
            self._panes.setColumnStretch(index, 1 if index in columns else 0)
        self.cine.setVisible(bool(scan and scan.volume.kind == "cine"))
        self.layoutChanged.emit()

    def _activate(self, name: str) -> None:
        self._active = name
        for key, widget in self.views.items():
            if widget.active != (key == name):
                widget.active = key == name
                widget.update()

    @property
    def active_view(self) -> View:
        return self.views[self._active]

    @property
    def active_name(self) -> str:
        """"axial", "coronal", "sagittal", "volume" or "native"."""
        return self._active

    @property
    def maximised(self) -> str | None:
        """The name of the view that fills the grid."""
        return self._maximised

    def visible_slices(self) -> list[SliceWidget]:
        return [w for w in self.slices.values() if w.view.volume is not None]

    def focus_views(self) -> None:
        """Put the keyboard into the active view."""
        self.active_view.setFocus(Qt.FocusReason.ShortcutFocusReason)

    # -- from the views ---------------------------------------------------------------
    def _move_cursor(self, position: tuple[float, float, float]) -> None:
        self.scene.set_cursor(position)

    def _scroll(self, widget: SliceWidget, images: int) -> None:
        view, scan = widget.view, self.scene.active
        if view.volume is None or scan is None:
            return
        if view.volume.kind == "cine":
            self.scene.set_frame(view.index + images)
            return
        voxel = view.voxel.copy()
        axis = view.grid.slice_axis if view.grid is not None else 2
        voxel[axis] = min(max(view.index + images, 0), view.volume.shape[axis] - 1)
        self.scene.set_cursor(view.place_voxel(voxel))

    def _hover(self, pick: Pick | None) -> None:
        widget = self.sender()
        names: list[str] = []
        if pick is not None and pick.voxel is not None and isinstance(widget, SliceWidget):
            names = widget.view.layers_at(pick.voxel)
        self.link.set_hovered(names)
        self.cursorChanged.emit(pick)

    def _preview_painted(self) -> None:
        scan = self.scene.active
        if scan is not None and scan.preview is not None and not scan.preview_painted:
            self.scene.mark_preview_painted()
            self.masksPainted.emit()

    def _tool_changed(self, tool: str) -> None:
        self.link.editing = self.tools.editing
        self.link.show_masks()

    def _segments_changed(self) -> None:
        self.volume.set_segments(self.link.solids())

    def _frame_changed(self) -> None:
        if self.scene.active is not None:
            self.cine.set_frame(self.scene.active.frame)
            self.link.show_masks()

    # -- commands (keys, menus) ---------------------------------------------------------------
    @property
    def masks_hidden(self) -> bool:
        return not self.slices["axial"].view.masks_shown

    def toggle_masks(self) -> None:
        """Hide or show all masks in the 2D views."""
        shown = self.masks_hidden
        for widget in self.slices.values():
            widget.view.masks_shown = shown
            widget.refresh()

    def scroll_images(self, images: int) -> None:
        """Scroll the active view."""
        if isinstance(self.active_view, SliceWidget):
            self._scroll(self.active_view, images)

    def scroll_to_end(self, *, last: bool) -> None:
        """First or last image of the active view."""
        self.scroll_images(10**6 if last else -(10**6))

    def zoom(self, factor: float) -> None:
        """Zoom the active view about its middle."""
        view = self.active_view
        view.view.zoom(factor)
        if isinstance(view, SliceWidget):
            view.refresh()
        else:
            view.refresh_moving()

    def preset(self, key: str) -> None:
        """The window preset on a number key; in 3D the look of that number."""
        if isinstance(self.active_view, VolumeWidget):
            self.active_view.choose_look(int(key) - 1)
            return
        scan = self.scene.active
        for preset in window_presets(scan.volume) if scan is not None else []:
            if preset.key == key and scan is not None:
                self.scene.set_window(preset.window)

    def fit(self) -> None:
        """The whole picture in the active view."""
        if isinstance(self.active_view, SliceWidget):
            self.active_view.view.fit()
            self.active_view.refresh()
        else:
            self.active_view.reset()

    def invert(self) -> None:
        """Invert grey (a badge says so)."""
        if self.scene.active is not None:
            self.scene.set_inverted(not self.scene.active.inverted)

    def maximise(self, name: str | None = None) -> None:
        """One view large, and back."""
        name = name or self._active
        scan = self.scene.active
        if name != "native" and not (scan is not None and has_one_view(scan.volume)):
            self._maximised = None if self._maximised else name
            self._arrange()
            self.views[name].setFocus(Qt.FocusReason.OtherFocusReason)

    def identity(self) -> None:
        """Hide or show who the patient is."""
        self._identity_shown = not self._identity_shown
        self._arrange()
        for widget in self.views.values():
            widget.update()

    @contextmanager
    def without_identity(self) -> Iterator[None]:
        """Views that do not say who the patient is, for a picture of them; what is on the screen stays."""
        shown = {widget: widget.show_identity for widget in self.views.values()}
        for widget in shown:
            widget.show_identity = False
        try:
            yield
        finally:
            for widget, was in shown.items():
                widget.show_identity = was

    def smooth(self) -> None:
        """Linear or nearest pixels in all 2D views."""
        smooth = not self.slices["axial"].view.smooth
        for widget in self.slices.values():
            widget.view.smooth = smooth
            widget.refresh()

    def flip_horizontal(self) -> None:
        """Flip the active 2D view sideways; letters move, FLIPPED shows."""
        self._turn(horizontal=True)

    def flip_vertical(self) -> None:
        """Flip the active 2D view upside down."""
        self._turn(vertical=True)

    def rotate(self) -> None:
        """Turn the active 2D view by 90 degrees clockwise."""
        self._turn(quarters=1)

    def _turn(self, *, horizontal: bool = False, vertical: bool = False, quarters: int = 0) -> None:
        if isinstance(self.active_view, SliceWidget):
            self.active_view.view.turn(horizontal=horizontal, vertical=vertical, quarters=quarters)
            self.active_view.refresh()

    def play(self) -> None:
        """Play or pause a cine loop."""
        if self.scene.active is not None and self.scene.active.volume.kind == "cine":
            self.cine.toggle()

    # -- pictures ---------------------------------------------------------------
    def grab_view(self, name: str | None = None) -> Bytes:
        """The named (else the active) view as uint8 RGB (height, width, 3) in device pixels, overlays included."""
        view = self.views[name or self._active]
        ratio = view.devicePixelRatioF()
        image = QImage(view.size() * ratio, QImage.Format.Format_RGB32)
        image.setDevicePixelRatio(ratio)
        image.fill(Qt.GlobalColor.black)
        painter = QPainter(image)
        if isinstance(view, VolumeWidget):
            view.paint(painter, still=True)
        else:
            view.paint(painter)
        painter.end()
        return np.asarray(image_to_rgb(image))

    # -- closing ---------------------------------------------------------------
    def changeEvent(self, event: QEvent) -> None:
        if event.type() == QEvent.Type.EnabledChange and not self.isEnabled():
            self.cine.pause()
        super().changeEvent(event)

    def closeEvent(self, event: QCloseEvent) -> None:
        self.shutdown()
        super().closeEvent(event)

    def shutdown(self) -> None:
        """Stop workers, free VTK, stop listening; the grid shows nothing afterwards. Called by closing."""
        self.cine.pause()
        self.link.close()
        for signal, slot in (
            (self.scene.segments_changed, self._segments_changed),
            (self.scene.preview_changed, self._segments_changed),
            (self.scene.frame_changed, self._frame_changed),
            (self.scene.cursor_changed, self.volume.hold),
            (self.scene.window_changed, self.volume.hold),
        ):  # fmt: skip
            signal.disconnect(slot, missing_ok=True)
        self.volume.shutdown()


__all__ = ["BoxPrompt", "PointPrompt", "ViewGrid"]
