"""A line for a path with a button that asks for one."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtWidgets import QFileDialog, QHBoxLayout, QLineEdit

from medviewer.gui.text import tr
from medviewer.gui.widgets.basic import button


def path_line(name: str) -> QLineEdit:
    """An empty line; `name` stands in it while it is empty."""
    line = QLineEdit()
    line.setAccessibleName(name)
    line.setPlaceholderText(name)
    return line


def with_choose(line: QLineEdit, tip: str, ask: Callable[[], str]) -> QHBoxLayout:
    """The line and a button that calls `ask`. What it answers counts as typed; an empty answer changes nothing."""

    def choose() -> None:
        name = ask()
        if name:
            line.setText(name)
            line.textEdited.emit(name)

    browse = button(tr("Choose…"), "", tip)
    browse.clicked.connect(choose)
    row = QHBoxLayout()
    row.setSpacing(8)
    row.addWidget(line, 1)
    row.addWidget(browse)
    return row


def with_folder(line: QLineEdit, tip: str, title: str = "") -> QHBoxLayout:
    """The same for an existing folder."""
    return with_choose(line, tip, lambda: QFileDialog.getExistingDirectory(line, title or tip, line.text()))
