"""The bytes of a journal: a mark, then records that each carry their length and a checksum.

A record is three little-endian numbers of 32 bits (bytes of the header, bytes of the payload, CRC-32 of those two
numbers and everything after), a JSON header and a payload. A file that ends inside a record lost that record and
nothing else; a record whose checksum is wrong ends what can be trusted.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

MARK = b"medviewer journal\n"
SCHEMA = 1
_HEAD = struct.Struct("<III")
_LENGTHS = struct.Struct("<II")
_LARGEST_HEADER = 64 << 20


@dataclass(frozen=True)
class Stored:
    """One record: its header, and where its payload lies in the file."""

    header: dict[str, Any]
    offset: int
    size: int


@dataclass(frozen=True)
class Contents:
    """What could be read. `torn`: the last record was cut off, as a crash leaves it. `damaged`: bytes were changed, and
    what follows them is not used. `newer`: written by a newer program, not read."""

    first: dict[str, Any]
    records: tuple[Stored, ...]
    torn: bool = False
    damaged: bool = False
    newer: bool = False


def encode(header: Mapping[str, Any], payload: bytes = b"") -> bytes:
    """One record. Raises ValueError or TypeError for a header that JSON cannot hold."""
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":"), default=_plain).encode()
    lengths = _LENGTHS.pack(len(text), len(payload))
    crc = zlib.crc32(payload, zlib.crc32(text, zlib.crc32(lengths)))
    return lengths + struct.pack("<I", crc) + text + payload


def read(path: Path) -> Contents:
    """Everything that is whole, in the order of writing. Raises OSError; ValueError for a file that is no journal."""
    with open(path, "rb") as file:
        size = file.seek(0, 2)
        file.seek(0)
        mark = file.read(len(MARK))
        if mark != MARK:
            if MARK.startswith(mark):
                return Contents({}, (), torn=True)
            raise ValueError("not a journal")
        return _read_records(file, size)


def payload_of(file: BinaryIO, record: Stored) -> bytes:
    """The payload of a record of an open journal."""
    file.seek(record.offset)
    return file.read(record.size)


def _read_records(file: BinaryIO, size: int) -> Contents:
    records: list[Stored] = []
    ended = "whole"
    for record in _walk(file, size):
        if isinstance(record, str):
            ended = record
            break
        records.append(record)
        if len(records) == 1 and _schema(record.header) > SCHEMA:
            return Contents(record.header, (), newer=True)
    first = records[0].header if records else {}
    return Contents(first, tuple(records[1:]), ended == "torn", ended == "damaged")


def _schema(header: Mapping[str, Any]) -> int:
    schema = header.get("schema", 0)
    return schema if isinstance(schema, int) else 0


def _walk(file: BinaryIO, size: int) -> Iterator[Stored | str]:
    """Records; "torn" or "damaged" as the last item where the file does not end well."""
    at = file.tell()
    while at < size:
        head = file.read(_HEAD.size)
        if len(head) < _HEAD.size:
            yield "torn"
            return
        text_size, payload_size, crc = _HEAD.unpack(head)
        end = at + _HEAD.size + text_size + payload_size
        if end > size or text_size > _LARGEST_HEADER:
            yield "torn" if text_size <= _LARGEST_HEADER else "damaged"
            return
        text, payload = file.read(text_size), file.read(payload_size)
        header = _header(head, text, payload, crc)
        if header is None:
            yield "torn" if not any(head) and not file.read().strip(b"\0") else "damaged"
            return
        yield Stored(header, at + _HEAD.size + text_size, payload_size)
        at = end


def _header(head: bytes, text: bytes, payload: bytes, crc: int) -> dict[str, Any] | None:
    if zlib.crc32(payload, zlib.crc32(text, zlib.crc32(head[: _LENGTHS.size]))) != crc or not text:
        return None
    try:
        header = json.loads(text)
    except ValueError:
        return None
    return header if isinstance(header, dict) else None


def _plain(value: Any) -> Any:
    """Numbers of numpy, and paths or the like as text."""
    item = getattr(value, "item", None)
    return item() if callable(item) else str(value)
