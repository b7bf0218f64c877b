"""What a crash left behind: finding it, saying what it is, and bringing it back.

A journal belongs to a living program as long as that holds the lock beside it; the system frees the lock when the
program ends, however it ends.
"""

from __future__ import annotations

import contextlib
import json
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import time

from filelock import FileLock, Timeout

from medviewer.core.errors import Cancelled, InputRefused, UserError
from medviewer.core.progress import Progress, silent
from medviewer.core.scene import Scene
from medviewer.core.volume import Volume
from medviewer.core.voxel_hash import voxel_hash
from medviewer.services import journal_file, log
from medviewer.services.journal import journal_folder
from medviewer.services.journal_file import Contents
from medviewer.services.journal_replay import BAD_RECORD, LostScan, lost_scans, rebuild
from medviewer.services.journal_writer import SUFFIX, lock_of
from medviewer.services.scan_identity import reopen

_MOST_BYTES = 1 << 30  # of all journals that were put aside
_OLDEST_DAYS = 60


@dataclass(eq=False)
class Recoverable:
    """Work that was not saved when a program ended. It is held (no other window offers it) until `release` or `delete`.

    `when` is the time of the last edit (ISO 8601, UTC). `damaged`: bytes of the file were changed, and only the work
    before them can be recovered. `newer`: only a newer program can read it. `offered`: it was put aside before.
    """

    path: Path
    contents: Contents
    scans: tuple[LostScan, ...]
    when: str
    offered: bool
    damaged: bool = False
    lock: FileLock | None = field(default=None, repr=False)

    @property
    def newer(self) -> bool:
        return self.contents.newer

    def hold(self) -> bool:
        """Take it again after `release`; False if another program has it, or it has gone."""
        if self.lock is None and self.path.exists():
            self.lock = _lock(self.path)
        if self.lock is not None and not self.path.exists():
            self.release()
        return self.lock is not None

    def release(self) -> None:
        """Let go of it; it stays."""
        lock, self.lock = self.lock, None
        if lock is not None:
            _unlock(lock)

    def keep(self) -> None:
        """The user was asked and keeps it for later."""
        self.offered = True
        _write_note(self.path, _recovered_keys(self.path))
        self.release()

    def mark_recovered(self, keys: Iterable[str]) -> None:
        """These scans are open again, and their new journal is on the disk; this one goes when no scan is left in
        it."""
        recovered = {*_recovered_keys(self.path), *keys}
        self.scans = tuple(scan for scan in self.scans if scan.key not in recovered)
        if not self.scans:
            self.delete()
        else:
            _write_note(self.path, recovered)
            self.release()

    def delete(self) -> None:
        """Remove the work for good; what another program took meanwhile stays."""
        self.lock = self.lock or _lock(self.path)
        if self.lock is None:
            return
        _remove(self.path)
        self.release()
        with contextlib.suppress(OSError):
            lock_of(self.path).unlink(missing_ok=True)


@dataclass(frozen=True)
class Recovered:
    """Scans and steps on a scene of their own (`Scene.adopt` takes them over), the keys of the scans that came back,
    and what could not be recovered, one sentence each."""

    scene: Scene
    keys: tuple[str, ...]
    problems: tuple[UserError, ...] = ()


# -- bringing back ---------------------------------------------------------------------
def replay(item: Recoverable, progress: Progress | None = None, known: Sequence[Volume] = ()) -> Recovered:
    """Open the scans of a journal again, check that they are the same, and do its steps on them. Any thread.

    `known` are volumes that are open already; they are taken instead of reading them again. Raises InputRefused if no
    scan came back (the journal stays), Cancelled, and OSError never.
    """
    progress = progress or silent()
    volumes: dict[str, Volume] = {}
    problems: list[UserError] = []
    for number, scan in enumerate(item.scans):
        part = progress.part(0.8 * number / len(item.scans), 0.8 * (number + 1) / len(item.scans))
        try:
            volumes[scan.key] = _known(scan, known) or reopen(scan.identity, part)
        except Cancelled:
            raise
        except UserError as error:
            problems.append(error)
    if not volumes:
        raise problems[0] if problems else InputRefused("There is no work in this journal.", "It can be deleted.")
    try:
        scene, complete = rebuild(item.path, item.contents.records, volumes, progress.part(0.8, 1.0))
    except OSError as error:
        raise InputRefused(f"The journal cannot be read: {error.strerror}.", "It is kept; try again later.") from error
    if item.damaged or not complete:
        problems.append(DAMAGED)
    return Recovered(scene, tuple(volumes), tuple(problems))


DAMAGED = InputRefused("A part of the journal was damaged.", "The work up to there is back; check it before you go on.")


def _known(scan: LostScan, volumes: Sequence[Volume]) -> Volume | None:
    same = (v for v in volumes if v.shape == scan.identity.shape and voxel_hash(v) == scan.identity.voxels)
    return next(same, None)


