"""Reading weights that nobody vouches for: safetensors alone, checked before a single tensor is made.

Pickled files (.pth, .pt, .bin, .ckpt) are never opened, whatever they are called.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # so that the files of a model can be looked at without loading torch
    from torch import Tensor

MOST_WEIGHTS = 20_000_000_000  # bytes
MOST_HEADER = 16_000_000  # bytes of the JSON header of a safetensors file; ours has 20 kB
_ITEM_BYTES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1}


class Unsafe(ValueError):
    """Why a file of a bundle is refused: the end of a sentence that begins with what it is."""


def read_confined(path: Path, folder: Path, most: int) -> bytes:
    """The bytes of a regular file inside `folder`, at most `most`. Raises Unsafe, FileNotFoundError, OSError.

    Links that lead out of the folder, pipes and devices are refused; nothing here can wait for ever.
    """
    try:
        inside = path.resolve().is_relative_to(folder.resolve())
    except RuntimeError as error:  # a link that leads to itself
        raise Unsafe("is a link that leads nowhere") from error
    if not inside:
        raise Unsafe("lies outside the model's folder (a link)")
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise Unsafe("is no regular file")
        if status.st_size > most:
            raise Unsafe(f"is far too large ({status.st_size} bytes)")
        return file.read(status.st_size)  # never `most`: that much memory would be asked for


def read_weights(path: Path, folder: Path, sha256: str, size: int | None) -> dict[str, Tensor]:
    """Tensors by name. The bytes that are checked are the bytes that are used: the file is read once.

    Raises Unsafe where size, checksum or header are wrong, OSError where the file cannot be read.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    data = read_confined(path, folder, MOST_WEIGHTS)
    if size is not None and len(data) != size:
        raise Unsafe(f"have {len(data)} bytes instead of {size}: they are damaged, altered or were replaced just now")
    if hashlib.sha256(data).hexdigest() != sha256:
        raise Unsafe("are damaged, altered or were replaced just now (checksum differs)")
    check_header(data)
    try:
        return dict(load(data))
    except (SafetensorError, ValueError, RuntimeError, KeyError, TypeError) as error:
        raise Unsafe("are no valid safetensors file") from error


def check_header(data: bytes) -> None:
    """The header of a safetensors file against the file's length. Raises Unsafe."""
    length = int.from_bytes(data[:8], "little")
    if len(data) < 10 or length > min(len(data) - 8, MOST_HEADER):
        raise Unsafe("are no safetensors file; nothing else is read")
    try:
        header = json.loads(data[8 : 8 + length], object_pairs_hook=unique_keys, parse_constant=no_constant)
        spans = sorted(_span(entry) for name, entry in header.items() if name != "__metadata__")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise Unsafe("have a damaged header") from error
    ends = [0, *(stop for _, stop in spans)]
    if [start for start, _ in spans] != ends[:-1] or ends[-1] != len(data) - 8 - length:
        raise Unsafe("have a header that does not match the data")


def _span(entry: Mapping[str, Any]) -> tuple[int, int]:
    """First and last byte of a tensor, whose length must be that of its type and shape."""
    shape, (start, stop) = entry["shape"], entry["data_offsets"]
    if not all(type(number) is int and number >= 0 for number in (*shape, start, stop)):
        raise ValueError("sizes must be whole numbers")
    if stop - start != math.prod(shape) * _ITEM_BYTES[entry["dtype"]]:
        raise ValueError("a tensor has another length than its shape says")
    return start, stop


def unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object; a key that stands twice is a ValueError, because readers disagree about which one counts."""
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a key stands twice")
    return result


def no_constant(name: str) -> Any:
    """JSON has no NaN and no Infinity."""
    raise ValueError(f"{name} is no JSON number")
