"""All samples of a use, and the balanced drawing of (picture, prompts) from them."""

from __future__ import annotations

import math
import zlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..synthesis.label_maps import random_anatomy
from ..synthesis.lesions import OEDEMA
from ..synthesis.phantoms import phantom_samples
from .samples import Sample, in_validation, load_sample, read_rows
from .sets import SetConfig, load_sets

PLANES = ("axial", "coronal", "sagittal")
PLANE_SHARE = (0.7, 0.15, 0.15)
Prompts = tuple[tuple[str, bool], ...]
PROMPTS = 2  # per picture
TUMOUR = "brain tumor"  # what a planted tumour is trained as
SEEN_PIXELS = 12  # a structure with fewer pixels in a slice is not drawn as visible, nor as absent


@dataclass(frozen=True)
class Drawn:
    """One picture drawn for training: codes (rows, cols), intensities (3, rows, cols) of the slice and of those before
    and behind it (the slice again where there are none), and (name, visible) prompts; `dense` are further names known
    to be visible or absent, for the encoder alone."""

    sample: Sample
    image: NDArray[np.generic]
    label: NDArray[np.generic]
    prompts: tuple[tuple[str, bool], ...]
    plane: str = "axial"
    dense: tuple[tuple[str, bool], ...] = ()


def load_all(
    data: Path, phantoms: int, tiers: Sequence[str] = (), only: Sequence[str] = (), share: float = 1.0
) -> tuple[list[Sample], list[Sample]]:
    """(training, validation) samples of every `train` row of the licence tiers (empty: all) and sets (empty: all), and
    generated phantoms (training only). `share`: a fixed part of the training rows of each set; the validation rows stay
    the same. Raises InputRefused for a row that cannot be used."""
    sets = load_sets()
    chosen, checking = choose_rows(data, tiers, only, share)
    kept = [load_sample(data, row, sets[row["set"]]) for row in chosen]
    held = [load_sample(data, row, sets[row["set"]]) for row in checking]
    if "phantom" in sets and phantoms:
        kept += phantom_samples(sets["phantom"], range(1, phantoms + 1))
    return kept, held


def choose_rows(
    data: Path, tiers: Sequence[str] = (), only: Sequence[str] = (), share: float = 1.0
) -> tuple[list[dict[str, str]], list[dict[str, str]]]:
    """The manifest's (training, validation) rows that `load_all` reads."""
    by_set: dict[str, list[dict[str, str]]] = defaultdict(list)
    for row in read_rows(data, "train", tiers):
        if not only or row["set"] in only:
            by_set[row["set"]].append(row)
    kept: list[dict[str, str]] = []
    held: list[dict[str, str]] = []
    for name in load_sets():
        rows = by_set[name]
        checking = [row for row in rows if in_validation(row["path"], len(rows))]
        held += checking
        kept += fixed_share([row for row in rows if row not in checking], share)
    return kept, held


def fixed_share(rows: Sequence[dict[str, str]], share: float) -> list[dict[str, str]]:
    """At least one of the rows, the same ones whenever asked; those of a smaller share are among those of a larger."""
    order = sorted(rows, key=lambda row: zlib.crc32(f"share {row['path']} {row['label_path']}".encode()))
    taken = {id(row) for row in order[: math.ceil(share * len(rows))]}
    return [row for row in rows if id(row) in taken]


def plane_slice(array: NDArray[np.generic], plane: str, index: int) -> NDArray[np.generic]:
    """A slice (rows, cols) of an LPS-ordered (z, y, x) array in radiological display orientation."""
    if plane == "axial":
        return array[index]
    return (array[:, index, :] if plane == "coronal" else array[:, :, index])[::-1]


