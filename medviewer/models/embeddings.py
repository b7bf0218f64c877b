"""Encoded slices of volumes, kept in memory between prompts."""

from __future__ import annotations

import hashlib
import weakref
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from medviewer.core.progress import Progress
from medviewer.core.volume import Volume
from medviewer.models.cancelling import check
from medviewer.models.channels import Windows, frame_values, to_channels
from medviewer.models.embedding_store import EmbeddingStore
from medviewer.models.ladder import BATCH
from medviewer.models.planes import SlicePlan
from medviewer.models.preprocessing import Letterbox, into_box, letterbox_of, to_input
from medviewer.models.text_sam import TextSam

PREPROCESSING = 1  # grows when the same voxels and weights give other embeddings: older stored ones are not used
Encoded = tuple[Tensor, Tensor]


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


@dataclass
class VolumeEmbedding:
    """Embeddings (dim, s/8, s/8) and features (c, s/2, s/2) in float16 per slice, as far as they fit in memory."""

    plan: SlicePlan
    box: Letterbox
    windows: Windows
    make: Callable[[int, int], Encoded]
    batch: int = BATCH
    slices: dict[int, Encoded] = field(default_factory=dict)
    encoded: int = 0  # slices encoded so far, counting repeats
    spine: NDArray[np.bool_] | None = None  # (slices, rows, columns), kept for judging sides

    @property
    def count(self) -> int:
        return self.plan.shape[0]

    @property
    def bytes(self) -> int:
        return sum(a.numel() * a.element_size() + b.numel() * b.element_size() for a, b in self.slices.values())

    def fill(self, limit: int, progress: Progress) -> None:
        """Encode every slice, keeping what fits in `limit` bytes. Raises Cancelled between batches."""
        for start in range(0, self.count, self.batch):
            progress.report(start / self.count, "Encoding slices")
            numbers = [n for n in range(start, min(start + self.batch, self.count)) if n not in self.slices]
            if numbers and not self._full(limit):
                self.keep(numbers)
        progress.report(1.0, "Encoding slices")

    def _full(self, limit: int) -> bool:
        if not self.slices:
            return False
        return self.bytes * (len(self.slices) + self.batch) / len(self.slices) > limit

    def keep(self, numbers: list[int]) -> None:
        """Encode neighbouring slices and keep them."""
        embedding, features = self._run(numbers)
        for position, number in enumerate(numbers):
            self.slices[number] = (embedding[position], features[position])

    def restore(
        self, store: EmbeddingStore, key: str, shapes: Sequence[tuple[int, ...]], device: torch.device
    ) -> bool:
        """Take all slices from a store; `shapes` of one slice's arrays. False where any is not as it should be."""
        arrays = store.read(key)
        if arrays is None or set(arrays) != set(_STORED):
            return False
        stored = [arrays[name] for name in _STORED]
        wanted = [(self.count, *shape) for shape in shapes]
        if [a.shape for a in stored] != wanted or any(a.dtype != np.float16 for a in stored):
            return False
        parts = [torch.from_numpy(array).to(device) for array in stored]
        self.slices = {n: (parts[0][n], parts[1][n]) for n in range(self.count)}
        return True

    def keep_in(self, store: EmbeddingStore, key: str) -> None:
        """Give all slices to a store, where none had to be left out."""
        if len(self.slices) == self.count:
            ordered = [self.slices[n] for n in range(self.count)]
            pieces = {name: [part[i].cpu().numpy() for part in ordered] for i, name in enumerate(_STORED)}
            store.write(key, pieces)

    def get(self, numbers: list[int]) -> Encoded:
        """Stacked float32 (n, ...) of slices; those not kept are encoded again."""
        missing = [n for n in numbers if n not in self.slices]
        fresh = {}
        if missing:
            embedding, features = self._run(missing)
            fresh = {n: (embedding[p], features[p]) for p, n in enumerate(missing)}
        parts = [self.slices[n] if n in self.slices else fresh[n] for n in numbers]
        return torch.stack([p[0] for p in parts]).float(), torch.stack([p[1] for p in parts]).float()

    def _run(self, numbers: list[int]) -> Encoded:
        self.encoded += len(numbers)
        parts = [self.make(n, n + 1) for n in numbers] if np.diff(numbers).max(initial=1) > 1 else [
            self.make(numbers[0], numbers[-1] + 1)
        ]
        return torch.cat([p[0] for p in parts]), torch.cat([p[1] for p in parts])


def slice_encoder(
    network: TextSam, volume: Volume, plan: SlicePlan, windows: Windows, device: torch.device
) -> tuple[Letterbox, Callable[[int, int], Encoded]]:
    """The letterbox of a volume's slices and a function that encodes slices start..stop to float16 on the device."""
    stack = _colour_stack(volume.array, plan) if volume.is_color else plan.to_stack(volume.array)
    box = letterbox_of(plan.shape[1], plan.shape[2], plan.spacing[1:], network.config.size)

    def make(start: int, stop: int) -> Encoded:
        unit = into_box(to_channels(frame_values(volume, stack, start, stop), windows), box)
        images = to_input(unit).to(device).contiguous(memory_format=torch.channels_last)
        embedding, features = network.encode_images(images)
        return embedding.half(), features.half()

    return box, make


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
