"""Messages between the window and the process of a plugin's logic: a small JSON head and blocks of bytes.

Objects travel pickled (both ends are this program). Masks go as packed bits of their bounding box, other arrays as raw
blocks, the voxels of a scan not at all: they are named by a number and looked up in what the receiver holds.
"""

from __future__ import annotations

import io
import json
import pickle
import struct
from collections.abc import Callable, Sequence
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from medviewer.core.mask_patch import Order, PackedMask

Head = dict[str, Any]
Block = bytes | bytearray | memoryview
NumberOf = Callable[[NDArray[Any]], int | None]  # the number of an array that the receiver holds already
_HEAD = struct.Struct("<II")  # length of the JSON text, number of blocks
_LENGTH = struct.Struct("<Q")
_SMALL_MASK = 4096  # voxels; smaller masks are not worth packing


class PipeClosed(Exception):
    """The other side is gone."""


def write_message(stream: BinaryIO, head: Head, blocks: Sequence[Block] = ()) -> None:
    """Send one message. Raises OSError where the other side is gone."""
    text = json.dumps(head).encode()
    stream.write(_HEAD.pack(len(text), len(blocks)) + text)
    for block in blocks:
        stream.write(_LENGTH.pack(memoryview(block).nbytes))
        stream.write(block)
    stream.flush()


def read_message(stream: BinaryIO) -> tuple[Head, list[bytearray]]:
    """Wait for one message. Raises PipeClosed."""
    length, count = _HEAD.unpack(_read(stream, _HEAD.size))
    head: Head = json.loads(_read(stream, length))
    return head, [_read(stream, _LENGTH.unpack(_read(stream, _LENGTH.size))[0]) for _ in range(count)]


def _read(stream: BinaryIO, count: int) -> bytearray:
    data = bytearray(count)
    view, done = memoryview(data), 0
    while done < count:
        try:
            got = stream.readinto(view[done:])  # type: ignore[attr-defined]
        except (OSError, ValueError):
            got = 0
        if not got:
            raise PipeClosed
        done += got
    return data


class _Pickler(pickle.Pickler):
    def __init__(self, stream: BinaryIO, blocks: list[Block], number_of: NumberOf) -> None:
        super().__init__(stream, protocol=5, buffer_callback=lambda block: blocks.append(block.raw()))
        self._number_of = number_of

    def reducer_override(self, value: Any) -> Any:
        if type(value) is not np.ndarray:
            return NotImplemented
        number = self._number_of(value)
        if number is not None:
            return _held, (number,)
        if value.dtype == np.bool_ and value.ndim == 3 and value.size > _SMALL_MASK:
            packed = PackedMask.pack(value)
            return _mask, (packed.shape, packed.box, pickle.PickleBuffer(packed.bits), packed.order)
        return NotImplemented


def pack_objects(values: Any, number_of: NumberOf = lambda array: None) -> list[Block]:
    """Objects as blocks; arrays that the receiver holds (see `NumberOf`) go as their number."""
    blocks: list[Block] = []
    stream = io.BytesIO()
    _Pickler(stream, blocks, number_of).dump(values)
    return [stream.getbuffer(), *blocks]


def unpack_objects(blocks: Sequence[Block]) -> Any:
    """What `pack_objects` packed, of the program's own process on the other side."""
    return pickle.loads(blocks[0], buffers=blocks[1:])


HELD: dict[int, NDArray[Any]] = {}  # arrays of scans that this process was given


def _held(number: int) -> NDArray[Any]:
    return HELD[number]


def _mask(shape: tuple[int, int, int], box: Any, bits: Block, order: Order) -> NDArray[np.bool_]:
    """In Fortran order, as scenes keep masks: nothing is copied when it is accepted."""
    return PackedMask(shape, box, bytes(bits), order).unpack()
