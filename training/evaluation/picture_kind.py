"""Fit the rule that tells what kind of picture a file without a modality shows, on train rows only.

`python -m training.evaluation.picture_kind --bundle DIR --data ../shared/data --write` fits it for a bundle that is
there already and prints how it judges changed train pictures that were held out.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize
from torch import Tensor

from medviewer.models.bundle import load_network, read_info
from medviewer.models.picture_kind import SURE, softmax, summary
from medviewer.models.preprocessing import input_side, into_box, letterbox_of, to_input, to_unit
from medviewer.models.text_sam import MODALITIES, TextSam

from ..data.dataset import PLANES, load_all, plane_slice
from ..data.samples import Sample
from ..transforms.intensity import random_intensity
from ..transforms.spatial import random_grid, sample
from .calibration import write_calibration

VIEWS = 450  # per kind, about a minute on one core in all
CHANGED = 4  # one view in so many is the picture as it is, the others are changed at random
SMALL_CHANCE = 0.15  # of a changed view to be as small as a thumbnail is read
SLICES = {"axial": 8, "coronal": 3, "sagittal": 3}  # of a volume, each as a picture of its own
WIDE_WINDOWS = ((-1000.0, 1000.0), (-1024.0, 3000.0), (-500.0, 1300.0))  # HU, as some publish CT pictures
WIDE_CHANCE = 0.35  # of a changed CT picture to be brought from SOFT, in which most are published, into a wide window
SOFT = (-160.0, 240.0)  # HU
PROJECTED = (-1000, 2000)  # HU that a projection tells apart
FILM = (0.6, 0.12)  # of a torso: the part from the top, and what is left out at both sides, as a film of the chest
KINDS = MODALITIES[1:]  # all but "unknown"
PENALTY = 3e-4  # of 1e-4, 3e-4, 1e-3, 1e-2: the fewest wrong and most sure guesses on held-out train pictures
LEVELS = (0.5, 0.8, 0.9, 0.95, 0.98, 0.99)  # of sureness to print beside SURE
Values = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Picture:
    """Grey values (rows, cols), uint8, of a kind and a set."""

    kind: str
    set: str
    pixels: NDArray[np.uint8]


def main() -> None:
    """Parse the command line, fit, print, and with --write update the bundle's config.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--write", action="store_true", help="update the bundle's config.json")
    options = parser.parse_args()
    torch.set_num_threads(1)
    info = read_info(options.bundle)
    network = load_network(info)
    kept, held = load_all(options.data, 0, info.trained_tiers)
    fitted = fit_picture_kind(network, kept)
    print(json.dumps(judged(network, fitted, held), indent=1))
    if options.write:
        write_calibration(options.bundle, {"picture_kind": fitted})


def fit_picture_kind(network: TextSam, samples: Sequence[Sample], seed: int = 0) -> dict[str, list[float]]:
    """Modality to weights of `PictureKind` by softmax regression, every modality counting alike.

    Fitted on pictures, on slices and projections of volumes as pictures, and on changed versions of all; the same for
    the same seed. Empty unless there are all kinds: a rule that does not know a kind takes its pictures for others.
    """
    pictures = pictures_of(samples)
    names = sorted({picture.kind for picture in pictures})
    if names != sorted(KINDS):
        return {}
    rng = np.random.default_rng(seed)
    groups = [views_of(network, [p for p in pictures if p.kind == name], VIEWS, rng) for name in names]
    truth = np.repeat(np.arange(len(names)), [len(group) for group in groups])
    weights = fit_weights(np.concatenate(groups), truth)
    return {name: [float(f"{w:.5g}") for w in row] for name, row in zip(names, weights, strict=True)}


def pictures_of(samples: Sequence[Sample]) -> list[Picture]:
    """Every real picture, and the volumes as somebody might publish them: slices, and projections of CT as X-rays (the
    permissive sets have none). Not crops of few voxels."""
    pictures: list[Picture] = []
    for one in samples:
        kind, name = one.config.modality, one.config.name
        if kind not in KINDS or one.synthesise or (one.is_volume and one.pool == "small"):
            continue
        windows = WIDE_WINDOWS if one.is_hu else ((0.0, 255.0),)
        for values in _slices(one):
            pictures += [Picture(kind, name, _grey(to_unit(values, window))) for window in windows]
        pictures += [Picture("XR", name, _grey(unit)) for unit in (_projections(one) if one.is_hu else [])]
    return pictures


def _grey(unit: NDArray[np.float32]) -> NDArray[np.uint8]:
    return (unit * 255).astype(np.uint8)


def _projections(one: Sample) -> list[NDArray[np.float32]]:
    """A torso in HU as a radiograph from the front and from the side, each whole and cut to the chest; 0..1."""
    dense = one.image.clip(*PROJECTED) - PROJECTED[0]
    found = []
    for axis in (1, 2):
        summed = dense.mean(axis=axis, dtype=np.float32)[::-1]
        absorbed = 1.0 - np.exp(-1.5 * summed / max(float(np.percentile(summed, 90)), 1e-6))
        low, high = (float(value) for value in np.percentile(absorbed, (2, 99)))
        unit = to_unit(absorbed, (low, max(high, low + 1e-6)))
        rows, columns = unit.shape
        aside = round(FILM[1] * columns)
        found += [unit, unit[: round(FILM[0] * rows), aside : columns - aside]]
    return _no_strips(found)


