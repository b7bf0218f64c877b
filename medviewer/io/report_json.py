"""A report with its audit trail as JSON: nothing is lost, and what was written is read back equal.

The file names its format, schema and a checksum of its content. Reading trusts nothing: every field is checked against
the type that the report's dataclasses give it, and anything else is refused.
"""

from __future__ import annotations

import binascii
import hashlib
import json
from pathlib import Path
from typing import Any

from medviewer.core.errors import InputRefused, OutputNotWritten
from medviewer.core.report.audit import Reviewed
from medviewer.io.atomic import write_bytes_atomic
from medviewer.io.schema_check import check_schema, no_number
from medviewer.io.typed_json import from_plain, to_plain

FORMAT = "medviewer report"
SCHEMA = 1
_LARGEST = 512 << 20  # bytes; key images are the most of it
_DAMAGE = (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError, MemoryError, binascii.Error)


def render(reviewed: Reviewed) -> bytes:
    """The bytes of the file. Raises OutputNotWritten for a number that JSON cannot hold (infinite, not a number)."""
    try:
        content = to_plain(reviewed)
        document = {"format": FORMAT, "schema": SCHEMA, "sha256": _checksum(content), "content": content}
        return json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False).encode("utf-8")
    except (ValueError, TypeError) as error:  # UnicodeEncodeError is a ValueError
        raise OutputNotWritten(
            "The report was not written: it holds a number or a character that no file can hold.",
            "Remove the measurement or the character, then save again.",
        ) from error


def write(path: Path, reviewed: Reviewed) -> None:
    """Write atomically, read back, compare. Raises OutputNotWritten; an older file is then as it was."""
    data = render(reviewed)
    try:
        same = parse(data, path.name) == _as_read(reviewed)
    except InputRefused:
        same = False
    if not same:
        raise OutputNotWritten(
            f"{path.name} was not written: reading it back gave another report than was saved.",
            "Try another format; the report itself is unchanged.",
        )
    write_bytes_atomic(path, data)


def read(path: Path) -> Reviewed:
    """Read a report and its trail. Raises InputRefused for what cannot be read, is damaged or of a newer schema."""
    try:
        if path.stat().st_size > _LARGEST:
            raise damaged(path.name)
        data = path.read_bytes()
    except OSError as error:
        reason = error.strerror or "the drive does not answer"
        raise InputRefused(f"{path} cannot be read: {reason}.", "Check the drive and the name.") from error
    return parse(data, path.name)


def parse(data: bytes, name: str) -> Reviewed:
    """The report of the bytes of a file. Raises InputRefused."""
    try:
        document = json.loads(data.decode("utf-8"), parse_constant=no_number, object_pairs_hook=_no_key_twice)
        check_schema(document, name, "report", SCHEMA)
        content = document["content"]
        if document.get("sha256") != _checksum(content):
            raise ValueError("another content than was written")
        found = from_plain(Reviewed, content)
    except _DAMAGE as error:
        raise damaged(name) from error
    assert isinstance(found, Reviewed)
    return found


def damaged(name: str) -> InputRefused:
    """The one message for every kind of damage."""
    return InputRefused(
        f"{name} is damaged, was changed by hand, or is no report of medviewer.",
        "Copy it again, or open an older copy.",
        code="report-damaged",
    )


def _checksum(content: Any) -> str:
    text = json.dumps(content, sort_keys=True, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def _as_read(reviewed: Reviewed) -> Any:
    """The same report with what JSON has no type for (tuples among the parameters of a model) as JSON gives it back."""
    return from_plain(Reviewed, to_plain(reviewed))


def _no_key_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key twice")
    return found
