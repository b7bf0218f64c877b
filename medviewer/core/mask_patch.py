"""Compact storage of masks and of changes between masks: the bounding box and one bit per voxel in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Box = tuple[slice, slice, slice]
Mask = NDArray[np.bool_]
Order = Literal["C", "F"]


def order_of(mask: Mask) -> Order:
    """The memory order of a mask; Fortran for one that has none."""
    return "C" if mask.flags.c_contiguous else "F"


def bounding_box(mask: Mask) -> Box | None:
    """The smallest box of indices (i, j, k) that holds every True voxel; None for an empty mask."""
    box = []
    for axis in range(3):
        others = tuple(a for a in range(3) if a != axis)
        indices = np.flatnonzero(mask.any(axis=others))
        if not len(indices):
            return None
        box.append(slice(int(indices[0]), int(indices[-1]) + 1))
    return box[0], box[1], box[2]


@dataclass(frozen=True)
class PackedMask:
    """A bool mask (i, j, k) as packed bits of its bounding box, in the memory order of the mask: the other is 100 times
    slower to pack and unpack on large scans."""

    shape: tuple[int, int, int]
    box: Box | None
    bits: bytes
    order: Order = "F"

    @classmethod
    def pack(cls, mask: Mask) -> PackedMask:
        """Keep only the bounding box, one bit per voxel."""
        shape = (mask.shape[0], mask.shape[1], mask.shape[2])
        box, order = bounding_box(mask), order_of(mask)
        return cls(shape, box, b"" if box is None else np.packbits(mask[box].ravel(order=order)).tobytes(), order)

    def crop(self) -> Mask:
        """The voxels inside the box."""
        if self.box is None:
            return np.zeros((0, 0, 0), bool)
        size = tuple(s.stop - s.start for s in self.box)
        flat = np.unpackbits(np.frombuffer(self.bits, np.uint8), count=int(np.prod(size)))
        return flat.view(np.bool_).reshape(size, order=self.order)

    def unpack(self, order: Order = "F") -> Mask:
        """The whole mask again, in Fortran order unless asked otherwise."""
        mask = np.zeros(self.shape, bool, order=order)
        if self.box is not None:
            mask[self.box] = self.crop()
        return mask

    @property
    def nbytes(self) -> int:
        return len(self.bits)


@dataclass(frozen=True)
class MaskPatch:
    """The voxels in which two masks differ. Applying it twice gives the first mask back."""

    difference: PackedMask

    @classmethod
    def between(cls, before: Mask, after: Mask) -> MaskPatch:
        """Raises ValueError if the two masks lie on different grids."""
        if before.shape != after.shape:
            raise ValueError(f"masks on different grids: {before.shape} and {after.shape}")
        return cls(PackedMask.pack(before ^ after))

    def apply(self, mask: Mask) -> Mask:
        """A new mask with the differing voxels flipped."""
        flipped = mask.copy(order="F")
        if self.difference.box is not None:
            flipped[self.difference.box] ^= self.difference.crop()
        return flipped

    @property
    def nbytes(self) -> int:
        return self.difference.nbytes