def _slices(one: Sample) -> list[NDArray[np.generic]]:
    """The picture itself; of a volume slices of its middle four fifths, in planes that are no narrow strips."""
    if not one.is_volume:
        return [one.image[0]]
    found = []
    for plane, count in SLICES.items():
        last = one.image.shape[PLANES.index(plane)] - 1
        numbers = np.unique(np.linspace(0.1 * last, 0.9 * last, count).round().astype(int))
        found += [plane_slice(one.image, plane, int(n)) for n in numbers]
    return _no_strips(found)


def _no_strips(found: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
    return [values for values in found if 2 * min(values.shape) >= max(values.shape)]


def views_of(network: TextSam, pictures: Sequence[Picture], count: int, rng: np.random.Generator) -> Values:
    """Summaries (about count, m) of views of the pictures, sets in proportion to the root of their size."""
    groups: dict[str, list[Picture]] = defaultdict(list)
    for picture in pictures:
        groups[picture.set].append(picture)
    roots = np.sqrt([len(group) for group in groups.values()])
    views = []
    for group, share in zip(groups.values(), roots / roots.sum(), strict=True):
        order = rng.permutation(len(group))
        for number in range(max(1, round(share * count))):
            picture = group[order[number % len(group)]]
            changed = (number + number // len(group)) % CHANGED > 0
            views.append(_view(network, picture, rng if changed else None))
    return np.stack(views)


@torch.inference_mode()
def _view(network: TextSam, picture: Picture, rng: np.random.Generator | None) -> Values:
    """The summary of a picture as the program sees one that records no modality; changed at random with `rng`."""
    rows, columns = picture.pixels.shape
    side = input_side("unknown", rows, columns)
    unit = torch.from_numpy(picture.pixels.astype(np.float32) / 255.0)[None]
    if rng is None:
        seen = into_box(unit[None], letterbox_of(rows, columns, (1.0, 1.0), side))[0].expand(4, -1, -1)
    else:
        side = input_side("unknown", 200, 200) if rng.random() < SMALL_CHANCE else side
        if picture.kind == "CT" and rng.random() < WIDE_CHANCE:
            unit = in_wide_window(unit, rng)
        moved = sample(random_grid(rows, columns, side, rng, 0.5), unit)
        seen = random_intensity(moved.expand(4, -1, -1), picture.kind, rng)
    embedding, _ = network.encode_images(to_input(seen[None]))
    return summary(embedding[0])


def in_wide_window(unit: Tensor, rng: np.random.Generator) -> Tensor:
    """A CT picture (0..1) as if its publisher had shown everything from air to metal: soft tissue has little contrast;
    black stays black."""
    low, width = rng.uniform(-1400.0, -300.0), rng.uniform(1500.0, 4500.0)
    values = SOFT[0] + unit * (SOFT[1] - SOFT[0])
    return ((values - low) / width).clamp(0.0, 1.0) * (unit > 0.01)


def fit_weights(views: Values, truth: NDArray[np.intp], penalty: float = PENALTY) -> Values:
    """Weights (kinds, m) from summaries (n, m) with a last constant 1 and the number of the kind of each, by ridge
    softmax regression on standardised values; the constant's weight is not penalised."""
    middle, spread = views[:, :-1].mean(axis=0), views[:, :-1].std(axis=0) + 1e-6
    scaled = np.append((views[:, :-1] - middle) / spread, np.ones((len(views), 1)), axis=1)
    count = np.bincount(truth)
    share = 1.0 / count[truth] / len(count)
    start = np.zeros(len(count) * scaled.shape[1])
    found = minimize(_loss, start, (scaled, truth, share, penalty), jac=True, method="L-BFGS-B")
    weights = found.x.reshape(len(count), -1)
    slopes = weights[:, :-1] / spread
    return np.append(slopes, (weights[:, -1] - slopes @ middle)[:, None], axis=1)


def _loss(
    flat: Values, views: Values, truth: NDArray[np.intp], share: Values, penalty: float
) -> tuple[float, Values]:
    weights = flat.reshape(-1, views.shape[1])
    held = weights * ([1.0] * (views.shape[1] - 1) + [0.0])
    guessed = softmax(views @ weights.T)
    here = np.arange(len(truth)), truth
    loss = -float(share @ np.log(guessed[here] + 1e-12)) + penalty * float((held * held).sum())
    guessed[here] -= 1.0
    slope = (guessed * share[:, None]).T @ views
    return loss, (slope + 2 * penalty * held).reshape(-1)


def judged(
    network: TextSam, fitted: Mapping[str, Sequence[float]], samples: Sequence[Sample], seed: int = 1
) -> dict[str, dict[str, dict[str, int]]]:
    """Kind, then limit of sureness, to how many views of the samples are judged right, wrong and not at all."""
    rng = np.random.default_rng(seed)
    pictures = pictures_of(samples)
    found = {}
    for kind in sorted({picture.kind for picture in pictures} & fitted.keys()):
        own = [picture for picture in pictures if picture.kind == kind]
        found[kind] = counted(views_of(network, own, CHANGED * len(own), rng), kind, fitted)
    return found


def counted(views: Values, kind: str, fitted: Mapping[str, Sequence[float]]) -> dict[str, dict[str, int]]:
    """Of views of one kind: right, wrong and unclear at each limit of sureness."""
    shares = softmax(views @ np.array(list(fitted.values())).T)
    right = shares.argmax(axis=1) == list(fitted).index(kind)
    sure = shares.max(axis=1)
    return {
        str(level): {
            "right": int((right & (sure >= level)).sum()), "wrong": int((~right & (sure >= level)).sum()),
            "unclear": int((sure < level).sum()),
        }
        for level in sorted({*LEVELS, SURE})
    }


if __name__ == "__main__":
    main()
