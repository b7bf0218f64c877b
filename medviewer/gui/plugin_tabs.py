"""The right column: one tab per installed plugin that has a panel."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from PySide6.QtWidgets import QFrame, QTabWidget, QVBoxLayout, QWidget

from medviewer.core.errors import UserError
from medviewer.gui.text import tr
from medviewer.gui.widgets.basic import label
from medviewer.services import log

MakeContext = Callable[[Any], Any]  # a plugin's logic to its PanelContext


class PluginTabs(QFrame):
    """A plugin that fails gets a tab that says so; the others work on.

    A panel may have these methods, which the window calls on the GUI thread: `clicked(PointPrompt)` and
    `box_drawn(BoxPrompt)` for the click and box tools, `discard()` for Esc in the views, `focus_prompt()` for Ctrl+F.
    """

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("plugins")
        self.tabs = QTabWidget()
        self.tabs.setDocumentMode(True)
        self.panels: dict[str, QWidget] = {}
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 4, 0, 0)
        column.addWidget(self.tabs)

    def load(self, host: Any, make_context: MakeContext) -> None:
        """Make the panels of all plugins of a host, in the order of their manifests."""
        for info in host.list():
            name = info.manifest.tab or info.name if info.manifest is not None else info.name
            try:
                self._load_one(host, info.id, name, make_context)
            except UserError as error:
                self._say(name, str(error))
            except Exception as error:  # a plugin's own defect
                log.record_defect(error)
                self._say(name, tr("This plugin could not be started. Details are in the log: {path}"))

    def _load_one(self, host: Any, plugin_id: str, name: str, make_context: MakeContext) -> None:
        panel_class = host.panel_class(plugin_id)
        if panel_class is None:
            return
        panel = panel_class(make_context(host.logic(plugin_id)))
        self.panels[plugin_id] = panel
        self.tabs.addTab(panel, name)

    def _say(self, name: str, text: str) -> None:
        page = QWidget()
        column = QVBoxLayout(page)
        column.setContentsMargins(12, 12, 12, 12)
        column.addWidget(label(text.replace("{path}", str(log.log_path())), "warn", wrap=True))
        column.addStretch(1)
        self.tabs.addTab(page, name)

    def call(self, method: str, *arguments: Any) -> bool:
        """Call a method of the shown panel, else of the first that has it; False if none has it."""
        current = self.tabs.currentWidget()
        for panel in _first(current, self.panels.values()):
            function = getattr(panel, method, None)
            if callable(function):
                function(*arguments)
                return True
        return False

    def raise_tab(self, method: str) -> None:
        """Show the first tab whose panel has a method."""
        for panel in self.panels.values():
            if callable(getattr(panel, method, None)):
                self.tabs.setCurrentWidget(panel)
                return


def _first(current: QWidget | None, panels: Iterable[QWidget]) -> list[QWidget]:
    others = [p for p in panels if p is not current]
    return ([current] if current is not None else []) + others
