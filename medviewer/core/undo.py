"""Undo and redo of any depth over changes of the scene (not over views)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from psygnal import Signal


class Command(Protocol):
    """One undoable step of one scan. `title` completes "Undo ..."."""

    title: str
    scan_key: str

    def do(self) -> None:
        """Apply, or apply again."""

    def undo(self) -> None:
        """Take back; the state afterwards equals the state before `do`."""

    def pack(self) -> None:
        """Put the masks it holds into their compressed form. Any thread; calling it again does nothing."""

    def record(self) -> tuple[dict[str, Any], bytes]:
        """JSON-ready header and compressed voxels: the same step, to be done on the same state. Any thread."""


class _Gone:
    """A step that was saved and can no longer be reached: nothing equals it."""


_GONE = _Gone()


class UndoStack:
    """Done and undone commands. GUI thread only.

    `pushed`, `undone`, `redone` give the command after it worked, `dropped` and `saved` tell of closed scans and of
    saving, `adopted` of steps that came from another stack. `pack_later` may take over the packing of a new step, for
    instance in a thread; without it a step is packed at once.
    """

    changed = Signal()
    pushed = Signal(object)
    undone = Signal(object)
    redone = Signal(object)
    dropped = Signal(str)
    saved = Signal()
    adopted = Signal()

    def __init__(self) -> None:
        self._done: list[Command] = []
        self._undone: list[Command] = []
        self._saved: dict[str, Command | _Gone | None] = {}
        self.pack_later: Callable[[Command], None] | None = None

    def push(self, command: Command) -> None:
        """Do the command and remember it; what was undone before can no longer be redone."""
        command.do()
        self._done.append(command)
        self._forget_undone()
        self.pushed.emit(command)
        if self.pack_later is None:
            command.pack()
        else:
            self.pack_later(command)
        self.changed.emit()

    def undo(self) -> None:
        """Take back the newest step; nothing happens if there is none."""
        if self._done:
            command = self._done.pop()
            command.undo()
            self._undone.append(command)
            self.undone.emit(command)
            self.changed.emit()

    def redo(self) -> None:
        """Do the newest undone step again; nothing happens if there is none."""
        if self._undone:
            command = self._undone.pop()
            command.do()
            self._done.append(command)
            self.redone.emit(command)
            self.changed.emit()

    def drop(self, scan_key: str) -> None:
        """Forget the steps of a scan that was closed."""
        self._done = [c for c in self._done if c.scan_key != scan_key]
        self._undone = [c for c in self._undone if c.scan_key != scan_key]
        self._saved.pop(scan_key, None)
        self.dropped.emit(scan_key)
        self.changed.emit()

    def adopt(self, other: UndoStack) -> None:
        """Take over the steps of another stack, as if they had just been done; own undone steps are forgotten."""
        self._forget_undone()
        self._done += other._done
        self._undone += other._undone
        self._saved |= other._saved
        self.adopted.emit()
        self.changed.emit()

    def clear_redo(self) -> None:
        """Forget what was undone."""
        self._forget_undone()
        self.changed.emit()

    def _forget_undone(self) -> None:
        for key, saved in self._saved.items():
            if any(command is saved for command in self._undone):
                self._saved[key] = _GONE
        self._undone.clear()

    # -- what is saved -------------------------------------------------------------
    def newest(self, scan_key: str) -> Command | None:
        """The last done step of a scan: what `mark_saved` wants where saving takes a while."""
        return next((c for c in reversed(self._done) if c.scan_key == scan_key), None)

    def mark_saved(self, steps: Mapping[str, Command | None] | None = None) -> None:
        """The state after these steps (scan key to its newest step then) is on disk; default: all scans as of now."""
        if steps is None:
            keys = {c.scan_key for c in (*self._done, *self._undone)} | set(self._saved)
            steps = {key: self.newest(key) for key in keys}
        reachable = [None, *self._done, *self._undone]
        for key, command in steps.items():
            self._saved[key] = command if any(command is c for c in reachable) else _GONE
        self.saved.emit()
        self.changed.emit()

    def saved_step(self, scan_key: str) -> Command | bool | None:
        """The step after which a scan was saved: None before its first step, False if never or no longer reachable."""
        saved = self._saved.get(scan_key, _GONE)
        return False if isinstance(saved, _Gone) else saved

    def was_saved(self, scan_key: str) -> bool:
        """Whether the scan was saved in any state."""
        return scan_key in self._saved

    def unsaved_in(self, scan_key: str) -> bool:
        """True if something was done or undone on a scan since it was saved."""
        return self.newest(scan_key) is not self._saved.get(scan_key)

    def has_work(self, scan_key: str) -> bool:
        """True if a crash would lose steps of a scan: unsaved ones, or undone ones of a scan that was never saved."""
        undone = any(c.scan_key == scan_key for c in self._undone)
        return self.unsaved_in(scan_key) or (undone and scan_key not in self._saved)

    @property
    def unsaved(self) -> bool:
        """True if something was done or undone since `mark_saved`."""
        return any(self.unsaved_in(key) for key in {c.scan_key for c in self._done} | set(self._saved))

    @property
    def done(self) -> tuple[Command, ...]:
        """Oldest first."""
        return tuple(self._done)

    @property
    def undone_steps(self) -> tuple[Command, ...]:
        """The last one is redone first."""
        return tuple(self._undone)

    @property
    def undo_title(self) -> str | None:
        return self._done[-1].title if self._done else None

    @property
    def redo_title(self) -> str | None:
        return self._undone[-1].title if self._undone else None
