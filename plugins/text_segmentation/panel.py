"""The Find tab: prompt line, suggestions, one card per prompt. The only Qt file of the plugin."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QCoreApplication, QEvent, QMimeData, QPoint, QSize, QStringListModel, Qt, QTimer, Signal
from PySide6.QtGui import QGuiApplication, QKeyEvent, QKeySequence, QResizeEvent, QShortcut
from PySide6.QtWidgets import (
    QCompleter,
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QLayout,
    QLineEdit,
    QListView,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from medviewer.api import BoxPrompt, PanelContext, PointPrompt, UserError, Volume, terminology

from .finder import Entry, Finder, entry_text
from .history import PromptHistory
from .model_choice import SETTING, chosen_line
from .preparing import Preparer

_HISTORY = "prompt_history"
_BAR_PX = 10
_PREPARE_AFTER_MS = 600


def tr(text: str) -> str:
    """Translation of a text of this panel."""
    return QCoreApplication.translate("text_segmentation", text)


def _label(text: str, role: str = "", *, wrap: bool = True) -> QLabel:
    result = QLabel()
    result.setTextFormat(Qt.TextFormat.PlainText)
    result.setText(text)
    result.setProperty("role", role)
    result.setWordWrap(wrap)
    if wrap:
        result.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)
    return result


def _button(text: str, role: str, tip: str, pressed: Callable[[], object]) -> QPushButton:
    result = QPushButton(text)
    result.setAutoDefault(False)
    result.setProperty("role", role)
    result.setToolTip(tip)
    result.clicked.connect(lambda checked=False: pressed())
    return result


def _empty(layout: QLayout) -> None:
    while (item := layout.takeAt(0)) is not None:
        widget = item.widget()
        if widget is not None:
            widget.hide()  # else one that was not shown yet would still be, as a window of its own
            widget.setParent(None)
            widget.deleteLater()


class _LastPartCompleter(QCompleter):
    """Completes the prompt after the last semicolon."""

    def __init__(self, parent: QLineEdit) -> None:
        super().__init__(parent)
        self.words = QStringListModel(self)
        self.setModel(self.words)
        self.setCompletionMode(QCompleter.CompletionMode.PopupCompletion)
        self.setCaseSensitivity(Qt.CaseSensitivity.CaseInsensitive)
        self.setMaxVisibleItems(8)
        self.list = QListView()
        self.setPopup(self.list)
        self.list.setProperty("role", "popup")

    def pathFromIndex(self, index: object) -> str:
        line = self.widget()
        assert isinstance(line, QLineEdit)
        before, separator, _ = line.text().rpartition(";")
        return f"{before}{separator} {index.data()}" if separator else str(index.data())  # type: ignore[attr-defined]

    def splitPath(self, path: str) -> list[str]:
        return [""]  # the terminology has chosen already: every word of the list fits


class PromptLine(QLineEdit):
    """Enter runs and does nothing else. Up and Down walk through the history; pasted lines become several prompts."""

    run = Signal(str)

    def __init__(self, history: PromptHistory) -> None:
        super().__init__()
        self.history = history
        self.setProperty("role", "prompt")
        self.setPlaceholderText(tr("What do you want to see?"))
        self.setToolTip(tr("Enter runs. Several prompts: separate them with “;”. Up and Down: earlier prompts."))
        self.setAccessibleName(tr("Prompt"))
        self._completer = _LastPartCompleter(self)
        self.setCompleter(self._completer)
        self.textEdited.connect(self._offer)
        self.returnPressed.connect(lambda: self.run.emit(self.text()))

    def event(self, event: QEvent) -> bool:
        """Undo and redo belong to the scan while there is nothing typed to take back."""
        if event.type() == QEvent.Type.ShortcutOverride and isinstance(event, QKeyEvent):
            undo = event.matches(QKeySequence.StandardKey.Undo) and not self.isUndoAvailable()
            control_y = event.key() == Qt.Key.Key_Y and event.modifiers() == Qt.KeyboardModifier.ControlModifier
            redo = event.matches(QKeySequence.StandardKey.Redo) or control_y
            if undo or (redo and not self.isRedoAvailable()):
                event.ignore()
                return False
        return super().event(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        enter = event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter)
        modifiers = event.modifiers() & ~Qt.KeyboardModifier.KeypadModifier
        if enter and (modifiers or self._completing()):
            event.ignore()  # Ctrl+Enter is the panel's business; Enter on a completion is the list's
        elif event.matches(QKeySequence.StandardKey.Paste):
            self.insert_lines(QGuiApplication.clipboard().mimeData())
        elif event.key() in (Qt.Key.Key_Up, Qt.Key.Key_Down) and not modifiers:
            self.setText(self.history.walk(-1 if event.key() == Qt.Key.Key_Up else 1))
        else:
            super().keyPressEvent(event)

    def _completing(self) -> bool:
        return self._completer.list.isVisible() and self._completer.list.currentIndex().isValid()

    def insert_lines(self, data: QMimeData) -> None:
        """Insert text; every line is a prompt of its own."""
        lines = [line.strip() for line in data.text().splitlines() if line.strip()]
        self._completer.words.setStringList([])
        self.insert("; ".join(lines))
        self._completer.list.hide()

    def _offer(self, text: str) -> None:
        part = text.rpartition(";")[2].strip()
        names = terminology().complete(part, 8) if len(part) >= 2 and len(text) < 200 else []
        self._completer.words.setStringList([name for name in names if name.casefold() != part.casefold()])


class Chips(QWidget):
    """Buttons in as many lines as they need."""

    chosen = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self._buttons: list[QPushButton] = []
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)

    def show_names(self, names: list[str]) -> None:
        """Replace the chips."""
        if names == [b.text() for b in self._buttons]:
            return
        for old in self._buttons:
            old.hide()
            old.setParent(None)
            old.deleteLater()
        tip = tr("Find this")
        self._buttons = [_button(n, "chip", tip, lambda n=n: self.chosen.emit(n)) for n in names]  # type: ignore[misc]
        for item in self._buttons:
            item.setParent(self)
            item.show()
        self._arrange()

    def resizeEvent(self, event: QResizeEvent) -> None:
        self._arrange()

    def _arrange(self) -> None:
        at, line = QPoint(0, 0), 0
        for item in self._buttons:
            size: QSize = item.sizeHint()
            if at.x() and at.x() + size.width() > self.width():
                at = QPoint(0, at.y() + line + 8)
            item.setGeometry(at.x(), at.y(), size.width(), size.height())
            at, line = at + QPoint(size.width() + 8, 0), size.height()
        self.setFixedHeight(at.y() + line)
        self.setVisible(bool(self._buttons))


class Card(QFrame):
    """One prompt and its answer."""

    def __init__(
        self, entry: Entry, volume: Volume, active: bool, finder: Finder, rerun: Callable[[str], None]
    ) -> None:
        super().__init__()
        self.entry = entry
        self.setProperty("role", "card")
        self.setProperty("active", "true" if active else "false")
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(12, 12, 12, 12)
        self._column.setSpacing(8)
        self.text = entry_text(entry, volume)
        self._head(finder)
        self._rows()
        if entry.waiting:
            self._column.addLayout(self._decide(finder) if active else self._choose(finder))
        elif entry.state in ("cancelled", "failed", "discarded"):
            again = _button(tr("Run again"), "link", tr("Ask for this again"), lambda: rerun(entry.prompt))
            self._column.addWidget(again, 0, Qt.AlignmentFlag.AlignLeft)

    def _head(self, finder: Finder) -> None:
        row = QHBoxLayout()
        row.addWidget(_label(self.text.title, "strong"), 1)
        if self.entry.state != "running":
            close = _button("×", "quiet", tr("Remove this card"), lambda: finder.remove(self.entry))
            close.setAccessibleName(tr("Remove this card"))
            row.addWidget(close, 0, Qt.AlignmentFlag.AlignTop)
        self._column.addLayout(row)
        self._column.addWidget(_label(self.text.answer))

    def _rows(self) -> None:
        grid = QGridLayout()
        grid.setVerticalSpacing(4)
        grid.setColumnStretch(1, 1)
        for number, (name, value) in enumerate(self.text.rows):
            grid.addWidget(_label(tr(name), "muted", wrap=False), number, 0, Qt.AlignmentFlag.AlignTop)
            shown = _label(value)
            shown.setAlignment(Qt.AlignmentFlag.AlignRight)
            grid.addWidget(shown, number, 1)
        if self.text.rows:
            self._column.addLayout(grid)
        for warning in self.text.warnings:
            self._column.addWidget(_label(warning, "warn"))
        for text in filter(None, (self.text.advice, self.text.source)):
            self._column.addWidget(_label(text, "muted"))

    def _decide(self, finder: Finder) -> QHBoxLayout:
        row = QHBoxLayout()
        tip = tr("Keep the mask as a segment, once it has been shown")
        row.addWidget(_button(tr("Accept  Ctrl+Enter"), "primary", tip, finder.accept), 3)
        row.addWidget(_button(tr("Discard  Esc"), "", tr("Drop the mask"), finder.discard), 2)
        return row

    def _choose(self, finder: Finder) -> QHBoxLayout:
        row = QHBoxLayout()
        tip = tr("Show this mask in the views")
        row.addWidget(_button(tr("Preview"), "", tip, lambda: finder.preview(self.entry)))
        row.addStretch(1)
        return row


class FindPanel(QWidget):
    """Typed prompts in, cards out. `clicked` and `box_drawn` take what the user does in the views."""

    def __init__(self, context: PanelContext) -> None:
        super().__init__()
        self.context = context
        self.finder = Finder(context, self.refresh)
        self.prompt = PromptLine(PromptHistory(context.settings.get(_HISTORY, [])))
        self.prompt.run.connect(self.run_text)
        self.problem = _label("", "warn")
        self.chips = Chips()
        self.chips.chosen.connect(self.run_text)
        self._preparer = Preparer(context)
        self._cards = QVBoxLayout()
        self._cards.setSpacing(12)
        self._arrange()
        accept = QShortcut(QKeySequence("Ctrl+Return"), self, context=Qt.ShortcutContext.WindowShortcut)
        keypad = QShortcut(QKeySequence("Ctrl+Enter"), self, context=Qt.ShortcutContext.WindowShortcut)
        escape = QShortcut(QKeySequence("Esc"), self, context=Qt.ShortcutContext.WidgetWithChildrenShortcut)
        for shortcut, act in ((accept, self.accept), (keypad, self.accept), (escape, self.discard)):
            shortcut.activated.connect(act)
        context.scene.active_changed.connect(self._scan_changed)
        context.scene.scans_changed.connect(self._scans_changed)
        context.scene.segments_changed.connect(self._show_chips)
        self.model_changed()
        self._scan_changed()

    def _arrange(self) -> None:
        inner = QWidget()
        holder = QVBoxLayout(inner)
        holder.setContentsMargins(0, 0, _BAR_PX, 0)  # the cards keep their width when the scroll bar comes
        holder.addLayout(self._cards)
        holder.addStretch(1)
        self._area = area = QScrollArea()
        area.setWidgetResizable(True)
        area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        bar = area.verticalScrollBar()
        bar.rangeChanged.connect(lambda low, high: holder.setContentsMargins(0, 0, 0 if high else _BAR_PX, 0))
        area.setFrameShape(QFrame.Shape.NoFrame)
        area.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        area.setWidget(inner)
        self._hint = _label(tr("Enter runs. Separate several prompts with “;”."), "muted")
        top = QVBoxLayout()
        top.setContentsMargins(0, 0, _BAR_PX, 4)
        top.setSpacing(8)
        for item in (self.prompt, self.problem, self._hint, self.chips):
            top.addWidget(item)
        column = QVBoxLayout(self)
        column.setContentsMargins(12, 12, 2, 12)
        column.addLayout(top)
        column.addWidget(area, 1)
        self.model = _label("", "muted")
        change = _button(tr("Model…"), "link", tr("Choose the model, read its card"), self.context.choose_model)
        foot = QHBoxLayout()
        foot.setContentsMargins(0, 4, _BAR_PX, 0)
        foot.addWidget(self.model, 1)
        foot.addWidget(change, 0, Qt.AlignmentFlag.AlignTop)
        column.addLayout(foot)

    @property
    def cards(self) -> list[Card]:
        """The cards, newest first."""
        items = [self._cards.itemAt(i) for i in range(self._cards.count())]
        widgets = [item.widget() for item in items if item is not None]
        return [widget for widget in widgets if isinstance(widget, Card)]

    def run_text(self, text: str) -> None:
        """Ask for every prompt in a text; what cannot be asked is said in one sentence under the line."""
        self.problem.setText("")
        try:
            self.finder.run(text)
        except UserError as error:
            self.problem.setText(str(error))
        else:
            self.prompt.history.remember(text.strip())
            self.context.settings.set(_HISTORY, self.prompt.history.prompts)
            self.prompt.setText("")  # also empties its own undo
        self._show_problem()

    def accept(self) -> None:
        """Keep the previewed mask, once it has been painted."""
        self.finder.accept()

    def discard(self) -> None:
        """Drop the previewed mask."""
        self.finder.discard()

    def clicked(self, point: PointPrompt) -> None:
        """A click with one of the click tools."""
        self.finder.click(point)

    def box_drawn(self, box: BoxPrompt) -> None:
        """A box of the box tool."""
        self.finder.draw_box(box)

    def model_changed(self) -> None:
        """Another model was chosen: cards and segments stay; what comes next is asked of the new one."""
        self.finder.forget_model()
        self.model.setText(chosen_line(self.context.settings.get(SETTING, "")))
        self._preparer.forget()
        self._show_chips()
        QTimer.singleShot(0, self, self._prepare)

    def focus_prompt(self) -> None:
        """Put the cursor in the prompt line."""
        self.prompt.setFocus(Qt.FocusReason.ShortcutFocusReason)
        self.prompt.selectAll()

    def refresh(self) -> None:
        """Show the cards of the active scan."""
        _empty(self._cards)
        scan, previewed = self.context.scene.active, self.finder.previewed
        if scan is not None:
            for entry in self.finder.entries:
                self._cards.addWidget(Card(entry, scan.volume, entry is previewed, self.finder, self.run_text))
        self._show_chips()
        QTimer.singleShot(0, self, self._show_active)

    def _show_active(self) -> None:
        """Scroll to the card that waits for a decision."""
        for card in self.cards:
            if card.property("active") == "true":
                self._area.ensureWidgetVisible(card, 0, 0)

    def _scan_changed(self) -> None:
        self.prompt.setEnabled(self.context.scene.active is not None)
        self.problem.setText("")
        self._show_problem()
        self.finder.show_waiting()
        QTimer.singleShot(_PREPARE_AFTER_MS, self, self._prepare)

    def _prepare(self) -> None:
        if not self.finder.busy:
            self._preparer.start()

    def _scans_changed(self) -> None:
        self.finder.forget_closed()
        self._preparer.forget_closed()

    def _show_problem(self) -> None:
        self.problem.setVisible(bool(self.problem.text()))
        self._hint.setVisible(not self.problem.text())

    def _show_chips(self) -> None:
        self.chips.show_names(self.finder.offers())
