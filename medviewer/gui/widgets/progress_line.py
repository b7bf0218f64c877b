"""A thin progress bar, painted by itself so that it costs no style sheet work while a job reports."""

from __future__ import annotations

from PySide6.QtCore import QRectF, Qt, QTimer
from PySide6.QtGui import QColor, QHideEvent, QPainter, QPaintEvent, QShowEvent
from PySide6.QtWidgets import QWidget

from medviewer.gui.theme import current_tokens

_STEP_MS, _STEPS, _SHARE = 60, 30, 0.3


class ProgressLine(QWidget):
    """`fraction` 0..1; 0 shows that work goes on without a known end."""

    def __init__(self, width: int = 160) -> None:
        super().__init__()
        self.setFixedSize(width, 6)
        self.fraction = 0.0
        self._step = 0
        self._timer = QTimer(self)
        self._timer.timeout.connect(self._advance)

    def set_fraction(self, fraction: float) -> None:
        """Show how far the work is."""
        self.fraction = min(max(fraction, 0.0), 1.0)
        self.update()

    def _advance(self) -> None:
        if self.fraction == 0.0:
            self._step = (self._step + 1) % _STEPS
            self.update()

    def showEvent(self, event: QShowEvent) -> None:
        self._timer.start(_STEP_MS)

    def hideEvent(self, event: QHideEvent) -> None:
        self._timer.stop()

    def paintEvent(self, event: QPaintEvent) -> None:
        t, width = current_tokens(), self.width()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(t.line_strong))
        painter.drawRoundedRect(QRectF(0, 1, width, 4), 2, 2)
        painter.setBrush(QColor(t.accent))
        if self.fraction > 0:
            painter.drawRoundedRect(QRectF(0, 1, max(4.0, width * self.fraction), 4), 2, 2)
            return
        start = (1 + _SHARE) * self._step / _STEPS - _SHARE
        left, right = max(start, 0.0) * width, min(start + _SHARE, 1.0) * width
        painter.drawRoundedRect(QRectF(left, 1, max(right - left, 0.0), 4), 2, 2)
