"""What the 2D and 3D views have in common: they take the focus, hand their keys on and paint all of their area."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QFocusEvent, QKeyEvent
from PySide6.QtWidgets import QWidget


class ViewWidget(QWidget):
    """One view of the grid. Who hears `keyPressed` accepts the event to keep it from the window."""

    focused = Signal()
    maximiseAsked = Signal()
    keyPressed = Signal(object)  # QKeyEvent
    keyReleased = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.active = False
        self.show_identity = False
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
        self.setMinimumSize(80, 80)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        event.ignore()
        self.keyPressed.emit(event)
        if not event.isAccepted():
            super().keyPressEvent(event)

    def keyReleaseEvent(self, event: QKeyEvent) -> None:
        event.ignore()
        self.keyReleased.emit(event)

    def focusInEvent(self, event: QFocusEvent) -> None:
        self.focused.emit()
        self.update()

    def focusOutEvent(self, event: QFocusEvent) -> None:
        self.update()
