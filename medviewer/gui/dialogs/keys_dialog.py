"""F1: all keys, from the table of actions."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QGridLayout, QHBoxLayout, QLabel, QScrollArea, QVBoxLayout, QWidget

from medviewer.gui.actions.registry import key_text
from medviewer.gui.actions.table import ACTIONS
from medviewer.gui.dialogs.base import PlainDialog
from medviewer.gui.text import tr
from medviewer.gui.views.keys import VIEW_KEYS
from medviewer.gui.widgets.basic import heading, label

Row = tuple[str, str]


def key_rows() -> dict[str, list[Row]]:
    """Heading to (keys, what they do)."""
    groups: dict[str, list[Row]] = {}
    for info in ACTIONS:
        if info.keys:
            groups.setdefault(tr(info.group), []).append((key_text(info), tr(info.text).removesuffix("…")))
    groups[tr("Views")] = [(tr(keys), tr(text)) for keys, text in VIEW_KEYS]
    return groups


class KeysDialog(PlainDialog):
    """Two columns of keys."""

    def __init__(self, parent: QWidget | None = None) -> None:
        text = tr("Single keys act only while a view or the list they belong to has the keyboard.")
        super().__init__(tr("Keys and mouse"), text, parent)
        page = QWidget()
        columns = QHBoxLayout(page)
        columns.setSpacing(32)
        groups = list(key_rows().items())
        half = _half(groups)
        for part in (groups[:half], groups[half:]):
            columns.addLayout(_column(part))
        area = QScrollArea()
        area.setWidgetResizable(True)
        area.setWidget(page)
        self.body.addWidget(area)
        self.add_action(tr("Close")).clicked.connect(self.accept)
        self.resize(880, 660)


def _half(groups: list[tuple[str, list[Row]]]) -> int:
    total, seen = sum(len(rows) + 2 for _, rows in groups), 0
    for number, (_, rows) in enumerate(groups):
        seen += len(rows) + 2
        if 2 * seen >= total:
            return number + 1
    return len(groups)


def _column(groups: list[tuple[str, list[Row]]]) -> QVBoxLayout:
    column = QVBoxLayout()
    column.setSpacing(8)
    for title, rows in groups:
        column.addWidget(heading(title))
        grid = QGridLayout()
        grid.setHorizontalSpacing(16)
        grid.setVerticalSpacing(4)
        grid.setColumnStretch(1, 1)
        for number, (keys, text) in enumerate(rows):
            shown: QLabel = label(keys, "strong")
            shown.setMinimumWidth(150)
            grid.addWidget(shown, number, 0, Qt.AlignmentFlag.AlignTop)
            grid.addWidget(label(text, wrap=True), number, 1)
        column.addLayout(grid)
        column.addSpacing(8)
    column.addStretch(1)
    return column
