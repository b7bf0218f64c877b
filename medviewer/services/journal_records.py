"""From what happens on a scene to the records of a journal. Everything here gives a function that makes the record, to
be called in the thread that writes; masks, predictions and steps are never changed, so that no copy is needed."""

from __future__ import annotations

import time
import weakref
import zlib
from datetime import UTC, datetime
from typing import Any

from medviewer import __version__
from medviewer.core import prediction_record
from medviewer.core.scene import Scan, Scene
from medviewer.core.undo import Command, UndoStack
from medviewer.services.journal_file import SCHEMA
from medviewer.services.journal_writer import Make
from medviewer.services.scan_identity import identity_of, stated


def whole(scene: Scene, salt: str) -> list[Make]:
    """Records that rebuild the scene as it is now, with its steps done and undone."""
    stack, scans = scene.undo_stack, scene.scans
    makes: list[Make] = [first(salt), *(opened(scan, salt) for scan in scans)]
    makes += [asked(scan, text) for scan in scans for text in scan.prompts]
    makes += [pushed(command) for command in (*stack.done, *reversed(stack.undone_steps))]
    makes += [moved("undo", command) for command in stack.undone_steps]
    makes += saved([scan.key for scan in scans if stack.was_saved(scan.key)], stack)
    makes += [noted(scan, plugin) for scan in scans for plugin in scan.notes]
    makes += [shown(scan, segment.id) for scan in scans for segment in scan.segments]
    makes += [previewed(scan) for scan in scans if scan.preview is not None]
    return makes


def first(salt: str) -> Make:
    """The first record of a file."""
    return _fixed({"k": "journal", "schema": SCHEMA, "program": __version__, "salt": salt})


def opened(scan: Scan, salt: str) -> Make:
    """A scan and what the user stated about it. The function hashes the voxels; None if the scan was closed by then."""
    owner, key, when = weakref.ref(scan), scan.key, now()

    def make() -> tuple[dict[str, Any], bytes] | None:
        alive = owner()
        if alive is None:
            return None
        volume = alive.volume
        identity = identity_of(volume, salt).as_dict()
        return {"k": "open", "t": when, "scan": key, "identity": identity, "stated": stated(volume)}, b""

    return make


def closed(scan_key: str) -> Make:
    """A scan was closed."""
    return _fixed({"k": "close", "scan": scan_key})


def described(scan: Scan) -> Make:
    """The user stated something about a scan."""
    return _fixed({"k": "describe", "scan": scan.key, "stated": stated(scan.volume)})


def asked(scan: Scan, text: str) -> Make:
    """A prompt."""
    return _fixed({"k": "prompt", "scan": scan.key, "text": text})


def shown(scan: Scan, segment_id: str) -> Make:
    """How a segment is shown now."""
    segment = scan.get(segment_id)
    view = {"visible": segment.visible, "opacity": segment.opacity}
    return _fixed({"k": "shown", "scan": scan.key, "id": segment_id, **view})


def noted(scan: Scan, plugin: str) -> Make:
    """What a plugin keeps with a scan (a report with every step on it), and whether a session's file has it so; passed
    over where a newer text followed before it was written. The text is compressed: it may hold pictures."""
    text, key, owner, when = scan.notes[plugin], scan.key, weakref.ref(scan), now()
    is_saved = scan.saved_notes.get(plugin) == text

    def make() -> tuple[dict[str, Any], bytes] | None:
        alive = owner()
        if alive is not None and alive.notes.get(plugin) != text:
            return None
        header = {"k": "note", "t": when, "scan": key, "plugin": plugin, "saved": is_saved}
        return header, zlib.compress(text.encode("utf-8", "surrogatepass"), 1)

    return make


def pushed(command: Command, *, ends_preview: bool = False) -> Make:
    """A step that was done; accepting a preview also ends it."""
    when = now()

    def make() -> tuple[dict[str, Any], bytes]:
        header, data = command.record()
        head = {"k": "push", "t": when, "scan": command.scan_key, "ends_preview": ends_preview}
        return head | {"step": header}, data

    return make


def moved(what: str, command: Command) -> Make:
    """A step that was undone ("undo") or done again ("redo")."""
    return _fixed({"k": what, "scan": command.scan_key})


def saved(scan_keys: list[str], stack: UndoStack) -> list[Make]:
    """Which step of each scan is on disk now."""
    makes = []
    for key in scan_keys:
        step = stack.saved_step(key)
        own = [c for c in (*stack.done, *reversed(stack.undone_steps)) if c.scan_key == key]
        place = -1 if step is False else next((n for n, c in enumerate(own, 1) if c is step), 0)
        makes.append(_saved_record(key, place))
    return makes


def previewed(scan: Scan) -> Make:
    """The preview of a scan, or that there is none; passed over where another one followed before it was written."""
    prediction, key, owner, when = scan.preview, scan.key, weakref.ref(scan), now()
    prompts = prediction_record.prompts_to_record(scan.preview_points, scan.preview_box)

    def make() -> tuple[dict[str, Any], bytes] | None:
        alive = owner()
        if alive is not None and alive.preview is not prediction:
            return None
        header, data = (None, b"") if prediction is None else prediction_record.to_record(prediction)
        return {"k": "preview", "t": when, "scan": key, "answer": header, **prompts}, data

    return make


def now() -> str:
    """Coordinated universal time, to be shown only: the order of records is their order in the file."""
    return datetime.fromtimestamp(time.time(), UTC).isoformat(timespec="seconds")


def _saved_record(scan_key: str, step: int) -> Make:
    """`step`: how many of the scan's steps, undone ones included, had been done; -1 where that state is out of
    reach."""
    return _fixed({"k": "saved", "scan": scan_key, "step": step})


def _fixed(header: dict[str, Any]) -> Make:
    header = {"t": now()} | header
    return lambda: (header, b"")
