"""The question about work that a crash left behind."""

from __future__ import annotations

from datetime import datetime

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QFrame, QMessageBox, QVBoxLayout, QWidget

from medviewer.gui.dialogs.base import PlainDialog
from medviewer.gui.recovery import counted
from medviewer.gui.text import literal, tr
from medviewer.gui.widgets.basic import label
from medviewer.gui.widgets.elided import ElidedLabel
from medviewer.services.journal_replay import LostScan
from medviewer.services.recovery import Recoverable

_MOST_ROWS = 5


class RecoveryDialog(PlainDialog):
    """Not blocking; `chosen` gives "recover", "keep" or "delete", once. Esc keeps."""

    chosen = Signal(str)

    def __init__(self, item: Recoverable, parent: QWidget | None) -> None:
        super().__init__(question(item), explanation(item), parent)
        self.item = item
        for scan in item.scans[:_MOST_ROWS]:
            self.body.addWidget(_row(scan))
        if len(item.scans) > _MOST_ROWS:
            self.body.addWidget(label(tr("and {n} more scans").format(n=len(item.scans) - _MOST_ROWS), "muted"))
        if item.damaged:
            self.body.addWidget(label(DAMAGED, "warn", wrap=True))
        self.delete = self.add_action(tr("Delete"), "")
        self._buttons.insertWidget(0, self.delete)  # away from the others
        self.delete.clicked.connect(self._ask_delete)
        self.keep = self.add_action(tr("Keep for later"), "")
        self.keep.clicked.connect(self.reject)
        self.recover = self.add_action(tr("Recover"))
        self.recover.clicked.connect(lambda: self._choose("recover"))
        self.recover.setEnabled(bool(item.scans))
        self.rejected.connect(lambda: self._choose("keep"))
        self.setFixedWidth(520)
        self._open = True

    def _choose(self, choice: str) -> None:
        if self._open:
            self._open = False
            self.hide()
            self.chosen.emit(choice)

    def _ask_delete(self) -> None:
        text = tr("Delete this work? It cannot be brought back.")
        yes, no = QMessageBox.StandardButton.Yes, QMessageBox.StandardButton.No
        if QMessageBox.question(self, tr("Delete"), text, yes | no, no) == yes:
            self._choose("delete")


DAMAGED = tr("A part of the journal is damaged; the work up to there can be recovered.")


def question(item: Recoverable, now: datetime | None = None) -> str:
    """For instance "Recover the work of 14:32 on this scan?"."""
    when = when_text(item.when, now)
    if item.newer:
        return tr("Work of a newer version of medviewer")
    if len(item.scans) == 1:
        return tr("Recover the work of {when} on this scan?").format(when=when)
    return tr("Recover the work of {when} on {n} scans?").format(when=when, n=len(item.scans))


def explanation(item: Recoverable) -> str:
    """Why this is asked."""
    if item.newer:
        return tr("It was kept by a newer version, and this one cannot read it. Open it with the newer version.")
    return tr("medviewer ended before this work was saved. Undo works for everything that is recovered.")


def when_text(when: str, now: datetime | None = None) -> str:
    """The local time of an ISO time; with the date unless it was today."""
    try:
        local = datetime.fromisoformat(when).astimezone()
    except ValueError:
        return tr("an unknown time")
    today = (now or datetime.now()).astimezone().date()
    return local.strftime("%H:%M") if local.date() == today else local.strftime("%Y-%m-%d, %H:%M")


def _row(scan: LostScan) -> QWidget:
    card = QFrame()
    card.setProperty("role", "card")
    column = QVBoxLayout(card)
    column.setContentsMargins(12, 10, 12, 10)
    column.setSpacing(2)
    name = ElidedLabel()
    name.setText(scan.identity.name)
    name.setProperty("role", "strong")
    name.setToolTip(literal(str(scan.identity.path)))
    column.addWidget(name)
    column.addWidget(label(counted(scan.segments, scan.edits, int(scan.preview), len(scan.notes)), "muted"))
    return card
