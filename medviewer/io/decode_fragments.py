"""Finds the compressed bytes of one frame in encapsulated pixel data (PS3.5 A.4) without reading the others."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

from medviewer.core.errors import InputRefused

_ITEM, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE0DD
_RLE = "1.2.840.10008.1.2.5"
_STARTS = (b"\xff\xd8\xff", b"\xff\x4f\xff\x51", b"\x00\x00\x00\x0cjP  ")  # JPEG and JPEG-LS, JPEG 2000, JP2
Span = tuple[int, int]  # offset in the file, length


def frame_bytes(path: Path, offset: int, index: int, frames: int, transfer_syntax: str) -> bytes:
    """The compressed bytes of frame `index` (0-based). Raises `InputRefused`."""
    with path.open("rb") as file:
        groups = _frames(path, path.stat().st_mtime_ns, offset, frames, transfer_syntax)
        if groups is None or index >= len(groups) or not groups[index]:
            raise InputRefused(
                f"The compressed pixels of {path.name} do not hold the {frames} frames it claims.",
                "Copy it again from its source.",
            )
        return b"".join(_read(file, path, span) for span in groups[index])


@lru_cache(maxsize=4)
def _frames(path: Path, _mtime: int, offset: int, frames: int, transfer_syntax: str) -> list[list[Span]] | None:
    """The fragments of every frame; kept, because a cine asks for one frame after the other."""
    with path.open("rb") as file:
        table, spans = _spans(file, path, offset)
        return _by_frame(file, table, spans, frames, transfer_syntax)


def _read(file: BinaryIO, path: Path, span: Span) -> bytes:
    file.seek(span[0])
    data = file.read(span[1])
    if len(data) < span[1]:
        raise _cut_short(path)
    return data


def _cut_short(path: Path) -> InputRefused:
    return InputRefused(f"The compressed pixels of {path.name} are cut short.", "Copy it again from its source.")


def _spans(file: BinaryIO, path: Path, offset: int) -> tuple[tuple[int, ...], list[Span]]:
    """(basic offset table, spans of the fragments)."""
    size = path.stat().st_size
    spans: list[Span] = []
    at, table = offset, None
    while at + 8 <= size:
        file.seek(at)
        group, element, length = struct.unpack("<HHI", file.read(8))
        tag = group << 16 | element
        if tag == _SEQUENCE_END:
            break
        if tag != _ITEM or at + 8 + length > size:
            raise _cut_short(path)
        if table is None:
            table = struct.unpack(f"<{length // 4}I", _read(file, path, (at + 8, length // 4 * 4)))
        else:
            spans.append((at + 8, length))
        at += 8 + length
    return table or (), spans


def _by_frame(
    file: BinaryIO, table: Sequence[int], spans: list[Span], frames: int, transfer_syntax: str
) -> list[list[Span]] | None:
    """Fragments of each frame: one each, all of one, by the offset table, or by where a code stream begins."""
    if len(spans) == frames:
        return [[span] for span in spans]
    if frames == 1:
        return [spans]
    if len(table) == frames:
        return _by_table(table, spans)
    if transfer_syntax == _RLE:
        return None
    groups: list[list[Span]] = []
    for span in spans:
        file.seek(span[0])
        head = file.read(8)
        if any(head.startswith(start) for start in _STARTS) or not groups:
            groups.append([])
        groups[-1].append(span)
    return groups if len(groups) == frames else None


def _by_table(table: Sequence[int], spans: list[Span]) -> list[list[Span]] | None:
    first = spans[0][0] - 8 if spans else 0
    starts = {entry: index for index, entry in enumerate(table)}
    if len(starts) != len(table) or (table and table[0] != 0):
        return None
    groups: list[list[Span]] = [[] for _ in table]
    current = -1
    for span in spans:
        current = starts.get(span[0] - 8 - first, current)
        groups[current].append(span)
    return groups
