"""Draws the words of a view over its picture: corners, letters, scale bar. Nothing overlaps, nothing is clipped."""

from __future__ import annotations

from dataclasses import dataclass, field

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QFontMetricsF, QPainter, QPen

from medviewer.gui.theme.apply import interface_font
from medviewer.gui.theme.tokens import DARK, SMALL_PX

EDGE = 8.0
_SHADOW = QColor(0, 0, 0)
_OFFSETS = tuple((x, y) for x in (-1, 0, 1) for y in (-1, 0, 1) if x or y)  # a dark edge reads on any picture


@dataclass(frozen=True)
class Words:
    """What is written on a view. Empty strings are left out."""

    top_left: tuple[tuple[str, str], ...] = ()  # (text, colour), one a line
    top_right: tuple[tuple[str, str], ...] = ()
    bottom_left: tuple[str, ...] = ()  # parts joined by " · ", on two lines where one is too short
    letters: dict[str, str] = field(default_factory=dict)
    bar: tuple[float, str] | None = None


class OverlayPainter:
    """Writes on a view of `width` x `height` logical pixels and remembers what is taken."""

    def __init__(self, painter: QPainter, width: float, height: float) -> None:
        self.painter, self.width, self.height = painter, width, height
        font = interface_font(SMALL_PX if width >= 220 else SMALL_PX - 2)
        painter.setFont(font)
        self.metrics = QFontMetricsF(font)
        self.taken: list[QRectF] = []
        self._right: list[QRectF] = []

    @property
    def step(self) -> float:
        return self.metrics.height() + 2

    def draw(self, words: Words) -> None:
        """Everything, in the order of importance."""
        self._right_column(words.top_right)
        self._right = list(self.taken)
        self._left_column(words.top_left)
        self._bottom(words)
        for side, text in words.letters.items():
            self._letter(side, text)

    def _right_column(self, lines: tuple[tuple[str, str], ...]) -> None:
        for row, (text, color) in enumerate(self._rows(lines)):
            shown = self._fit(text, self.width - 2 * EDGE)
            wide = self.metrics.horizontalAdvance(shown)
            self._write(self.width - EDGE - wide, EDGE + row * self.step, shown, color)

    def _left_column(self, lines: tuple[tuple[str, str], ...]) -> None:
        for row, (text, color) in enumerate(self._rows(lines)):
            top = EDGE + row * self.step
            self._write(EDGE, top, self._fit(text, self._free_until(top) - 2 * EDGE), color)

    def _rows(self, lines: tuple[tuple[str, str], ...]) -> list[tuple[str, str]]:
        """As many lines as leave room for the letters."""
        most = max(int((self.height / 2 - EDGE) / self.step - 1.5), 1)
        return [line for line in lines if line[0]][:most]

    def _free_until(self, top: float) -> float:
        """Where the text of the right column begins on this row."""
        row = QRectF(0, top, self.width, self.step - 2)
        starts = [r.left() for r in self._right if r.intersects(row)]
        return min(starts, default=self.width)

    def _bottom(self, words: Words) -> None:
        room = self.width - 2 * EDGE
        if words.bar is not None and words.bar[0] < 0.6 * self.width and self.height > 5 * self.step:
            length, text = words.bar
            self._scale_bar(length, text)
            room -= max(length, self.metrics.horizontalAdvance(text)) + 2 * EDGE
        base = self.height - EDGE - self.metrics.height()
        for row, text in enumerate(self._bottom_lines(words.bottom_left, room)):
            self._write(EDGE, base - row * self.step, self._fit(text, room), DARK.text)

    def _bottom_lines(self, parts: tuple[str, ...], room: float) -> list[str]:
        """From below: everything on one line, else what is there above where it is."""
        whole = " · ".join(parts)
        if len(parts) < 2 or self.metrics.horizontalAdvance(whole) <= room or self.height < 9 * self.step:
            return [whole]
        return [parts[0], " · ".join(parts[1:])]

    def _scale_bar(self, length: float, text: str) -> None:
        right, y = self.width - EDGE, self.height - EDGE
        wide = self.metrics.horizontalAdvance(text)
        centre = right - max(length, wide) / 2
        bar = QRectF(right - length, y - 1, length, 2)
        self.painter.fillRect(bar.adjusted(-1, -1, 1, 1), _SHADOW)
        self.painter.fillRect(bar, QColor(DARK.text))
        self._write(centre - wide / 2, y - self.metrics.height() - 3, text, DARK.text)
        self.taken.append(bar)

    def _letter(self, side: str, text: str) -> None:
        wide, high = self.metrics.horizontalAdvance(text), self.metrics.height()
        x = {"left": EDGE, "right": self.width - EDGE - wide}.get(side, (self.width - wide) / 2)
        y = {"top": EDGE, "bottom": self.height - EDGE - high}.get(side, (self.height - high) / 2)
        move = {"top": self.step, "bottom": -self.step}.get(side, self.step)
        for _ in range(6):
            if not any(QRectF(x - 4, y, wide + 8, high).intersects(r) for r in self.taken):
                if 0 <= y <= self.height - high:
                    self._write(x, y, text, DARK.orientation)
                return
            y += move

    def _fit(self, text: str, room: float) -> str:
        return self.metrics.elidedText(text, Qt.TextElideMode.ElideRight, max(room, 0.0))

    def _write(self, x: float, top: float, text: str, color: str) -> None:
        if not text:
            return
        base = QPointF(x, top + self.metrics.ascent())
        self.painter.setPen(_SHADOW)
        for dx, dy in _OFFSETS:
            self.painter.drawText(base + QPointF(dx, dy), text)
        self.painter.setPen(QColor(color))
        self.painter.drawText(base, text)
        self.taken.append(QRectF(x, top, self.metrics.horizontalAdvance(text), self.metrics.height()))


def draw_frame(painter: QPainter, width: float, height: float, *, active: bool, focused: bool) -> None:
    """The frame of the active view in the accent; thicker where the keyboard is."""
    if not active:
        return
    thickness = 2.0 if focused else 1.0
    pen = QPen(QColor(DARK.accent), thickness)
    pen.setJoinStyle(Qt.PenJoinStyle.MiterJoin)
    painter.setPen(pen)
    painter.setBrush(Qt.BrushStyle.NoBrush)
    half = thickness / 2
    painter.drawRect(QRectF(half, half, width - thickness, height - thickness))
