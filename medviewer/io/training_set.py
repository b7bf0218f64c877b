"""`dataset.json` of a training set: what the masks' values mean, and one entry per exported case.

`channel_names`, `labels` (name to value), `numTraining` and `file_ending` are fields of nnU-Net; the rest is ours.
Older and hand-written files are understood too: labels as value to name (Medical Segmentation Decathlon), `modality`.

While the files of a case are replaced, its entry also holds the new one as "pending" with the new mask's checksum: a
process killed in between leaves a mask that agrees with the one or the other.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from medviewer.core.errors import InputRefused
from medviewer.core.plain_text import one_line
from medviewer.io.atomic import write_text_atomic

FILE = "dataset.json"
FORMAT = "medviewer training set"
VERSION = 1
LARGEST_LABEL = 65535
MOST_BITS = 32
_MOST_BYTES = 256 << 20
_HINT = 'See "Your own training set" in the user guide.'
_BACKGROUND = "background"
Document = dict[str, Any]


def read_document(folder: Path) -> Document:
    """The `dataset.json` of a folder, {} where there is none. Raises InputRefused for what is no JSON object."""
    path = folder / FILE
    if not path.is_file():
        return {}
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise ValueError("too large")
        document = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise InputRefused(f"{path} cannot be read: {error.strerror}.", "Check its permissions.") from error
    except (ValueError, RecursionError) as error:
        raise InputRefused(f"{path} is not valid JSON.", _HINT) from error
    if not isinstance(document, dict):
        raise InputRefused(f"{path} is not a JSON object.", _HINT)
    return document


def write_document(folder: Path, document: Mapping[str, Any]) -> None:
    """Write it atomically and read it back. Raises OutputNotWritten."""
    write_text_atomic(folder / FILE, json.dumps(document, indent=1, ensure_ascii=False) + "\n")


def is_ours(document: Mapping[str, Any]) -> bool:
    """Whether this program wrote it, and in a version that it knows."""
    return document.get("format") == FORMAT and document.get("version") == VERSION


def plain_name(name: str) -> str:
    """A structure's name as one line with single spaces instead of "_"."""
    return one_line(" ".join(str(name).replace("_", " ").split()))


def same_name(first: str, second: str) -> bool:
    """Whether two names mean the same structure: case and "_" do not count."""
    return plain_name(first).casefold() == plain_name(second).casefold()


def labels_of(table: Any, where: str, encoding: str = "index") -> dict[int, str]:
    """Mask value to name, without the background, from either direction of writing. `where` names the file.

    Raises InputRefused for what is no such table, a name or value twice, or a value that a mask cannot hold.
    """
    if not isinstance(table, dict) or not table:
        raise InputRefused(f"{where} has no table of labels.", 'Write "labels": {"1": "name of the structure"}.')
    found: dict[int, str] = {}
    for left, right in table.items():
        value, name = _value_and_name(left, right, where)
        if value == 0 or name.casefold() == _BACKGROUND:
            if value != 0:
                raise InputRefused(f'{where} gives "background" the value {value}.', "The background is 0.")
            continue
        _require_possible(value, name, found, where, encoding)
        found[value] = name
    if not found:
        raise InputRefused(f"{where} names no label but the background.", _HINT)
    return found


def _value_and_name(left: Any, right: Any, where: str) -> tuple[int, str]:
    if isinstance(right, list):
        raise InputRefused(f"{where} unites several values as {left}, which is not read.", "Give each value one name.")
    value, name = (left, right) if isinstance(right, str) and str(left).strip().isdigit() else (right, left)
    if isinstance(value, bool) or not (isinstance(value, int) or str(value).strip().isdigit()):
        raise InputRefused(f'{where} has the label "{left}": {right!r} without a whole number.', _HINT)
    if not plain_name(str(name)):
        raise InputRefused(f"{where} gives the value {value} no name.", _HINT)
    return int(value), plain_name(str(name))


def _require_possible(value: int, name: str, found: Mapping[int, str], where: str, encoding: str) -> None:
    if value in found or any(same_name(name, other) for other in found.values()):
        raise InputRefused(f"{where} has the label {value} ({name}) twice.", "Give each value one name of its own.")
    if encoding == "bitmask" and (value & (value - 1) or value >= 1 << MOST_BITS):
        raise InputRefused(f"{where} has the value {value} ({name}), which is no single bit.", "Use 1, 2, 4, 8 ...")
    if encoding != "bitmask" and value > LARGEST_LABEL:
        raise InputRefused(f"{where} has the value {value} ({name}).", f"Use values up to {LARGEST_LABEL}.")


def entries_of(document: Mapping[str, Any], folder: Path) -> dict[str, dict[str, Any]]:
    """Id to entry of the cases that a document lists, as they are on the disk now (see "pending").

    Raises InputRefused for an entry that is damaged or names files outside the folder.
    """
    current = {entry["id"]: _current(entry, folder) for entry in stored_entries(document, folder)}
    return {key: entry for key, entry in current.items() if entry is not None}


def stored_entries(document: Mapping[str, Any], folder: Path) -> list[dict[str, Any]]:
    """All entries as they are written, also of cases whose files never came into place. Raises InputRefused."""
    entries = document.get("cases", [])
    if not isinstance(entries, list) or not all(isinstance(e, dict) and isinstance(e.get("id"), str) for e in entries):
        raise InputRefused(f'{folder / FILE} has a damaged list of "cases".', _HINT)
    return entries


def place_of(folder: Path, stored: Any) -> Path:
    """The file that an entry names by a path below the folder. Raises InputRefused for any other."""
    path = PurePosixPath(str(stored))
    if not isinstance(stored, str) or not stored or path.is_absolute() or ".." in path.parts or "\\" in stored:
        raise InputRefused(f"{folder / FILE} names a file outside its folder.", "Correct it, or export the set again.")
    return folder / path


def sha256_of(path: Path) -> str:
    """Of a file's bytes; empty where it cannot be read."""
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""


def _current(entry: dict[str, Any], folder: Path) -> dict[str, Any] | None:
    """The entry that describes the mask on the disk; None for a case whose first files never came into place."""
    pending = entry.get("pending")
    if isinstance(pending, dict):
        if sha256_of(place_of(folder, pending.get("mask"))) == pending.get("mask_sha256"):
            return pending
        if "mask" not in entry:
            return None
    return {key: value for key, value in entry.items() if key != "pending"}
