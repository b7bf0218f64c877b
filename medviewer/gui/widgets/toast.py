"""Short messages over the window; errors stay until they are closed."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QObject, Qt, QTimer
from PySide6.QtWidgets import QFrame, QHBoxLayout, QToolButton, QVBoxLayout, QWidget

from medviewer.gui.text import tr
from medviewer.gui.theme import current_tokens
from medviewer.gui.theme.icons import icon
from medviewer.gui.widgets.basic import label

_SHOWN_MS = 6000
_WIDTH = 420
_MOST_EARLIER = 2  # beside the newest


class Toast(QFrame):
    """One message: a sentence and, below it, what to do."""

    def __init__(self, kind: str, text: str, hint: str, parent: QWidget) -> None:
        super().__init__(parent)
        self.setProperty("role", "toast")
        self.setProperty("kind", kind)
        self.setFixedWidth(_WIDTH)
        self.kind, self.text, self.hint = kind, text, hint
        lines = QVBoxLayout()
        lines.setSpacing(4)
        lines.addWidget(label(text, "strong" if hint else "", wrap=True))
        if hint:
            lines.addWidget(label(hint, wrap=True))
        close = QToolButton()
        close.setProperty("role", "flat")
        close.setIcon(icon("close", current_tokens()))
        close.setToolTip(tr("Close this message"))
        close.setAccessibleName(tr("Close this message"))
        close.clicked.connect(self.dismiss)
        self.rows = row = QHBoxLayout(self)
        row.setContentsMargins(16, 12, 8, 12)
        row.addLayout(lines, 1)
        row.addWidget(close, 0, Qt.AlignmentFlag.AlignTop)
        if kind != "error":
            QTimer.singleShot(_SHOWN_MS, self, self.dismiss)

    def dismiss(self) -> None:
        """Take the message away."""
        self.hide()
        self.setParent(None)
        self.deleteLater()


class Toasts(QObject):
    """Stacks messages in the lower middle of a host widget."""

    def __init__(self, host: QWidget) -> None:
        super().__init__(host)
        self._host = host
        self.shown: list[Toast] = []
        host.installEventFilter(self)

    def show(self, text: str, kind: str = "info", hint: str = "") -> None:
        """`kind` is "info", "warning" or "error". The same text is not shown twice; the oldest of four goes."""
        for old in [t for t in self.shown if t.text == text]:
            old.dismiss()
        toast = Toast(kind, text, hint, self._host)
        toast.destroyed.connect(self._tidy)
        self._tidy()
        for old in self.shown[:-_MOST_EARLIER]:
            old.dismiss()
        self.shown = [*self.shown[-_MOST_EARLIER:], toast]
        toast.show()
        self._place()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() == QEvent.Type.Resize:
            self._place()
        return False

    def _tidy(self) -> None:
        self.shown = [t for t in self.shown if _alive(t)]

    def _place(self) -> None:
        self._tidy()
        bottom = self._host.height() - 48
        for toast in reversed(self.shown):
            toast.setFixedHeight(toast.rows.heightForWidth(_WIDTH))
            bottom -= toast.height()
            toast.move((self._host.width() - _WIDTH) // 2, bottom)
            toast.raise_()
            bottom -= 8


def _alive(toast: Toast) -> bool:
    try:
        return toast.parent() is not None
    except RuntimeError:
        return False
