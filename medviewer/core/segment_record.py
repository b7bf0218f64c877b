"""One segment as a JSON header and a block of bytes: the form in which the journal and session files keep it."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

import numpy as np

from medviewer.core.mask_patch import Box, Mask, Order, PackedMask
from medviewer.core.provenance import Provenance
from medviewer.core.segmentation import Segment

_TUPLES = ("color", "cut_edges")
_LARGEST_RATIO = 1100  # zlib never expands more: what claims more is forged


def to_record(segment: Segment) -> tuple[dict[str, Any], bytes]:
    """A JSON-ready header with every field but the mask, and the mask as compressed bits of its bounding box."""
    packed = PackedMask.pack(segment.mask)
    return bare_header(segment) | packed_header(packed), zlib.compress(packed.bits, 1)


def bare_header(segment: Segment) -> dict[str, Any]:
    """Every field but the mask, JSON-ready."""
    header: dict[str, Any] = {f.name: getattr(segment, f.name) for f in fields(segment) if f.name != "mask"}
    return header | {"provenance": segment.provenance.as_dict()}


def from_record(header: Mapping[str, Any], data: bytes) -> Segment:
    """The segment again; names that are not known (of a newer program) are passed over. Raises ValueError."""
    try:
        return with_mask(header, packed_from(header, data).unpack())
    except (KeyError, TypeError, AttributeError, zlib.error) as error:
        raise ValueError("a damaged segment record") from error


def with_mask(header: Mapping[str, Any], mask: Mask) -> Segment:
    """The segment of a bare header on a mask. Raises TypeError or AttributeError for a damaged header."""
    known = {f.name for f in fields(Segment)} - {"mask", "provenance"}
    values = {name: value for name, value in header.items() if name in known}
    for name in _TUPLES:
        values[name] = tuple(values.get(name, ()))
    return Segment(mask=mask, provenance=provenance_from(header.get("provenance", {})), **values)


def packed_header(packed: PackedMask) -> dict[str, Any]:
    """Where the bits of a packed mask lie: JSON-ready."""
    box = None if packed.box is None else [[s.start, s.stop] for s in packed.box]
    return {"shape": list(packed.shape), "box": box, "order": packed.order}


def packed_from(header: Mapping[str, Any], data: bytes) -> PackedMask:
    """A packed mask from its header and compressed bits. Raises ValueError if they do not fit each other."""
    i, j, k = (int(n) for n in header["shape"])
    if min(i, j, k) < 1:
        raise ValueError("a mask without voxels")
    if header["box"] is None:
        return PackedMask((i, j, k), None, b"")
    order: Order = "F" if header.get("order") == "F" else "C"
    box = _box(header["box"], (i, j, k))
    expected = -(-int(np.prod([s.stop - s.start for s in box], dtype=np.int64)) // 8)
    if expected > _LARGEST_RATIO * max(len(data), 1):
        raise ValueError("the mask is larger than its data can be")
    decoder = zlib.decompressobj()
    bits = decoder.decompress(data, expected + 1)
    if len(bits) != expected or not decoder.eof:
        raise ValueError("the mask has another size than its header says")
    return PackedMask((i, j, k), box, bits, order)


def _box(bounds: Any, shape: tuple[int, int, int]) -> Box:
    first, second, third = (slice(int(start), int(stop)) for start, stop in bounds)
    for part, size in zip((first, second, third), shape, strict=True):
        if not 0 <= part.start < part.stop <= size:
            raise ValueError("the mask lies outside its grid")
    return first, second, third


def provenance_from(values: Mapping[str, Any]) -> Provenance:
    """The provenance of `Provenance.as_dict`."""
    known = {f.name for f in fields(Provenance)}
    kept = {name: value for name, value in values.items() if name in known}
    for name in ("edits", "tags"):
        kept[name] = tuple(kept.get(name, ()))
    return replace(Provenance(), **kept)
