"""The left column: scans, segments, figures of the selected segment."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFrame, QScrollArea, QVBoxLayout, QWidget

from medviewer.gui.panels.facts.ui import FactsPanel
from medviewer.gui.panels.scans.ui import ScansPanel
from medviewer.gui.panels.segments.ui import SegmentsPanel


class Sidebar(QFrame):
    """Scrolls where the window is low; the figures stay at the bottom."""

    def __init__(self, scans: ScansPanel, segments: SegmentsPanel, facts: FactsPanel) -> None:
        super().__init__()
        self.setObjectName("sidebar")
        lists = QWidget()
        inner = QVBoxLayout(lists)
        inner.setContentsMargins(12, 12, 8, 8)
        inner.setSpacing(16)
        inner.addWidget(scans)
        inner.addWidget(segments)
        inner.addStretch(1)
        area = QScrollArea()
        area.setFrameShape(QFrame.Shape.NoFrame)
        area.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        area.setWidgetResizable(True)
        area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        area.setWidget(lists)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(area, 1)
        holder = QWidget()
        below = QVBoxLayout(holder)
        below.setContentsMargins(12, 0, 12, 12)
        below.addWidget(facts)
        column.addWidget(holder)
