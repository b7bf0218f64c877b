"""Which mask of one study is which of the other: by term and side, by name, and by place where there are several."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from medviewer.core.comparison.rules import ComparisonRules
from medviewer.core.comparison.study import PriorStudy
from medviewer.core.geometry import Affine, lps_to_voxel, voxel_to_lps
from medviewer.core.mask_patch import bounding_box
from medviewer.core.segmentation import Segment
from medviewer.core.volume import Volume

How = Literal["term", "name", "overlap", "none"]
Reason = Literal["", "only_current", "only_prior", "several", "elsewhere"]
_MOST_POINTS = 20_000  # of a mask, when two are laid over each other
_Key = tuple[str, str]


@dataclass(frozen=True)
class Match:
    """Two masks of one structure, or one mask without its counterpart and the reason. `overlap`: Dice after the
    registration, None where it was not computed."""

    current_id: str
    prior_id: str
    name: str
    term_id: str
    side: str | None
    how: How
    reason: Reason = ""
    overlap: float | None = None
    reason_text: str = ""

    @property
    def is_pair(self) -> bool:
        return bool(self.current_id and self.prior_id)


def match_segments(
    volume: Volume, segments: Sequence[Segment], prior: PriorStudy, rules: ComparisonRules
) -> tuple[Match, ...]:
    """Every mask of both studies once, those of the current study first and in order.

    One mask of a term and side in each study are taken for the same one, unless a usable registration puts them far
    apart. Several are told apart by overlap after a usable registration, and left unmatched without one. Any thread.
    """
    theirs = [s for s in prior.segments if not (prior.sides_doubtful and s.side)]
    found: dict[str, Match] = {}
    for key in dict.fromkeys(_key(s) for s in (*segments, *theirs)):
        ours_here = [s for s in segments if _key(s) == key]
        theirs_here = [s for s in theirs if _key(s) == key]
        for match in _matched(volume, ours_here, theirs_here, prior, rules):
            found[match.current_id or f"prior {match.prior_id}"] = match
    order = [s.id for s in segments] + [f"prior {s.id}" for s in theirs]
    return tuple(found[one] for one in order if one in found)


def _key(segment: Segment) -> _Key:
    return segment.term_id or segment.name.strip().casefold(), segment.side or ""


def _matched(
    volume: Volume, ours: list[Segment], theirs: list[Segment], prior: PriorStudy, rules: ComparisonRules
) -> list[Match]:
    if not ours or not theirs:
        return [_alone(s, "only_current") for s in ours] + [_alone(s, "only_prior", prior=True) for s in theirs]
    registration = prior.registration
    overlay = None
    if registration is not None and registration.usable and volume.affine is not None and prior.affine is not None:
        overlay = _Overlay(volume, volume.affine, prior, registration.matrix @ prior.affine)
    if len(ours) == len(theirs) == 1:
        return _single(ours[0], theirs[0], overlay, rules)
    if overlay is None:
        return [_alone(s, "several") for s in ours] + [_alone(s, "several", prior=True) for s in theirs]
    return _by_overlap(ours, theirs, overlay, rules.numbers["least_overlap"])


def _single(one: Segment, other: Segment, overlay: _Overlay | None, rules: ComparisonRules) -> list[Match]:
    overlap = None if overlay is None else overlay.dice(one, other)
    if overlay is not None and not overlap and overlay.distance(one, other) > rules.numbers["farthest_mm"]:
        return [_alone(one, "elsewhere", overlap=overlap), _alone(other, "elsewhere", prior=True, overlap=overlap)]
    return [_pair(one, other, "term" if one.term_id else "name", overlap)]


def _by_overlap(ours: list[Segment], theirs: list[Segment], overlay: _Overlay, least: float) -> list[Match]:
    """The assignment with the largest overlap altogether; pairs that overlap too little are not made."""
    from scipy.optimize import linear_sum_assignment

    table = np.array([[overlay.dice(a, b) for b in theirs] for a in ours])
    rows, columns = linear_sum_assignment(-table)
    pairs = {int(r): int(c) for r, c in zip(rows, columns, strict=True) if table[r, c] >= least}
    told = [
        _pair(a, theirs[pairs[n]], "overlap", float(table[n, pairs[n]])) if n in pairs
        else _alone(a, "elsewhere", overlap=float(table[n].max()))
        for n, a in enumerate(ours)
    ]  # fmt: skip
    rest = [b for n, b in enumerate(theirs) if n not in pairs.values()]
    return told + [_alone(b, "elsewhere", prior=True) for b in rest]


def _pair(one: Segment, other: Segment, how: How, overlap: float | None) -> Match:
    return Match(one.id, other.id, one.name, one.term_id or "", one.side, how, "", overlap)


def _alone(segment: Segment, reason: Reason, *, prior: bool = False, overlap: float | None = None) -> Match:
    ids = ("", segment.id) if prior else (segment.id, "")
    return Match(*ids, segment.name, segment.term_id or "", segment.side, "none", reason, overlap)


class _Overlay:
    """Masks of the prior laid over those of the current study: voxel centres, at most some ten thousand of each."""

    def __init__(self, volume: Volume, affine: Affine, prior: PriorStudy, placed: Affine) -> None:
        self._affine, self._placed = affine, placed
        self._ml = abs(float(np.linalg.det(affine[:3, :3]))), abs(float(np.linalg.det(placed[:3, :3])))

    def dice(self, one: Segment, other: Segment) -> float:
        """Twice the shared volume by the sum of both, estimated from the centres of the prior's voxels and of the
        current ones (the mean of both estimates)."""
        sizes = [np.count_nonzero(s.mask) * ml for s, ml in zip((one, other), self._ml, strict=True)]
        there = _inside(one.mask, lps_to_voxel(self._affine, voxel_to_lps(self._placed, _voxels(other.mask))))
        here = _inside(other.mask, lps_to_voxel(self._placed, voxel_to_lps(self._affine, _voxels(one.mask))))
        shared = (there * sizes[1] + here * sizes[0]) / 2
        return float(2 * shared / max(sum(sizes), 1e-9))

    def distance(self, one: Segment, other: Segment) -> float:
        """Between the two centres of gravity, in mm."""
        centres = [
            voxel_to_lps(affine, _voxels(s.mask)).mean(0)
            for s, affine in ((one, self._affine), (other, self._placed))
        ]
        return float(np.linalg.norm(centres[0] - centres[1]))


def _voxels(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Indices of (evenly chosen) voxels of a mask, (n, 3)."""
    box = bounding_box(mask)
    if box is None:
        return np.zeros((1, 3))
    found = np.argwhere(mask[box])
    found = found[:: max(1, len(found) // _MOST_POINTS)]
    return found + np.array([span.start for span in box], float)


def _inside(mask: NDArray[np.bool_], indices: NDArray[np.float64]) -> float:
    """The share of points (voxel indices) that lie in the mask."""
    nearest = np.rint(indices).astype(int)
    valid = ((nearest >= 0) & (nearest < mask.shape)).all(1)
    i, j, k = nearest[valid].T
    return float(mask[i, j, k].sum() / max(len(indices), 1))
