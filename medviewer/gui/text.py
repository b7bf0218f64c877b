"""Text the user reads."""

from __future__ import annotations

from html import escape

from PySide6.QtCore import QCoreApplication


def tr(text: str) -> str:
    """The translation of a text of the window (itself where none is installed)."""
    return QCoreApplication.translate("medviewer", text)


def literal(text: str) -> str:
    """A text with values from files for tooltips and message boxes, where Qt looks for markup: shown as it is."""
    return f"<qt>{escape(text)}</qt>".replace("\n", "<br>") if "<" in text else text
