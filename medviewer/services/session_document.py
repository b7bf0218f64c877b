"""The document of a session: what it says of scans, segments and views, in words of JSON; checked when read."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from medviewer.core.volume import Volume
from medviewer.core.voxel_hash import voxel_hash
from medviewer.services.scan_identity import stated

Record = tuple[dict[str, Any], bytes]
_HASHING = 1  # grows with a change of `voxel_hash`; the old way must then still be known
_SAMPLE = "torso phantom 0"
_SAMPLE_ID = "phantom-0"
_TEXT_OR_NONE = (str, type(None))
_MOST = 10_000
_SEGMENT_TYPES: dict[str, tuple[type, ...]] = {
    "name": (str,), "color": (list,), "opacity": (int, float), "visible": (bool,), "term_id": _TEXT_OR_NONE,
    "side": _TEXT_OR_NONE, "side_note": (str,), "cut_edges": (list,), "frame": (int, type(None)),
    "presence": (int, float, type(None)), "tested": (str,), "provenance": (dict,), "id": (str,), "shape": (list,),
    "box": (list, type(None)),
}  # fmt: skip


@dataclass(frozen=True)
class ScanReference:
    """A scan as a session refers to it: where it was, and what proves that it is the one."""

    path: str  # POSIX; relative to the session where the scan lies beside or below it; empty for the sample
    series: str
    voxels: str
    shape: tuple[int, int, int]
    affine: tuple[float, ...] | None
    stated: Mapping[str, Any] = field(default_factory=dict)
    sample: str = ""

    def place(self, session: Path) -> Path:
        """Where the scan is expected, for a session at this path."""
        path = Path(self.path)
        return path if path.is_absolute() else session.parent / path

    @property
    def name(self) -> str:
        return PurePosixPath(self.path).name or self.sample


@dataclass(frozen=True)
class SavedScan:
    """One scan with its segments (as records, masks still packed) and its view state."""

    scan: ScanReference
    segments: tuple[Record, ...] = ()
    cursor: tuple[float, float, float] | None = None
    window: tuple[float, float] | None = None
    frame: int = 0
    inverted: bool = False
    preview: Record | None = None
    prompts: tuple[str, ...] = ()
    notes: Mapping[str, str] = field(default_factory=dict)  # what plugins keep with the scan, by plugin id


@dataclass(frozen=True)
class SessionDocument:
    """A whole session. `active` is an index into `scans`; `selected` a segment's id; `layout` a name of the window."""

    scans: tuple[SavedScan, ...]
    active: int | None = None
    selected: str | None = None
    layout: str = ""
    program: str = ""
    saved: str = ""  # ISO 8601, UTC


def series_hash(series_id: str) -> str:
    """SHA-256 of a series' id: finds the series in a folder and tells no UID."""
    return hashlib.sha256(series_id.encode()).hexdigest()


def hash_of(volume: Volume) -> str:
    """What proves that a scan is the one: a number for the way of hashing, and the hash."""
    return f"{_HASHING}:{voxel_hash(volume)}"


def reference_to(volume: Volume, session: Path) -> ScanReference:
    """The reference that a session at `session` keeps of a volume. Raises ValueError for one that has no file."""
    affine = None if volume.affine is None else tuple(float(v) for v in volume.affine.ravel())
    sample = _SAMPLE if volume.source.format == "generated" and volume.id == _SAMPLE_ID else ""
    if volume.source.format == "generated" and not sample:
        raise ValueError("the volume has no file")
    path = "" if sample else _stored_path(volume.source.path, session)
    return ScanReference(
        path, series_hash(volume.id), hash_of(volume), volume.shape, affine, stated(volume), sample
    )


def _stored_path(path: Path, session: Path) -> str:
    """Relative where the scan lies in the session's folder or below it, so that both can be moved together."""
    full, folder = Path(os.path.abspath(path)), Path(os.path.abspath(session)).parent
    return (full.relative_to(folder) if full.is_relative_to(folder) else full).as_posix()


# -- to JSON -------------------------------------------------------------------
def to_json(document: SessionDocument) -> tuple[dict[str, Any], dict[str, bytes]]:
    """The JSON-ready document and the masks it refers to by name."""
    masks: dict[str, bytes] = {}

    def stored(record: Record) -> dict[str, Any]:
        name = f"masks/{len(masks)}.bits"
        masks[name] = record[1]
        return {**record[0], "mask": name}

    scans = [_scan_json(scan, [stored(r) for r in scan.segments], scan.preview and stored(scan.preview))
             for scan in document.scans]  # fmt: skip
    return {
        "program": document.program, "saved": document.saved, "active": document.active,
        "selected": document.selected, "layout": document.layout, "scans": scans,
    }, masks  # fmt: skip


