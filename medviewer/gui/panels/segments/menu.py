"""What can be done with the selected segment: menu, keys, colour, opacity."""

from __future__ import annotations

from PySide6.QtCore import QObject, QPoint, Qt
from PySide6.QtGui import QColor
from PySide6.QtWidgets import QColorDialog, QHBoxLayout, QMenu, QSlider, QWidget, QWidgetAction

from medviewer.core.scene import Scene
from medviewer.core.segmentation import Segment
from medviewer.gui.actions.registry import Actions
from medviewer.gui.panels.facts.cache import FactsCache
from medviewer.gui.panels.facts.logic import centre_inside
from medviewer.gui.panels.segments.ui import SegmentsPanel
from medviewer.gui.text import tr
from medviewer.gui.widgets.basic import label

_KEYS = ("jump_to", "rename", "recolor", "toggle_segment")


class SegmentMenu(QObject):
    """Binds the segment actions to the list."""

    def __init__(self, scene: Scene, facts: FactsCache, panel: SegmentsPanel, actions: Actions) -> None:
        super().__init__(panel)
        self._scene, self._facts, self._panel, self._actions = scene, facts, panel, actions
        actions.place("segments", panel.view)
        actions.bind(
            {
                "rename": panel.rename,
                "recolor": self.recolor,
                "toggle_segment": self.toggle,
                "delete_segment": self.delete,
                "jump_to": self.jump,
            }
        )
        panel.menu_wanted.connect(self.show)

    @property
    def selected(self) -> Segment | None:
        """The selected segment of the active scan."""
        scan, chosen = self._scene.active, self._scene.selected_id
        return next((s for s in scan.segments if s.id == chosen), None) if scan else None

    def toggle(self) -> None:
        """Show or hide it."""
        if self.selected is not None:
            self._panel.toggle(self.selected.id)

    def delete(self) -> None:
        """Delete it, undoably."""
        if self.selected is not None:
            self._scene.delete_segment(self.selected.id)

    def jump(self) -> None:
        """Put the crosshair on a voxel near its middle."""
        scan, segment = self._scene.active, self.selected
        if scan is None or segment is None:
            return
        looked = self._facts.get(segment)
        place = looked.centre if looked is not None else centre_inside(scan.volume, segment.mask)
        if segment.frame is not None:
            self._scene.set_frame(segment.frame)
        if place is not None:
            self._scene.set_cursor(place)

    def recolor(self) -> None:
        """Ask for a colour."""
        segment = self.selected
        if segment is None:
            return
        title = tr("Colour of {name}").format(name=segment.name)
        options = QColorDialog.ColorDialogOption.DontUseNativeDialog
        color = QColorDialog.getColor(QColor(*segment.color), self._panel, title, options)
        if color.isValid():
            self._scene.recolor_segment(segment.id, (color.red(), color.green(), color.blue()))

    def show(self, at: QPoint) -> None:
        """The context menu."""
        if self.selected is not None:
            self.make().popup(at)

    def make(self) -> QMenu:
        """A fresh menu for the selected segment."""
        menu = QMenu(self._panel)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        for key in _KEYS:
            menu.addAction(self._actions[key])
        menu.addAction(self._opacity_action(menu))
        menu.addSeparator()
        menu.addAction(self._actions["delete_segment"])
        menu.addSeparator()
        menu.addAction(self._actions["export_training_set"])
        return menu

    def _opacity_action(self, menu: QMenu) -> QWidgetAction:
        segment = self.selected
        assert segment is not None
        slider = QSlider(Qt.Orientation.Horizontal)
        slider.setRange(10, 100)
        slider.setValue(round(100 * segment.opacity))
        slider.setFixedWidth(120)
        slider.setAccessibleName(tr("Opacity"))
        slider.valueChanged.connect(lambda value: self._scene.show_segment(segment.id, opacity=value / 100))
        holder = QWidget()
        row = QHBoxLayout(holder)
        row.setContentsMargins(36, 4, 12, 4)
        row.addWidget(label(tr("Opacity")))
        row.addWidget(slider)
        action = QWidgetAction(menu)
        action.setDefaultWidget(holder)
        return action
