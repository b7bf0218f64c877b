"""The journal of a scene: what a crash must not take. One file per program, gone when nothing is left to lose.

Nothing is written before there is work (a step, a preview, a report), and nothing of what a DICOM header says of the
patient is in it: a scan is known by its path and by hashes (`services.scan_identity`), and a report is kept without its
identity. Only what a person wrote or signed stands as it was written.
"""

from __future__ import annotations

import secrets
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

from medviewer.core.scene import Scan, Scene
from medviewer.core.undo import Command
from medviewer.core.voxel_hash import voxel_hash
from medviewer.services import journal_records as records
from medviewer.services import log
from medviewer.services.folders import user_folder
from medviewer.services.journal_writer import JournalWriter, Make

_AGAIN_S = 20.0  # after a failure to write
_SLACK = 8 << 20  # bytes that a file may grow by before it is written anew
_MOST_UNPACKED = 4  # steps whose whole masks may wait for the thread


def journal_folder() -> Path:
    """Where journals are (not created)."""
    return user_folder("data") / "journal"


class Journal:
    """Follows a scene from `attach` to `close`. GUI thread only; no method waits for the disk but `flush`, `close`.

    `told(working)` is called from another thread: False once when writing fails (disk full, no permission), True when
    it works again. The scene works on in both cases.
    """

    def __init__(self, scene: Scene, told: Callable[[bool], None], folder: Path | None = None) -> None:
        self._scene, self._told_window = scene, told
        self.writer = JournalWriter(folder or journal_folder(), self._told)
        self._salt = secrets.token_hex(16)
        self._active = False  # there is work, and the file follows it
        self._unpacked: deque[Command] = deque()
        self._connections: list[tuple[Any, Callable[..., None]]] = []

    @property
    def path(self) -> Path | None:
        """The file, once it is there."""
        return self.writer.path

    def attach(self) -> None:
        """Start to follow."""
        scene, stack = self._scene, self._scene.undo_stack
        stack.pack_later = self._pack_later
        for signal, follow in (
            (stack.pushed, self._pushed), (stack.undone, self._undone), (stack.redone, self._redone),
            (stack.saved, self._saved), (stack.adopted, self._rewrite), (scene.scan_opened, self._opened),
            (scene.scan_closed, self._closed), (scene.volume_replaced, self._described),
            (scene.prompt_asked, self._asked), (scene.segment_shown, self._shown), (scene.previewed, self._previewed),
            (scene.note_kept, self._noted),
        ):  # fmt: skip
            guarded = _guarded(follow)
            signal.connect(guarded)
            self._connections.append((signal, guarded))
        self._rewrite()

    def flush(self, timeout_s: float = 10.0) -> bool:
        """Wait until all of it is on the disk; False if that took too long or writing fails."""
        return self.writer.flush(timeout_s)

    def close(self, *, discard: bool, timeout_s: float = 10.0) -> None:
        """Stop to follow. `discard`: the user has saved or given up the work; else it is offered at the next start."""
        for signal, follow in self._connections:
            signal.disconnect(follow, missing_ok=True)
        self._connections.clear()
        self._scene.undo_stack.pack_later = None
        if discard:
            self.writer.discard()
        self.writer.close(timeout_s)

    # -- the scene ------------------------------------------------------------------
    def _pushed(self, command: Command) -> None:
        previews = {scan.key for scan in self._scene.scans if scan.preview is not None}
        self._add([records.pushed(command, ends_preview=command.scan_key not in previews)])

    def _undone(self, command: Command) -> None:
        self._add([records.moved("undo", command)])

    def _redone(self, command: Command) -> None:
        self._add([records.moved("redo", command)])

    def _saved(self) -> None:
        stack = self._scene.undo_stack
        keys = [scan.key for scan in self._scene.scans if stack.was_saved(scan.key)]
        makes = records.saved(keys, stack)
        self._add(makes + [records.noted(scan, plugin) for scan in self._scene.scans for plugin in scan.notes])

    def _noted(self, scan: Scan) -> None:
        self._add([records.noted(scan, plugin) for plugin in scan.notes])

    def _previewed(self, scan: Scan) -> None:
        self._add([records.previewed(scan)])

    def _opened(self, scan: Scan) -> None:
        """The voxels are hashed already now, so that the first step is on the disk soon."""
        volume = scan.volume
        self.writer.call(lambda: voxel_hash(volume))
        if self._active:
            self._add([records.opened(scan, self._salt)])

    def _closed(self, scan: Scan) -> None:
        if self._active:
            self._rewrite()  # also so that nothing of a closed scan stays

    def _described(self, scan: Scan) -> None:
        if self._active:
            self._add([records.described(scan)])

    def _asked(self, scan: Scan) -> None:
        if self._active:
            self._add([records.asked(scan, scan.prompts[-1])])

    def _shown(self, scan: Scan, segment_id: str) -> None:
        if self._active:
            self._add([records.shown(scan, segment_id)])

    # -- the file -------------------------------------------------------------------
    def _add(self, makes: list[Make]) -> None:
        if not self._has_work():
            self._stop()
        elif not self._active or self._must_rewrite() or not all(self.writer.write(make) for make in makes):
            self._rewrite()

    def _rewrite(self) -> None:
        """Write everything anew from the scene."""
        if not self._has_work():
            self._stop()
            return
        self._active = True
        self.writer.whole(records.whole(self._scene, self._salt))

    def _stop(self) -> None:
        if self._active:
            self._active = False
            self.writer.discard()

    def _has_work(self) -> bool:
        stack = self._scene.undo_stack
        return any(
            scan.preview is not None or scan.notes != scan.saved_notes or stack.has_work(scan.key)
            for scan in self._scene.scans
        )

    def _must_rewrite(self) -> bool:
        writer = self.writer
        if writer.failed_at is not None:
            return time.monotonic() - writer.failed_at > _AGAIN_S
        return writer.size > 2 * writer.whole_size + _SLACK

    def _pack_later(self, command: Command) -> None:
        """In the thread, unless so many wait that their masks would fill the memory."""
        if len(self._unpacked) >= _MOST_UNPACKED:
            command.pack()
            return
        self._unpacked.append(command)
        self.writer.call(self._pack_one)

    def _pack_one(self) -> None:
        self._unpacked.popleft().pack()

    def _told(self, error: Exception | None) -> None:
        if error is not None:
            log.record_defect(error)
        self._told_window(error is None)


def _guarded(follow: Callable[..., None]) -> Callable[..., None]:
    """A defect of the journal must not stop an edit: it goes to the log."""

    def guarded(*arguments: Any) -> None:
        try:
            follow(*arguments)
        except Exception as error:
            log.record_defect(error)

    return guarded
