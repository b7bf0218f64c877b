"""Undo and redo of any depth over changes of the scene (not over views)."""

from __future__ import annotations

from typing import Protocol

from psygnal import Signal


class Command(Protocol):
    """One undoable step. `title` completes "Undo ..."."""

    title: str

    def do(self) -> None:
        """Apply, or apply again."""

    def undo(self) -> None:
        """Take back; the state afterwards equals the state before `do`."""


class UndoStack:
    """Done and undone commands. GUI thread only."""

    changed = Signal()

    def __init__(self) -> None:
        self._done: list[Command] = []
        self._undone: list[Command] = []
        self._saved_at: Command | None = None

    def push(self, command: Command) -> None:
        """Do the command and remember it; what was undone before can no longer be redone."""
        command.do()
        self._done.append(command)
        self._undone.clear()
        self.changed.emit()

    def undo(self) -> None:
        """Take back the newest step; nothing happens if there is none."""
        if self._done:
            command = self._done.pop()
            command.undo()
            self._undone.append(command)
            self.changed.emit()

    def redo(self) -> None:
        """Do the newest undone step again; nothing happens if there is none."""
        if self._undone:
            command = self._undone.pop()
            command.do()
            self._done.append(command)
            self.changed.emit()

    def drop(self, scan_key: str) -> None:
        """Forget the steps of a scan that was closed."""
        self._done = [c for c in self._done if getattr(c, "scan_key", None) != scan_key]
        self._undone = [c for c in self._undone if getattr(c, "scan_key", None) != scan_key]
        self.changed.emit()

    def mark_saved(self) -> None:
        """The state of now is the one on disk."""
        self._saved_at = self._done[-1] if self._done else None
        self.changed.emit()

    @property
    def unsaved(self) -> bool:
        """True if something was done or undone since `mark_saved`."""
        return (self._done[-1] if self._done else None) is not self._saved_at

    @property
    def undo_title(self) -> str | None:
        return self._done[-1].title if self._done else None

    @property
    def redo_title(self) -> str | None:
        return self._undone[-1].title if self._undone else None
