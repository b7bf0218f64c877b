"""The undoable changes of segments, and their form in a journal.

A step first holds the masks it was made with, so that making it costs nothing; `pack` (in any thread) replaces them by
the compressed bounding box or, for a changed mask, by the voxels that changed, so that any depth stays small.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from medviewer.core.mask_patch import Mask, MaskPatch
from medviewer.core.segment_record import bare_header, from_record, packed_from, packed_header, to_record, with_mask
from medviewer.core.segmentation import Segment

Record = tuple[dict[str, Any], bytes]
_NO_MASK: NDArray[np.bool_] = np.zeros((0, 0, 0), bool)


class SegmentHolder(Protocol):
    """What the commands change: the ordered segments of one scan."""

    key: str

    def insert(self, index: int, segment: Segment) -> None: ...
    def remove(self, segment_id: str) -> int: ...
    def replace(self, segment: Segment) -> None: ...
    def get(self, segment_id: str) -> Segment: ...
    def index(self, segment_id: str) -> int: ...


class _Stored:
    """A segment that is whole until it is packed. `_whole` is cleared after `_packed` is set: no lock is needed."""

    def __init__(self, segment: Segment | None, packed: Record | None = None) -> None:
        self._whole, self._packed = segment, packed
        self.id: str = segment.id if segment is not None else str((packed or ({}, b""))[0]["id"])

    def record(self) -> Record:
        whole = self._whole
        if whole is not None:
            self._packed = to_record(whole)
            self._whole = None
        assert self._packed is not None
        return self._packed

    def restore(self) -> Segment:
        whole = self._whole
        return whole if whole is not None else from_record(*self.record())


class _Change:
    """From one mask to another; packed, the voxels that differ."""

    def __init__(self, before: Mask | None, after: Mask | None, packed: Record | None = None) -> None:
        self._masks, self._packed = None if before is None or after is None else (before, after), packed

    def record(self) -> Record:
        masks = self._masks
        if masks is not None:
            difference = MaskPatch.between(*masks).difference
            self._packed = packed_header(difference), zlib.compress(difference.bits, 1)
            self._masks = None
        assert self._packed is not None
        return self._packed

    def apply(self, mask: Mask, forward: bool) -> Mask:
        masks = self._masks
        return masks[forward] if masks is not None else MaskPatch(packed_from(*self.record())).apply(mask)


class AddSegment:
    """Accept a preview, or add an opened mask."""

    def __init__(self, scan: SegmentHolder, segment: Segment, index: int, title: str = "") -> None:
        self._set(scan, _Stored(segment), index, title or f"accept {segment.name}")

    def _set(self, scan: SegmentHolder, stored: _Stored, index: int, title: str) -> None:
        self.scan, self.scan_key, self._index, self._stored, self.title = scan, scan.key, index, stored, title

    def do(self) -> None:
        self.scan.insert(self._index, self._stored.restore())

    def undo(self) -> None:
        self.scan.remove(self._stored.id)

    def pack(self) -> None:
        self._stored.record()

    def record(self) -> Record:
        header, data = self._stored.record()
        return {"do": "add", "title": self.title, "index": self._index, "segment": header}, data

    @classmethod
    def from_record(cls, scan: SegmentHolder, header: Mapping[str, Any], data: bytes) -> AddSegment:
        self = cls.__new__(cls)
        stored = _Stored(None, (dict(header["segment"]), data))
        self._set(scan, stored, int(header["index"]), str(header["title"]))
        return self


class DeleteSegment:
    """Remove a segment."""

    def __init__(self, scan: SegmentHolder, segment_id: str) -> None:
        segment = scan.get(segment_id)
        self.scan, self.scan_key = scan, scan.key
        self._stored, self._index = _Stored(segment), scan.index(segment_id)
        self._view = {"visible": segment.visible, "opacity": segment.opacity}
        self.title = f"delete {segment.name}"

    def do(self) -> None:
        self.scan.remove(self._stored.id)

    def undo(self) -> None:
        self.scan.insert(self._index, self._stored.restore())

    def pack(self) -> None:
        self._stored.record()

    def record(self) -> Record:
        """The mask is not in it: the state before has it."""
        return {"do": "delete", "title": self.title, "id": self._stored.id, "view": self._view}, b""

    @classmethod
    def from_record(cls, scan: SegmentHolder, header: Mapping[str, Any], data: bytes) -> DeleteSegment:
        segment = scan.get(header["id"])
        scan.replace(segment.changed(visible=bool(header["view"]["visible"]), opacity=float(header["view"]["opacity"])))
        self = cls(scan, segment.id)
        self.title = str(header["title"])
        return self


class RefineSegment:
    """Change a segment's mask (and with it provenance and cut edges). Raises ValueError for another grid."""

    def __init__(self, scan: SegmentHolder, after: Segment) -> None:
        before = scan.get(after.id)
        if before.mask.shape != after.mask.shape:
            raise ValueError(f"masks on different grids: {before.mask.shape} and {after.mask.shape}")
        self._set(scan, before, after, _Change(before.mask, after.mask), f"refine {before.name}")

    def _set(self, scan: SegmentHolder, before: Segment, after: Segment, change: _Change, title: str) -> None:
        self.scan, self.scan_key, self._change, self.title = scan, scan.key, change, title
        self._before = replace(before, mask=_NO_MASK.copy())
        self._after = replace(after, mask=_NO_MASK.copy())

    def do(self) -> None:
        self._flip(self._after, True)

    def undo(self) -> None:
        self._flip(self._before, False)

    def pack(self) -> None:
        self._change.record()

    def record(self) -> Record:
        header, data = self._change.record()
        return {"do": "refine", "title": self.title, "segment": bare_header(self._after), "change": header}, data

    @classmethod
    def from_record(cls, scan: SegmentHolder, header: Mapping[str, Any], data: bytes) -> RefineSegment:
        after = with_mask(header["segment"], _NO_MASK.copy())
        self, before = cls.__new__(cls), scan.get(after.id)
        change = dict(header["change"])
        if tuple(change["shape"]) != before.mask.shape:
            raise ValueError("the change belongs to another grid")
        self._set(scan, before, after, _Change(None, None, (change, data)), str(header["title"]))
        return self

    def _flip(self, bare: Segment, forward: bool) -> None:
        now = self.scan.get(bare.id)
        mask = self._change.apply(now.mask, forward)
        self.scan.replace(replace(bare, mask=mask, visible=now.visible, opacity=now.opacity))  # views are not undone


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

    def pack(self) -> None:
        """It holds no mask."""

    def record(self) -> Record:
        return {"do": "change", "title": self.title, "id": self._id, "after": dict(self._after)}, b""

    @classmethod
    def from_record(cls, scan: SegmentHolder, header: Mapping[str, Any], data: bytes) -> ChangeSegment:
        after = {name: tuple(v) if isinstance(v, list) else v for name, v in header["after"].items()}
        if not set(after) <= {"name", "color"}:
            raise ValueError("an unknown change of a segment")
        self = cls(scan, header["id"], **after)
        self.title = str(header["title"])
        return self


AnyCommand = AddSegment | DeleteSegment | RefineSegment | ChangeSegment
_KINDS: dict[str, Any] = {"add": AddSegment, "delete": DeleteSegment, "refine": RefineSegment, "change": ChangeSegment}


def command_from(scan: SegmentHolder, header: Mapping[str, Any], data: bytes) -> AnyCommand:
    """The step of a record, ready to be done on the state that it was made on. Raises ValueError for a damaged record
    and one that does not fit the scan."""
    try:
        command: AnyCommand = _KINDS[header["do"]].from_record(scan, header, data)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError("a damaged record of a step") from error
    return command
