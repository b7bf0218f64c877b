"""Labels, buttons and lines in the roles that the style sheet knows."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFrame, QLabel, QLayout, QPushButton, QSizePolicy, QWidget


def label(text: str = "", role: str = "", *, wrap: bool = False) -> QLabel:
    """A label in a role of the style sheet; plain text only, so that file contents cannot inject markup."""
    result = QLabel()
    result.setTextFormat(Qt.TextFormat.PlainText)
    result.setText(text)
    if role:
        result.setProperty("role", role)
    if wrap:
        result.setWordWrap(True)
        result.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)
    return result


def heading(text: str) -> QLabel:
    """A small heading in capitals."""
    return label(text.upper(), "heading")


def button(text: str, role: str = "", tooltip: str = "") -> QPushButton:
    """A push button that is never the default one, so that Enter elsewhere cannot press it."""
    result = QPushButton(text)
    result.setAutoDefault(False)
    if role:
        result.setProperty("role", role)
    if tooltip:
        result.setToolTip(tooltip)
    return result


def separator(vertical: bool = True) -> QFrame:
    """A thin line."""
    result = QFrame()
    result.setProperty("role", "separator")
    if vertical:
        result.setFixedSize(1, 20)
    else:
        result.setFixedHeight(1)
    return result


def set_state(widget: QWidget, name: str, value: object) -> None:
    """Change a dynamic property and let the style sheet see it."""
    if widget.property(name) != value:
        widget.setProperty(name, value)
        widget.style().unpolish(widget)
        widget.style().polish(widget)


def clear_layout(layout: QLayout) -> None:
    """Delete the widgets of a layout."""
    while (item := layout.takeAt(0)) is not None:
        widget = item.widget()
        if widget is not None:
            widget.hide()  # else one that was not shown yet would still be, as a window of its own
            widget.setParent(None)
            widget.deleteLater()
