"""Fills arrays with stored pixels: uncompressed frames are read straight from the file, compressed ones by workers."""

from __future__ import annotations

import threading
import zlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from numpy.typing import NDArray

from medviewer.core.errors import InputRefused
from medviewer.core.progress import Progress
from medviewer.io.dicom_handle import FrameRef, PixelFormat
from medviewer.io.dicom_header import DEFLATED_LE

Array = NDArray[Any]
Then = Callable[[int], None]
THREADS = 2
_MEMORY_SHARE = 0.8  # of the memory that is free now


def _nothing(_k: int) -> None:
    pass


def stored_dtype(pixels: PixelFormat) -> np.dtype[Any]:
    """The native-endian integer type of one stored sample."""
    return np.dtype(f"{'i' if pixels.signed else 'u'}{max(1, pixels.bits_allocated // 8)}")


def check_memory(shape: Sequence[int], bytes_per_value: int, name: str) -> None:
    """Raise `InputRefused` if an array of this shape does not fit into the memory that is free."""
    need = float(np.prod([float(n) for n in shape])) * bytes_per_value
    free = float(psutil.virtual_memory().available)
    if need > _MEMORY_SHARE * free:
        raise InputRefused(
            f"{name} would need {need / 1e9:.1f} GB of memory, {free / 1e9:.1f} GB are free.",
            "Close other programs or open a smaller series.",
        )


def read_native(ref: FrameRef, out: Array) -> None:
    """Read one uncompressed frame into `out`, a C-contiguous array of its stored type and size."""
    if ref.format.transfer_syntax == DEFLATED_LE:
        data = _inflate(ref)
        out.reshape(-1).view(np.uint8)[:] = np.frombuffer(data, np.uint8, out.nbytes)
    elif ref.format.swapped_bytes:
        _read_swapped(ref, out)
    else:
        _read_into(ref, out, ref.offset + ref.index * ref.format.frame_bytes)
    if ref.format.big_endian and out.itemsize > 1:
        out.byteswap(inplace=True)


def _read_swapped(ref: FrameRef, out: Array) -> None:
    """8-bit samples in big-endian 16-bit words (PS3.5 A.3 with VR OW)."""
    begin = ref.index * ref.format.frame_bytes
    start, end = begin // 2 * 2, -(-(begin + ref.format.frame_bytes) // 2) * 2
    pairs = np.empty((end - start) // 2, np.uint16)
    _read_into(ref, pairs, ref.offset + start)
    out.reshape(-1).view(np.uint8)[:] = pairs.byteswap().view(np.uint8)[begin - start :][: out.nbytes]


def _read_into(ref: FrameRef, out: Array, at: int) -> None:
    view = memoryview(out.reshape(-1).view(np.uint8))  # type: ignore[arg-type]
    try:
        with open(ref.path, "rb", buffering=0) as file:
            file.seek(at)
            done = file.readinto(view) or 0
            while done < len(view):
                count = file.readinto(view[done:])
                if not count:
                    raise InputRefused(f"{ref.path.name} is cut short.", "Copy it again from its source.")
                done += count
    except OSError as error:
        raise InputRefused(f"{ref.path.name} cannot be read ({error.strerror}).", "Check the drive.") from None


def _inflate(ref: FrameRef) -> bytes:
    """The frame's bytes of a deflated file; inflates no more than header and frames need, and that once."""
    begin = ref.offset + ref.index * ref.format.frame_bytes
    end = begin + ref.format.frame_bytes
    if ref.frames == 1:
        inflated = _inflated(ref.path, end)
    else:
        inflated = _kept_inflated(ref.path, ref.offset + ref.frames * ref.format.frame_bytes)
        if ref.index == ref.frames - 1:
            _kept_inflated.cache_clear()
    if len(inflated) < end:
        raise InputRefused(f"{ref.path.name} is cut short.", "Copy it again from its source.")
    return inflated[begin:end]


def _inflated(path: Path, length: int) -> bytes:
    """The first `length` bytes of a deflated data set."""
    from medviewer.io.dicom_header import deflated_start

    data = path.read_bytes()
    try:
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(memoryview(data)[deflated_start(data) :], length)
    except zlib.error:
        raise InputRefused(f"{path.name} is damaged.", "Copy it again from its source.") from None


_kept_inflated = lru_cache(maxsize=1)(_inflated)  # until the last frame of the file was read


def fix_bits(values: Array, pixels: PixelFormat) -> None:
    """Clear or sign-extend, in place, the bits above the stored ones (PS3.5 8.1.1)."""
    size = values.itemsize * 8
    if pixels.bits_stored == size:
        return
    low, high = stored_range(pixels)
    if pixels.high_bit == pixels.bits_stored - 1 and values.min() >= low and values.max() <= high:
        return
    np.left_shift(values, size - 1 - pixels.high_bit, out=values)
    np.right_shift(values, size - pixels.bits_stored, out=values)


def stored_range(pixels: PixelFormat) -> tuple[int, int]:
    """Smallest and largest value the stored bits can hold."""
    if pixels.signed:
        return -(1 << (pixels.bits_stored - 1)), (1 << (pixels.bits_stored - 1)) - 1
    return 0, (1 << pixels.bits_stored) - 1


def read_frames(refs: Sequence[FrameRef], out: Array, progress: Progress, then: Then = _nothing) -> None:
    """Stored values of all frames into `out` (n, rows, columns); `then(k)` runs while frame k is still in the cache.

    `then` is called from several threads. Raises `InputRefused`, `Cancelled`.
    """
    if len({ref.format.native for ref in refs}) > 1:  # a series of which some slices were compressed later
        for k, ref in enumerate(refs):
            part = progress.part(k / len(refs), (k + 1) / len(refs))
            read_frames([ref], out[k : k + 1], part, lambda _, k=k: then(k))  # type: ignore[misc]
        return
    if not refs[0].format.native:
        from medviewer.io.decode_frames import decode_into

        decode_into(refs, out, progress, then)
        return

    def fill(k: int) -> None:
        read_native(refs[k], out[k])
        fix_bits(out[k], refs[k].format)
        then(k)

    in_parallel(fill, len(refs), progress, "Reading slices")


def in_parallel(work: Callable[[int], None], count: int, progress: Progress, text: str) -> None:
    """Run `work(k)` for all k on this thread and one more; this one reports progress. The first error ends both."""
    order = iter(range(count))
    stop = threading.Event()

    def drain(report: bool) -> None:
        for k in order:
            if stop.is_set():
                return
            work(k)
            if report:
                progress.report((k + 1) / count, text)

    progress.report(0.0, text)  # the other thread may be the one that does most
    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(_guarded, drain, stop) if count > 1 else None
        try:
            drain(True)
        except BaseException:
            stop.set()
            raise
        if other is not None:
            other.result()


def _guarded(drain: Callable[[bool], None], stop: threading.Event) -> None:
    try:
        drain(False)
    except BaseException:
        stop.set()
        raise
