"""The place of the views: makes them when the first scan opens, and fills the menus that belong to them."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QPoint, Qt, Signal
from PySide6.QtGui import QImage, QKeySequence, QPainter, QPixmap, QShortcut
from PySide6.QtWidgets import QMenu, QSplitter, QVBoxLayout, QWidget

from medviewer.api.panel import PriorView
from medviewer.core.scene import Scene
from medviewer.gui.text import tr
from medviewer.gui.views.tools import ToolState
from medviewer.gui.widgets.toolbar import Toolbar

if TYPE_CHECKING:
    from medviewer.gui.views.prior_pane import PriorPane
    from medviewer.gui.views.view_grid import ViewGrid


class ViewArea(QWidget):
    """VTK is imported when the first scan opens, not at start-up."""

    clicked = Signal(object)  # PointPrompt
    box_drawn = Signal(object)  # BoxPrompt
    escape = Signal()

    def __init__(self, scene: Scene, tools: ToolState, toolbar: Toolbar) -> None:
        super().__init__()
        self._scene, self._tools, self._toolbar = scene, tools, toolbar
        self.grid: ViewGrid | None = None
        self.prior: PriorPane | None = None
        self._enlarged = False  # one view was made large to stand beside the prior
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._split = QSplitter(Qt.Orientation.Horizontal)
        self._split.setChildrenCollapsible(False)
        self._split.setHandleWidth(3)
        self._column.addWidget(self._split)
        context = Qt.ShortcutContext.WidgetWithChildrenShortcut
        QShortcut(QKeySequence("Esc"), self, context=context).activated.connect(self.escape)
        toolbar.preset_menu.aboutToShow.connect(self.fill_presets)
        toolbar.layout_menu.aboutToShow.connect(self.fill_layouts)
        scene.window_changed.connect(self.refresh_menus)
        scene.active_changed.connect(lambda: self.show_prior(None))

    def ensure(self) -> None:
        """Make the views if there are none."""
        if self.grid is not None:
            return
        from medviewer.gui.views.view_grid import ViewGrid

        self.grid = ViewGrid(self._scene, self._tools)
        self.grid.clicked.connect(self.clicked)
        self.grid.boxDrawn.connect(self.box_drawn)
        self.grid.layoutChanged.connect(self._name_layout)
        self._split.addWidget(self.grid)

    def focus_views(self) -> None:
        """Put the keyboard in the views."""
        if self.grid is not None:
            self.grid.focus_views()

    def grab_picture(self, identity: bool = False) -> NDArray[np.uint8]:
        """What the views show now, uint8 (rows, columns, 3); who the patient is only if `identity` is asked for."""
        with self.grid.without_identity() if self.grid and not identity else nullcontext():
            image = self._picture(identity).toImage().convertToFormat(QImage.Format.Format_RGB888)
        rows = np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), image.bytesPerLine())
        return rows[:, : 3 * image.width()].reshape(image.height(), image.width(), 3).copy()

    def _picture(self, identity: bool) -> QPixmap:
        """The views, and the prior beside them without its buttons."""
        if self.grid is None or self.prior is None:
            return self.grab()
        views, prior = self.grid.grab(), self.prior.grab_view(identity)
        ratio = views.devicePixelRatio()
        both = QPixmap(views.width() + prior.width(), max(views.height(), prior.height()))
        both.setDevicePixelRatio(ratio)
        both.fill(Qt.GlobalColor.black)
        with QPainter(both) as painter:
            painter.drawPixmap(QPoint(0, 0), views)
            painter.drawPixmap(QPoint(round(views.width() / ratio), 0), prior)
        return both

    # -- prior ---------------------------------------------------------------------
    def show_prior(self, prior: PriorView | None) -> None:
        """A prior beside the active scan; None ends it."""
        if prior is not None and self._scene.active is not None:
            self.ensure()
            if self.prior is not None and self.prior.prior.volume is prior.volume:
                self.prior.show_prior(prior)
            else:
                self._end_prior()
                self._begin_prior(prior)
        else:
            self._end_prior()

    def _begin_prior(self, prior: PriorView) -> None:
        from medviewer.gui.views.prior_pane import PriorPane

        assert self.grid is not None
        self.prior = pane = PriorPane(self.grid, prior)
        self._split.addWidget(pane)
        self._split.setSizes([1000, 1000])
        self._enlarged = self.grid.maximised is None and pane.plane != "native"
        if self._enlarged:
            self.choose_layout(pane.plane)

    def _end_prior(self) -> None:
        pane, self.prior = self.prior, None
        if pane is None:
            return
        pane.close_links()
        pane.hide()
        pane.setParent(None)
        pane.deleteLater()
        if self._enlarged and self.grid is not None and self.grid.maximised is not None:
            self.choose_layout("grid")

    def point_at(self, segment_id: str | None) -> None:
        """Fill a segment, so that the eye finds it; None ends it."""
        if self.grid is not None:
            self.grid.link.point_at(segment_id)

    def shut_down(self) -> None:
        """Free what belongs to the graphics system."""
        self._end_prior()
        if self.grid is not None:
            self.grid.shutdown()

    # -- menus ---------------------------------------------------------------------
    def fill_presets(self) -> None:
        """The window presets that fit the scan."""
        from medviewer.render.presets import preset_window, window_presets

        menu, scan = self._toolbar.preset_menu, self._scene.active
        menu.clear()
        if scan is None:
            menu.addAction(tr("No scan is open")).setEnabled(False)
            return
        for preset in window_presets(scan.volume):
            width, centre = preset_window(scan.volume, preset)
            text = f"{preset.name}\tW {width:.0f} L {centre:.0f}" + (f"   {preset.key}" if preset.key else "")
            stored = preset.window is None
            value = None if stored else (width, centre)
            menu.addAction(text).triggered.connect(lambda checked=False, v=value: self._scene.set_window(v))

    def fill_layouts(self) -> None:
        """The arrangements that the views offer."""
        menu: QMenu = self._toolbar.layout_menu
        menu.clear()
        for key, text in self._layouts():
            action = menu.addAction(text)
            action.triggered.connect(lambda checked=False, k=key: self.choose_layout(k))

    def _layouts(self) -> list[tuple[str, str]]:
        scan = self._scene.active
        if scan is None or scan.volume.kind != "volume" or scan.volume.affine is None:
            return [("grid", tr("One view"))]
        return [
            ("grid", "2×2"), ("axial", tr("Axial")), ("coronal", tr("Coronal")), ("sagittal", tr("Sagittal")),
            ("volume", tr("3D")),
        ]  # fmt: skip

    def choose_layout(self, key: str) -> None:
        """Show all views ("grid") or one of them large."""
        if self.grid is None:
            return
        if self.grid.maximised is not None:
            self.grid.maximise()
        if key != "grid":
            self.grid.maximise(key)

    def _name_layout(self) -> None:
        """The arrangement's name on the button."""
        names = dict(self._layouts())
        key = (self.grid.maximised if self.grid is not None else None) or "grid"
        self._toolbar.layout_button.setText(names.get(key, names["grid"]) + " ▾")
        self._toolbar.fit(self._toolbar.width())

    def refresh_menus(self) -> None:
        """The preset's name on the button."""
        self._toolbar.preset.setText(self._preset_name() + " ▾")
        self._toolbar.fit(self._toolbar.width())

    def _preset_name(self) -> str:
        from medviewer.render.presets import default_window, preset_window, window_presets

        scan = self._scene.active
        if scan is None:
            return tr("Window preset")
        shown = scan.window or default_window(scan.volume)
        presets = window_presets(scan.volume)
        named = [p for p in presets if p.window is not None] + [p for p in presets if p.window is None]
        name = next((p.name for p in named if preset_window(scan.volume, p) == shown), "Own window")
        return tr(name)
