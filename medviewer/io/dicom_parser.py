"""A minimal DICOM element walk (PS3.5 7) that stops at the pixel data. Iterative, so nesting depth cannot hurt it.

It keeps the bytes of the wanted elements and the place of the pixel data, and skips everything else. It reads explicit
and implicit VR in both byte orders; whatever it finds irregular it leaves to pydicom by raising `Irregular`.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from medviewer.io.dicom_tags import FLOAT_PIXEL_DATA, PIXEL_DATA, WANTED

UNDEFINED = 0xFFFFFFFF
MOST_ELEMENTS = 1_000_000  # passed one by one: 2 seconds
LONGEST_VALUE = 1 << 18  # bytes of one element that is kept
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_LONG_VR = frozenset((b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"))
_SHORT_VR = frozenset(
    b"AE AS AT CS DA DS DT FL FD IS LO LT PN SH SL SS ST TM UI UL US".split()  # the VRs of PS3.5 6.2
)


class NeedMore(Exception):
    """The buffer ended before the pixel data did; read on."""


class Irregular(Exception):
    """Not a plain element stream; let pydicom judge it."""


class CutShort(Exception):
    """An element reaches beyond the end of the file."""


class Overfull(Exception):
    """More elements than any image has: reading on would only cost time."""


@dataclass
class Elements:
    """What the walk found. `pixel_length` is `UNDEFINED` for encapsulated (compressed) pixels."""

    raw: dict[int, bytes] = field(default_factory=dict)
    pixel_offset: int | None = None
    pixel_length: int = 0
    float_pixels: bool = False
    pixel_words: bool = False  # VR OW: 16-bit words, whatever the samples are
    repeated: bool = False  # a wanted element is there twice; the last one counts
    end: int = 0


class Walker:
    """Walks the elements of one buffer."""

    def __init__(self, buffer: bytes, explicit: bool, big_endian: bool) -> None:
        order = ">" if big_endian else "<"
        self.buffer, self.explicit = buffer, explicit
        self.left = MOST_ELEMENTS
        self.group = struct.Struct(order + "H").unpack_from
        self.short = struct.Struct(order + "HH2sH").unpack_from
        self.long = struct.Struct(order + "I").unpack_from
        self.implicit = struct.Struct(order + "HHI").unpack_from

    def element(self, at: int, explicit: bool) -> tuple[int, bytes, int, int]:
        """(tag, VR, length, offset of the value) of the element at `at`."""
        if at + 8 > len(self.buffer):
            raise NeedMore
        if not explicit:
            group, number, length = self.implicit(self.buffer, at)
            return group << 16 | number, b"", length, at + 8
        group, number, vr, length = self.short(self.buffer, at)
        if vr in _LONG_VR:
            if at + 12 > len(self.buffer):
                raise NeedMore
            return group << 16 | number, vr, self.long(self.buffer, at + 8)[0], at + 12
        if vr not in _SHORT_VR and group != 0xFFFE:
            raise Irregular(f"VR {vr!r}")
        return group << 16 | number, vr, length, at + 8

    def walk(self, at: int, total: int, stop_group: int = 0xFFFF) -> Elements:
        """Elements from `at` to the pixel data, a group beyond `stop_group`, or the end of the file (`total` bytes)."""
        found = Elements(end=at)
        while total - at >= 8:
            self._count()
            try:
                if stop_group < 0xFFFF and self._group_at(at) > stop_group:
                    break
                tag, vr, length, value = self.element(at, self.explicit)
            except NeedMore:
                self._need(at, total)
                raise
            if tag == PIXEL_DATA or tag in FLOAT_PIXEL_DATA:
                found.pixel_offset, found.pixel_length = value, length
                found.float_pixels, found.pixel_words = tag != PIXEL_DATA, vr == b"OW"
                break
            found.repeated |= tag in found.raw
            at = self._pass(found.raw, total, tag, vr, length, value)
            found.end = at
        return found

    def _group_at(self, at: int) -> int:
        if at + 2 > len(self.buffer):
            raise NeedMore
        return int(self.group(self.buffer, at)[0])

    def _need(self, at: int, total: int) -> None:
        if total <= len(self.buffer):
            raise CutShort
        raise NeedMore

    def _pass(self, raw: dict[int, bytes], total: int, tag: int, vr: bytes, length: int, value: int) -> int:
        """Keep the element if it is wanted; the offset of the next one."""
        if length == UNDEFINED:
            if tag in WANTED:
                raw[tag] = b""
            try:
                return self._skip_undefined(value, self.explicit and vr != b"UN")
            except NeedMore:
                self._need(value, total)
        after = value + length
        if after > total:
            raise CutShort
        if tag in WANTED:
            self._keep(raw, tag, value, after)
        return after

    def _keep(self, raw: dict[int, bytes], tag: int, value: int, after: int) -> None:
        """Keep a wanted value; of a sequence only that it is there. An absurdly long value is no number and no name."""
        if WANTED[tag][1] == "present":
            raw[tag] = b""
        elif after - value > LONGEST_VALUE:
            raw[tag] = b"?"
        elif after > len(self.buffer):
            raise NeedMore
        else:
            raw[tag] = self.buffer[value:after]

    def _count(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise Overfull

    def _skip_undefined(self, at: int, explicit: bool) -> int:
        """The offset after a sequence of undefined length that starts at `at`."""
        stack = [explicit]  # one entry per open sequence or item: is its content explicit VR?
        while stack:
            self._count()
            if at + 8 > len(self.buffer):
                raise NeedMore
            group, number, length = self.implicit(self.buffer, at)
            tag = group << 16 | number
            if tag in (_ITEM_END, _SEQUENCE_END):
                stack.pop()
                at += 8
            elif tag == _ITEM:
                at += 8
                if length == UNDEFINED:
                    stack.append(stack[-1])
                else:
                    at += length
            else:
                _, vr, length, value = self.element(at, stack[-1])
                at = value if length == UNDEFINED else value + length
                if length == UNDEFINED:
                    stack.append(stack[-1] and vr != b"UN")
        return at
