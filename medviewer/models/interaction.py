"""Correcting a mask by clicks and boxes: each acts on its slice, locally, and spreads while the image agrees."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from medviewer.core.progress import Progress
from medviewer.models.decoding import Query, prompted_logits
from medviewer.models.embeddings import VolumeEmbedding
from medviewer.models.mask_decoder import BOX_FIRST, BOX_LAST, NEGATIVE, POSITIVE

REACH = 0.75  # of a change's diameter in its own slice: how far it may reach through slices, on both sides
REACH_NEW = 1.5  # the same where the slice showed nothing of the structure
REACH_REMOVED = 2.0  # the same for what is taken away, which cannot run over
MOST_GROWTH = 1.3  # area of a change in another slice, as a share of that in its own
LOCAL_SHARE = 0.25  # of the longer side of a slice: what the decoder changes farther from all clicks is not taken
MOST_CLICKS = 4  # of one slice that are given to the decoder, as in training; all are enforced
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Click:
    """A click at (slice, row, column) of the stack."""

    place: tuple[int, int, int]
    positive: bool


@dataclass(frozen=True)
class StackBox:
    """A box with inclusive corners (slice, row, column), low and high."""

    low: tuple[int, int, int]
    high: tuple[int, int, int]


@dataclass(frozen=True)
class Corrector:
    """Applies clicks and a box to a mask on the slice stack."""

    query: Query
    embedding: VolumeEmbedding
    has_text: bool

    def apply(self, mask: Mask, clicks: list[Click], box: StackBox | None, progress: Progress) -> Mask:
        """A new mask (slices, rows, columns). It contains every positive click and no negative one."""
        out = mask.copy()
        if box is not None:
            self._box(out, box, progress.part(0.0, 0.5 if clicks else 1.0))
        for number in _to_correct(out, clicks):
            progress.check_cancelled()
            self._slice(out, number, [c for c in clicks if c.place[0] == number], progress)
        for click in clicks:
            progress.check_cancelled()
            self._enforce_after_spread(out, click)
        return out

    def _slice(self, out: Mask, number: int, clicks: list[Click], progress: Progress) -> None:
        before = out[number].copy()
        points = np.array([click.place[1:] for click in clicks[-MOST_CLICKS:]], float)
        labels = np.array([POSITIVE if click.positive else NEGATIVE for click in clicks[-MOST_CLICKS:]])
        previous = before if before.any() or self.has_text else None
        logits = prompted_logits(self.query, self.embedding, number, points, labels, previous)
        out[number] = corrected_slice(before, logits, clicks)
        changes = [asked_for(before, out[number], clicks, added) for added in (True, False)]
        self._spread(out, number, changes, bool(before.any()), progress)

    def _enforce_after_spread(self, out: Mask, click: Click) -> None:
        if out[click.place] != click.positive:
            _disc(out[click.place[0]], click.place[1:], 1.5, click.positive)

    def _spread(self, out: Mask, number: int, changes: list[Mask], known: bool, progress: Progress) -> None:
        """Carry what was added and what was removed to the slices on both sides."""
        step = self.embedding.plan.spacing[0]
        if self.embedding.count == 1 or step <= 0:
            return
        for added, start in zip((True, False), changes, strict=True):
            reach = self._diameter(start) * (REACH_REMOVED if not added else REACH if known else REACH_NEW)
            for direction in (-1, 1):
                change = start
                for place in self._places(number, direction, int(reach / step)):
                    progress.check_cancelled()
                    change = self._follow(out, place, change, added, MOST_GROWTH * start.sum())
                    if not change.any():
                        break

    def _diameter(self, change: Mask) -> float:
        """Of the disc of the same area, in mm: what is missing or too much is mostly as deep as it is wide."""
        _, tall, wide = self.embedding.plan.spacing
        return float(2.0 * np.sqrt(change.sum() * tall * wide / np.pi))

    def _places(self, number: int, direction: int, most: int) -> Iterator[int]:
        for distance in range(1, most + 1):
            place = number + direction * distance
            if 0 <= place < self.embedding.count:
                yield place

    def _follow(self, out: Mask, place: int, change: Mask, added: bool, most: float) -> Mask:
        """Carry a change to the next slice as far as the decoder agrees there, but not to one of more than `most`
        pixels; returns what was changed."""
        if not change.any():
            return change
        before = out[place]
        logits = prompted_logits(self.query, self.embedding, place, *_click_into(change, added), before)
        wanted = ((logits > 0) & ~before) if added else (before & (logits < 0))
        near = ndimage.binary_dilation(change, iterations=max(2, change.shape[0] // 60))
        follows = _touching(wanted & near, change)
        if not 0.25 * change.sum() <= follows.sum() <= most:
            return np.zeros_like(change)
        out[place] = (before | follows) if added else (before & ~follows)
        return follows

    def _box(self, out: Mask, box: StackBox, progress: Progress) -> None:
        first, last = box.low[0], box.high[0]
        inside = np.zeros(out.shape[1:], bool)
        inside[box.low[1] : box.high[1] + 1, box.low[2] : box.high[2] + 1] = True
        corners = np.array([box.low[1:], box.high[1:]], float)
        for number in range(first, last + 1):
            progress.report((number - first) / (last - first + 1), "Segmenting")
            before = out[number].copy()
            labels = np.array([BOX_FIRST, BOX_LAST])
            logits = prompted_logits(self.query, self.embedding, number, corners, labels, None)
            out[number] = np.where(inside, logits > 0, before)
            if first == last:
                changes = [out[number] & ~before, before & ~out[number]]
                self._spread(out, number, changes, bool(before.any()), progress)


def _click_into(change: Mask, added: bool) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """A reader's click in the next slice: the innermost pixel (row, column) of the change, as points and labels."""
    place = np.unravel_index(int(np.argmax(ndimage.distance_transform_edt(np.pad(change, 1)))), np.add(change.shape, 2))
    return np.array([place], float) - 1.0, np.array([POSITIVE if added else NEGATIVE])


