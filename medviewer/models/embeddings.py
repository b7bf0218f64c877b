"""Encoded slices of volumes, kept in memory between prompts."""

from __future__ import annotations

import hashlib
import math
import mmap
import weakref
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from medviewer.core.mask_patch import PackedMask
from medviewer.core.progress import Progress
from medviewer.core.volume import Volume
from medviewer.models.cancelling import check
from medviewer.models.channels import Windows, input_channels
from medviewer.models.embedding_store import EmbeddingStore
from medviewer.models.ladder import BATCH
from medviewer.models.planes import SlicePlan
from medviewer.models.preprocessing import Letterbox
from medviewer.models.text_sam import TextSam
from medviewer.models.views import View

PREPROCESSING = 2  # grows when the same voxels and weights give other embeddings: older stored ones are not used
MAPPED_ABOVE = 400_000_000  # bytes: embeddings of larger scans lie on the disk, mapped into memory
RELAXED_EVERY = 64  # slices; mapped ones are not kept in the process's memory for longer
Encoded = tuple[Tensor, Tensor]
Scratch = Callable[[int], mmap.mmap | None]


def content_key(volume: Volume, extra: str) -> str:
    """SHA-256 (hexadecimal) of voxels, geometry, the version of the preprocessing and `extra` (weights, windows)."""
    digest = hashlib.sha256(f"preprocessing {PREPROCESSING}".encode())
    digest.update(str((volume.array.shape, volume.array.dtype.str, extra, volume.spacing_mm)).encode())
    digest.update(b"" if volume.affine is None else np.round(volume.affine, 6).tobytes())
    digest.update(_voxel_hash(volume.array))
    return digest.hexdigest()


_HASHES: dict[int, tuple[weakref.ref[NDArray[Any]], bytes]] = {}


def _voxel_hash(array: NDArray[Any]) -> bytes:
    """Hash of the voxels, remembered while the (read-only) array lives."""
    known = _HASHES.get(id(array))
    if known is not None and known[0]() is array and not array.flags.writeable:
        return known[1]
    digest = hashlib.blake2b(digest_size=16)
    for k in range(array.shape[2]):
        check()
        digest.update(np.asfortranarray(array[:, :, k]).tobytes(order="F"))
    key = id(array)
    _HASHES[key] = (weakref.ref(array, lambda _: _HASHES.pop(key, None)), digest.digest())
    return digest.digest()


_STORED = ("embedding", "features")


class _Rows(Sequence[NDArray[Any]]):
    """The rows of an array, to be read once from first to last; what was read leaves the process's memory."""

    def __init__(self, array: NDArray[Any], relax: Callable[[], None]) -> None:
        self._array, self._relax = array, relax

    def __len__(self) -> int:
        return len(self._array)

    def __getitem__(self, number: Any) -> Any:
        if number % RELAXED_EVERY == RELAXED_EVERY - 1:
            self._relax()
        return self._array[number]


def _map_of(array: NDArray[Any]) -> mmap.mmap | None:
    """The memory map that an array is a view of."""
    owner: Any = array
    while isinstance(owner, np.ndarray) and owner.base is not None:
        owner = owner.base
    owner = owner.obj if isinstance(owner, memoryview) else owner
    return owner if isinstance(owner, mmap.mmap) else None


