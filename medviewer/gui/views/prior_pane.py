"""A prior beside the scan: linked slices, the prior laid over the scan, and buttons that move it."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import numpy as np
from PySide6.QtCore import QObject, QSize, Qt, QTimer
from PySide6.QtGui import QKeyEvent, QPixmap
from PySide6.QtWidgets import QComboBox, QGridLayout, QHBoxLayout, QSlider, QStackedWidget, QVBoxLayout, QWidget

from medviewer.api.panel import PriorView
from medviewer.core.geometry import Affine
from medviewer.gui.text import tr
from medviewer.gui.views.prior_link import PriorLink
from medviewer.gui.views.prior_widgets import OverlaidWidget, PriorWidget, prior_name
from medviewer.gui.views.scene_link import SceneLink
from medviewer.gui.views.slice_widget import SliceWidget
from medviewer.gui.views.view_grid import ViewGrid
from medviewer.gui.widgets.basic import button, label, set_state
from medviewer.render.camera import Camera
from medviewer.render.masks import BoxCache
from medviewer.render.overlaid import Mode
from medviewer.render.slice_grid import PLANES, Plane, has_one_view, native_plane

_MODES = ("beside", "swipe", "blend", "checker")
_MOVES = (
    ("R", (-1.0, 0.0, 0.0)), ("L", (1.0, 0.0, 0.0)), ("A", (0.0, -1.0, 0.0)), ("P", (0.0, 1.0, 0.0)),
    ("I", (0.0, 0.0, -1.0)), ("S", (0.0, 0.0, 1.0)),
)  # fmt: skip
_STEPS_MM = (0.5, 1.0, 2.0, 5.0, 20.0)


class PriorPane(QWidget):
    """Lives as long as one prior is shown beside one scan: `close_links` lets go of both. GUI thread."""

    def __init__(self, grid: ViewGrid, prior: PriorView) -> None:
        super().__init__()
        scan = grid.scene.active
        assert scan is not None
        self.setMinimumWidth(250)
        self.grid, self.prior = grid, prior
        self.link = PriorLink(grid.scene, scan, prior)
        boxes = BoxCache()
        planes: tuple[Plane, ...] = ("native",) if has_one_view(prior.volume) else PLANES
        over: tuple[Plane, ...] = PLANES if self.can_overlay else ()
        self.slices: dict[str, PriorWidget] = {p: PriorWidget(p, grid.tools, boxes) for p in planes}
        self.overlaid: dict[str, OverlaidWidget] = {p: OverlaidWidget(p, grid.tools, boxes) for p in over}
        self._links = [SceneLink(self.link.own, list(self.slices.values()), boxes)]
        if over:
            self._links.append(SceneLink(grid.scene, list(self.overlaid.values()), boxes))
        self.plane = "native" if has_one_view(prior.volume) else _first_plane(prior)
        self._following = False
        self._given: dict[SliceWidget, Camera] = {}  # what was last handed to a view: no user's doing
        self._make_controls()
        self._arrange()
        self._connect()
        self.show_prior(prior)

    @property
    def can_overlay(self) -> bool:
        """Whether the prior can be laid over the scan: both in three dimensions, a matrix between them."""
        flat = has_one_view(self.prior.volume) or has_one_view(self.link.scan.volume)
        return self.link.can_link and not flat

    # -- building ---------------------------------------------------------------
    def _make_controls(self) -> None:
        self.title, self.statement = label("", "notice", wrap=True), label("", "muted", wrap=True)
        self.hide_button = button(tr("Hide"), "link", tr("Show the scan alone; the report keeps the comparison"))
        self.mode = QComboBox()
        texts = (tr("Side by side"), tr("Swipe"), tr("Mixed"), tr("Checkerboard"))
        for mode, text in zip(_MODES, texts, strict=True):
            self.mode.addItem(text, mode)
        self.mode.setAccessibleName(tr("How the prior is shown"))
        self.mode.setToolTip(tr("The last three lay the prior over the scan, to check the registration"))
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setRange(0, 100)
        self.slider.setValue(50)
        self.slider.setAccessibleName(tr("How much of the prior is seen"))
        self.slider.setToolTip(self.slider.accessibleName())
        self.unlink = button(tr("Linked"), "", tr("Scroll and move both together; off: each for itself"))
        self.unlink.setCheckable(True)
        self.unlink.setChecked(True)
        self.step = QComboBox()
        for step in _STEPS_MM:
            self.step.addItem(f"{step:g} mm", step)
        self.step.setCurrentIndex(1)
        self.step.setAccessibleName(tr("Step of the buttons that move the prior"))
        self.moves = {letter: self._move_button(letter, way) for letter, way in _MOVES}

    def _move_button(self, letter: str, way: tuple[float, float, float]) -> QWidget:
        made = button(letter, "", tr("Move the prior towards {letter}").format(letter=letter))
        made.setAccessibleName(made.toolTip())
        made.setFixedSize(QSize(34, 30))
        made.setStyleSheet("padding: 0")
        made.clicked.connect(lambda checked=False: self._nudge(way))
        return made

    def _arrange(self) -> None:
        head, tools, moves = QHBoxLayout(), QHBoxLayout(), QGridLayout()
        head.addWidget(self.title, 1)
        head.addWidget(self.hide_button, 0, Qt.AlignmentFlag.AlignTop)
        for item, stretch in ((self.mode, 0), (self.slider, 1), (self.unlink, 0)):
            tools.addWidget(item, stretch)
        tools.addStretch(0)
        moves.setHorizontalSpacing(4)
        self.move_label = label(tr("Move the prior"), "muted")
        moves.addWidget(self.move_label, 0, 0, 1, 4)
        moves.addWidget(self.step, 0, 4, 1, 3, Qt.AlignmentFlag.AlignRight)
        for place, made in enumerate(self.moves.values()):
            moves.addWidget(made, 1, place)
        moves.setColumnStretch(6, 1)
        self.stack = QStackedWidget()
        for widget in (*self.slices.values(), *self.overlaid.values()):
            self.stack.addWidget(widget)
        self._foot = QWidget()
        foot = QVBoxLayout(self._foot)
        foot.setContentsMargins(8, 4, 8, 6)
        foot.addWidget(self.statement)
        foot.addLayout(moves)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(2)
        for layout in (head, tools):
            layout.setContentsMargins(8, 4, 8, 0)
            column.addLayout(layout)
        column.addWidget(self.stack, 1)
        column.addWidget(self._foot)

    def _connect(self) -> None:
        self.hide_button.clicked.connect(lambda checked=False: self.prior.hide())
        self.mode.currentIndexChanged.connect(lambda index: self._show())
        self.slider.valueChanged.connect(lambda value: self._show())
        self.unlink.toggled.connect(self._set_linked)
        for link in self._links:
            link.connect(lambda: None)
            link.show_scan()
        for widget in (*self.slices.values(), *self.overlaid.values()):
            self._connect_view(widget, self.link.own if isinstance(widget, PriorWidget) else self.grid.scene)
        self._held = [self.grid.layoutChanged.connect(self._layout_changed)]
        for name, view in self.grid.slices.items():
            self._held.append(view.focused.connect(lambda name=name: self.show_plane(name)))
            self._held.append(view.refreshed.connect(lambda view=view: self._camera_moved(view)))
        self.link.own.cursor_changed.connect(self._cursor_moved)
        self.grid.scene.cursor_changed.connect(self._cursor_moved)
        self.grid.scene.window_changed.connect(self._lay_over)

    def _connect_view(self, widget: SliceWidget, scene: object) -> None:
        set_cursor: Callable[[tuple[float, float, float]], None] = scene.set_cursor  # type: ignore[attr-defined]
        widget.cursorMoved.connect(set_cursor)
        widget.scrolled.connect(lambda images: set_cursor(_scrolled(widget, images)))
        widget.windowDragged.connect(lambda width, centre: self._drag_window(widget, (width, centre)))
        widget.keyPressed.connect(self._key)
        widget.keyReleased.connect(self._key)
        widget.refreshed.connect(lambda: self._camera_moved(widget))
        widget.maximiseAsked.connect(lambda: self.grid.maximise(self.plane))

    def close_links(self) -> None:
        """Stop listening, free the pictures."""
        for connection in self._held:  # the views of the grid live on
            QObject.disconnect(connection)
        self.grid.scene.cursor_changed.disconnect(self._cursor_moved, missing_ok=True)
        self.grid.scene.window_changed.disconnect(self._lay_over, missing_ok=True)
        self._following = True
        self.link.close()
        for link in self._links:
            link.close()

    # -- showing ---------------------------------------------------------------
    def show_prior(self, prior: PriorView) -> None:
        """The same prior: other masks, another matrix."""
        self.prior = prior
        self.link.show(prior)
        self.title.setText(prior_name(prior.date))
        self.statement.setText(prior.statement)
        set_state(self.statement, "role", "notice" if prior.is_doubtful else "muted")
        for shown in self.slices.values():
            shown.date = prior.date
        for laid in self.overlaid.values():
            laid.date = prior.date
        can = self.can_overlay
        for item in (self.mode, self.step, self.move_label, *self.moves.values()):
            item.setVisible(can)
        self.unlink.setVisible(self.link.can_link)
        self._lay_over()
        self._show()

    @property
    def shown(self) -> SliceWidget:
        """The picture that is seen now."""
        widget = self.stack.currentWidget()
        assert isinstance(widget, SliceWidget)
        return widget

    def show_plane(self, name: str) -> None:
        """Follow the view of the scan that is worked in."""
        if name in self.slices and name != self.plane:
            self.plane = name
            self._show()

    def _show(self) -> None:
        mode = self.mode.currentData() if self.can_overlay else "beside"
        self.slider.setVisible(mode in ("swipe", "blend"))
        if mode == "beside":
            self.stack.setCurrentWidget(self.slices[self.plane])
        else:
            widget, laid = self.overlaid[self.plane], cast("Mode", mode)
            widget.view.mode, widget.view.share = laid, self.slider.value() / 100
            self.stack.setCurrentWidget(widget)
            widget.refresh()
        self._cursor_moved()

    def _lay_over(self) -> None:
        """Hand the prior, its matrix and its window to the pictures that lay it over the scan."""
        if self.grid.scene.active is not self.link.scan:
            return
        for widget in self.overlaid.values():
            widget.view.set_other(self.prior.volume, self._into_prior(), self.link.window)
            widget.refresh()

    def _into_prior(self) -> Affine:
        assert self.prior.matrix is not None
        return np.asarray(np.linalg.inv(self.prior.matrix), np.float64)

    # -- what is done ---------------------------------------------------------------
    def _nudge(self, way: tuple[float, float, float]) -> None:
        step = float(self.step.currentData())
        x, y, z = (step * part for part in way)
        self.prior.nudge((x, y, z))

    def _set_linked(self, linked: bool) -> None:
        self.link.linked = linked
        self.unlink.setText(tr("Linked") if linked else tr("Not linked"))
        self.link.follow()
        self._cursor_moved()

    def _drag_window(self, widget: SliceWidget, window: tuple[float, float]) -> None:
        if isinstance(widget, PriorWidget):
            self.link.drag_window(window)
        else:
            self.grid.scene.set_window(window)

    def _key(self, event: QKeyEvent) -> None:
        """Keys work on the scan; the prior follows."""
        if event.type() == QKeyEvent.Type.KeyPress:
            self.grid.keys.press(event)
        else:
            self.grid.keys.release(event)
        self._take_looks()

    def _layout_changed(self) -> None:
        self.show_plane(self.grid.active_name)
        self._take_looks()
        QTimer.singleShot(0, self, self._cursor_moved)  # after the layout

    def _take_looks(self) -> None:
        """Hidden masks, plain pixels and the hidden identity hold for both."""
        first = self.grid.slices["axial"].view
        identity = any(view.show_identity for view in self.grid.views.values())
        for widget in (*self.slices.values(), *self.overlaid.values()):
            same = (widget.view.masks_shown, widget.view.smooth, widget.show_identity)
            if same != (first.masks_shown, first.smooth, identity):
                widget.view.masks_shown, widget.view.smooth = first.masks_shown, first.smooth
                widget.show_identity = identity
                widget.refresh()

    # -- cameras ---------------------------------------------------------------
    def _cursor_moved(self) -> None:
        for widget in self.slices.values():
            widget.is_linked = self.link.can_link and self.link.linked
            if widget.is_outside != self.link.is_outside:
                widget.is_outside = self.link.is_outside
                widget.update()
        self._camera_moved(self.grid.slices.get(self.plane))

    def _camera_moved(self, source: SliceWidget | None) -> None:
        """Zoom, place and turn are the same in the scan and the prior; `source` was moved."""
        base = self.grid.slices.get(self.plane)
        if source is None or base is None or self._following or not self.link.linked or not self.can_overlay:
            return
        if source is not base and not self._was_moved(source):
            return
        if self.grid.scene.active is not self.link.scan or base.view.volume is None:
            return
        self._following = True
        try:
            self._look_alike(source, base)
        finally:
            self._following = False
        self._take_looks()

    def _was_moved(self, source: SliceWidget) -> bool:
        """Whether the user zoomed, moved or turned what is shown of the prior."""
        return source is self.shown and source.view.camera != self._given.get(source, source.view.camera)

    def _look_alike(self, source: SliceWidget, base: SliceWidget) -> None:
        larger = max(1.0, min(self.shown.width() / base.width(), self.shown.height() / base.height()))
        for target in (base, self.shown):
            if target is source or source.view.volume is None or target.view.volume is None:
                continue
            for widget in (source, target):
                widget.view.set_size(widget.width(), widget.height(), widget.devicePixelRatioF())
            before = target.view.camera
            scale = larger if target is self.shown else 1 / larger
            target.view.look_like(source.view, self._between(source, target), scale)
            if before != target.view.camera:
                target.refresh()
        self._given[self.shown] = self.shown.view.camera

    def _between(self, source: SliceWidget, target: SliceWidget) -> Affine:
        """LPS mm of what one view shows to LPS mm of what the other shows."""
        assert self.prior.matrix is not None
        if isinstance(source, PriorWidget) == isinstance(target, PriorWidget):
            return np.eye(4)
        return self.prior.matrix if isinstance(source, PriorWidget) else self._into_prior()

    def grab_view(self, identity: bool) -> QPixmap:
        """The picture that is seen now, without the buttons."""
        widget = self.shown
        was, widget.show_identity = widget.show_identity, widget.show_identity and identity
        try:
            return widget.grab()
        finally:
            widget.show_identity = was

    def resizeEvent(self, event: object) -> None:
        super().resizeEvent(event)  # type: ignore[arg-type]
        QTimer.singleShot(0, self, self._cursor_moved)  # after the layout


def _first_plane(prior: PriorView) -> str:
    """That of its images: they are shown as they were acquired."""
    return "axial" if prior.volume.affine is None else native_plane(prior.volume.affine)


def _scrolled(widget: SliceWidget, images: int) -> tuple[float, float, float]:
    """The cursor that shows another image of a view; no wrap."""
    view, grid = widget.view, widget.view.grid
    assert grid is not None
    voxel = view.voxel.copy()
    voxel[grid.slice_axis] = min(max(view.index + images, 0), grid.count - 1)
    return view.place_voxel(voxel)