def _to_correct(mask: Mask, clicks: list[Click]) -> list[int]:
    """Slices with a click that the mask does not obey yet, and that of the newest click; earlier clicks have had their
    effect on the mask."""
    return list(dict.fromkeys(c.place[0] for c in clicks if bool(mask[c.place]) != c.positive or c is clicks[-1]))


def corrected_slice(before: Mask, logits: NDArray[np.float32], clicks: list[Click]) -> Mask:
    """The slice's new mask: the decoder's changes near the clicks, those farther away that touch a click of the same
    sign, and the clicks themselves."""
    wanted = logits > 0
    near = np.zeros(before.shape, bool)
    for click in clicks:
        _disc(near, click.place[1:], LOCAL_SHARE * max(before.shape), True)
    out = np.where(near, wanted, before)
    out |= asked_for(before, wanted, clicks, True)
    out &= ~asked_for(before, wanted, clicks, False)
    for click in clicks:
        _enforce(out, logits, click)
    return out


def asked_for(before: Mask, after: Mask, clicks: list[Click], added: bool) -> Mask:
    """What was added (else: removed) in one piece with a click that asked for it."""
    change = (after & ~before) if added else (before & ~after)
    spots = np.zeros(before.shape, bool)
    for click in clicks:
        if click.positive is added:
            _disc(spots, click.place[1:], max(2.0, 0.012 * max(before.shape)), True)
    return _touching(change, spots)


def _enforce(out: Mask, logits: NDArray[np.float32], click: Click) -> None:
    """Where the decoder did not follow a click: take the alike surroundings, within a small disc."""
    row, column = click.place[1:]
    if bool(out[row, column]) == click.positive:
        return
    reach = np.zeros(out.shape, bool)
    _disc(reach, (row, column), max(3.0, 0.05 * max(out.shape)), True)
    level = float(logits[row, column])
    alike = (logits >= level - 0.5) if click.positive else (logits <= level + 0.5)
    spot = np.zeros(out.shape, bool)
    _disc(spot, (row, column), 1.5, True)
    region = _touching(alike & reach, spot) | spot
    out[region] = click.positive


def _disc(target: Mask, centre: tuple[int, ...], radius: float, value: bool) -> None:
    rows, columns = np.ogrid[: target.shape[0], : target.shape[1]]
    target[(rows - centre[0]) ** 2 + (columns - centre[1]) ** 2 <= radius**2] = value


def _touching(mask: Mask, seed: Mask) -> Mask:
    """The connected pieces of a mask that overlap a seed."""
    pieces, _ = ndimage.label(mask)
    hit = np.unique(pieces[seed & mask])
    return np.asarray(np.isin(pieces, hit[hit > 0]))
