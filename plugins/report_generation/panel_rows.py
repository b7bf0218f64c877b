"""One sentence of a report as a row: what it says, who wrote it, what was decided, and what is wrong with it."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QFocusEvent, QKeyEvent, QMouseEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QVBoxLayout, QWidget

from medviewer.api.reports import Finding

from .panel_parts import TextField, breakable, button, label, remove, set_property, sign_button, tr

_STATES = {"draft": "○ Draft", "accepted": "✓ Accepted", "edited": "✎ Edited", "rejected": "✕ Rejected"}
_MOST_REASONS = 2  # of one guard that are shown
_KEYS = {
    Qt.Key.Key_A: "accept", Qt.Key.Key_E: "edit", Qt.Key.Key_F2: "edit", Qt.Key.Key_Delete: "reject",
    Qt.Key.Key_Return: "show", Qt.Key.Key_Enter: "show", Qt.Key.Key_Space: "show", Qt.Key.Key_I: "conclude",
    Qt.Key.Key_Down: "next", Qt.Key.Key_Up: "previous",
}  # fmt: skip


def origin_text(finding: Finding) -> str:
    """Who wrote a sentence."""
    if finding.origin == "measured":
        return tr("measured")
    if finding.origin == "model":
        return tr("by the model {model}").format(model=finding.model) if finding.model else tr("by a model")
    return tr("by a person, after a model") if finding.model else tr("by a person")


def state_text(finding: Finding, concluded: bool = False) -> str:
    """State and origin in words; the sign before it says the same."""
    parts = [tr(_STATES[finding.state]), origin_text(finding)]
    if (finding.origin == "model" or finding.model) and not finding.seen:
        parts.append(tr("not yet shown with its image"))
    if concluded:
        parts.append(tr("in the impression"))
    return " · ".join(parts)


def reasons_of(finding: Finding) -> dict[str, list[str]]:
    """What each guard says against a sentence."""
    found: dict[str, list[str]] = {}
    for mark in finding.marks:
        found.setdefault(mark.guard, []).append(mark.reason)
    return found


class SentenceRow(QFrame):
    """`asked(action, finding id)`: show, accept, edit, reject, conclude, next, previous. `edited(id, text)`.
    `dismissed(id, guard)`: a person wants to say why what a guard found does not hold."""

    asked = Signal(str, str)
    edited = Signal(str, str)
    dismissed = Signal(str, str)

    def __init__(self, finding: Finding) -> None:
        super().__init__()
        self.finding, self._open, self._concluded = finding, True, False
        self.editor: TextField | None = None
        self.setProperty("role", "card")
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(10, 6, 6, 8)
        self._column.setSpacing(4)
        self._head()
        self.text = label("")
        self._column.addWidget(self.text)
        self.notes: list[QWidget] = []
        self.setToolTip(tr("Click to see what it rests on. Double-click to edit it."))

    def _head(self) -> None:
        row = QHBoxLayout()
        row.setSpacing(0)
        self.state: QLabel = label("", "muted")
        row.addWidget(self.state, 1)
        self._buttons = {
            name: sign_button(sign, tip, lambda name=name: self.asked.emit(name, self.finding.id))  # type: ignore[misc]
            for name, sign, tip in (
                ("conclude", "↧", tr("Put into the impression (I)")), ("accept", "✓", tr("Accept (A)")),
                ("edit", "✎", tr("Edit (E)")), ("reject", "✕", tr("Reject (Del)")),
            )
        }  # fmt: skip
        for item in self._buttons.values():
            item.setFocusPolicy(Qt.FocusPolicy.NoFocus)  # the row has the keyboard: A, E, Del, I
            row.addWidget(item, 0, Qt.AlignmentFlag.AlignTop)
        self._column.addLayout(row)

    @property
    def offered(self) -> list[str]:
        """The actions whose buttons are shown."""
        return [name for name, item in self._buttons.items() if not item.isHidden()]

    def show_finding(self, finding: Finding, *, can_change: bool, concluded: bool, in_impression: bool) -> None:
        """Follow the report."""
        if (finding, can_change, concluded) == (self.finding, self._open, self._concluded) and self.text.text():
            return
        self.finding, self._open, self._concluded = finding, can_change, concluded
        self.state.setText(breakable(state_text(finding, concluded)))
        self.text.setText(breakable(finding.text))
        font = self.text.font()
        font.setStrikeOut(finding.state == "rejected")
        self.text.setFont(font)
        set_property(self.text, "role", "muted" if finding.state == "rejected" else "")
        decided = finding.state in ("accepted", "edited")
        wanted = {
            "conclude": can_change and decided and not concluded and not in_impression,
            "accept": can_change and not decided, "edit": can_change,
            "reject": can_change and finding.state != "rejected",
        }  # fmt: skip
        for name, item in self._buttons.items():
            item.setVisible(wanted[name])
        self._show_notes(finding)
        self.setAccessibleName(f"{self.state.text()}: {finding.text}")
        self.setAccessibleDescription(" ".join(mark.reason for mark in finding.marks))

    def _show_notes(self, finding: Finding) -> None:
        for item in self.notes:
            remove(item)
        self.notes = []
        if finding.changed:
            self._note(label(tr("⟳ Its mask was edited: look at the number again."), "warn"))
        if not finding.is_supported:
            self._note(label(tr("⚠ No image evidence."), "warn"))
        for guard, reasons in reasons_of(finding).items():
            text = tr("⚠ Check ({guard}): {reason}").format(guard=guard, reason=" ".join(reasons[:_MOST_REASONS]))
            more = len(reasons) - _MOST_REASONS
            self._note(label(text + (" " + tr("And {n} more like it.").format(n=more) if more > 0 else ""), "warn"))
            if self._open and finding.state != "rejected":
                self._note(self._dismiss_button(guard))

    def _dismiss_button(self, guard: str) -> QWidget:
        tip = tr("Say why this does not hold")
        return button(tr("Does not hold…"), "link", tip, lambda: self.dismissed.emit(self.finding.id, guard))

    def _note(self, widget: QWidget) -> None:
        link = widget.property("role") == "link"
        if link:
            self._column.addWidget(widget, 0, Qt.AlignmentFlag.AlignLeft)
        else:
            self._column.addWidget(widget)
        widget.show()
        self.notes.append(widget)

    def mark_active(self, active: bool) -> None:
        """Whether the segment it rests on is the selected one."""
        set_property(self, "active", "true" if active else "false")

    # -- editing in place -----------------------------------------------------------
    def begin_edit(self) -> None:
        """Replace the words by a field."""
        if not self._open or self.editor is not None:
            return
        self.editor = TextField(self.finding.text, tr("Sentence"))
        self.editor.done.connect(self._save)
        self.editor.given_up.connect(self.end_edit)
        self._column.insertWidget(self._column.indexOf(self.text), self.editor)
        self.text.hide()
        self.editor.edit.setFocus(Qt.FocusReason.OtherFocusReason)
        self.editor.edit.selectAll()

    def end_edit(self) -> None:
        """Show the words again."""
        if self.editor is not None:
            remove(self.editor)
            self.editor = None
            self.text.show()
            self.setFocus(Qt.FocusReason.OtherFocusReason)

    def _save(self, text: str) -> None:
        before = self.finding.text
        self.end_edit()
        if text and text != before:
            self.edited.emit(self.finding.id, text)

    # -- mouse and keys -----------------------------------------------------------------
    def mousePressEvent(self, event: QMouseEvent) -> None:
        if event.button() == Qt.MouseButton.LeftButton and self.editor is None:
            self.setFocus(Qt.FocusReason.MouseFocusReason)
            self.asked.emit("show", self.finding.id)

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        if event.button() == Qt.MouseButton.LeftButton and self._open:
            self.asked.emit("edit", self.finding.id)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        action = _KEYS.get(Qt.Key(event.key()))
        if action is None or event.modifiers() & ~Qt.KeyboardModifier.KeypadModifier or self.editor is not None:
            super().keyPressEvent(event)
        elif action in ("show", "next", "previous") or action in self.offered:
            self.asked.emit(action, self.finding.id)

    def focusInEvent(self, event: QFocusEvent) -> None:
        super().focusInEvent(event)
        self.asked.emit("focus", self.finding.id)
