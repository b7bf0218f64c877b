"""Finds damage in compressed frames that the codecs read past: libjpeg fills a cut image with grey and says nothing,
and an error inside OpenJPH is swallowed on its way to Python, which gets whatever was in the buffer.

What has no redundancy cannot be checked: a changed bit inside entropy-coded data often decodes to other, plausible
values, in every decoder alike. `python -m tests.fuzz.extended` prints how often.
"""

from __future__ import annotations

import re
import struct
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
_MARKER = re.compile(rb"\xff+([^\x00\xff])")  # in entropy-coded data, FF00 is a stuffed FF
_SOI, _EOI, _SOS, _DRI = 0xD8, 0xD9, 0xDA, 0xDD
_LOSSY_LEVELS = 2  # by which two decoders of the same irreversible wavelet may round apart


class Damaged(Exception):
    """What is wrong with a compressed frame, as a clause."""


def check_jpeg(data: bytes) -> None:
    """Walk the markers of a JPEG stream (ISO 10918-1 B.1) to its end. Raises `Damaged`."""
    at, restart = 2, 0
    while True:
        found = _MARKER.match(data, at)
        if found is None:
            raise Damaged("its JPEG data is cut short" if at >= len(data) - 1 else "its JPEG data is damaged")
        marker, at = found.group(1)[0], found.end()
        if marker == _EOI:
            return
        if at + 2 > len(data):
            raise Damaged("its JPEG data is cut short")
        length = struct.unpack_from(">H", data, at)[0]
        if marker == _DRI:
            restart = struct.unpack_from(">H", data, at + 2)[0] if length == 4 else 0
        at += length
        if marker == _SOS:
            at = _after_scan(data, at, restart)


def _after_scan(data: bytes, at: int, restart: int) -> int:
    """Where the entropy-coded data that begins at `at` ends; restart markers in it must count from 0 to 7."""
    expected = 0
    for found in _MARKER.finditer(data, at):
        marker = found.group(1)[0]
        if not 0xD0 <= marker <= 0xD7:
            return found.start()
        if not restart or marker - 0xD0 != expected:
            raise Damaged("its JPEG data is damaged")
        expected = (expected + 1) % 8
    raise Damaged("its JPEG data is cut short")


def check_rle(data: bytes, segments: int, pixels: int) -> None:
    """Number, places and lengths of the segments (PS3.5 G.3 to G.5), each `pixels` bytes unpacked. Raises `Damaged`."""
    head = struct.unpack_from("<16I", data) if len(data) >= 64 else (0,)
    if head[0] != segments:
        raise Damaged(f"its RLE data has {head[0]} segments instead of {segments}")
    starts = (*head[1 : 1 + segments], len(data))
    if starts[0] < 64 or any(a >= b for a, b in pairwise(starts)):
        raise Damaged("its RLE segments lie outside of the data")
    for begin, end in pairwise(starts):
        _check_segment(data, begin, end, pixels)


def _check_segment(data: bytes, at: int, end: int, pixels: int) -> None:
    count = 0
    while at < end and count < pixels:
        head = data[at]
        if head < 128:
            count += head + 1
            at += head + 2
        elif head > 128:
            count += 257 - head
            at += 2
        else:
            at += 1
    if count != pixels or at > end or data[at:end].strip(b"\0\x80"):
        raise Damaged(f"one of its RLE segments does not unpack to {pixels} bytes")


def check_lossless_jpeg(data: bytes, samples: Array) -> None:
    """One of two other decoders must read the same, unless neither can read this kind. Raises `Damaged`."""
    import imagecodecs

    others = []
    for decode in (imagecodecs.jpegsof3_decode, imagecodecs.ljpeg_decode):
        try:
            others.append(np.asarray(decode(data)))
        except Exception:  # each of them lacks some variants
            continue
    if others and not any(np.array_equal(samples, other) for other in others):
        raise Damaged("its JPEG data is damaged: two decoders read it differently")


def check_htj2k(data: bytes, samples: Array) -> None:
    """OpenJPH must read what OpenJPEG read, up to rounding where the wavelet is irreversible. Raises `Damaged`."""
    import imagecodecs

    decode = getattr(imagecodecs, "htj2k_decode", None)
    if decode is None:  # older releases have OpenJPEG alone
        return
    other = np.asarray(decode(data))
    if other.shape == samples.shape:
        apart = np.abs(other.astype(np.int64) - samples.astype(np.int64)).max(initial=0)
        if apart <= (0 if _is_reversible(data) else _LOSSY_LEVELS):
            return
    raise Damaged("its HTJ2K data is damaged: two decoders read it differently")


def _is_reversible(data: bytes) -> bool:
    """Does the COD marker name the 5-3 wavelet?"""
    at = data.find(b"\xff\x52")
    return at < 0 or at + 14 > len(data) or data[at + 13] == 1
