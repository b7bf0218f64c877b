"""Text the user reads."""

from __future__ import annotations

from PySide6.QtCore import QCoreApplication


def tr(text: str) -> str:
    """The translation of a text of the window (itself where none is installed)."""
    return QCoreApplication.translate("medviewer", text)
