"""Small parts of the Report tab: labels, buttons, the field in which a sentence is edited."""

from __future__ import annotations

from collections.abc import Callable
from html import escape, unescape

from PySide6.QtCore import QCoreApplication, QEvent, QSize, Qt, QTimer, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QHBoxLayout, QLabel, QPlainTextEdit, QPushButton, QSizePolicy, QVBoxLayout, QWidget

_LEAST_LINES, _MOST_LINES = 2, 12


def tr(text: str) -> str:
    """Translation of a text of this panel."""
    return QCoreApplication.translate("report_generation", text)


class _Words(QLabel):
    """Asks for no more height than its words need at the width it gets."""

    def minimumSizeHint(self) -> QSize:
        hint = super().minimumSizeHint()
        return QSize(hint.width(), self.fontMetrics().height()) if self.wordWrap() else hint


def label(text: str, role: str = "", *, wrap: bool = True) -> QLabel:
    """Plain text only, so that what a file or a model says cannot inject markup."""
    result = _Words()
    result.setTextFormat(Qt.TextFormat.PlainText)
    result.setText(breakable(text))
    result.setProperty("role", role)
    result.setWordWrap(wrap)
    if wrap:
        policy = QSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        policy.setHeightForWidth(True)
        result.setSizePolicy(policy)
    return result


def button(text: str, role: str, tip: str, pressed: Callable[[], object]) -> QPushButton:
    """Never the default button, so that Enter elsewhere cannot press it."""
    result = QPushButton(text)
    result.setAutoDefault(False)
    result.setProperty("role", role)
    result.setToolTip(tip)
    result.clicked.connect(lambda checked=False: pressed())
    return result


def sign_button(sign: str, tip: str, pressed: Callable[[], object]) -> QPushButton:
    """A button of one character, named for those who do not see it."""
    result = button(sign, "quiet", tip, pressed)
    result.setAccessibleName(unescape(tip.removeprefix("<qt>").removesuffix("</qt>")) if tip[:4] == "<qt>" else tip)
    result.setFixedSize(QSize(30, 26))
    return result


def breakable(text: str, longest: int = 24) -> str:
    """The text with places where a word without spaces may break, so that no line is wider than the panel."""
    words = text.split(" ")
    return " ".join(w if len(w) <= longest else "\u200b".join(w[i : i + 8] for i in range(0, len(w), 8)) for w in words)


def literal(text: str) -> str:
    """For a tool tip, which Qt would read as markup where it looks like it: a title may come from a file."""
    return f"<qt>{escape(text)}</qt>" if "<" in text else text


def remove(widget: QWidget) -> None:
    """Take a widget away for good."""
    widget.hide()  # else one that was not shown yet would still be, as a window of its own
    widget.setParent(None)
    widget.deleteLater()


def set_property(widget: QWidget, name: str, value: str) -> None:
    """Change a property that the style sheet looks at."""
    if widget.property(name) != value:
        widget.setProperty(name, value)
        widget.style().unpolish(widget)
        widget.style().polish(widget)


class _Text(QPlainTextEdit):
    """As high as its words. Enter saves, Esc gives up; both belong to it alone while it has the keyboard."""

    saved = Signal()
    given_up = Signal()

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.setTabChangesFocus(True)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.textChanged.connect(self._fit)
        self._fit()

    def event(self, event: QEvent) -> bool:
        own = (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Escape)
        if event.type() == QEvent.Type.ShortcutOverride and isinstance(event, QKeyEvent) and event.key() in own:
            event.accept()  # Ctrl+Enter accepts a preview elsewhere in the window, never while a sentence is written
            return True
        return super().event(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self.saved.emit()
        elif event.key() == Qt.Key.Key_Escape:
            self.given_up.emit()
        else:
            super().keyPressEvent(event)

    def resizeEvent(self, event: object) -> None:
        super().resizeEvent(event)  # type: ignore[arg-type]
        self._fit()

    def _fit(self) -> None:
        lines = max(int(self.document().size().height()), _LEAST_LINES)
        frame = self.height() - self.viewport().height() + 2 * int(self.document().documentMargin())
        height = min(lines, _MOST_LINES) * self.fontMetrics().lineSpacing() + max(min(frame, 48), 24)
        if height != self.height():
            self.setFixedHeight(height)
            QTimer.singleShot(0, self, self._make_room)

    def _make_room(self) -> None:
        """What it stands in may have been laid out for fewer lines: its buttons would lie over the last one."""
        parent = self.parentWidget()
        while parent is not None:
            layout = parent.layout()
            if layout is not None:
                layout.invalidate()
            parent.updateGeometry()
            parent = parent.parentWidget()


class TextField(QWidget):
    """A text being written, with its two buttons. `done(text)` for Save; `given_up` for Esc."""

    done = Signal(str)
    given_up = Signal()

    def __init__(self, text: str, name: str) -> None:
        super().__init__()
        self.edit = _Text(text)
        self.edit.setAccessibleName(name)
        self.edit.saved.connect(self._save)
        self.edit.given_up.connect(self.given_up)
        row = QHBoxLayout()
        row.setSpacing(8)
        row.addWidget(button(tr("Save  Enter"), "", tr("Keep these words"), self._save))
        row.addWidget(button(tr("Cancel  Esc"), "", tr("Leave it as it was"), self.given_up.emit))
        row.addStretch(1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(6)
        column.addWidget(self.edit)
        column.addLayout(row)
        self.setFocusProxy(self.edit)

    def _save(self) -> None:
        self.done.emit(" ".join(self.edit.toPlainText().split()))
