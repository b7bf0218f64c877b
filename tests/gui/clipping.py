"""Finds text that does not fit its widget."""

from __future__ import annotations

from PySide6.QtCore import QPoint, QRect, Qt
from PySide6.QtWidgets import QAbstractButton, QApplication, QCheckBox, QLabel, QRadioButton, QScrollArea, QWidget

from medviewer.gui.widgets.elided import ElidedLabel

_SLACK = 1


def clipped(window: QWidget) -> list[str]:
    """Descriptions of visible labels and buttons whose text is cut, or that reach out of their window."""
    for _ in range(3):  # layouts settle in the event loop
        QApplication.processEvents()
    found = []
    for widget in window.findChildren(QWidget):
        if not widget.isVisible() or widget.window() is not window.window():
            continue
        text = _text(widget)
        if not text:
            continue
        if not _fits(widget):
            found.append(f"cut: {text!r} needs {_needed(widget)} has {widget.width()}x{widget.height()}")
        elif _outside(widget):
            found.append(f"cut: {text!r} reaches out of {type(widget.parentWidget()).__name__}")
    return found


def _text(widget: QWidget) -> str:
    if isinstance(widget, (QLabel, QAbstractButton)):
        return widget.text()
    return ""


def _needed(widget: QWidget) -> str:
    hint = widget.sizeHint()
    if isinstance(widget, QLabel) and widget.wordWrap():
        return f"{widget.width()}x{widget.heightForWidth(widget.width())}"
    return f"{hint.width()}x{hint.height()}"


def _fits(widget: QWidget) -> bool:
    if isinstance(widget, ElidedLabel):
        return widget.height() + _SLACK >= widget.fontMetrics().height()
    if isinstance(widget, QLabel) and widget.wordWrap():
        words = widget.text().replace("\u200b", " ").split()  # where a line may break
        widest = max((widget.fontMetrics().horizontalAdvance(w) for w in words), default=0)
        room = widget.contentsRect().width() + _SLACK
        return widest <= room and widget.height() + _SLACK >= widget.heightForWidth(widget.width())
    hint = widget.sizeHint()
    if isinstance(widget, (QCheckBox, QRadioButton)):
        return widget.width() + _SLACK >= hint.width()
    return widget.width() + _SLACK >= hint.width() and widget.height() + _SLACK >= hint.height()


def _outside(widget: QWidget) -> bool:
    """Whether it lies outside a parent that does not scroll."""
    parent = widget.parentWidget()
    while parent is not None and not parent.isWindow():
        if isinstance(parent.parentWidget(), QScrollArea):
            return False
        here = QRect(widget.mapTo(parent, QPoint(0, 0)), widget.size())
        if not parent.rect().adjusted(-_SLACK, -_SLACK, _SLACK, _SLACK).contains(here):
            return not _scrolls(widget)
        parent = parent.parentWidget()
    return False


def _scrolls(widget: QWidget) -> bool:
    parent = widget.parentWidget()
    while parent is not None:
        if isinstance(parent, QScrollArea):
            return parent.verticalScrollBarPolicy() != Qt.ScrollBarPolicy.ScrollBarAlwaysOff
        parent = parent.parentWidget()
    return False
