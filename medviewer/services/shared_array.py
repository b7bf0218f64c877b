"""One array in memory that two processes see, without a name that others could open or that could stay behind.

Linux: an anonymous memory file (memfd) whose descriptor is handed over a socket. Other POSIX systems: a file of
mode 0600 that is unlinked before anything is written. Systems without either send the voxels through a pipe instead.
The sender copies them once; after that only the receiver keeps the copy.
"""

from __future__ import annotations

import mmap
import os
import socket
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_SLAB = 32 << 20  # bytes copied between two looks at a cancel
HANDS_OVER_DESCRIPTORS = hasattr(socket, "send_fds") and os.name == "posix"


@dataclass(frozen=True)
class Layout:
    """Shape, type ("<i2") and memory order ("C" or "F") of an array."""

    shape: tuple[int, ...]
    dtype: str
    order: str

    @classmethod
    def of(cls, array: NDArray[Any]) -> Layout:
        """The layout that a copy gets: the array's own where it is contiguous, else Fortran order."""
        fortran = array.flags.f_contiguous or not array.flags.c_contiguous
        return cls(array.shape, array.dtype.str, "F" if fortran else "C")

    @property
    def nbytes(self) -> int:
        return int(np.prod(self.shape, dtype=np.int64)) * np.dtype(self.dtype).itemsize

    def over(self, buffer: Any) -> NDArray[Any]:
        """An array of this layout over existing memory."""
        return np.ndarray(self.shape, np.dtype(self.dtype), buffer=buffer, order=self.order)  # type: ignore[call-overload,no-any-return,arg-type]


def put(array: NDArray[Any], check: Callable[[], None]) -> tuple[Layout, int]:
    """Copy an array into a new anonymous file; returns its layout and an open descriptor, which the caller closes.

    `check` is called between slabs and may raise (the file is then gone). Raises MemoryError where there is no room.
    """
    layout = Layout.of(array)
    descriptor = _anonymous()
    try:
        _reserve(descriptor, max(layout.nbytes, 1))
        with mmap.mmap(descriptor, max(layout.nbytes, 1)) as memory:
            _copy(array, layout.over(memory), check)
    except BaseException:
        os.close(descriptor)
        raise
    return layout, descriptor


def get(layout: Layout, descriptor: int) -> NDArray[Any]:
    """The array of a descriptor, read-only; the memory lives as long as the array. Closes the descriptor."""
    try:
        memory = mmap.mmap(descriptor, max(layout.nbytes, 1), access=mmap.ACCESS_READ)
    finally:
        os.close(descriptor)
    return layout.over(memory)


def _anonymous() -> int:
    if hasattr(os, "memfd_create"):
        return os.memfd_create("medviewer", os.MFD_CLOEXEC)
    descriptor, name = tempfile.mkstemp(prefix="medviewer-")  # mode 0600
    os.unlink(name)
    return descriptor


def _reserve(descriptor: int, size: int) -> None:
    """Take the memory now: a write into a mapping that cannot be filled would end the process."""
    try:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(descriptor, 0, size)
        else:
            os.ftruncate(descriptor, size)
    except OSError as error:
        raise MemoryError("no room for a shared copy of the scan") from error


def _copy(source: NDArray[Any], target: NDArray[Any], check: Callable[[], None]) -> None:
    axis = int(np.argmax(np.abs(target.strides))) if target.ndim else 0
    count = source.shape[axis] if source.ndim else 1
    step = max(1, int(count * _SLAB / max(target.nbytes, 1)))
    for start in range(0, count, step):
        check()
        part = (slice(None),) * axis + (slice(start, start + step),)
        np.copyto(target[part], source[part])
