"""What the header of a safetensors file says about its tensors, read without the tensors."""

from __future__ import annotations

import json
import math
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from medviewer.models.weights import MOST_HEADER, Unsafe, no_constant, unique_keys

ITEM_BYTES = {
    "F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1, "F8_E4M3": 1,
    "F8_E5M2": 1,
}  # fmt: skip
_FLOATS = frozenset({"F64", "F32", "F16", "BF16"})


@dataclass(frozen=True)
class TensorSizes:
    """How many numbers of each type ("BF16": 4300079472) one or several files hold."""

    counts: Mapping[str, int] = field(default_factory=dict)

    def __add__(self, other: TensorSizes) -> TensorSizes:
        return TensorSizes({k: self.counts.get(k, 0) + other.counts.get(k, 0) for k in {*self.counts, *other.counts}})

    @property
    def numbers(self) -> int:
        """All of them."""
        return sum(self.counts.values())

    @property
    def stored_bytes(self) -> int:
        """As they are in the files."""
        return sum(count * ITEM_BYTES[kind] for kind, count in self.counts.items())

    @property
    def main_type(self) -> str:
        """The floating-point type of most of them; "" where there is none."""
        known = {kind: count for kind, count in self.counts.items() if kind in _FLOATS}
        return max(known, key=lambda kind: known[kind], default="")


def within(path: Path, folder: Path) -> Path:
    """The folder that a link may lead into: the model's own, or `blobs` beside the snapshots of a hub's cache, where
    every file of a snapshot really lies."""
    if folder.parent.name == "snapshots" and path.is_symlink():
        blobs = folder.parent.parent / "blobs"
        if path.resolve().is_relative_to(blobs.resolve()):
            return blobs
    return folder


def read_sizes(path: Path, folder: Path) -> TensorSizes:
    """The sizes of the tensors of one file. Raises Unsafe (the end of a sentence: "are cut off ..."), OSError."""
    if not path.resolve().is_relative_to(within(path, folder).resolve()):
        raise Unsafe("lie outside the model's folder (a link)")
    header, rest = _header(path)
    counts: dict[str, int] = {}
    end = 0
    try:
        for name, entry in header.items():
            if name != "__metadata__":
                kind, count, stop = _tensor(entry)
                counts[kind] = counts.get(kind, 0) + count
                end = max(end, stop)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise Unsafe("have a damaged header") from error
    if end > rest:
        raise Unsafe(f"are cut off: {rest} of {end} bytes are there")
    if end < rest:
        raise Unsafe("have a header that does not match the data")
    return TensorSizes(counts)


def _header(path: Path) -> tuple[Mapping[str, Any], int]:
    """The parsed header, and the bytes behind it."""
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise Unsafe("are no regular file")
        length = int.from_bytes(file.read(8), "little")
        if status.st_size < 10 or length > min(status.st_size - 8, MOST_HEADER):
            raise Unsafe("are no safetensors file, or cut off; nothing else is read")
        data = file.read(length)
    try:
        header = json.loads(data, object_pairs_hook=unique_keys, parse_constant=no_constant)
    except (ValueError, RecursionError) as error:
        raise Unsafe("have a damaged header") from error
    if not isinstance(header, dict):
        raise Unsafe("have a damaged header")
    return header, status.st_size - 8 - length


def _tensor(entry: Mapping[str, Any]) -> tuple[str, int, int]:
    """Type, number of values, and the byte behind the last."""
    kind, shape, (start, stop) = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not all(type(number) is int and number >= 0 for number in (*shape, start, stop)):
        raise ValueError("sizes must be whole numbers")
    count = math.prod(shape)
    if stop - start != count * ITEM_BYTES[kind]:
        raise ValueError("a tensor has another length than its shape says")
    return kind, count, stop