@dataclass
class VolumeEmbedding:
    """Embeddings (dim, s/16, s/16) and fine features (c, s/2, s/2) in float16 of a view's slices. The first `kept` of
    them lie in `arrays`, channels last, in memory or mapped from the disk; the others are encoded again when needed."""

    view: View
    windows: Windows
    make: Callable[[int, int], Encoded]
    shapes: tuple[tuple[int, int, int], ...]  # of one slice's arrays (channels, rows, columns)
    batch: int = BATCH
    arrays: tuple[Tensor, ...] = ()
    kept: int = 0
    mapped: bool = False
    map: mmap.mmap | None = None  # what `arrays` lie in
    encoded: int = 0  # slices encoded so far, counting repeats
    spine: NDArray[np.bool_] | None = None  # (slices, rows, columns), kept for judging sides
    last: tuple[tuple[str, str], PackedMask, float] | None = None  # the last text and modality, its mask and presence

    @property
    def plan(self) -> SlicePlan:
        return self.view.plan

    @property
    def box(self) -> Letterbox:
        return self.view.box

    @property
    def count(self) -> int:
        return self.view.count

    @property
    def slice_bytes(self) -> int:
        """Of one slice."""
        return 2 * sum(math.prod(shape) for shape in self.shapes)

    @property
    def bytes(self) -> int:
        """Memory taken; what is mapped from the disk does not count."""
        return 0 if self.mapped else sum(array.nbytes for array in self.arrays)

    def fill(self, limit: int, progress: Progress, scratch: Scratch) -> None:
        """Encode every slice, keeping what fits in `limit` bytes of memory, or all in what `scratch` gives. Raises
        Cancelled between batches."""
        room = self._allocate(limit, scratch)
        for start in range(0, self.count, self.batch):
            progress.report(start / self.count, "Encoding slices")
            stop = min(start + self.batch, self.count)
            if stop <= room:
                self._keep(start, stop, room)
        progress.report(1.0, "Encoding slices")

    def _allocate(self, limit: int, scratch: Scratch) -> int:
        """Take memory, or disk beyond the limit; returns how many slices fit."""
        self.arrays, self.kept, self.mapped = (), 0, False
        whole = self.slice_bytes * self.count
        if whole > min(limit, MAPPED_ABOVE):
            self.map = scratch(whole)
            if self.map is not None:
                self.arrays, self.mapped = self._parted(self.map), True
                return self.count
        return min(self.count, max(self.batch, limit // self.slice_bytes))

    def _parted(self, data: mmap.mmap) -> tuple[Tensor, ...]:
        """Bytes as one array (slices, rows, columns, channels) after the other."""
        values, parts, place = torch.frombuffer(data, dtype=torch.float16), [], 0
        for channels, rows, columns in self.shapes:
            size = self.count * channels * rows * columns
            parts.append(values[place : place + size].view(self.count, rows, columns, channels))
            place += size
        return tuple(parts)

    def relax(self) -> None:
        """Let mapped pages go from the process's memory; they stay on the disk (and in the system's cache)."""
        if self.map is not None and hasattr(mmap, "MADV_DONTNEED"):
            self.map.madvise(mmap.MADV_DONTNEED)

    def _keep(self, start: int, stop: int, room: int) -> None:
        parts = self._run(start, stop)
        if not self.arrays:
            self.arrays = tuple(part.new_empty((room, *part.shape[1:])) for part in parts)
        for array, part in zip(self.arrays, parts, strict=True):
            array[start:stop] = part
        self.kept = stop
        if stop // RELAXED_EVERY != start // RELAXED_EVERY:
            self.relax()

    def restore(self, store: EmbeddingStore, key: str, device: torch.device) -> bool:
        """Take all slices from a store. False where any is not as it should be."""
        arrays = store.read(key)
        if arrays is None or set(arrays) != set(_STORED):
            return False
        stored = [arrays[name] for name in _STORED]
        wanted = [(self.count, rows, columns, channels) for channels, rows, columns in self.shapes]
        if [a.shape for a in stored] != wanted or any(a.dtype != np.float16 for a in stored):
            return False
        self.arrays, self.kept = tuple(torch.from_numpy(array).to(device) for array in stored), self.count
        self.map = _map_of(stored[0]) if device.type == "cpu" else None
        self.mapped = self.map is not None
        return True

    def keep_in(self, store: EmbeddingStore, key: str) -> None:
        """Give all slices to a store, where none had to be left out."""
        if self.kept == self.count:
            rows = [_Rows(part.cpu().numpy(), self.relax) for part in self.arrays]
            store.write(key, dict(zip(_STORED, rows, strict=True)))

    def get(self, numbers: range) -> Encoded:
        """Stacked float16 (n, ...) of slices of the view; those not kept are encoded again, in the same batches as at
        first, so that they are the same bit for bit."""
        if numbers[-1] < self.kept:
            chosen = slice(numbers.start, numbers.stop, numbers.step)
            return _channels_first(self.arrays[0][chosen]), _channels_first(self.arrays[1][chosen])
        batches = sorted({n // self.batch * self.batch for n in numbers if n >= self.kept})
        fresh = {start: self._run(start, min(start + self.batch, self.count)) for start in batches}
        found = [array.new_empty((len(numbers), *array.shape[1:])) for array in self.arrays]
        for place, n in enumerate(numbers):
            start = n // self.batch * self.batch
            for k in range(len(found)):
                found[k][place] = self.arrays[k][n] if n < self.kept else fresh[start][k][n - start]
        return _channels_first(found[0]), _channels_first(found[1])

    def _run(self, start: int, stop: int) -> Encoded:
        """As stored: channels last."""
        self.encoded += stop - start
        embedding, features = self.make(start, stop)
        return _channels_last(embedding), _channels_last(features)


def _channels_last(maps: Tensor) -> Tensor:
    return maps.permute(0, 2, 3, 1).contiguous()


def _channels_first(maps: Tensor) -> Tensor:
    return maps.permute(0, 3, 1, 2)


def slice_encoder(
    network: TextSam, volume: Volume, view: View, windows: Windows, device: torch.device
) -> Callable[[int, int], Encoded]:
    """A function that encodes the slices start..stop of a view to float16 on the device."""
    stack = _colour_stack(volume.array, view.plan) if volume.is_color else view.plan.to_stack(volume.array)

    def make(start: int, stop: int) -> Encoded:
        channels = input_channels(stack, view.numbers(start, stop), view.neighbour, windows, view.box)
        images = channels.to(device).contiguous(memory_format=torch.channels_last)
        embedding, features = network.encode_images(images)
        return embedding.half(), features.half()

    return make


def _colour_stack(array: Any, plan: SlicePlan) -> Any:
    return np.stack([plan.to_stack(array[..., c]) for c in range(3)], axis=-1)


class EmbeddingCache:
    """Volume embeddings by content, least recently used first out, at most `limit` bytes."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._entries: OrderedDict[str, VolumeEmbedding] = OrderedDict()

    def get(self, key: str) -> VolumeEmbedding | None:
        """The entry, now the most recently used; None if absent."""
        if key in self._entries:
            self._entries.move_to_end(key)
        return self._entries.get(key)

    def put(self, key: str, entry: VolumeEmbedding) -> None:
        """Add an entry and drop old ones beyond the limit (never the new one)."""
        self._entries[key] = entry
        while len(self._entries) > 1 and sum(e.bytes for e in self._entries.values()) > self.limit:
            self._entries.popitem(last=False)

    def clear(self) -> None:
        """Forget everything."""
        self._entries.clear()
