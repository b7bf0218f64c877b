"""Simulated corrections: clicks at the centre of the largest error, through the program's own way of correcting.

As in the window, every click is kept and the mask shown is the one that is corrected. The centre is the voxel deepest
inside the largest connected piece of missing or of surplus mask (in 3D for volumes).
"""

from __future__ import annotations

import zlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from medviewer.core.geometry import voxel_to_lps
from medviewer.core.prediction import PointPrompt
from medviewer.core.terminology import Terminology
from medviewer.core.volume import Volume

from ..data.dev_cases import Case, Mask
from .asking import Segmenter, prompt_of
from .intervals import mean_interval
from .overlap import dice, scale_of
from .scores import NOT_ASKED

CLICKS = 5
CASES_PER_SET = 12
_FACES = ndimage.generate_binary_structure(3, 1)


@dataclass(frozen=True)
class ClickRun:
    """One structure of one scan: Dice and error voxels after 0 (text alone), 1, ... clicks."""

    set: str
    structure: str
    key: str
    unit: str
    unit_kind: str
    dice: tuple[float, ...]
    errors: tuple[int, ...]

    @property
    def fall(self) -> float | None:
        """Share of the error that the first click removed (below 0: it grew); None where there was none."""
        return None if self.errors[0] == 0 else 1.0 - self.errors[1] / self.errors[0]


def click_runs(segmenter: Segmenter, terminology: Terminology, case: Case, most: int) -> Iterator[ClickRun]:
    """At most `most` structures of a scan, chosen by hash, that the model was trained for."""
    names = sorted(case.truths, key=lambda name: zlib.crc32(f"{case.key} {name}".encode()))
    for name in names[:most]:
        run = simulate(segmenter, terminology, case, name)
        if run is not None:
            yield run


def simulate(segmenter: Segmenter, terminology: Terminology, case: Case, name: str) -> ClickRun | None:
    """Text, then five clicks; None for a term the model was not trained for."""
    truth, prompt = case.truths[name], prompt_of(name, terminology)
    answer = segmenter.segment(case.volume, prompt)
    if str(answer.answer) in NOT_ASKED:
        return None
    masks, points = [answer.mask], []
    for _ in range(CLICKS):
        place = error_centre(masks[-1], truth, scale_of(case.volume).step)
        if place is not None:
            points.append(PointPrompt(_position(case.volume, place), bool(truth[place])))
            earlier = masks[-1] if masks[-1].any() else None
            answer = segmenter.segment(case.volume, prompt, points=tuple(points), previous=earlier)
        masks.append(answer.mask)
    errors = tuple(int((mask ^ truth).sum()) for mask in masks)
    return ClickRun(
        case.set, name, case.key, case.unit, case.unit_kind, tuple(dice(mask, truth) for mask in masks), errors
    )


def error_centre(mask: Mask, truth: Mask, step: tuple[float, float, float]) -> tuple[int, int, int] | None:
    """The deepest voxel (i, j, k) of the largest piece of error; None where there is no error."""
    pieces = [_largest(truth & ~mask), _largest(mask & ~truth)]
    size, piece, corner = max(pieces, key=lambda found: found[0])
    if size == 0:
        return None
    pad = [(1, 1), (1, 1), (0, 0) if mask.shape[2] == 1 else (1, 1)]
    depth = ndimage.distance_transform_edt(np.pad(piece, pad), sampling=step)
    place = np.unravel_index(int(np.argmax(depth)), depth.shape)
    ijk = [int(at) - before[0] + start for at, before, start in zip(place, pad, corner, strict=True)]
    return ijk[0], ijk[1], ijk[2]


def _largest(error: Mask) -> tuple[int, NDArray[np.bool_], tuple[int, ...]]:
    """Size, piece (cropped) and the corner of the crop of the largest connected piece."""
    labels, count = ndimage.label(error, _FACES)
    if count == 0:
        return 0, error, (0, 0, 0)
    sizes = np.bincount(labels.reshape(-1))
    sizes[0] = 0
    number = int(np.argmax(sizes))
    box = ndimage.find_objects(labels, number)[number - 1]
    return int(sizes[number]), np.asarray(labels[box] == number), tuple(part.start for part in box)


def _position(volume: Volume, place: tuple[int, int, int]) -> tuple[float, float, float]:
    found = np.asarray(place, float) if volume.affine is None else voxel_to_lps(volume.affine, place)
    return float(found[0]), float(found[1]), float(found[2])


# -- the table --------------------------------------------------------------------------------------------------------
def click_table(runs: Sequence[ClickRun]) -> list[dict[str, Any]]:
    """One row per set, and one for all."""
    groups: dict[str, list[ClickRun]] = defaultdict(list)
    for run in runs:
        groups[run.set].append(run)
    rows = [_row(name, group) for name, group in sorted(groups.items())]
    return [*rows, _row("all", list(runs))] if rows else []


def _row(name: str, runs: Sequence[ClickRun]) -> dict[str, Any]:
    falls = [(run.fall, run.unit) for run in runs if run.fall is not None]
    values = [fall for fall, _ in falls]
    interval = mean_interval(values, [unit for _, unit in falls])
    pooled = 1.0 - sum(r.errors[1] for r in runs) / max(1, sum(r.errors[0] for r in runs))
    unit = runs[0].unit_kind if name != "all" else "scans"
    row = {"set": name, "n": len(runs), "units": interval.units, "unit": unit,
           "fall": float(np.mean(values)) if values else None, "fall_low": interval.low, "fall_high": interval.high,
           "fall_median": float(np.median(values)) if values else None, "fall_pooled": pooled,
           "worse": sum(value < 0 for value in values)}
    return row | {f"dice_{n}": float(np.mean([run.dice[n] for run in runs])) for n in range(CLICKS + 1)}
