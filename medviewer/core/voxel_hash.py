"""What a scan is known by: a hash of its grid, its place in the patient and its voxels."""

from __future__ import annotations

import hashlib
import weakref
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medviewer.core.volume import Volume

_KNOWN: dict[int, tuple[weakref.ref[NDArray[Any]], bytes]] = {}


def voxel_hash(volume: Volume) -> str:
    """32 hexadecimal digits; equal for equal voxels on an equal grid at an equal place (to 0.1 micrometre). Any thread.

    About 0.2 s for 512x512x500 voxels of 16 bit; remembered while the voxels live.
    """
    digest = hashlib.blake2b(digest_size=16)
    digest.update(str((volume.array.shape, volume.array.dtype.newbyteorder("<").str)).encode())
    if volume.affine is not None:
        digest.update((np.round(volume.affine, 4) + 0.0).astype("<f8").tobytes())  # + 0.0: no negative zeros
    digest.update(_hash_of(volume.array))
    return digest.hexdigest()


def _hash_of(array: NDArray[Any]) -> bytes:
    known = _KNOWN.get(id(array))
    if known is not None and known[0]() is array and not array.flags.writeable:
        return known[1]
    digest = hashlib.blake2b(digest_size=16)
    for k in range(array.shape[2]):  # slice by slice: the same for every memory order, and other threads get their turn
        digest.update(array[:, :, k].tobytes(order="F"))
    key = id(array)
    _KNOWN[key] = (weakref.ref(array, lambda _: _KNOWN.pop(key, None)), digest.digest())
    return digest.digest()
