"""The frame that all dialogs share."""

from __future__ import annotations

from PySide6.QtWidgets import QDialog, QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from medviewer.gui.text import tr
from medviewer.gui.widgets.basic import button, label


class PlainDialog(QDialog):
    """Title, optional explanation, content, buttons in the lower right. Esc cancels."""

    def __init__(self, title: str, explanation: str, parent: QWidget | None) -> None:
        super().__init__(parent)
        self.setWindowTitle(title)
        self.body = QVBoxLayout()
        self.body.setSpacing(12)
        self._buttons = QHBoxLayout()
        self._buttons.setSpacing(8)
        self._buttons.addStretch(1)
        column = QVBoxLayout(self)
        column.setContentsMargins(24, 20, 24, 20)
        column.setSpacing(12)
        column.addWidget(label(title, "title"))
        if explanation:
            column.addWidget(label(explanation, "muted", wrap=True))
        column.addLayout(self.body, 1)
        column.addSpacing(4)
        column.addLayout(self._buttons)

    def add_cancel(self, text: str = "") -> QPushButton:
        """A button that closes without doing anything."""
        item = button(text or tr("Cancel"))
        item.clicked.connect(self.reject)
        self._buttons.addWidget(item)
        return item

    def add_action(self, text: str, role: str = "primary") -> QPushButton:
        """A further button; the first primary one is pressed by Enter."""
        item = button(text, role)
        item.setDefault(role == "primary")
        self._buttons.addWidget(item)
        return item
