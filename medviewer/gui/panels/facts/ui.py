"""The card with the figures of the selected segment."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFrame, QGridLayout, QLabel, QVBoxLayout, QWidget

from medviewer.core.scene import Scene
from medviewer.core.segmentation import Segment
from medviewer.core.volume import Volume
from medviewer.gui.panels.facts.cache import FactsCache
from medviewer.gui.panels.facts.logic import Looked, look_at_text, median_text
from medviewer.gui.panels.segments.logic import edges_text, origin_text, size_text
from medviewer.gui.text import tr
from medviewer.gui.widgets.basic import clear_layout, label
from medviewer.gui.widgets.elided import ElidedLabel

Row = tuple[str, str, str]  # name, value, role


class FactsPanel(QFrame):
    """Hidden while no segment is selected."""

    def __init__(self, scene: Scene, facts: FactsCache, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("role", "card")
        self._scene, self._facts = scene, facts
        self.title = ElidedLabel(role="heading")
        self._grid = QGridLayout()
        self._grid.setHorizontalSpacing(4)
        self._grid.setVerticalSpacing(4)
        self._grid.setColumnStretch(1, 1)
        column = QVBoxLayout(self)
        column.setContentsMargins(10, 12, 10, 12)
        column.setSpacing(8)
        column.addWidget(self.title)
        column.addLayout(self._grid)
        for signal in (scene.segments_changed, scene.selection_changed, scene.active_changed):
            signal.connect(self.refresh)
        facts.changed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Follow the selection."""
        scan, chosen = self._scene.active, self._scene.selected_id
        segment = next((s for s in scan.segments if s.id == chosen), None) if scan else None
        self.setVisible(segment is not None)
        clear_layout(self._grid)
        if segment is None or scan is None:
            return
        self.title.setText(segment.name.upper())
        for number, (name, value, role) in enumerate(fact_rows(scan.volume, segment, self._facts.get(segment))):
            self._grid.addWidget(label(name, "muted"), number, 0, Qt.AlignmentFlag.AlignTop)
            text = label(value, role or "value", wrap=True)
            text.setAlignment(Qt.AlignmentFlag.AlignRight)
            self._grid.addWidget(text, number, 1)

    def rows(self) -> dict[str, str]:
        """What is shown, by name."""
        shown = {}
        for row in range(self._grid.rowCount()):
            name, value = self._grid.itemAtPosition(row, 0), self._grid.itemAtPosition(row, 1)
            if name is not None and value is not None:
                first, second = name.widget(), value.widget()
                if isinstance(first, QLabel) and isinstance(second, QLabel):
                    shown[first.text()] = second.text()
        return shown


def fact_rows(volume: Volume, segment: Segment, looked: Looked | None) -> list[Row]:
    """The lines of the card."""
    if looked is None:
        return [(tr("Measuring…"), "", "")]
    rows: list[Row] = []
    if segment.incomplete:
        rows.append((tr("Incomplete"), edges_text(segment.cut_edges), "warn"))
    else:
        name = tr("Volume") if volume.kind == "volume" else tr("Area")
        rows.append((name, size_text(looked.size, cut=False), ""))
    median = median_text(looked.facts, volume.units)
    if median:
        rows.append((tr("Median (5–95 %)"), median, ""))
    look_at = look_at_text(looked.facts, volume.units)
    if look_at:
        rows.append((tr("Look at"), look_at, "warn"))
    if "assumed" in segment.side_note:
        rows.append((tr("Side"), segment.side_note.partition(" (")[0], "warn"))
    rows.append((tr("Origin"), origin_text(segment), ""))
    rows.append((tr("Tested"), segment.tested, ""))
    return rows