class Drawer:
    """Draws pictures: first the set by weight, then a structure, then a picture that shows it."""

    def __init__(self, samples: Sequence[Sample], seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.by_set: dict[str, list[Sample]] = defaultdict(list)
        for sample in samples:
            self.by_set[sample.config.name].append(sample)
        self.names = list(self.by_set)
        weights = np.array([self.by_set[name][0].config.weight for name in self.names])
        self.weights = weights / weights.sum()
        self.seen = {id(s): _slices_with(s) for s in samples}
        self.showing = {name: self._showing(group) for name, group in self.by_set.items()}

    def _showing(self, group: Sequence[Sample]) -> dict[str, list[Sample]]:
        showing: dict[str, list[Sample]] = defaultdict(list)
        for sample in group:
            for name in self.seen[id(sample)]:
                showing[name].append(sample)
        return showing

    def draw(self) -> Drawn:
        """One picture with up to PROMPTS prompts."""
        group = str(self.rng.choice(self.names, p=self.weights))
        showing = self.showing[group]
        if not showing or self.rng.random() < 0.1:
            samples = self.by_set[group]
            return self._view(samples[int(self.rng.integers(len(samples)))], None)
        names = list(showing)
        share = np.sqrt([len(showing[name]) for name in names])
        wanted = str(self.rng.choice(names, p=share / share.sum()))
        return self._view(showing[wanted][int(self.rng.integers(len(showing[wanted])))], wanted)

    def _view(self, sample: Sample, wanted: str | None) -> Drawn:
        plane, index = "axial", 0
        if sample.is_volume:
            plane = str(self.rng.choice(PLANES, p=PLANE_SHARE))
            axis = PLANES.index(plane)
            index = int(self.rng.integers(sample.label.shape[axis]))
            if wanted is not None and self.rng.random() < 0.65:
                choices = self.seen[id(sample)][wanted][axis]
                index = int(choices[self.rng.integers(len(choices))]) if len(choices) else index
        label = plane_slice(sample.label, plane, index)
        if sample.synthesise and sample.config.tumours:
            label = random_anatomy(label, self.rng, sample.config.tumours)
            if self.rng.random() < 0.5 and int(label.max()) >= OEDEMA:
                wanted = TUMOUR  # one of a dozen structures of the slice: it would rarely be asked for
        image = label[None] if sample.synthesise else self._with_neighbours(sample, plane, index)
        prompts, dense = self._prompts(sample, label, wanted)
        return Drawn(sample, image, label, prompts, plane, dense)

    def _with_neighbours(self, sample: Sample, plane: str, index: int) -> NDArray[np.generic]:
        """(3, rows, cols): the slice, and those a few voxels before and behind it in random order; or thrice the slice,
        as it is where the scan has none."""
        last = sample.label.shape[PLANES.index(plane)] - 1
        step = int(self.rng.integers(1, 4)) * (1 if self.rng.random() < 0.5 else -1)
        if not sample.is_volume or self.rng.random() < 0.25:
            step = 0
        numbers = [index, min(max(index - step, 0), last), min(max(index + step, 0), last)]
        return np.stack([plane_slice(sample.image, plane, n) for n in numbers])

    def _prompts(self, sample: Sample, label: NDArray[np.generic], wanted: str | None) -> tuple[Prompts, Prompts]:
        counts = np.bincount(label.reshape(-1))
        sizes = {name: int(counts[table[: len(counts)]].sum()) for name, table in sample.tables.items()}
        visible = [name for name, size in sizes.items() if size >= SEEN_PIXELS and name != wanted]
        self.rng.shuffle(visible)
        if wanted is not None and sizes.get(wanted, 0) >= SEEN_PIXELS:
            visible.insert(0, wanted)
        absent = self._absent(sample.config, sizes)
        if wanted is not None and sizes.get(wanted, 0) == 0:  # a slice beyond the structure's end
            absent = [wanted, *(name for name in absent if name != wanted)]
        second = 2 if self.rng.random() < 0.35 else 1
        chosen = [(name, True) for name in visible[:second]] + [(name, False) for name in absent]
        known = [n for n in self._annotated(sample.config, sizes) if sizes.get(n, 0) == 0][:4]
        dense = [(name, True) for name in visible[:8]] + [(name, False) for name in (*known, *absent[:2])]
        return tuple(chosen[:PROMPTS]), tuple(dict(dense).items())

    def _annotated(self, config: SetConfig, sizes: dict[str, int]) -> list[str]:
        """Structures whose absence from the slice is known to be true, in random order."""
        names = sorted(config.throughout | set(sizes))
        self.rng.shuffle(names)
        return names

    def _absent(self, config: SetConfig, sizes: dict[str, int]) -> list[str]:
        near = [name for name in self._annotated(config, sizes) if sizes.get(name, 0) == 0]
        far = config.elsewhere
        picks = []
        for _ in range(3):
            pool = near if near and (not far or self.rng.random() < 0.65) else far
            if pool:
                picks.append(str(pool[int(self.rng.integers(len(pool)))]))
        return list(dict.fromkeys(picks))


def _slices_with(sample: Sample) -> dict[str, list[NDArray[np.intp]]]:
    """For each name that is visible: the slice numbers that show it, along (z, y, x)."""
    seen = {}
    for name, table in sample.tables.items():
        mask = table[sample.label]
        per_axis = []
        for axis in range(3):
            other = tuple(a for a in range(3) if a != axis)
            per_axis.append(np.flatnonzero(mask.sum(axis=other) >= SEEN_PIXELS))
        if len(per_axis[0]):
            seen[name] = per_axis
    return seen
