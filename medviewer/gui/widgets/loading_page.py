"""What stands in the middle while the first scan loads: one of its images, as soon as it is read."""

from __future__ import annotations

from PySide6.QtCore import QRect, Qt
from PySide6.QtGui import QColor, QPainter, QPaintEvent, QPixmap
from PySide6.QtWidgets import QWidget

from medviewer.gui.theme import DARK

_MARGIN, _LINE = 16, 24


class LoadingPage(QWidget):
    """A picture on black and one line of text; no coordinates, no letters: nothing can be measured on it."""

    def __init__(self) -> None:
        super().__init__()
        self.text = ""
        self.picture = QPixmap()

    def start(self, text: str) -> None:
        """Another scan begins to load."""
        self.text, self.picture = text, QPixmap()
        self.update()

    def show_picture(self, picture: QPixmap) -> None:
        """One of its images."""
        self.picture = picture
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.fillRect(self.rect(), QColor("#000000"))
        room = self.rect().adjusted(_MARGIN, _MARGIN, -_MARGIN, -_MARGIN - _LINE)
        if not self.picture.isNull() and room.isValid():
            painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
            size = self.picture.size().scaled(room.size(), Qt.AspectRatioMode.KeepAspectRatio)
            target = QRect(room.topLeft(), size)
            target.moveCenter(room.center())
            painter.drawPixmap(target, self.picture)
        painter.setPen(QColor(DARK.text))
        line = self.rect().adjusted(_MARGIN, self.height() - _MARGIN - _LINE, -_MARGIN, -_MARGIN)
        painter.drawText(line, Qt.AlignmentFlag.AlignCenter, self.text)
        painter.end()
