"""Images that are in a folder twice: a file copied, sent again, or stored under a second instance UID."""

from __future__ import annotations

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


def _place(frame: Frame) -> Hashable:
    return frame.position, frame.orientation, frame.spacing, frame.slope, frame.intercept


def _without(frames: Sequence[Frame], key: Key) -> list[Frame]:
    kept: list[Frame] = []
    seen: dict[Hashable, list[Frame]] = defaultdict(list)
    compared: dict[tuple[int, int], bool] = {}
    for frame in frames:
        others = seen[key(frame)]
        if any(_same_picture(frame, other, compared) for other in others):
            continue
        others.append(frame)
        kept.append(frame)
    return kept


def _same_picture(first: Frame, second: Frame, compared: dict[tuple[int, int], bool]) -> bool:
    if _place(first) != _place(second) or first.index != second.index or first.header is second.header:
        return False
    pair = id(first.header), id(second.header)
    if pair not in compared:
        compared[pair] = _pixels(first.header) == _pixels(second.header) is not None
    return compared[pair]


def _pixels(header: Header) -> bytes | None:
    """The stored pixel bytes; None if they cannot be read. Deflated files are compared whole."""
    try:
        with header.path.open("rb") as file:
            if header.size:
                file.seek(header.pixel_offset or 0)
            return file.read() if header.pixel_length is None or not header.size else file.read(header.pixel_length)
    except OSError:
        return None
