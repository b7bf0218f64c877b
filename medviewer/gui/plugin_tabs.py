"""The right column: one tab per installed plugin that has a panel."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QFrame, QTabWidget, QVBoxLayout, QWidget

from medviewer.core.errors import UserError
from medviewer.gui.text import tr
from medviewer.gui.widgets.basic import label
from medviewer.services import log

MakeContext = Callable[[Any], Any]  # a plugin's logic to its PanelContext
InBackground = Callable[[Callable[[Any], Any], Callable[[Any], None]], Any]  # work and what to do with its answer
LogicOf = Callable[[Any, str], Any]  # a host and a plugin's id to the logic object for its panel
_STARTED_MS = 1500  # a panel that has lived through the first turns of the event loop is started


class PluginTabs(QFrame):
    """A plugin that fails gets a tab that says so; the others work on.

    A panel may have these methods, which the window calls on the GUI thread: `clicked(PointPrompt)` and
    `box_drawn(BoxPrompt)` for the click and box tools, `discard()` for Esc in the views, `focus_prompt()` for Ctrl+F,
    `model_changed()` after another model was chosen.
    """

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("plugins")
        self.tabs = QTabWidget()
        self.tabs.setDocumentMode(True)
        self.panels: dict[str, QWidget] = {}
        self._guard: dict[QWidget, str] = {}  # panels of the user's plugins and their names
        self._off: list[QWidget] = []  # pages that say why there is no panel; behind the others
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 4, 0, 0)
        column.addWidget(self.tabs)

    def load(
        self, host: Any, make_context: MakeContext, logic_of: LogicOf, in_background: InBackground | None = None
    ) -> None:
        """Make the panels of all plugins of a host, in the order of their manifests.

        A plugin that must be tried first gets a page that says so; `in_background(work, then)` makes the trial.
        """

        def load_one(info: Any, page: QWidget | None = None) -> None:
            self._load_one(host, info, page, lambda: make_context(logic_of(host, info.id)))

        for info in host.list():
            if in_background is None or not hasattr(host, "ready") or host.ready(info.id):
                load_one(info)
            else:
                page = self._say(None, _title(info), tr("This plugin is being checked…"), "muted")
                in_background(partial(_try_out, host, info.id), partial(_then, load_one, info, page))
        self.tabs.setCurrentIndex(0)

    def _load_one(self, host: Any, info: Any, page: QWidget | None, make_context: Callable[[], Any]) -> None:
        try:
            panel_class = host.panel_class(info.id)
            if panel_class is None:
                self._remove(page)
                return
            _mark(host, "begin_start", info.id)
            try:
                panel = panel_class(make_context())
                if not isinstance(panel, QWidget):
                    raise TypeError("the panel is no QWidget")
            except BaseException:
                _mark(host, "end_start", info.id)
                raise
            QTimer.singleShot(_STARTED_MS, self, lambda: _mark(host, "end_start", info.id))
        except UserError as error:
            self._say(page, str(info.name), str(error))
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # a plugin's own defect; it may even call sys.exit
            log.record_defect(error)
            self._say(page, str(info.name), _failed(error))
        else:
            self.panels[info.id] = panel
            self._guard[panel] = _title(info) if getattr(info, "origin", "") == "user" else ""
            self._put(page, panel, _title(info))

    def _put(self, page: QWidget | None, new: QWidget, name: str) -> None:
        """Show `new` as a tab, in the place of `page` if there is one."""
        index = self.tabs.indexOf(page) if page is not None else -1
        shown = index >= 0 and self.tabs.currentIndex() == index
        self._remove(page)
        place = self.tabs.insertTab(index if index >= 0 else self.tabs.count() - len(self._off), new, name)
        if shown:
            self.tabs.setCurrentIndex(place)

    def _remove(self, page: QWidget | None) -> None:
        if page is not None:
            self.tabs.removeTab(self.tabs.indexOf(page))
            page.deleteLater()

    def _say(self, page: QWidget | None, name: str, text: str, role: str = "warn") -> QWidget:
        """A page that says why there is no panel."""
        new = QWidget()
        column = QVBoxLayout(new)
        column.setContentsMargins(12, 12, 12, 12)
        column.addWidget(label(text, role, wrap=True))
        column.addStretch(1)
        if role == "warn":
            self._remove(page)
            self.tabs.addTab(new, tr("{name} (off)").replace("{name}", name))
            self._off.append(new)
        else:
            self._put(page, new, name)
        return new

    def call(self, method: str, *arguments: Any) -> bool:
        """Call a method of the shown panel, else of the first that has it; False if none has it."""
        current = self.tabs.currentWidget()
        for panel in _first(current, self.panels.values()):
            function = getattr(panel, method, None)
            if callable(function):
                self._call(panel, function, arguments)
                return True
        return False

    def tell(self, method: str) -> None:
        """Call a method of every panel that has it."""
        for panel in list(self.panels.values()):
            function = getattr(panel, method, None)
            if callable(function):
                self._call(panel, function, ())

    def _call(self, panel: QWidget, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        """A user's plugin that fails here is switched off until the next start; the program's own are not hidden."""
        try:
            function(*arguments)
        except (KeyboardInterrupt, UserError):
            raise
        except BaseException as error:
            name = self._guard.get(panel, "")
            if not name:
                raise
            log.record_defect(error)
            self.panels = {key: other for key, other in self.panels.items() if other is not panel}
            self._say(panel, name, _failed(error))

    def raise_tab(self, method: str) -> None:
        """Show the first tab whose panel has a method."""
        for panel in self.panels.values():
            if callable(getattr(panel, method, None)):
                self.tabs.setCurrentWidget(panel)
                return


def _title(info: Any) -> str:
    return str(info.manifest.tab or info.name if info.manifest is not None else info.name)


def _failed(error: BaseException) -> str:
    text = tr("This plugin was switched off because it failed: {what}. Details are in the log: {path}")
    what = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}".rstrip(": .")
    return text.replace("{what}", what).replace("{path}", str(log.log_path()))


def _then(load_one: Callable[..., None], info: Any, page: QWidget, _: Any) -> None:
    load_one(info, page)


def _try_out(host: Any, plugin_id: str, _: Any) -> None:
    host.try_out(plugin_id)


def _mark(host: Any, what: str, plugin_id: str) -> None:
    """Tell the host that a plugin's panel starts or has started; what is no `PluginHost` keeps no marks."""
    mark = getattr(host, what, None)
    if mark is not None:
        mark(plugin_id)


def _first(current: QWidget | None, panels: Iterable[QWidget]) -> list[QWidget]:
    others = [p for p in panels if p is not current]
    return ([current] if current is not None else []) + others
