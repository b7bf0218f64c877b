"""Saving the whole scene as a session file and opening one: what Ctrl+S and an opened `.mvsession` do."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QEventLoop, QObject, Signal
from PySide6.QtWidgets import QFileDialog

from medviewer.core.errors import Cancelled, UserError
from medviewer.core.progress import Progress
from medviewer.core.scene import Scan
from medviewer.gui import recent
from medviewer.gui.dialogs.missing_scan import ask_places
from medviewer.gui.exporting import export_folder
from medviewer.gui.text import tr

if TYPE_CHECKING:
    from medviewer.gui.main_window import MainWindow
    from medviewer.services.sessions import RestoredSession

SUFFIX = ".mvsession"


def is_session(path: Path) -> bool:
    """Whether a name is a session's."""
    return path.name.lower().endswith(SUFFIX)


class SessionActions(QObject):
    """The session of the window. `path` is its file, None before it has one. GUI thread."""

    changed = Signal()  # another file, or none
    saved = Signal(object)  # Path
    opened = Signal(object)  # Path
    failed = Signal(object)  # UserError, after the user was told

    def __init__(self, window: MainWindow) -> None:
        super().__init__(window)
        self._window = window
        self.path: Path | None = None
        window.actions_.bind({"save_session": self.save, "save_session_as": self.save_as})
        window.commands.savers.append((tr("Save session"), self.save_and_wait))
        window.scene.scans_changed.connect(self._scans_changed)

    # -- saving -------------------------------------------------------------------
    def save(self) -> bool:
        """Save to the session's file, or ask for one; False if the user gave no name."""
        return self.save_to(self.path) if self.path is not None else self.save_as()

    def save_as(self) -> bool:
        """Ask for a name and save."""
        target = self._ask_target()
        return target is not None and self.save_to(target)

    def save_to(self, path: Path) -> bool:
        """Save in the worker; the scene of now is what is saved."""
        from medviewer.services import sessions

        scene = self._window.scene
        layout = self._window.views.grid.maximised if self._window.views.grid is not None else None
        state = sessions.state_of(scene, layout or "grid")
        steps = {scan.key: scene.undo_stack.newest(scan.key) for scan in scene.scans}
        notes = [(scan, dict(scan.notes)) for scan in scene.scans]

        def work(progress: Progress) -> Path:
            return sessions.save_session(path, state, progress)

        title = tr("Saving {name}").format(name=path.name)
        self._window.jobs.run(title, work, lambda done: self._done(path, steps, notes), self._failed)
        return True

    def save_and_wait(self) -> bool:
        """Save and return when it is on the disk; False if it was not saved (the user knows why)."""
        loop = QEventLoop(self)
        ended: list[bool] = []

        def end(result: object) -> None:
            ended.append(isinstance(result, Path))
            loop.quit()

        for signal in (self.saved, self.failed):
            signal.connect(end)
        try:
            if self.save() and not ended:
                loop.exec()
        finally:
            for signal in (self.saved, self.failed):
                signal.disconnect(end)
        return ended == [True]

    def _done(self, path: Path, steps: dict[str, Any], notes: list[tuple[Scan, dict[str, str]]]) -> None:
        window = self._window
        for scan, kept in notes:
            scan.saved_notes = kept
        open_keys = {scan.key for scan in window.scene.scans}
        window.scene.undo_stack.mark_saved({key: step for key, step in steps.items() if key in open_keys})
        window.settings.set("session_folder", str(path.parent))
        self._remember(path)
        window.notify(tr("Saved and checked: {names}").format(names=path.name), "success")
        self.saved.emit(path)

    def _ask_target(self) -> Path | None:
        dialog = QFileDialog(self._window, tr("Save the session"), str(self._folder()), f"medviewer (*{SUFFIX})")
        dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
        dialog.setDefaultSuffix(SUFFIX.removeprefix("."))
        dialog.selectFile(self.path.name if self.path is not None else "session" + SUFFIX)
        chosen = dialog.selectedFiles() if dialog.exec() else []
        dialog.deleteLater()
        return Path(chosen[0]) if chosen else None

    def _folder(self) -> Path:
        stored = self._window.settings.get("session_folder", "")
        return Path(stored) if stored and Path(stored).is_dir() else export_folder(self._window.settings)

    # -- opening ------------------------------------------------------------------
    def open(self, path: Path) -> None:
        """Replace what is open by a session, after a question where work would be lost."""
        from medviewer.services import sessions

        window = self._window
        if not window.commands.may_lose(window.scene.scans):
            return
        before = {scan: window.scene.undo_stack.newest(scan.key) for scan in window.scene.scans}

        def work(progress: Progress) -> dict[int, Path]:
            return sessions.missing_scans(path, sessions.read_session(path))

        title = tr("Reading {name}").format(name=path.name)
        window.jobs.run(title, work, lambda missing: self._located(path, before, missing), self._failed)

    def _located(self, path: Path, before: Mapping[Scan, Any], missing: dict[int, Path]) -> None:
        from medviewer.services import sessions

        found = ask_places(missing, path, self._window) if missing else {}
        if found is None:
            self._failed(Cancelled())
            return
        title = tr("Opening {name}").format(name=path.name)
        self._window.show_waiting(title + "…")
        self._window.jobs.run(
            title,
            lambda progress: sessions.load_session(path, progress, found),
            lambda session: self._opened(path, before, session),
            self._failed,
        )

    def _opened(self, path: Path, before: Mapping[Scan, Any], session: RestoredSession) -> None:
        from medviewer.services import sessions

        window = self._window
        old = [scan for scan in before if scan in window.scene.scans]
        edited = [scan for scan in old if window.scene.undo_stack.newest(scan.key) is not before[scan]]
        if edited and not window.commands.may_lose(edited):  # what was done while the session loaded
            self._failed(Cancelled())
            return
        for scan in old:
            window.documents.close(scan)
        made = sessions.restore(window.scene, session)
        for scan in made:
            window.documents.opened.emit(scan)
        if window.views.grid is not None:
            window.views.choose_layout(session.layout or "grid")
        if session.complete:
            self._remember(path)
        else:
            text = tr("Scans were left out: saving will ask for another name.")
            window.notify(text, "warning", tr("The session file still holds their segments."))
        window.documents.finished.emit()
        self.opened.emit(path)

    # -- both -----------------------------------------------------------------------
    def _remember(self, path: Path) -> None:
        self.path = path
        volumes: Any = [scan.volume for scan in self._window.scene.scans]
        recent.remember(self._window.settings, path, volumes)
        self.changed.emit()

    def _failed(self, error: UserError) -> None:
        if not isinstance(error, Cancelled):
            self._window.notify(error.message, "error", error.hint)
        self._window.documents.finished.emit()
        self.failed.emit(error)

    def _scans_changed(self) -> None:
        """A window without scans is at a new beginning."""
        if not self._window.scene.scans and self.path is not None:
            self.path = None
            self.changed.emit()
