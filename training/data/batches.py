"""From drawn pictures to the tensors of one training step."""

from __future__ import annotations

import queue
import threading
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from medviewer.models.preprocessing import to_input
from medviewer.models.text_sam import MODALITIES

from ..synthesis.label_maps import synthetic_picture
from ..transforms.clicks import PairPrompt, draw_prompt
from ..transforms.intensity import hu_channels, random_intensity
from ..transforms.spatial import random_grid, sample
from ..transforms.wording import Wording
from .dataset import Drawer, Drawn
from .samples import Sample

Pair = tuple[int, str, bool, Tensor, str]  # picture, name, visible, mask, modality
MIN_VISIBLE = 8.0  # input pixels left after cropping for a structure to count as visible


@dataclass
class Batch:
    """n pictures (n, 2, s, s) and p pairs; `index` (p,) says which picture a pair belongs to."""

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


class BatchMaker:
    """Draws batches; one random state, so one instance per thread."""

    def __init__(self, samples: Sequence[Sample], names: Sequence[str], size: int, seed: int) -> None:
        self.rng = np.random.default_rng(seed + 1)
        self.drawer = Drawer(samples, seed)
        self.wording = Wording(names, self.rng)
        self.size = size

    def make(self, pictures: int) -> Batch:
        """One batch of `pictures` pictures with their pairs."""
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
        """Input (2, s, s) and the masks (s, s) of all drawn names."""
        tables = drawn.sample.tables
        wanted = dict((*drawn.prompts, *drawn.dense))
        shown = [name for name, visible in wanted.items() if visible]
        masks = [tables[name][drawn.label].astype(np.float32) for name in shown]
        masks = masks or [np.zeros(drawn.label.shape, np.float32)]
        channels = torch.cat([self._channels(drawn), torch.from_numpy(np.stack(masks))])
        rows, cols = drawn.label.shape
        flip = 0.0 if drawn.plane == "sagittal" else drawn.sample.config.flip
        moved = sample(random_grid(rows, cols, self.size, self.rng, flip), channels)
        none = torch.zeros(self.size, self.size)
        found = dict.fromkeys(wanted, none) | dict(zip(shown, moved[2:], strict=False))
        return to_input(random_intensity(moved[:2], self.rng)), found

    def _channels(self, drawn: Drawn) -> Tensor:
        if drawn.sample.is_hu:
            return hu_channels(drawn.image, self.rng)
        picture = synthetic_picture(drawn.label, self.rng) if drawn.sample.synthesise else drawn.image
        unit = torch.from_numpy(np.ascontiguousarray(picture, np.float32) / 255.0)
        return unit.expand(2, -1, -1)

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


class Prefetch:
    """Makes batches on one background thread."""

    def __init__(self, maker: BatchMaker, pictures: int, ahead: int = 4) -> None:
        self._queue: queue.Queue[Batch] = queue.Queue(ahead)
        self._maker, self._pictures = maker, pictures
        self._thread = threading.Thread(target=self._fill, daemon=True)
        self._thread.start()

    def _fill(self) -> None:
        while True:
            self._queue.put(self._maker.make(self._pictures))

    def next(self) -> Batch:
        """The next batch. Raises RuntimeError if the background thread died."""
        while True:
            try:
                return self._queue.get(timeout=5)
            except queue.Empty:
                if not self._thread.is_alive():
                    raise RuntimeError("the data thread stopped") from None
