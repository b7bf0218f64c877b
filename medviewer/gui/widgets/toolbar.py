"""The line of tools at the top: words with icons, and what the program is not for."""

from __future__ import annotations

from dataclasses import dataclass

from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QMenu, QToolButton, QVBoxLayout, QWidget

from medviewer.gui.actions.registry import Actions
from medviewer.gui.text import tr
from medviewer.gui.theme import Tokens
from medviewer.gui.theme.icons import icon
from medviewer.gui.widgets.basic import label, separator, set_state

_GROUPS = (
    ("navigate", "window_level", "click_plus", "click_minus", "box"),
    ("undo", "redo"),
)


class Toolbar(QFrame):
    """Icons go first where the window is narrow, then the notice gets a line of its own; the words stay."""

    def __init__(self, actions: Actions) -> None:
        super().__init__()
        self.setObjectName("toolbar")
        self._actions = actions
        self.buttons: list[QToolButton] = []
        self._icons: dict[QToolButton, str] = {}
        self._separators: list[QWidget] = []
        self._fitting = False
        self.preset_menu, self.layout_menu = QMenu(self), QMenu(self)
        self.brand: QLabel = label("medviewer", "brand")
        self.notice, self.notice_below = _notice(), _notice()
        whole = QVBoxLayout(self)
        whole.setContentsMargins(12, 0, 12, 0)
        whole.setSpacing(0)
        self._row = QHBoxLayout()
        self._row.setContentsMargins(0, 4, 0, 4)
        self._row.setSpacing(2)
        whole.addLayout(self._row)
        whole.addWidget(self.notice_below)
        self._fill()

    def _fill(self) -> None:
        self._row.addWidget(self.brand)
        self._row.addSpacing(12)
        self.open = self._menu_button(tr("Open"), "open", self._open_menu(), tr("Open a scan  (Ctrl+O)"))
        self._add_action("export", tr("Export"))
        for group in _GROUPS:
            self._add_separator()
            for key in group:
                self._add_action(key)
        self._add_separator()
        self.preset = self._menu_button(tr("Window preset"), "preset", self.preset_menu, tr("Window presets  (1 … 9)"))
        self.layout_button = self._menu_button("2×2", "layout", self.layout_menu, tr("Arrangement of the views"))
        self._add_separator()
        self._theme = self._add_action("theme")
        self._add_action("help")
        self._row.addStretch(1)
        self._row.addSpacing(8)
        self._row.addWidget(self.notice)

    def _open_menu(self) -> QMenu:
        menu = QMenu(self)
        for key in ("open_files", "open_folder", "open_sample", "open_mask"):
            menu.addAction(self._actions[key])
        menu.addSeparator()
        for key in ("save_session", "save_session_as", "export_training_set"):
            menu.addAction(self._actions[key])
        menu.addSeparator()
        for key in ("describe", "deidentify", "close_scan", "choose_model", "clear_model_cache", "theme", "quit"):
            menu.addAction(self._actions[key])
        return menu

    def _add_action(self, key: str, text: str = "") -> QToolButton:
        item = self._button()
        item.setDefaultAction(self._actions[key])
        if text:
            self._actions[key].setIconText(text)
        self._icons[item] = ""
        return item

    def _menu_button(self, text: str, icon_name: str, menu: QMenu, tip: str) -> QToolButton:
        item = self._button()
        item.setText(text + " ▾")
        item.setToolTip(tip)
        item.setMenu(menu)
        item.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self._icons[item] = icon_name
        return item

    def _button(self) -> QToolButton:
        item = QToolButton()
        item.setIconSize(QSize(16, 16))
        item.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        item.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.buttons.append(item)
        self._row.addWidget(item)
        return item

    def _add_separator(self) -> None:
        holder = QWidget()
        line = QHBoxLayout(holder)
        line.setContentsMargins(2, 0, 2, 0)
        line.addWidget(separator(), 0, Qt.AlignmentFlag.AlignCenter)
        self._separators.append(holder)
        self._row.addWidget(holder)

    def tint(self, tokens: Tokens) -> None:
        """Icons in the colours of a theme."""
        for item, name in self._icons.items():
            if name:
                item.setIcon(icon(name, tokens))

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self.fit(event.size().width())

    def fit(self, width: int) -> None:
        """The roomiest of the arrangements that fits a width."""
        if self._fitting:
            return
        self._fitting = True
        for level in _LEVELS:
            self._apply(level)
            if self._needed() <= width:
                break
        self._fitting = False

    def _apply(self, level: _Level) -> None:
        style = Qt.ToolButtonStyle.ToolButtonTextBesideIcon if level.icons else Qt.ToolButtonStyle.ToolButtonTextOnly
        for item in self.buttons:
            if item.toolButtonStyle() != style:
                item.setToolButtonStyle(style)
            set_state(item, "compact", "true" if level.compact else "false")
        for line in self._separators:
            line.setFixedWidth(5 if level.compact else 13)
        text = tr("Research use only. Not for diagnosis or treatment decisions.")
        self.notice.setText(text if level.one_line else balanced(text))
        self.notice.setVisible(not level.compact)
        self.notice_below.setVisible(level.compact)
        self.setFixedHeight(68 if level.compact else 48)
        self.brand.setVisible(level.brand)
        self._theme.setVisible(not level.compact)

    def _needed(self) -> int:
        self._row.invalidate()
        return self._row.minimumSize().width() + 24  # the margins


def _notice() -> QLabel:
    result = label(tr("Research use only. Not for diagnosis or treatment decisions."), "notice")
    result.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
    return result


@dataclass(frozen=True)
class _Level:
    icons: bool
    one_line: bool
    brand: bool
    compact: bool = False


_LEVELS = (
    _Level(True, True, True), _Level(True, False, True), _Level(False, False, True), _Level(False, False, False),
    _Level(False, True, False, True),
)  # fmt: skip


def balanced(text: str) -> str:
    """The text in two lines of about the same length."""
    words = text.split()
    best = min(range(1, len(words)), key=lambda n: max(len(" ".join(words[:n])), len(" ".join(words[n:]))))
    return " ".join(words[:best]) + "\n" + " ".join(words[best:])
