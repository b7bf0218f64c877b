"""What keeps a fine-tuned network from forgetting: the network as it was answers old prompts on generated pictures and
on the user's own, and the changed one must answer alike (learning without forgetting, Li and Hoiem 2016)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from medviewer.models.text_sam import Decoded, SparsePrompts, TextSam

from .data.batches import Batch, BatchMaker
from .data.samples import Sample
from .data.sets import load_sets, structures
from .synthesis.phantoms import phantom_samples

SIZE, PICTURES = 192, 2  # of a rehearsed batch
RANDOM_TEXTS = 4  # old prompts per picture beside those that it shows
OWN_SHARE = 0.3  # of the rehearsed batches that are the user's own pictures
FEATURES, PRESENCE = 1.0, 0.3  # weights beside the mask's
SEEN = 0.5  # presence from which the old network shows a structure


class Maker(Protocol):
    """Draws batches, as BatchMaker does."""

    def make(self, pictures: int, size: int | None = None) -> Batch:
        """One batch of so many pictures, at an input size."""


class Rehearsal:
    """Draws old prompts and measures how far the network has moved from what it was."""

    def __init__(self, teacher: TextSam, texts: Sequence[str], own: Maker, phantoms: int, seed: int) -> None:
        """`texts`: what the old network knows; `own`: draws the user's pictures."""
        self._teacher, self._texts, self._own = teacher, list(texts), own
        self._rng = np.random.default_rng(seed + 11)
        drawn = generated_samples(phantoms)
        self._generated = BatchMaker(drawn, list(structures()), SIZE, seed + 12) if drawn else None

    @torch.no_grad()
    def known_here(self, pictures: int = 6, size: int = SIZE) -> list[str]:
        """Old prompts that the old network answers on the user's pictures: these are rehearsed there."""
        batch = self._own.make(pictures, size)
        features = self._teacher.encode_images(batch.images)
        best = np.zeros(len(self._texts))
        for picture in range(pictures):
            decoded = _asked(self._teacher, features, [picture] * len(self._texts), self._texts, batch)
            best = np.maximum(best, decoded.presence.sigmoid().numpy())
        return [text for text, value in zip(self._texts, best, strict=True) if value >= SEEN]

    def loss(self, network: TextSam, known_here: Sequence[str]) -> Tensor:
        """Distance of the answers from the old ones on one drawn batch; and of the features, where the pictures are
        generated."""
        own = self._generated is None or (bool(known_here) and self._rng.random() < OWN_SHARE)
        batch = (self._own if own or self._generated is None else self._generated).make(PICTURES, SIZE)
        index, texts = self._prompts(batch, known_here if own else ())
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            old = self._teacher.encode_images(batch.images)
            wanted = _asked(self._teacher, old, index, texts, batch)
        with torch.autocast("cpu", torch.bfloat16):
            new = network.encode_images(batch.images)
            given = _asked(network, new, index, texts, batch)
        total = _unlike(given, wanted)
        if not own:
            total = total + FEATURES * sum(_moved(a, b) for a, b in zip(new, old, strict=True))
        return total

    def _prompts(self, batch: Batch, known_here: Sequence[str]) -> tuple[list[int], list[str]]:
        pairs: list[tuple[int, str]] = []
        known = set(self._texts)
        shown = [*zip(batch.index.tolist(), batch.names, strict=True),
                 *zip(batch.dense_index.tolist(), batch.dense_names, strict=True)]
        for picture in range(len(batch.images)):
            texts = [text for number, text in shown if number == picture and text in known]
            texts += list(self._rng.choice(known_here, min(3, len(known_here)), replace=False)) if known_here else []
            texts += list(self._rng.choice(self._texts, min(RANDOM_TEXTS, len(self._texts)), replace=False))
            pairs += [(picture, str(text)) for text in dict.fromkeys(texts)]
        return [number for number, _ in pairs], [text for _, text in pairs]


def generated_samples(phantoms: int) -> list[Sample]:
    """Torso phantoms as CT, and the same anatomy as pictures of random contrast (as if MR)."""
    if phantoms < 1:
        return []
    config = load_sets()["phantom"]
    scans = phantom_samples(config, range(101, 101 + phantoms))
    other = replace(config, name="phantom MR", modality="MR")
    labels = [s.label.astype(np.uint16) for s in scans]
    drawn = [replace(s, config=other, image=label, label=label, is_hu=False, synthesise=True)
             for s, label in zip(scans, labels, strict=True)]
    return [*scans, *drawn]


def _asked(
    network: TextSam, features: tuple[Tensor, Tensor], index: list[int], texts: Sequence[str], batch: Batch
) -> Decoded:
    """Answers of prompts, each on its picture; the modality is left open."""
    rows = torch.tensor(index)
    modality = torch.zeros(len(index), dtype=torch.long)
    pictures = (features[0].index_select(0, rows), features[1].index_select(0, rows))
    return network.decode(*pictures, network.encode_texts(list(texts)), modality, SparsePrompts())


def _unlike(given: Decoded, wanted: Decoded) -> Tensor:
    """0 where masks and presences are the same: cross entropy beyond the entropy of the old answer, and Dice."""
    before, after = wanted.logits.float(), given.logits.float()
    target = before.sigmoid()
    cross = F.binary_cross_entropy_with_logits(after, target) - F.binary_cross_entropy_with_logits(before, target)
    chance = after.sigmoid()
    shown = (wanted.presence.float() > 0).float()
    dice = 1 - (2 * (chance * target).sum((1, 2)) + 1) / ((chance**2).sum((1, 2)) + (target**2).sum((1, 2)) + 1)
    dice = (dice * shown).sum() / shown.sum().clamp(min=1)
    presence = F.mse_loss(given.presence.float().sigmoid(), wanted.presence.float().sigmoid())
    return 4 * cross + dice + PRESENCE * 10 * presence


def _moved(new: Tensor, old: Tensor) -> Tensor:
    """Mean squared change of features, as a share of their variance."""
    return F.mse_loss(new.float(), old.float()) / old.float().var().clamp(min=1e-6)
