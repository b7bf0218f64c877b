"""The two pictures of a prior: its own slices, and the prior laid over the slices of the scan."""

from __future__ import annotations

from dataclasses import replace

from PySide6.QtCore import QLineF
from PySide6.QtGui import QColor, QPainter, QPen

from medviewer.gui.text import tr
from medviewer.gui.theme.tokens import DARK
from medviewer.gui.views.overlay import Words
from medviewer.gui.views.slice_widget import SliceWidget
from medviewer.gui.views.tools import ToolState
from medviewer.render.masks import BoxCache
from medviewer.render.overlaid import OverlaidView
from medviewer.render.slice_grid import Plane


class PriorWidget(SliceWidget):
    """The prior's own slices, never interpolated between images, under the word PRIOR and its date."""

    date = ""
    is_linked = True
    is_outside = False

    def __init__(self, plane: Plane, tools: ToolState, boxes: BoxCache) -> None:
        super().__init__(plane, tools, boxes)
        self.setAccessibleName(tr("Prior") + " · " + self.accessibleName())

    def _words(self) -> Words:
        words = super()._words()
        badge = "" if self.is_linked else tr("NOT LINKED")
        badge = tr("NOT IN THE PRIOR") if self.is_outside else badge
        left = ((prior_name(self.date, shown=self.show_identity), DARK.warn), *words.top_left)
        right = ((badge, DARK.warn),) if badge else ()
        return replace(words, top_left=left, top_right=(*right, *words.top_right))


class OverlaidWidget(SliceWidget):
    """The scan with the prior over it. `view` is an `OverlaidView`."""

    date = ""

    def __init__(self, plane: Plane, tools: ToolState, boxes: BoxCache) -> None:
        super().__init__(plane, tools, boxes)
        self.view: OverlaidView = OverlaidView(plane, boxes)
        self.show_crosshair = False  # the eye looks at the edges
        self.setAccessibleName(tr("Prior over the scan") + " · " + self.accessibleName())

    def paint(self, painter: QPainter) -> None:
        super().paint(painter)
        if self.view.mode == "swipe":
            x = self.view.share * self.width()
            painter.setPen(QPen(QColor(DARK.warn), 1))
            painter.drawLine(QLineF(x, 0, x, self.height()))

    def _words(self) -> Words:
        words, prior = super()._words(), prior_name(self.date, shown=self.show_identity)
        texts = {
            "swipe": tr("◀ {prior} · scan ▶"), "blend": tr("{prior} mixed with the scan"),
            "checker": tr("{prior} and scan by turns"),
        }  # fmt: skip
        line = texts[self.view.mode].format(prior=prior)
        return replace(words, top_left=((line, DARK.warn), *words.top_left))


def prior_name(date: str, *, shown: bool = True) -> str:
    """ "PRIOR · 2024-01-31"; without the date in pictures that say nothing of the patient."""
    if not shown:
        return tr("PRIOR")
    return tr("PRIOR · {date}").format(date=date or tr("no date"))
