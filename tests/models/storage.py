"""The same scan, stored another way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medviewer.core.volume import Volume


@dataclass(frozen=True)
class Storage:
    """Voxel axes in another order, then some of them turned round. Every voxel keeps its place in the patient."""

    axes: tuple[int, ...]
    flips: tuple[int, ...]

    def of(self, array: NDArray[Any]) -> NDArray[Any]:
        """An array (i, j, k) as it would be stored."""
        return np.ascontiguousarray(np.flip(array.transpose(self.axes), self.flips))

    def of_volume(self, volume: Volume) -> Volume:
        assert volume.affine is not None
        affine = volume.affine[:, [*self.axes, 3]].copy()
        array = self.of(volume.array)
        for axis in self.flips:
            affine[:3, 3] += affine[:3, axis] * (array.shape[axis] - 1)
            affine[:3, axis] *= -1
        return volume.with_changes(array=array, affine=affine, spacing_mm=None)


STORAGES = [Storage((2, 0, 1), (0, 1)), Storage((1, 0, 2), (2,)), Storage((0, 2, 1), (0,))]
