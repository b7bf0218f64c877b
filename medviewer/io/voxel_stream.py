"""Reading the voxels of a file into memory, to the last byte: nothing short, damaged or forged passes as voxels."""

from __future__ import annotations

import bz2
import math
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from medviewer.core.errors import InputRefused
from medviewer.core.progress import Progress

Encoding = Literal["raw", "gzip", "zlib", "bzip2"]
_CHUNK = 1 << 20
_HIGHEST_RATIO = 1040  # deflate cannot pack more than 1032 : 1
_BOMB_BYTES, _BOMB_RATIO = 1 << 30, 100  # no scan packs like this; only a crafted file does
_SURPLUS = 16 << 20  # bytes behind the last voxel that are put up with
_DAMAGED_HINT = "Copy or download the file again, or ask for it again where it came from."


class _Decompressor(Protocol):
    def feed(self, data: bytes) -> Iterator[bytes]: ...

    def finish(self) -> None: ...


def refuse_impossible_size(path: Path, needed: int, encoding: Encoding, offset: int = 0, peak: int = 0) -> None:
    """Refuse, before memory is taken, voxels that the file cannot hold and packed ones that no scan packs like this.

    Whether the memory takes them is asked when they are read, since a large scan may be read reduced. `needed` is the
    number of bytes of all voxels, `offset` where they begin, `peak` what reading takes at its worst, conversions
    included (0: as much as the voxels). Raises InputRefused.
    """
    size = path.stat().st_size
    peak = peak or needed
    if encoding == "raw" and offset + needed > size:
        raise InputRefused(f"{path.name} is cut short: it has {size} of {offset + needed} bytes.", _DAMAGED_HINT)
    if encoding in ("gzip", "zlib") and needed > size * _HIGHEST_RATIO + 1024:
        raise InputRefused(f"{path.name} is too small to hold the image its header describes.", _DAMAGED_HINT)
    if encoding != "raw" and max(needed, peak) > max(_BOMB_BYTES, size * _BOMB_RATIO):
        raise InputRefused(
            f"{path.name} would unpack from {amount(size)} to {amount(max(needed, peak))}.",
            "Such a file is not a scan. Unpack it by hand if you trust it.",
        )


def amount(count: float) -> str:
    """A number of bytes for the user: "45 bytes", "12 KB", "3.4 MB", "1.2 GB"."""
    for unit, size in (("GB", 1e9), ("MB", 1e6)):
        if count >= 0.1 * size:
            return f"{count / size:.1f} {unit}"
    return f"{count / 1e3:.0f} KB" if count >= 1000 else f"{count:.0f} bytes"


def refuse_if_memory_short(path: Path, needed: int) -> None:
    """Raise InputRefused where `needed` bytes are more than the memory that is free now."""
    import psutil

    available = int(psutil.virtual_memory().available)
    if needed > 0.9 * available:
        raise InputRefused(
            f"{path.name} needs {needed / 1e9:.1f} GB of memory, {available / 1e9:.1f} GB are free.",
            "Close other programs or crop the scan first.",
        )


def read_array(
    path: Path, shape: tuple[int, ...], dtype: np.dtype[Any], encoding: Encoding, offset: int, *,
    skip: int = 0, rest: int = 0, progress: Progress, whole: bool = True,
) -> NDArray[Any]:  # fmt: skip
    """Read `shape` voxels (first axis fastest, Fortran order) of `dtype` that begin `offset` bytes into the data.

    offset
        bytes before the voxels, counted in the file for "raw" and in the unpacked stream otherwise; for
        "zlib" and "bzip2" (whose header lies before the packed part) counted in the file.
    skip
        bytes of voxels to pass over first (earlier time points).
    rest
        bytes of voxels that follow (later time points). Much more than that is refused, so that a packed stream without
        end does not keep the program busy.
    whole
        read on to the end of the stream, so that its checksum is verified; False for a quick look.

    Raises InputRefused when the file is short or damaged. Any thread.
    """
    refuse_if_memory_short(path, math.prod(shape) * dtype.itemsize)
    array = np.empty(shape, dtype, order="F")
    flat: Any = array.reshape(-1, order="F").view(np.uint8)
    target = memoryview(flat).cast("B")
    start_in_file = 0 if encoding == "gzip" else offset
    skip_in_stream = skip + (offset if encoding == "gzip" else 0)
    filled = -skip_in_stream
    try:
        for chunk in unpacked_chunks(path, encoding, start_in_file, progress):
            filled = _place(chunk, target, filled)
            if filled >= len(target) and not (whole and encoding != "raw"):
                break
            if filled > len(target) + rest + _SURPLUS:
                raise InputRefused(f"{path.name} holds much more data than its header describes.", _DAMAGED_HINT)
    except (zlib.error, EOFError, ValueError, OSError) as error:
        raise damaged_data(path, error) from error
    if filled < len(target):
        raise InputRefused(f"{path.name} is cut short: the image is not complete.", _DAMAGED_HINT)
    return array


