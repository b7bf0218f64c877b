"""All samples of a use, and the balanced drawing of (picture, prompts) from them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..synthesis.phantoms import phantom_samples
from .samples import Sample, in_validation, load_sample, read_rows
from .sets import SetConfig, load_sets

PLANES = ("axial", "coronal", "sagittal")
PLANE_SHARE = (0.7, 0.15, 0.15)
Prompts = tuple[tuple[str, bool], ...]
SEEN_PIXELS = 12  # a structure with fewer pixels in a slice is not drawn as visible, nor as absent


@dataclass(frozen=True)
class Drawn:
    """One picture drawn for training: codes and intensities (rows, cols), and (name, visible) prompts; `dense` are
    further names known to be visible or absent, for the encoder alone."""

    sample: Sample
    image: NDArray[np.generic]
    label: NDArray[np.generic]
    prompts: tuple[tuple[str, bool], ...]
    plane: str = "axial"
    dense: tuple[tuple[str, bool], ...] = ()


def load_all(data: Path, phantoms: int) -> tuple[list[Sample], list[Sample]]:
    """(training, validation) samples of every `train` row, and generated phantoms (training only)."""
    sets = load_sets()
    rows = read_rows(data, "train")
    counts: dict[str, int] = defaultdict(int)
    for row in rows:
        counts[row["set"]] += 1
    kept: list[Sample] = []
    held: list[Sample] = []
    for row in rows:
        if row["set"] in sets:
            sample = load_sample(data, row, sets[row["set"]])
            (held if in_validation(row["path"], counts[row["set"]]) else kept).append(sample)
    if "phantom" in sets and phantoms:
        kept += phantom_samples(sets["phantom"], range(1, phantoms + 1))
    return kept, held


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
        """One picture with up to two prompts."""
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
        image = label if sample.synthesise else plane_slice(sample.image, plane, index)
        prompts, dense = self._prompts(sample, label, wanted)
        return Drawn(sample, image, label, prompts, plane, dense)

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
        second = 2 if self.rng.random() < 0.4 else 1
        chosen = [(name, True) for name in visible[:second]] + [(name, False) for name in absent]
        known = [n for n in self._annotated(sample.config, sizes) if sizes.get(n, 0) == 0][:4]
        dense = [(name, True) for name in visible[:8]] + [(name, False) for name in (*known, *absent[:2])]
        return tuple(chosen[:2]), tuple(dict(dense).items())

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