def _scan_json(saved: SavedScan, segments: list[dict[str, Any]], preview: dict[str, Any] | None) -> dict[str, Any]:
    scan = saved.scan
    return {
        "path": scan.path, "sample": scan.sample, "series_sha256": scan.series, "voxel_hash": scan.voxels,
        "shape": list(scan.shape), "affine_lps": None if scan.affine is None else list(scan.affine),
        "stated": dict(scan.stated), "cursor": None if saved.cursor is None else list(saved.cursor),
        "window": None if saved.window is None else list(saved.window), "frame": saved.frame,
        "inverted": saved.inverted, "prompts": list(saved.prompts), "notes": dict(saved.notes), "segments": segments,
        "preview": preview,
    }  # fmt: skip


# -- from JSON -------------------------------------------------------------------
def from_json(values: Mapping[str, Any], masks: Mapping[str, bytes]) -> SessionDocument:
    """The document again; names that are not known are passed over. Raises ValueError, TypeError or KeyError."""
    scans = tuple(_scan_from(item, masks) for item in _list(values["scans"]))
    active = values.get("active")
    if active is not None and not 0 <= _whole(active) < len(scans):
        raise ValueError("no such scan")
    return SessionDocument(
        scans, active, _text(values.get("selected") or "") or None, _text(values.get("layout", "")),
        _text(values.get("program", "")), _text(values.get("saved", "")),
    )  # fmt: skip


def _scan_from(values: Mapping[str, Any], masks: Mapping[str, bytes]) -> SavedScan:
    cursor, window, preview = values.get("cursor"), values.get("window"), values.get("preview")
    segments = tuple(_segment_from(item, masks) for item in _list(values["segments"]))
    if len({header["id"] for header, _ in segments}) != len(segments):
        raise ValueError("two segments with one id")
    return SavedScan(
        _reference_from(values),
        segments,
        None if cursor is None else _numbers(cursor, 3),  # type: ignore[arg-type]
        None if window is None else _numbers(window, 2),  # type: ignore[arg-type]
        _whole(values.get("frame", 0)),
        _truth(values.get("inverted", False)),
        None if preview is None else (dict(preview), masks[preview["mask"]]),
        tuple(_text(prompt) for prompt in _list(values.get("prompts", []))),
        {_text(plugin): _text(text) for plugin, text in dict(values.get("notes", {})).items()},
    )


def _reference_from(values: Mapping[str, Any]) -> ScanReference:
    path, affine, said = _text(values["path"]), values["affine_lps"], values.get("stated", {})
    relative = not Path(path).is_absolute()
    if "\0" in path or (relative and ".." in PurePosixPath(path).parts) or not isinstance(said, dict):
        raise ValueError("a path outside the session's folder")
    first, second, third = (_whole(n) for n in values["shape"])
    if not path and values.get("sample") != _SAMPLE:
        raise ValueError("no path")
    return ScanReference(
        path, _text(values["series_sha256"]), _text(values["voxel_hash"]), (first, second, third),
        None if affine is None else _numbers(affine, 16), _statements(said), _text(values.get("sample", "")),
    )  # fmt: skip


def _statements(said: Mapping[str, Any]) -> dict[str, Any]:
    known: dict[str, Any] = {}
    if "modality" in said:
        known["modality"] = _text(said["modality"])
    if "patient_orientation" in said:
        side = said["patient_orientation"]
        known["patient_orientation"] = None if side is None else [_text(letters) for letters in _list(side)]
    if known.get("patient_orientation") is not None and len(known["patient_orientation"]) != 2:
        raise ValueError("two directions are needed")
    return known


def _segment_from(values: Mapping[str, Any], masks: Mapping[str, bytes]) -> Record:
    header = {name: value for name, value in values.items() if name != "mask"}
    for name, types in _SEGMENT_TYPES.items():
        value = header[name]
        if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
            raise ValueError(f"{name} has another type")
    color = header["color"]
    if len(color) != 3 or not all(isinstance(v, int) and 0 <= v <= 255 for v in color):
        raise ValueError("no colour")
    if not 0 <= header["opacity"] <= 1 or not all(isinstance(edge, str) for edge in header["cut_edges"]):
        raise ValueError("values out of range")
    return header, masks[_text(values["mask"])]


def _list(value: Any) -> Sequence[Any]:
    if not isinstance(value, list) or len(value) > _MOST:
        raise ValueError("a list is needed")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("text is needed")
    return value


def _whole(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or abs(value) > 1 << 40:
        raise ValueError("a whole number is needed")
    return value


def _truth(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("true or false is needed")
    return value


def _numbers(values: Any, count: int) -> tuple[float, ...]:
    if not isinstance(values, list) or len(values) != count:
        raise ValueError(f"{count} numbers are needed")
    for value in values:
        if not isinstance(value, (int, float)) or isinstance(value, bool) or not math.isfinite(value):
            raise ValueError("a finite number is needed")
    return tuple(float(value) for value in values)
