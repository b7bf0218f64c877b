"""The main window: puts the parts together. What they do is in the parts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import Qt, QTimer
from PySide6.QtGui import QCloseEvent, QDragEnterEvent, QDragLeaveEvent, QDropEvent
from PySide6.QtWidgets import QApplication, QMainWindow, QSplitter, QStackedWidget, QVBoxLayout, QWidget

from medviewer.api.panel import PanelContext
from medviewer.core.scene import Scan, Scene
from medviewer.core.volume import SeriesEntry
from medviewer.gui import recent
from medviewer.gui.actions.registry import Actions
from medviewer.gui.commands import WindowCommands
from medviewer.gui.dialogs.describe_dialog import needs_description
from medviewer.gui.dialogs.series_chooser import ask_series, picture_of
from medviewer.gui.documents import Documents
from medviewer.gui.exporting import Exports
from medviewer.gui.jobs import GuiJobs
from medviewer.gui.panels.facts.cache import FactsCache
from medviewer.gui.panels.facts.ui import FactsPanel
from medviewer.gui.panels.scans.ui import ScansPanel
from medviewer.gui.panels.segments.menu import SegmentMenu
from medviewer.gui.panels.segments.ui import SegmentsPanel
from medviewer.gui.plugin_logic import PluginLogic
from medviewer.gui.plugin_tabs import PluginTabs
from medviewer.gui.recovery import Recovery
from medviewer.gui.scan_checks import ScanChecks
from medviewer.gui.session_actions import SessionActions, is_session
from medviewer.gui.sidebar import Sidebar
from medviewer.gui.text import tr
from medviewer.gui.theme import apply_theme
from medviewer.gui.view_area import ViewArea
from medviewer.gui.views.tools import ToolState
from medviewer.gui.widgets.banner import Banner
from medviewer.gui.widgets.empty_state import EmptyState
from medviewer.gui.widgets.loading_page import LoadingPage
from medviewer.gui.widgets.status_bar import StatusBar
from medviewer.gui.widgets.toast import Toasts
from medviewer.gui.widgets.toolbar import Toolbar
from medviewer.services.open_data import thumbnail
from medviewer.services.settings import Settings

if TYPE_CHECKING:
    from medviewer.plugin_host.host import PluginHost

_SIZE = (1440, 900)
_FIRST_PICTURE_PX = 512
_SMALLEST = (960, 600)


class MainWindow(QMainWindow):
    """One window, one scene. `host` None takes the program's plugins."""

    def __init__(self, scene: Scene, settings: Settings, host: PluginHost | None = None) -> None:
        super().__init__()
        self.scene, self.settings = scene, settings
        self.setWindowTitle("medviewer")
        self.setAcceptDrops(True)
        self.setMinimumSize(*_SMALLEST)
        screen = self.screen().availableSize()
        self.resize(min(_SIZE[0], screen.width()), min(_SIZE[1], screen.height()))
        self.tokens = apply_theme(_application(), settings.get("theme", "dark"))
        self.jobs = GuiJobs(self)
        self.tools = ToolState(self)
        self.actions_ = Actions(scene, self)
        self.facts = FactsCache(scene, self.jobs, self)
        self.checks = ScanChecks(scene, self.jobs, self)
        self._make_parts()
        self.documents = Documents(scene, self.jobs, settings, ask_series(self.jobs, self), self)
        self.exports = Exports(scene, self.jobs, settings, self.views.grab_picture, self)
        self._arrange()
        self.asks = True  # False while the system ends the program: then nobody is asked about unsaved work
        self.recovery = Recovery(self)
        self.commands = WindowCommands(self)
        self.sessions = SessionActions(self)
        self._connect()
        self._load_plugins(host)
        self.set_theme(self.tokens.name)

    # -- building ---------------------------------------------------------------
    def _make_parts(self) -> None:
        self.toolbar = Toolbar(self.actions_)
        self.banner = Banner()
        self.empty, self.waiting = EmptyState(), LoadingPage()
        self.views = ViewArea(self.scene, self.tools, self.toolbar)
        self.scans = ScansPanel(self.scene, self.jobs)
        self.segments = SegmentsPanel(self.scene, self.facts)
        self.figures = FactsPanel(self.scene, self.facts)
        self.segment_menu = SegmentMenu(self.scene, self.facts, self.segments, self.actions_)
        self.sidebar = Sidebar(self.scans, self.segments, self.figures)
        self.plugins = PluginTabs()
        self.logic = PluginLogic(self)
        self.status = StatusBar(self.jobs, self._processes)

    def _arrange(self) -> None:
        self.stack = QStackedWidget()
        self.stack.addWidget(self.empty)
        self.stack.addWidget(self.views)
        self.stack.addWidget(self.waiting)
        middle = QWidget()
        middle.setObjectName("middle")
        column = QVBoxLayout(middle)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(self.banner)
        column.addWidget(self.stack, 1)
        self.splitter = QSplitter(Qt.Orientation.Horizontal)
        self.splitter.setChildrenCollapsible(False)
        self.splitter.setHandleWidth(3)
        for part, least in ((self.sidebar, 220), (middle, 320), (self.plugins, 280)):
            part.setMinimumWidth(least)
            self.splitter.addWidget(part)
        self.splitter.setStretchFactor(1, 1)
        self.splitter.setSizes([276, 824, 328])
        page = QWidget()
        whole = QVBoxLayout(page)
        whole.setContentsMargins(0, 0, 0, 0)
        whole.setSpacing(0)
        whole.addWidget(self.toolbar)
        whole.addWidget(self.splitter, 1)
        whole.addWidget(self.status)
        self.setCentralWidget(page)
        self.toasts = Toasts(page)

    def _connect(self) -> None:
        scene = self.scene
        for signal in (
            scene.active_changed, scene.scans_changed, scene.segments_changed, scene.selection_changed,
            scene.undo_stack.changed, scene.note_kept,
        ):  # fmt: skip
            signal.connect(self.refresh)
        scene.active_changed.connect(self._active_changed)
        scene.preview_changed.connect(self._show_device)
        self.checks.changed.connect(self._show_warnings)
        self.logic.told.connect(lambda text, hint: self.notify(text, "warning", hint))
        self.banner.describe_wanted.connect(self.commands.describe)
        self.jobs.failed.connect(lambda error: self.notify(error.message, "error", error.hint))
        for source in (self.documents, self.exports):
            source.notified.connect(self.notify)
        self.documents.loading.connect(self._loading)
        self.documents.opened.connect(self._opened)
        self.documents.finished.connect(self._loaded)
        self.empty.open_files.connect(self.commands.ask_files)
        self.empty.open_folder.connect(self.commands.ask_folder)
        self.empty.open_sample.connect(self.documents.open_sample)
        self.empty.open_recent.connect(lambda path: self.open_paths([Path(path)]))
        self.sessions.changed.connect(self._name_window)
        self.scans.menu_wanted.connect(self.commands.scan_menu)
        self.views.clicked.connect(lambda point: self.plugins.call("clicked", point))
        self.views.box_drawn.connect(lambda box: self.plugins.call("box_drawn", box))
        self.views.escape.connect(lambda: self.plugins.call("discard"))

    def _load_plugins(self, host: Any) -> None:
        if host is None:
            from medviewer.plugin_host.host import host as default_host

            host = default_host()
        self.plugins.load(host, self._context, self.logic.of, self.jobs.run_silently)

    def _processes(self) -> list[int]:
        """Those that work for this window."""
        pids = [self.logic.process.pid, self.views.grid.volume.view.pid if self.views.grid is not None else None]
        return [pid for pid in pids if pid is not None]

    def _context(self, logic: Any) -> PanelContext:
        choose = self.actions_["choose_model"].trigger
        return PanelContext(
            self.scene, self._run_job, self.notify, self.settings, self.scene.set_cursor, logic, choose,
            self.views.point_at, self.views.grab_picture, self.views.show_prior, self.documents.open_paths,
        )  # fmt: skip

    def _run_job(self, work: Any, on_done: Any, on_error: Any, title: str) -> Any:
        return self.jobs.run(title, work, on_done, on_error, channel=title, lane="plugins")

    # -- what happens ---------------------------------------------------------------
    def notify(self, text: str, kind: str = "info", hint: str = "") -> None:
        """A short message over the window."""
        self.toasts.show(text, kind, hint)

    def refresh(self) -> None:
        """Follow the scene: what can be done, what is shown."""
        self.actions_.refresh()
        self.setWindowModified(bool(self.commands.unsaved(self.scene.scans)))
        if self.scene.active is None:
            self.empty.set_recent([(r.path, r.label) for r in recent.recent_scans(self.settings)], self.tokens)
            if self.stack.currentWidget() is not self.waiting:
                self.stack.setCurrentWidget(self.empty)
        else:
            self.views.ensure()
            self.stack.setCurrentWidget(self.views)

    def _active_changed(self) -> None:
        self._name_window()
        self.views.refresh_menus()
        self._show_warnings()

    def _name_window(self) -> None:
        """The scan, the session's file, and a star while there is work that is not saved."""
        active, session = self.scene.active, self.sessions.path
        names = [f"{active.volume.title or 'scan'}[*]"] if active else []
        names += [session.name] if session is not None else []
        self.setWindowTitle(" - ".join([*names, "medviewer"]))

    def _show_warnings(self) -> None:
        active = self.scene.active
        self.banner.show_warnings(
            self.checks.warnings(active) if active is not None else (),
            open_question=active is not None and needs_description(active.volume),
        )

    def _show_device(self) -> None:
        """Name the device that the last result was computed on."""
        preview = self.scene.active.preview if self.scene.active is not None else None
        device = preview.provenance.parameters.get("device") if preview is not None else None
        if isinstance(device, str):
            self.status.show_device(device)

    def _loading(self, entry: SeriesEntry) -> None:
        """Show an image of the first scan while the rest of it loads."""
        if self.scene.active is not None:
            return
        self.show_waiting(tr("Opening {name}…").format(name=entry.title or entry.path.name))
        if entry.format == "dicom":  # other formats would have to be read twice
            self.jobs.run_silently(
                lambda progress: thumbnail(entry, _FIRST_PICTURE_PX),
                lambda pixels: self.waiting.show_picture(picture_of(pixels)),
                "first picture",
            )

    def show_waiting(self, text: str) -> None:
        """Say what is being opened where no scan is shown."""
        if self.scene.active is None:
            self.waiting.start(text)
            self.stack.setCurrentWidget(self.waiting)

    def _loaded(self) -> None:
        """An opening ended; where nothing is open, say again what to do."""
        if self.scene.active is None:
            self.stack.setCurrentWidget(self.empty)
        self.refresh()

    def _opened(self, scan: Scan) -> None:
        self.checks.start(scan)
        if scan is self.scene.active:
            self.plugins.call("focus_prompt")

    def set_theme(self, name: str) -> None:
        """Switch to "dark" or "light"."""
        self.tokens = apply_theme(_application(), name)
        self.settings.set("theme", self.tokens.name)
        self.actions_.tint(self.tokens)
        self.toolbar.tint(self.tokens)
        self.toolbar.fit(self.toolbar.width())
        self.empty.tint(self.tokens)
        self.refresh()
        self._show_warnings()

    def open_paths(self, paths: Sequence[Path]) -> None:
        """Open files, folders and sessions, as the command line or a drop names them; one session at a time."""
        sessions = [path for path in paths if is_session(path)]
        if sessions:
            self.sessions.open(sessions[0])
        if len(sessions) > 1:
            self.notify(tr("Only the first session was opened."), "warning", tr("One session is open at a time."))
        self.documents.open_paths([path for path in paths if path not in sessions])

    def ask_about_losses(self, asks: bool) -> None:
        """Whether closing asks about unsaved work; where it does not, the work is offered at the next start."""
        self.asks = asks

    def end(self) -> None:
        """The system ends the program: nobody is asked, and unsaved work is offered at the next start."""
        self.asks = False
        self.close()
        _application().exit(0)

    # -- Qt events --------------------------------------------------------------------
    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        if dropped_paths(event):
            event.acceptProposedAction()
            self.empty.set_hot(True)

    def dragLeaveEvent(self, event: QDragLeaveEvent) -> None:
        self.empty.set_hot(False)

    def dropEvent(self, event: QDropEvent) -> None:
        self.empty.set_hot(False)
        event.acceptProposedAction()
        paths = dropped_paths(event)
        QTimer.singleShot(0, self, lambda: self.open_paths(paths))

    def closeEvent(self, event: QCloseEvent) -> None:
        if self.asks and not self.commands.may_lose(self.scene.scans):
            event.ignore()
            return
        self.hide()
        self.recovery.finish(discard=self.asks)
        self.logic.shut_down()
        self.jobs.shutdown()
        self.views.shut_down()
        event.accept()


def _application() -> QApplication:
    application = QApplication.instance()
    assert isinstance(application, QApplication)
    return application


def dropped_paths(event: QDropEvent) -> list[Path]:
    """Local files and folders of a drop."""
    return [Path(url.toLocalFile()) for url in event.mimeData().urls() if url.isLocalFile()]