def read_first_slices(
    path: Path, shape: tuple[int, int, int], dtype: np.dtype[Any], encoding: Encoding, offset: int, *,
    skip: int = 0, most: int = 4_000_000,
) -> NDArray[Any]:  # fmt: skip
    """Up to `most` stored values of the first slices, flat, native byte order, nothing verified: for estimates only."""
    i, j, k = shape
    count = min(k, most // (i * j)) * i * j or most  # whole slices, or a part of the first
    stored = read_array(path, (count,), dtype, encoding, offset, skip=skip, progress=Progress(), whole=False)
    return to_native(stored)


def to_native(stored: NDArray[Any]) -> NDArray[Any]:
    """The array in this machine's byte order; swapped in place where the file had the other one."""
    if stored.dtype.isnative:
        return stored
    return stored.byteswap(inplace=True).view(stored.dtype.newbyteorder("="))


def read_start(path: Path, count: int) -> bytes:
    """The first `count` bytes, unpacked where the file is gzip. Empty or short where the file is damaged."""
    with open(path, "rb") as file:
        start = file.read(max(count, 4096))
    if start[:2] != b"\x1f\x8b":
        return start[:count]
    try:
        return zlib.decompressobj(31).decompress(start, count)
    except zlib.error:
        return b""


def _place(chunk: bytes, target: memoryview, filled: int) -> int:
    """Copy the part of a chunk that belongs to the array; `filled` counts from minus the bytes to pass over."""
    begin = max(0, -filled)
    position = max(0, filled)
    take = min(len(chunk) - begin, len(target) - position)
    if take > 0:
        target[position : position + take] = chunk[begin : begin + take]
    return filled + len(chunk)


def damaged_data(path: Path, error: Exception) -> InputRefused:
    if isinstance(error, EOFError):
        return InputRefused(f"{path.name} is cut short: its packed data ends early.", _DAMAGED_HINT)
    if isinstance(error, OSError) and error.errno is not None:
        return InputRefused(f"{path.name} cannot be read: {error.strerror}.", "Check the drive and the permissions.")
    return InputRefused(f"{path.name} is damaged: its packed data does not match its checksum.", _DAMAGED_HINT)


def unpacked_chunks(path: Path, encoding: Encoding, start: int, progress: Progress) -> Iterator[bytes]:
    """The unpacked content from byte `start` of the file on, in pieces; checksums are verified at the end."""
    size = max(path.stat().st_size - start, 1)
    unpack = _decompressor(encoding)
    done = 0
    with open(path, "rb") as file:
        file.seek(start)
        while data := file.read(_CHUNK):
            done += len(data)
            progress.report(done / size, "Reading")
            if unpack is None:
                yield data
            else:
                yield from unpack.feed(data)
    if unpack is not None:
        unpack.finish()


def _decompressor(encoding: Encoding) -> _Decompressor | None:
    if encoding == "gzip":
        return _Deflate(lambda: zlib.decompressobj(31))
    if encoding == "zlib":
        return _Deflate(lambda: zlib.decompressobj(47))  # zlib or gzip, by its own header
    return _Bzip2() if encoding == "bzip2" else None


class _Deflate:
    """gzip (also of several members) or zlib, in bounded pieces, with its checksum and end."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make
        self._current = make()

    def feed(self, data: bytes) -> Iterator[bytes]:
        more = False  # the last piece was full: output may wait inside although no input is left
        while data or more:
            if self._current.eof:
                data = data.lstrip(b"\0")  # padding between or after members is allowed
                if not data:
                    return
                self._current = self._make()
            piece = self._current.decompress(data, 4 * _CHUNK)
            yield piece
            more = len(piece) == 4 * _CHUNK and not self._current.eof
            data = self._current.unconsumed_tail or self._current.unused_data

    def finish(self) -> None:
        """Raise EOFError where the stream ended before its checksum."""
        if not self._current.eof:
            raise EOFError


class _Bzip2:
    def __init__(self) -> None:
        self._current = bz2.BZ2Decompressor()

    def feed(self, data: bytes) -> Iterator[bytes]:
        if self._current.eof:
            return
        yield self._current.decompress(data, 4 * _CHUNK)
        while not self._current.needs_input and not self._current.eof:
            yield self._current.decompress(b"", 4 * _CHUNK)

    def finish(self) -> None:
        if not self._current.eof:
            raise EOFError