# -- finding -----------------------------------------------------------------------------
def recoverable(folder: Path | None = None) -> list[Recoverable]:
    """Held journals with unsaved work, newest first (by their number, not by a clock). Any thread; never raises.

    Journals without unsaved work are removed, and of those that the user put aside the ones put aside more than 60
    days ago, or beyond 1 GB (never the newest of them).
    """
    folder = folder or journal_folder()
    with contextlib.suppress(OSError):
        _expire(folder)
    items = [item for item in map(_look, _journals(folder)) if item is not None]
    return _once(items)


def _once(items: Sequence[Recoverable]) -> list[Recoverable]:
    """A program that was killed while it recovered leaves the same scan in two journals: the one with more is kept."""
    best: dict[str, tuple[int, Recoverable]] = {}
    for item in items:
        for scan in item.scans:
            if scan.key not in best or scan.edits > best[scan.key][0]:
                best[scan.key] = scan.edits, item
    for item in items:
        twice = [scan.key for scan in item.scans if best[scan.key][1] is not item]
        if twice:
            item.mark_recovered(twice)
            item.hold()
    return [item for item in items if item.lock is not None]


def _look(path: Path) -> Recoverable | None:
    lock = _lock(path)
    if lock is None:
        return None
    try:
        contents = journal_file.read(path)
        scans, damaged = _scans(contents)
    except (OSError, ValueError) as error:  # unreadable, or no journal at all: not ours to remove
        log.record_defect(error)
        _unlock(lock)
        return None
    left = tuple(scan for scan in scans if scan.key not in _recovered_keys(path))
    item = Recoverable(path, contents, left, _time(contents), _note_of(path).exists(), damaged, lock)
    if left or item.newer:
        return item
    if damaged:
        item.release()
    else:
        item.delete()
    return None


def _scans(contents: Contents) -> tuple[list[LostScan], bool]:
    """The lost scans and whether something after them cannot be read."""
    records = contents.records
    try:
        return lost_scans(records), contents.damaged
    except BAD_RECORD:
        bad = bisect_left(range(len(records) + 1), True, key=lambda count: not _playable(contents, count))
        return lost_scans(records[: bad - 1]), True


def _playable(contents: Contents, count: int) -> bool:
    try:
        lost_scans(contents.records[:count])
    except BAD_RECORD:
        return False
    return True


def _time(contents: Contents) -> str:
    """Of the last record that is work; records are in their order, whatever the clock did."""
    work = ("push", "undo", "redo", "preview", "note")
    times = [str(r.header.get("t", "")) for r in contents.records if r.header.get("k") in work]
    return times[-1] if times else str(contents.first.get("t", ""))


def _journals(folder: Path) -> list[Path]:
    """Newest first; the number is given in order of making."""
    with contextlib.suppress(OSError):
        return sorted(folder.glob(f"*{SUFFIX}"), key=lambda path: path.name, reverse=True)
    return []


def _expire(folder: Path) -> None:
    """Of the journals that were put aside, remove the oldest ones. One that nobody was asked about is never removed,
    and the newest of the others only for its age."""
    total = 0
    for path in _journals(folder):
        note = _note_of(path)
        if not note.exists():
            continue
        newer, total = total, total + path.stat().st_size
        age_days = (time() - note.stat().st_mtime) / 86400
        if (newer and total > _MOST_BYTES) or age_days > _OLDEST_DAYS:
            lock = _lock(path)
            if lock is not None:
                _remove(path)
                _unlock(lock)
                lock_of(path).unlink(missing_ok=True)
    for left in folder.glob(f"*{SUFFIX}.lock"):  # of a program that died before its journal had a byte
        path = left.with_name(left.name.removesuffix(".lock"))
        lock = None if path.exists() else _lock(path)
        if lock is not None:
            if not path.exists():
                left.unlink(missing_ok=True)
            _unlock(lock)


def _lock(path: Path) -> FileLock | None:
    lock = FileLock(lock_of(path), timeout=0, mode=0o600, thread_local=False)
    try:
        lock.acquire()
    except (Timeout, OSError, NotImplementedError):
        return None
    return lock


def _unlock(lock: FileLock) -> None:
    with contextlib.suppress(OSError):
        lock.release(force=True)


def _remove(path: Path) -> None:
    for file in (path, path.with_name(path.name + ".new"), _note_of(path)):
        with contextlib.suppress(OSError):
            file.unlink(missing_ok=True)


# -- the note beside a journal that was put aside -------------------------------------------
def _note_of(path: Path) -> Path:
    return path.with_name(path.name + ".kept")


def _recovered_keys(path: Path) -> set[str]:
    try:
        keys = json.loads(_note_of(path).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return set()
    return {str(key) for key in keys} if isinstance(keys, list) else set()


def _write_note(path: Path, recovered: Iterable[str]) -> None:
    from medviewer.io.atomic import write_text_atomic

    with contextlib.suppress(UserError):
        write_text_atomic(_note_of(path), json.dumps(sorted(recovered)))
