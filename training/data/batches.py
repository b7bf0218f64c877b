"""From drawn pictures to the tensors of one training step."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from torch import Tensor

from medviewer.models.preprocessing import to_input
from medviewer.models.text_sam import MODALITIES

from ..synthesis.cardiac import recolour_labels
from ..synthesis.label_maps import synthetic_picture
from ..transforms.clicks import PairPrompt, draw_prompt
from ..transforms.intensity import hu_channels, in_tissue_window, random_intensity
from ..transforms.spatial import random_grid, sample
from ..transforms.wording import Wording
from .dataset import Drawer, Drawn
from .samples import Sample

Pair = tuple[int, str, bool, Tensor, str]  # picture, name, visible, mask, modality
TISSUE_CHANCE = 0.8  # of a CT picture in a wide window to be seen as the program sees it
MIN_VISIBLE = 8.0  # input pixels left after cropping for a structure to count as visible


@dataclass
class Batch:
    """n pictures (n, 4, s, s) and p pairs; `index` (p,) says which picture a pair belongs to."""

    images: Tensor
    index: Tensor
    texts: list[str | None]
    names: list[str]
    modality: Tensor
    target: Tensor  # (p, s/2, s/2) in 0..1
    visible: Tensor
    presence_known: Tensor
    points: Tensor
    labels: Tensor
    masks: Tensor
    has_mask: Tensor
    dense_index: Tensor  # (q,) picture of each name in `dense_names`
    dense_names: list[str]
    dense_target: Tensor  # (q, s/2, s/2)

    def to(self, device: torch.device) -> Batch:
        """The batch with its tensors on a device."""
        values: dict[str, Any] = {field.name: getattr(self, field.name) for field in fields(self)}
        for name, value in values.items():
            if isinstance(value, Tensor):
                values[name] = value.to(device)
        return Batch(**values)


class BatchMaker:
    """Draws batches; one random state, so one instance per thread."""

    def __init__(self, samples: Sequence[Sample], names: Sequence[str], size: int, seed: int) -> None:
        self.rng = np.random.default_rng(seed + 1)
        self.drawer = Drawer(samples, seed)
        self.wording = Wording(names, self.rng)
        self.size = size

    def restart(self, *numbers: int) -> None:
        """Draw from here on what these numbers give."""
        restart(self.rng, 1, *numbers)
        restart(self.drawer.rng, 2, *numbers)

    def make(self, pictures: int, size: int | None = None) -> Batch:
        """One batch of `pictures` pictures with their pairs, at another input size than usual if given."""
        self.size = size or self.size
        images: list[Tensor] = []
        pairs: list[Pair] = []
        dense: list[tuple[int, str, Tensor]] = []
        while len(images) < pictures:
            drawn = self.drawer.draw()
            if not drawn.prompts:
                continue
            image, found = self._picture(drawn)
            masks = [found[name] for name, _ in drawn.prompts]
            dense += [(len(images), name, found[name]) for name, _ in drawn.dense]
            for (name, shown), mask in zip(drawn.prompts, masks, strict=True):
                pairs.append((len(images), name, shown, mask, drawn.sample.config.modality))
            images.append(image)
        return self._collate(images, pairs, dense)

    def _picture(self, drawn: Drawn) -> tuple[Tensor, dict[str, Tensor]]:
        """Input (4, s, s) and the masks (s, s) of all drawn names."""
        tables = drawn.sample.tables
        wanted = dict((*drawn.prompts, *drawn.dense))
        shown = [name for name, visible in wanted.items() if visible]
        masks = [tables[name][drawn.label].astype(np.float32) for name in shown]
        masks = masks or [np.zeros(drawn.label.shape, np.float32)]
        channels = torch.cat([self._channels(drawn), torch.from_numpy(np.stack(masks))])
        rows, cols = drawn.label.shape
        flip = 0.0 if drawn.plane == "sagittal" else drawn.sample.config.flip
        grid = random_grid(rows, cols, self.size, self.rng, flip, drawn.sample.config.turn)
        moved = sample(grid, channels)
        none = torch.zeros(self.size, self.size)
        found = dict.fromkeys(wanted, none) | dict(zip(shown, moved[4:], strict=False))
        image = random_intensity(moved[:4], drawn.sample.config.modality, self.rng)
        if drawn.sample.config.modality == "CT" and self.rng.random() < TISSUE_CHANCE:
            image = in_tissue_window(image)
        return to_input(image), found

    def _channels(self, drawn: Drawn) -> Tensor:
        if drawn.sample.is_hu:
            return hu_channels(drawn.image, self.rng)
        if drawn.sample.synthesise:
            picture = synthetic_picture(drawn.label, self.rng)
            return torch.from_numpy(np.ascontiguousarray(picture, np.float32) / 255.0).expand(4, -1, -1)
        unit = np.ascontiguousarray(drawn.image, np.float32) / 255.0
        if self.rng.random() < drawn.sample.config.recolour:
            return torch.from_numpy(recolour_labels(unit[0], drawn.label, self.rng)).expand(4, -1, -1)
        return torch.from_numpy(unit)[[0, 0, 1, 2]]

    def _collate(self, images: list[Tensor], pairs: list[Pair], dense: list[tuple[int, str, Tensor]]) -> Batch:
        truths = torch.stack([pair[3] for pair in pairs])
        areas = truths.sum((1, 2))
        visible = torch.tensor([pair[2] for pair in pairs]) & (areas >= MIN_VISIBLE)
        prompts = [draw_prompt(t, bool(v), self.rng) for t, v in zip(truths, visible, strict=True)]
        half = self.size // 2
        empty = torch.zeros(half, half)
        texts = [self.wording.draw(pair[1]) if p.use_text else None for pair, p in zip(pairs, prompts, strict=True)]
        text_alone = torch.tensor([_text_alone(p) for p in prompts])
        return Batch(
            images=torch.stack(images).contiguous(memory_format=torch.channels_last),
            index=torch.tensor([pair[0] for pair in pairs]),
            texts=texts,
            names=[pair[1] for pair in pairs],
            modality=torch.tensor([self._modality(pair[4]) for pair in pairs]),
            target=torch.nn.functional.avg_pool2d(truths[:, None], 2)[:, 0] * (areas >= MIN_VISIBLE)[:, None, None],
            visible=visible,
            # a structure cut off to a few pixels by the crop is neither
            presence_known=text_alone & ((areas >= 4 * MIN_VISIBLE) | (areas == 0)),
            points=torch.from_numpy(np.stack([p.points for p in prompts])),
            labels=torch.from_numpy(np.stack([p.labels for p in prompts])),
            masks=torch.stack([empty if p.mask is None else p.mask for p in prompts])[:, None],
            has_mask=torch.tensor([p.mask is not None for p in prompts]),
            dense_index=torch.tensor([entry[0] for entry in dense]),
            dense_names=[self.wording.draw(entry[1]) for entry in dense],
            dense_target=torch.nn.functional.avg_pool2d(torch.stack([entry[2] for entry in dense])[:, None], 2)[:, 0],
        )

    def _modality(self, modality: str) -> int:
        return 0 if self.rng.random() < 0.35 else MODALITIES.index(modality)


def _text_alone(prompt: PairPrompt) -> bool:
    return prompt.use_text and prompt.mask is None and bool((prompt.labels < 0).all())


@dataclass(frozen=True)
class Share:
    """How one pool of samples enters a step: with what chance, how many pictures, at which input sizes."""

    pool: str
    chance: float
    sizes: tuple[tuple[int, int], ...]  # (input side, pictures), one of them is drawn


SHARES = (
    Share("main", 1.0, ((256, 5), (192, 8), (192, 8))),
    Share("x-ray", 0.3, ((320, 2),)),
    Share("small", 0.25, ((128, 6),)),
)


class StepMaker:
    """Draws the batches of one optimizer step: one of the main pool and, now and then, one of the others.

    What is drawn depends on the seed and the number of the step alone, so a run that was stopped goes on with the very
    pictures that it would have seen. `rank` is the number of the process: all draw from the same pools at the same
    sizes, each its own pictures.
    """

    def __init__(
        self, samples: Sequence[Sample], names: Sequence[str], seed: int, shares: Sequence[Share] = SHARES,
        rank: int = 0,
    ) -> None:
        self.rng = np.random.default_rng(seed)
        self.seed, self.rank = seed, rank
        pools = {s.pool for s in samples}
        self.makers = {
            share: BatchMaker([s for s in samples if s.pool == share.pool], names, share.sizes[0][0], seed)
            for share in shares if share.pool in pools and share.chance > 0
        }

    def make(self, step: int) -> list[Batch]:
        """One to three batches of the step of this number."""
        restart(self.rng, self.seed, step)
        for number, maker in enumerate(self.makers.values()):
            maker.restart(self.seed, step, number, self.rank)
        batches: list[Batch] = []
        while not batches:
            batches = list(self._draw())
        return batches

    def _draw(self) -> Iterator[Batch]:
        for share, maker in self.makers.items():
            if self.rng.random() < share.chance:
                size, pictures = share.sizes[int(self.rng.integers(len(share.sizes)))]
                yield maker.make(pictures, size)


def restart(rng: np.random.Generator, *numbers: int) -> None:
    """Put a generator into the state that these numbers give."""
    rng.bit_generator.state = np.random.PCG64(np.random.SeedSequence(numbers)).state


class Prefetch:
    """Makes the batches of the next steps on one background thread, from step `first` on."""

    def __init__(self, maker: StepMaker, first: int = 0, ahead: int = 4) -> None:
        self._queue: queue.Queue[list[Batch] | BaseException] = queue.Queue(ahead)
        self._maker = maker
        self._first = first
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._fill, name="training data", daemon=True)
        self._thread.start()

    def _fill(self) -> None:
        step = self._first
        try:
            while not self._closed.is_set():
                self._put(self._maker.make(step))
                step += 1
        except BaseException as error:  # told to whoever waits for the batches
            self._put(error)

    def _put(self, item: list[Batch] | BaseException) -> None:
        while not self._closed.is_set():
            with contextlib.suppress(queue.Full):
                return self._queue.put(item, timeout=0.2)

    def next(self) -> list[Batch]:
        """The next step's batches. Raises what stopped the background thread."""
        item = self._queue.get()
        if isinstance(item, BaseException):
            raise item
        return item

    def close(self) -> None:
        """End the background thread; what it made is forgotten."""
        self._closed.set()
        self._thread.join(timeout=60)
