"""Warnings about the shown scan, above the views: one line, details on request, dismissable."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QVBoxLayout

from medviewer.gui.text import tr
from medviewer.gui.theme import current_tokens
from medviewer.gui.theme.icons import pixmap
from medviewer.gui.widgets.basic import button, label
from medviewer.gui.widgets.elided import ElidedLabel


class Banner(QFrame):
    """Shows the first warning; "Details" unfolds all of them."""

    dismissed = Signal()
    describe_wanted = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.setProperty("role", "banner")
        self.warnings: tuple[str, ...] = ()
        self._icon = QLabel()
        self._line = ElidedLabel()
        self._all = label("", wrap=True)
        self._details = button(tr("Details"), "link", tr("Show every remark about this scan"))
        self._details.clicked.connect(lambda: self._unfold(not self._all.isVisible()))
        self.describe = button(tr("State it…"), "link", tr("Say what the file does not: modality, left and right"))
        self.describe.clicked.connect(self.describe_wanted)
        close = button(tr("Dismiss"), "link", tr("Hide the remarks about this scan"))
        close.clicked.connect(self.dismiss)
        row = QHBoxLayout()
        row.setSpacing(8)
        row.addWidget(self._icon)
        row.addWidget(self._line, 1)
        row.addWidget(self.describe)
        row.addWidget(self._details)
        row.addWidget(close)
        column = QVBoxLayout(self)
        column.setContentsMargins(12, 4, 8, 4)
        column.setSpacing(4)
        column.addLayout(row)
        column.addWidget(self._all)
        self.show_warnings(())

    def show_warnings(self, warnings: Sequence[str], *, open_question: bool = False) -> None:
        """An empty sequence hides the banner; `open_question` offers to state what is not known."""
        self.describe.setVisible(open_question)
        self.warnings = tuple(warnings)
        self._icon.setPixmap(pixmap("warning", current_tokens().warn, 16, self.devicePixelRatioF()))
        count = len(self.warnings)
        self._all.setText("\n".join(f"•  {w}" for w in self.warnings))
        self._unfold(False)
        self.setVisible(bool(count))

    def dismiss(self) -> None:
        """Hide until another scan is shown."""
        self.hide()
        self.dismissed.emit()

    def _unfold(self, unfolded: bool) -> None:
        self._all.setVisible(unfolded)
        count = len(self.warnings)
        first = self.warnings[0] if count else ""
        self._line.setText(tr("Remarks about this scan") if unfolded else first)
        more = tr("All {n} remarks").format(n=count) if count > 1 else tr("Details")
        self._details.setText(tr("Fewer") if unfolded else more)
