"""The list that `bomb_dicom` and `bomb_files` fill, and what both write with."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

GIB = 1 << 30


@dataclass(frozen=True)
class Bomb:
    """`build` writes into an empty folder and gives the path to open."""

    claims: str
    build: Callable[[Path], Path]


BOMBS: dict[str, Bomb] = {}


def bomb(name: str, claims: str) -> Callable[[Callable[[Path], Path]], Callable[[Path], Path]]:
    """Register a builder that gets the path of the file to write."""

    def register(build: Callable[[Path], Path]) -> Callable[[Path], Path]:
        BOMBS[name] = Bomb(claims, lambda folder: build(folder / name))
        return build

    return register


def zeros(count: int, wbits: int, start: bytes = b"") -> bytes:
    """About `count` zero bytes packed, after `start`; without the checksum at the end."""
    packer = zlib.compressobj(9, zlib.DEFLATED, wbits)
    head = packer.compress(start) + packer.flush(zlib.Z_FULL_FLUSH)
    piece = packer.compress(bytes(1 << 24)) + packer.flush(zlib.Z_FULL_FLUSH)
    return head + piece * -(-count // (1 << 24))


def start_of_frame(data: bytes, marker: int, size: int) -> bytes:
    """A JPEG or JPEG-LS stream that claims `size` x `size` pixels."""
    changed = bytearray(data)
    at = changed.index(bytes((0xFF, marker)))
    struct.pack_into(">HH", changed, at + 5, size, size)
    return bytes(changed)
