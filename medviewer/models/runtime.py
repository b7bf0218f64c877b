"""How a loaded network is run: device, batch, precision, embeddings in memory and in a store, and memory that ends."""

from __future__ import annotations

import mmap
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from typing import TypeVar

import torch

from medviewer.core.progress import Progress
from medviewer.core.volume import Volume
from medviewer.models.cancelling import watch_blocks
from medviewer.models.channels import Windows
from medviewer.models.embedding_store import EmbeddingStore
from medviewer.models.embeddings import MAPPED_ABOVE, EmbeddingCache, VolumeEmbedding, content_key, slice_encoder
from medviewer.models.footprint import Footprint
from medviewer.models.ladder import first_effort, is_out_of_memory, not_enough, release
from medviewer.models.text_sam import TextSam
from medviewer.models.views import View

T = TypeVar("T")


class Runtime:
    """One network on one device. Called by one thread at a time; its owner sees to that.

    `effort` is how the network is run now; it gets lighter each time memory runs out and tells so in its `notice`.
    """

    def __init__(
        self, network: TextSam, device: torch.device, cache_bytes: int, store: EmbeddingStore | None = None,
        free_memory: Callable[[], int] | None = None,
    ) -> None:
        self.network, self.effort = network, first_effort(device)
        self.cache = EmbeddingCache(cache_bytes)
        self.texts: dict[str | None, torch.Tensor] = {}
        self._store, self._free_memory = store, free_memory
        self._footprint = Footprint.of(network.config)
        watch_blocks(network)
        self.attempt(self._move, "for this model")

    # -- memory that runs out -----------------------------------------------------
    def attempt(self, work: Callable[[], T], what: str) -> T:
        """Do some work; where memory runs out, let go of everything and do it again with less. Raises InputRefused."""
        while True:
            try:
                with self._computing():
                    return work()
            except (MemoryError, RuntimeError) as error:
                if not is_out_of_memory(error):
                    raise
            self._step_down(what)  # out here, nothing refers to the failed attempt's tensors any more

    def _step_down(self, what: str) -> None:
        lighter = self.effort.lighter()
        self.cache.clear()
        self.texts.clear()
        release(self.effort.device)
        if lighter is None:
            self.effort = replace(first_effort(self.effort.device), gave_up=self.effort.gave_up)
            raise not_enough(what)
        left = self.effort.device
        self.effort = lighter
        if lighter.device != left:
            self._move()
            release(left)

    def _move(self) -> None:
        self.network.to(self.effort.device)

    @contextmanager
    def _computing(self) -> Iterator[None]:
        kind = self.effort.arithmetic
        cast = torch.autocast(self.effort.device.type, kind, enabled=True) if kind != torch.float32 else nullcontext()
        with torch.inference_mode(), cast:
            yield

    def notice(self, embedding: VolumeEmbedding) -> str:
        """What the user is told about how an answer was computed; empty where nothing was short."""
        return replace(self.effort, batch=embedding.batch).notice

    # -- embeddings -----------------------------------------------------------------
    def embedding(
        self, volume: Volume, view: View, windows: Windows, weights: str, progress: Progress
    ) -> VolumeEmbedding:
        """A view's slices, encoded: from memory, from the store, or by the network. `weights`: their SHA-256."""
        effort = f"{self.effort.device.type} {self.effort.precision} {torch.__version__}"
        key = content_key(volume, f"{weights} {windows} {view} {effort}")
        entry = self.cache.get(key)
        if entry is None:
            make = slice_encoder(self.network, volume, view, windows, self.effort.device)
            shapes = self.network.config.embedding_shapes(view.box.size)
            entry = VolumeEmbedding(view, windows, make, shapes, self.effort.batch)
            self._fill(entry, key, progress)
            self.cache.put(key, entry)
        return entry

    def _fill(self, entry: VolumeEmbedding, key: str, progress: Progress) -> None:
        limit = self._fit(entry)
        size = entry.slice_bytes * entry.count
        fits = size <= limit or size > MAPPED_ABOVE
        if self._store is not None and fits and entry.restore(self._store, key, self.effort.device):
            return
        entry.fill(limit, progress, self._scratch)
        if self._store is not None:
            entry.keep_in(self._store, key)

    def _scratch(self, size: int) -> mmap.mmap | None:
        """Room on the disk; none for a GPU's embeddings, which stay on the GPU or are computed again."""
        if self._store is None or self.effort.device.type != "cpu":
            return None
        return self._store.scratch(size)

    def _fit(self, entry: VolumeEmbedding) -> int:
        """Choose a batch that the free memory takes; returns how many bytes of embeddings may be kept."""
        if self._free_memory is None:
            return self.cache.limit
        shape, side = entry.plan.shape, entry.box.size
        least = self._footprint.to_answer(shape, side) + self._footprint.to_encode(shape, entry.batch, side)
        if least + entry.slice_bytes * entry.count > self._free_memory():
            self.cache.clear()  # other scans' embeddings are in the way
            release(self.effort.device)
        room = self._free_memory() - self._footprint.to_answer(shape, side)
        while self._footprint.to_encode(shape, entry.batch, side) > room:
            if entry.batch == 1:
                raise not_enough("to encode this scan")
            entry.batch = max(1, entry.batch // 4)
        return min(self.cache.limit, room - self._footprint.to_encode(shape, entry.batch, side))
