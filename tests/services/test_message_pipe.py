"""What travels between the window and the process of the plugins arrives as it was sent."""

from __future__ import annotations

import io
import os
import threading
from typing import Any

import numpy as np
import pytest

from medviewer.core.errors import Cancelled
from medviewer.services import shared_array
from medviewer.services.message_pipe import PipeClosed, pack_objects, read_message, unpack_objects, write_message


def arrays() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    values = rng.integers(-1000, 1000, (7, 5, 3)).astype(np.int16)
    return [
        np.ascontiguousarray(values), np.asfortranarray(values), values.astype(">i2"), values[::2, ::-1],
        values.astype(np.float32), rng.integers(0, 255, (4, 3, 2, 3)).astype(np.uint8), np.zeros((0, 3, 4), np.int16),
    ]  # fmt: skip


@pytest.mark.parametrize("number", range(len(arrays())))
def test_shared_voxels_are_equal_read_only_and_have_no_name(number: int) -> None:
    array = arrays()[number]
    layout, descriptor = shared_array.put(array, lambda: None)
    name = os.readlink(f"/proc/self/fd/{descriptor}") if os.path.isdir("/proc/self/fd") else "(deleted)"
    received = shared_array.get(layout, descriptor)
    assert np.array_equal(received, array)
    assert received.dtype == array.dtype
    assert not received.flags.writeable
    assert received.flags.f_contiguous or not array.flags.f_contiguous
    assert "(deleted)" in name
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)  # closed: the memory goes with the array


def test_a_cancel_while_voxels_are_copied_leaves_nothing_open() -> None:
    def cancelled() -> None:
        raise Cancelled

    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    with pytest.raises(Cancelled):
        shared_array.put(np.zeros((64, 64, 64), np.int16), cancelled)
    after = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    assert after == before


def test_masks_are_packed_and_held_arrays_are_named() -> None:
    rng = np.random.default_rng(1)
    mask = np.zeros((60, 50, 40), bool)
    mask[20:30, 10:30, 5:9] = rng.random((10, 20, 4)) < 0.5
    held = np.zeros((100, 100, 100), np.int16)
    blocks = pack_objects({"mask": mask, "none": mask & False}, lambda array: None)
    assert sum(memoryview(block).nbytes for block in blocks) < 2000
    back = unpack_objects(blocks)
    assert np.array_equal(back["mask"], mask)
    assert back["mask"].flags.f_contiguous
    assert not back["none"].any()
    named = pack_objects([held, mask], lambda array: 7 if array is held else None)
    assert sum(memoryview(block).nbytes for block in named) < 2000
    with pytest.raises(KeyError, match="7"):
        unpack_objects(named)  # this process holds no such array


def test_messages_keep_their_blocks_and_a_closed_pipe_is_told() -> None:
    reading, writing = os.pipe()
    sent: list[Any] = [b"", b"abc", np.arange(300_000, dtype=np.int32).data]
    with os.fdopen(reading, "rb") as source, os.fdopen(writing, "wb") as sink:
        sender = threading.Thread(target=lambda: (write_message(sink, {"kind": "x", "n": 1}, sent), sink.close()))
        sender.start()
        head, blocks = read_message(source)
        sender.join()
        assert head == {"kind": "x", "n": 1}
        assert [bytes(block) for block in blocks] == [bytes(block) for block in sent]
        with pytest.raises(PipeClosed):
            read_message(source)
    with pytest.raises(PipeClosed):
        read_message(io.BytesIO(b"\x05\x00\x00\x00"))
