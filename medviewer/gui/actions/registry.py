"""Makes QActions from the table and keeps them enabled as the scene says."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QObject, Qt
from PySide6.QtGui import QAction, QActionGroup, QKeySequence
from PySide6.QtWidgets import QWidget

from medviewer.core.scene import Scene
from medviewer.gui.actions.table import ACTIONS, ActionInfo
from medviewer.gui.text import literal, tr
from medviewer.gui.theme import Tokens
from medviewer.gui.theme.icons import icon

_CONTEXTS = {
    "window": Qt.ShortcutContext.WindowShortcut,
    "view": Qt.ShortcutContext.WidgetWithChildrenShortcut,
    "segments": Qt.ShortcutContext.WidgetShortcut,  # not while a name is edited in the list
}


class Actions(QObject):
    """The QActions by key. `bind` connects one; `place` gives those of a place to the widget they act in."""

    def __init__(self, scene: Scene, window: QWidget) -> None:
        super().__init__(window)
        self._scene = scene
        self._by_key: dict[str, QAction] = {}
        self._infos = {info.key: info for info in ACTIONS if info.where != "find"}
        self.tools = QActionGroup(self)
        for info in self._infos.values():
            self._by_key[info.key] = self._make(info)
        self.place("window", window)
        self.refresh()

    def __getitem__(self, key: str) -> QAction:
        return self._by_key[key]

    def bind(self, handlers: dict[str, Callable[[], object]]) -> None:
        """Connect actions to what they do."""
        for key, handler in handlers.items():
            self._by_key[key].triggered.connect(lambda checked=False, call=handler: call())

    def place(self, where: str, widget: QWidget) -> None:
        """Keys of these actions act while `widget` (or what is in it) has focus."""
        for key, info in self._infos.items():
            if info.where == where:
                widget.addAction(self._by_key[key])

    def refresh(self) -> None:
        """Enable what can be used now; name what undo and redo would do."""
        for key, action in self._by_key.items():
            action.setEnabled(self._infos[key].enabled(self._scene))
        stack = self._scene.undo_stack
        self._name_step("undo", stack.undo_title)
        self._name_step("redo", stack.redo_title)

    def tint(self, tokens: Tokens) -> None:
        """Icons in the colours of a theme."""
        other = "theme_light" if tokens.name == "dark" else "theme_dark"
        for key, action in self._by_key.items():
            name = other if key == "theme" else self._infos[key].icon
            action.setIcon(icon(name, tokens))
        self._by_key["theme"].setText(tr("Light") if tokens.name == "dark" else tr("Dark"))

    def _name_step(self, key: str, title: str | None) -> None:
        info = self._infos[key]
        text = tr(info.text) + (f": {title}" if title else "")
        self._by_key[key].setToolTip(literal(with_keys(text, info)))

    def _make(self, info: ActionInfo) -> QAction:
        action = QAction(tr(info.text), self)
        action.setObjectName(info.key)
        action.setShortcuts([QKeySequence(key) for key in info.keys])
        action.setShortcutContext(_CONTEXTS[info.where])
        action.setToolTip(with_keys(tr(info.tooltip), info))
        if info.tool:
            action.setCheckable(True)
            self.tools.addAction(action)
        return action


def with_keys(text: str, info: ActionInfo) -> str:
    """Tooltip text with its keys."""
    return f"{text}  ({key_text(info)})" if info.keys else text


def key_text(info: ActionInfo) -> str:
    """The keys as they are called on this system."""
    return " / ".join(QKeySequence(k).toString(QKeySequence.SequenceFormat.NativeText) for k in info.keys)
