"""Images that are in a folder twice: a file copied, sent again, or stored under a second instance UID."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence

from medviewer.io.dicom_frames import Frame
from medviewer.io.dicom_header import Header

Key = Callable[[Frame], Hashable]


def without_copies(frames: Sequence[Frame]) -> list[Frame]:
    """Each instance UID once, as far as place and pixels are equal as well."""
    return _without(frames, lambda frame: (frame.header.get("SOPInstanceUID") or frame.header.path, frame.index))


def without_equal_pictures(frames: Sequence[Frame]) -> list[Frame]:
    """Each picture at a place once, whatever its UID. Reads the pixels of all images that share a place."""
    return _without(frames, _place)


_TELLS_APART = ("TemporalPositionIdentifier", "TriggerTime", "EchoTime", "DiffusionBValue", "AcquisitionNumber")


def _place(frame: Frame) -> Hashable:
    """Equal in every copy; blank pictures of different time points are none."""
    apart = tuple(frame.get(keyword) for keyword in _TELLS_APART)
    return frame.position, frame.orientation, frame.spacing, frame.slope, frame.intercept, apart


def _without(frames: Sequence[Frame], key: Key) -> list[Frame]:
    kept: list[Frame] = []
    seen: dict[Hashable, list[Frame]] = defaultdict(list)
    digests: dict[int, bytes | None] = {}
    for frame in frames:
        others = seen[key(frame)]
        if any(_same_picture(frame, other, digests) for other in others):
            continue
        others.append(frame)
        kept.append(frame)
    return kept


def _same_picture(first: Frame, second: Frame, digests: dict[int, bytes | None]) -> bool:
    if _place(first) != _place(second) or first.index != second.index or first.header is second.header:
        return False
    for frame in (first, second):
        if id(frame.header) not in digests:
            digests[id(frame.header)] = _digest(frame.header)
    return digests[id(first.header)] == digests[id(second.header)] is not None


def _digest(header: Header) -> bytes | None:
    """Of the stored pixels: every file is read once, however many others lie at its place."""
    pixels = _pixels(header)
    return None if pixels is None else hashlib.blake2b(pixels).digest()


def _pixels(header: Header) -> bytes | None:
    """The stored pixel bytes; None if they cannot be read. Deflated files are compared whole."""
    try:
        with header.path.open("rb") as file:
            if header.size:
                file.seek(header.pixel_offset or 0)
            return file.read() if header.pixel_length is None or not header.size else file.read(header.pixel_length)
    except OSError:
        return None
