"""From the records of a journal back to scans, segments and undo steps; and how much work that is."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from medviewer.core import prediction_record
from medviewer.core.commands import command_from
from medviewer.core.progress import Progress
from medviewer.core.scene import Scan, Scene
from medviewer.core.undo import Command, UndoStack
from medviewer.core.volume import Volume
from medviewer.services.journal_file import Stored, payload_of
from medviewer.services.scan_identity import ScanIdentity, with_stated

BAD_RECORD = (ValueError, KeyError, TypeError, AttributeError, IndexError, MemoryError, zlib.error)
_SPANS = {"add": 1, "delete": -1}
_UNREACHABLE: Any = object()


class _Steps:
    """Plays the records of undo steps. `make(record)` gives the step, None for a scan that is left out."""

    def __init__(self, stack: UndoStack, make: Callable[[Stored], Command | None]) -> None:
        self.stack, self._make = stack, make

    def play(self, record: Stored) -> bool:
        """Whether it was a step of a scan that is not left out. Raises ValueError where it does not fit the others."""
        header = record.header
        kind, key = header.get("k"), str(header.get("scan", ""))
        if kind == "push":
            command = self._make(record)
            if command is None:
                self.stack.clear_redo()  # as it was then
                return False
            self.stack.push(command)
        elif kind in ("undo", "redo"):
            steps = self.stack.done if kind == "undo" else self.stack.undone_steps
            if not steps or steps[-1].scan_key != key:
                raise ValueError("a step is missing")
            self.stack.undo() if kind == "undo" else self.stack.redo()
        elif kind == "saved":
            self._saved(key, int(header["step"]))
        return True

    def _saved(self, key: str, step: int) -> None:
        own = [c for c in (*self.stack.done, *reversed(self.stack.undone_steps)) if c.scan_key == key]
        command = _UNREACHABLE if step < 0 else (None if step == 0 else own[step - 1])
        self.stack.mark_saved({key: command})


# -- how much ------------------------------------------------------------------------
@dataclass
class LostScan:
    """One scan of a journal with unsaved work: what it was, and how much is in it (`edits`: done steps, also those that
    were saved). `notes`: the plugins whose text is not in a session's file."""

    key: str
    identity: ScanIdentity
    edits: int = 0
    segments: int = 0
    preview: bool = False
    notes: set[str] = field(default_factory=set)


@dataclass
class _Counted:
    """A step that only counts segments."""

    scan_key: str
    span: int
    counts: Counter[str]
    title: str = ""

    def do(self) -> None:
        self.counts[self.scan_key] += self.span

    def undo(self) -> None:
        self.counts[self.scan_key] -= self.span

    def pack(self) -> None:
        """There is no mask."""

    def record(self) -> tuple[dict[str, Any], bytes]:
        raise NotImplementedError


def lost_scans(records: Sequence[Stored]) -> list[LostScan]:
    """The scans that were open at the end with work that was not saved. Raises one of BAD_RECORD."""
    scans: dict[str, LostScan] = {}
    counts: Counter[str] = Counter()

    def make(record: Stored) -> Command | None:
        key = str(record.header["scan"])
        return _Counted(key, _SPANS.get(record.header["step"]["do"], 0), counts) if key in scans else None

    steps = _Steps(UndoStack(), make)
    for record in records:
        header, key = record.header, str(record.header.get("scan", ""))
        kind = header.get("k")
        if kind == "open":
            scans[key] = LostScan(key, ScanIdentity.from_dict(header["identity"]))
        elif kind == "close":
            scans.pop(key, None)
            steps.stack.drop(key)
        elif key in scans or kind == "push":
            steps.play(record)
            if key in scans:
                _count(scans[key], header)
    for scan in scans.values():
        scan.edits = sum(c.scan_key == scan.key for c in steps.stack.done)
        scan.segments = counts[scan.key]
    return [s for s in scans.values() if s.preview or s.notes or steps.stack.has_work(s.key)]


def _count(scan: LostScan, header: Mapping[str, Any]) -> None:
    kind = header["k"]
    if kind == "preview" or header.get("ends_preview"):
        scan.preview = kind == "preview" and header["answer"] is not None
    elif kind == "note":
        plugin = {str(header["plugin"])}
        scan.notes = scan.notes - plugin if header["saved"] is True else scan.notes | plugin


# -- bringing it back ------------------------------------------------------------------
class _Player:
    """Plays records on a scene of its own."""

    def __init__(self, volumes: Mapping[str, Volume]) -> None:
        self.scene = Scene()
        self._volumes = volumes
        self._scans: dict[str, Scan] = {}
        self._payload = b""
        self._steps = _Steps(self.scene.undo_stack, self._command)

    def play(self, record: Stored, payload: bytes) -> None:
        header, key = record.header, str(record.header.get("scan", ""))
        kind = header.get("k")
        self._payload = payload
        if kind == "open":
            self._open(key, header)
        elif kind == "push" or key in self._scans:
            self._steps.play(record)
            if key in self._scans:
                self._change(self._scans[key], header)

    def _open(self, key: str, header: Mapping[str, Any]) -> None:
        if key in self._volumes:
            self._scans[key] = scan = Scan(with_stated(self._volumes[key], header.get("stated", {})), key)
            self.scene.scans.append(scan)

    def _command(self, record: Stored) -> Command | None:
        scan = self._scans.get(str(record.header["scan"]))
        return None if scan is None else command_from(scan, record.header["step"], self._payload)

    def _change(self, scan: Scan, header: Mapping[str, Any]) -> None:
        kind = header["k"]
        if kind == "describe":
            scan.volume = with_stated(self._volumes[scan.key], header["stated"])
        elif kind == "prompt":
            scan.prompts.append(str(header["text"]))
        elif kind == "shown":
            view = {"visible": bool(header["visible"]), "opacity": float(header["opacity"])}
            scan.replace(scan.get(header["id"]).changed(**view))
        elif kind == "preview":
            self._preview(scan, header)
        elif kind == "note":
            self._note(scan, header)
        elif kind == "push" and header.get("ends_preview"):
            scan.preview, scan.preview_points, scan.preview_box = None, (), None

    def _note(self, scan: Scan, header: Mapping[str, Any]) -> None:
        plugin, text = str(header["plugin"]), zlib.decompress(self._payload).decode("utf-8", "surrogatepass")
        scan.notes = scan.notes | {plugin: text}
        scan.recovered_notes |= {plugin}

    def _preview(self, scan: Scan, header: Mapping[str, Any]) -> None:
        answer = header["answer"]
        scan.preview = None if answer is None else prediction_record.from_record(answer, self._payload)
        if scan.preview is not None and scan.preview.mask.shape != scan.volume.shape:
            raise ValueError("the preview belongs to another grid")
        scan.preview_points, scan.preview_box = prediction_record.prompts_from_record(header)
        scan.preview_painted = False


def rebuild(
    path: Path, records: Sequence[Stored], volumes: Mapping[str, Volume], progress: Progress
) -> tuple[Scene, bool]:
    """A scene with the scans of `volumes` (by their keys in the journal) as they were, undo steps included; and
    whether all records could be played: if not, the scene is that of before the first one that could not. Any
    thread."""
    player = _Player(volumes)
    with open(path, "rb") as file:
        for number, record in enumerate(records):
            progress.report(number / len(records), "Recovering the work")
            wanted = str(record.header.get("scan", "")) in volumes
            try:
                player.play(record, payload_of(file, record) if wanted else b"")
            except BAD_RECORD:
                return player.scene, False
    return player.scene, True
