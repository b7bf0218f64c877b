"""The undoable changes of segments. Masks are kept as packed boxes, so that any depth stays small."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from medviewer.core.mask_patch import MaskPatch, PackedMask
from medviewer.core.segmentation import Segment


class SegmentHolder(Protocol):
    """What the commands change: the ordered segments of one scan."""

    key: str

    def insert(self, index: int, segment: Segment) -> None: ...
    def remove(self, segment_id: str) -> int: ...
    def replace(self, segment: Segment) -> None: ...
    def get(self, segment_id: str) -> Segment: ...
    def index(self, segment_id: str) -> int: ...


_NO_MASK: NDArray[np.bool_] = np.zeros((0, 0, 0), bool)


class _Stored:
    """A segment whose mask is packed while it is not on the scene."""

    def __init__(self, segment: Segment) -> None:
        self._mask = PackedMask.pack(segment.mask)
        self._bare = replace(segment, mask=_NO_MASK.copy())

    def restore(self) -> Segment:
        return replace(self._bare, mask=self._mask.unpack())

    @property
    def id(self) -> str:
        return self._bare.id


class AddSegment:
    """Accept a preview, or add an opened mask."""

    def __init__(self, scan: SegmentHolder, segment: Segment, index: int, title: str = "") -> None:
        self.scan, self.scan_key, self._index = scan, scan.key, index
        self._stored = _Stored(segment)
        self.title = title or f"accept {segment.name}"

    def do(self) -> None:
        self.scan.insert(self._index, self._stored.restore())

    def undo(self) -> None:
        self.scan.remove(self._stored.id)


class DeleteSegment:
    """Remove a segment."""

    def __init__(self, scan: SegmentHolder, segment_id: str) -> None:
        self.scan, self.scan_key = scan, scan.key
        segment = scan.get(segment_id)
        self._stored, self._index = _Stored(segment), scan.index(segment_id)
        self.title = f"delete {segment.name}"

    def do(self) -> None:
        self.scan.remove(self._stored.id)

    def undo(self) -> None:
        self.scan.insert(self._index, self._stored.restore())


class RefineSegment:
    """Change a segment's mask (and with it provenance and cut edges)."""

    def __init__(self, scan: SegmentHolder, after: Segment) -> None:
        self.scan, self.scan_key = scan, scan.key
        before = scan.get(after.id)
        self._patch = MaskPatch.between(before.mask, after.mask)
        self._before = replace(before, mask=_NO_MASK.copy())
        self._after = replace(after, mask=_NO_MASK.copy())
        self.title = f"refine {before.name}"

    def do(self) -> None:
        self._flip(self._after)

    def undo(self) -> None:
        self._flip(self._before)

    def _flip(self, bare: Segment) -> None:
        now = self.scan.get(bare.id)
        shown = {"visible": now.visible, "opacity": now.opacity}  # views are not undone
        self.scan.replace(replace(bare, mask=self._patch.apply(now.mask), **shown))  # type: ignore[arg-type]


class ChangeSegment:
    """Change a segment's name or colour."""

    def __init__(self, scan: SegmentHolder, segment_id: str, **changes: Any) -> None:
        self.scan, self.scan_key, self._id = scan, scan.key, segment_id
        before = scan.get(segment_id)
        self._after = changes
        self._before = {name: getattr(before, name) for name in changes}
        self.title = f"{'rename' if 'name' in changes else 'recolour'} {before.name}"

    def do(self) -> None:
        self.scan.replace(self.scan.get(self._id).changed(**self._after))

    def undo(self) -> None:
        self.scan.replace(self.scan.get(self._id).changed(**self._before))
