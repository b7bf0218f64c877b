"""Which slices of a volume the model looks at, turned as radiologists display them, and the way back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medviewer.core.geometry import closest_axes, lps_to_voxel
from medviewer.core.volume import Volume

_PLANE_OF = ("sagittal", "coronal", "axial")  # by the patient axis (x, y, z) that the slices step along
_ROW_COLUMN = {"axial": (1, 0), "coronal": (2, 0), "sagittal": (2, 1)}  # patient axes shown down and across
ANISOTROPIC = 1.5  # a spacing this much larger than the others tells the acquisition axis


@dataclass(frozen=True)
class SlicePlan:
    """Voxel axes (slice, row, column) and which of them are reversed; `spacing` is mm per (slice, row, column).

    Pictures are radiological: axial has the front at the top, coronal and sagittal the head; the patient's right
    (sagittal: front) is at the left. Without an affine the stored rows (j) and columns (i) are shown.
    """

    axes: tuple[int, int, int]
    reversed: tuple[bool, bool, bool]
    spacing: tuple[float, float, float]
    shape: tuple[int, int, int]  # (slices, rows, columns)
    plane: str

    def to_stack(self, array: NDArray[Any]) -> NDArray[Any]:
        """A view (slices, rows, columns) of an array (i, j, k)."""
        return array.transpose(self.axes)[self._steps()]

    def from_stack(self, stack: NDArray[Any]) -> NDArray[Any]:
        """The inverse of `to_stack`."""
        return stack[self._steps()].transpose(tuple(int(a) for a in np.argsort(self.axes)))

    def empty_stack(self) -> NDArray[np.bool_]:
        """All False (slices, rows, columns), such that `from_stack` of it is C-contiguous: no copy is needed."""
        lengths = [self.shape[self.axes.index(axis)] for axis in range(3)]
        return self.to_stack(np.zeros(lengths, bool))

    def stack_position(self, ijk: NDArray[np.float64]) -> NDArray[np.float64]:
        """Continuous voxel indices (3,) to (slice, row, column)."""
        turned = np.asarray(ijk, float)[list(self.axes)]
        last = np.array(self.shape) - 1
        return np.where(self.reversed, last - turned, turned)

    def _steps(self) -> tuple[slice, ...]:
        return tuple(slice(None, None, -1 if back else 1) for back in self.reversed)


def plan_slices(volume: Volume) -> SlicePlan:
    """Slices along the acquisition axis: the one of clearly largest spacing, else the patient's feet-head axis."""
    if volume.affine is None or volume.kind != "volume":
        return _plan_as_stored(volume)
    spacing = volume.spacing_mm or (1.0, 1.0, 1.0)
    return plan_along(volume, _slice_axis(volume, closest_axes(volume.affine)[2], spacing))


def plan_along(volume: Volume, axis: int) -> SlicePlan:
    """Slices that step along a voxel axis of a volume with an affine, turned as displayed."""
    assert volume.affine is not None
    patient = closest_axes(volume.affine)  # voxel axis for patient x, y, z
    spacing = volume.spacing_mm or (1.0, 1.0, 1.0)
    plane = _PLANE_OF[patient.index(axis)]
    down, across = (patient[a] for a in _ROW_COLUMN[plane])
    step = 3 - down - across
    direction = volume.affine[:3, :3]
    grows = [direction[patient.index(axis), axis] > 0 for axis in (step, down, across)]
    row_back = grows[1] if plane != "axial" else not grows[1]  # head at the top; front at the top
    back = (not bool(grows[0]), bool(row_back), not bool(grows[2]))  # the same stack however it is stored
    return SlicePlan(
        (step, down, across), back, (spacing[step], spacing[down], spacing[across]),
        (volume.shape[step], volume.shape[down], volume.shape[across]), plane,
    )


def _slice_axis(volume: Volume, head_axis: int, spacing: tuple[float, float, float]) -> int:
    order = np.argsort(spacing)
    if spacing[order[2]] > ANISOTROPIC * spacing[order[1]]:
        return int(order[2])
    thin = [axis for axis in range(3) if volume.shape[axis] * 8 < max(volume.shape)]
    return thin[0] if len(thin) == 1 else head_axis


def _plan_as_stored(volume: Volume) -> SlicePlan:
    spacing = volume.spacing_mm or (1.0, 1.0, 1.0)
    i, j, k = volume.shape
    rows = spacing[1] if spacing[1] > 0 else 1.0
    cols = spacing[0] if spacing[0] > 0 else 1.0
    return SlicePlan((2, 1, 0), (False, False, False), (0.0, rows, cols), (k, j, i), "native")


def to_voxel(volume: Volume, position: tuple[float, float, float]) -> NDArray[np.float64]:
    """LPS mm (voxel indices where the volume has no affine) to continuous voxel indices."""
    if volume.affine is None:
        return np.asarray(position, float)
    return lps_to_voxel(volume.affine, position)
