"""The patient's middle at each height, in patient coordinates: from the spine, else from the body's outline."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medviewer.core.geometry import Affine, closest_axes, spacing_of
from medviewer.core.mask_patch import bounding_box
from medviewer.core.volume import Volume

_MAX_SAMPLES = 3_000_000
_TORSO_MM = 280.0  # a scan at least this wide shows a torso's middle even where both flanks are cut off


@dataclass(frozen=True)
class Midline:
    """x (LPS mm, + is the patient's left) of the middle at heights `z` (LPS mm, rising), and what it was judged by."""

    z: NDArray[np.float64]
    x: NDArray[np.float64]
    note: str

    def at(self, z: NDArray[np.float64]) -> NDArray[np.float64]:
        """The middle's x at heights z; the nearest known value beyond the ends."""
        return np.asarray(np.interp(z, self.z, self.x))


def find_midline(volume: Volume, spine_mask: NDArray[np.bool_] | None = None) -> Midline | None:
    """The middle of a placed volume or image, or None where the scan does not show it.

    None without an affine, and where the body runs out of the picture at the sides so that its middle is not seen
    (a crop, a sagittal stack). Time frames of a cine share one place.
    """
    if volume.affine is None:
        return None
    if spine_mask is not None:
        line = _from_spine(spine_mask, volume.affine)
        if line is not None:
            return line
    return _from_body(volume)


def _from_spine(mask: NDArray[np.bool_], affine: Affine) -> Midline | None:
    box = bounding_box(mask)  # looking through all voxels of a large scan one by one takes a second
    if box is None:
        return None
    index = np.argwhere(mask[box]) + [part.start for part in box]
    if len(index) < 20:
        return None
    if len(index) > _MAX_SAMPLES:
        index = index[:: len(index) // _MAX_SAMPLES + 1]
    points = index @ affine[:3, :3].T + affine[:3, 3]
    bins, x = _means(points[:, 2], points[:, 0], max(5.0, float(np.max(spacing_of(affine)))))
    return Midline(bins, _smooth(x, 5), "left and right judged against the spine at that level")


def _means(
    z: NDArray[np.float64], x: NDArray[np.float64], step: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean x in every bin of z that has values."""
    place = np.floor((z - z.min()) / step).astype(int)
    count = np.bincount(place)
    total = np.bincount(place, weights=x)
    full = count > 0
    return z.min() + (np.nonzero(full)[0] + 0.5) * step, total[full] / count[full]


def _smooth(values: NDArray[np.float64], width: int) -> NDArray[np.float64]:
    """Running median."""
    padded = np.pad(values, width // 2, mode="edge")
    return np.asarray(np.median(np.lib.stride_tricks.sliding_window_view(padded, width), axis=1))


def _from_body(volume: Volume) -> Midline | None:
    """Half of the body on either side, at every height where both flanks are seen."""
    assert volume.affine is not None
    sample, affine = _thinned(volume)
    across, _, along = closest_axes(affine)
    if sample.shape[across] < 8:
        return None
    body = _body_mask(sample, volume.units == "HU", affine)
    turned = np.moveaxis(body, (along, across), (0, 1))  # height, left-right, front-back
    wide = spacing_of(affine)[across] * sample.shape[across] >= _TORSO_MM
    rows = [(n, place) for n, level in enumerate(turned) if (place := _level_middle(level, wide)) is not None]
    if len(rows) < max(1, 0.3 * int(turned.any((1, 2)).sum())):
        return None
    height, place = np.array(rows, float).T
    middle = np.zeros((len(rows), 3))
    for axis, line in ((along, height), (across, place)):
        middle[:, axis] = line
    depth = 3 - along - across
    middle[:, depth] = [float(np.nonzero(turned[int(n)])[1].mean()) for n in height]
    points = middle @ affine[:3, :3].T + affine[:3, 3]
    order = np.argsort(points[:, 2])
    x = _smooth(points[order, 0], 9)
    return Midline(points[order, 2], x, "left and right judged against the middle of the body at that level")


def _level_middle(level: NDArray[np.bool_], wide: bool) -> float | None:
    """Column with half of the area on either side, in one level (columns, depth); None where a flank is not seen.

    Half of the area rather than half-way between the flanks: an arm that touches one flank shifts it little.
    """
    area = level.sum(1)
    columns = np.nonzero(area)[0]
    if len(columns) < 4:
        return None
    cut_first, cut_last = columns[0] == 0, columns[-1] == len(area) - 1
    if (cut_first or cut_last) and not (cut_first and cut_last and wide):
        return None
    grown = np.concatenate([[0.0], np.cumsum(area)])
    return float(np.interp(grown[-1] / 2, grown, np.arange(len(grown)) - 0.5))


def _thinned(volume: Volume) -> tuple[NDArray[Any], Affine]:
    """Every n-th voxel, and the affine of what is left; of a cine the middle frame."""
    assert volume.affine is not None
    array = volume.luminance()
    affine = np.array(volume.affine)
    if volume.kind == "cine":
        array = array[:, :, array.shape[2] // 2 : array.shape[2] // 2 + 1]
    step = [max(1, n // 112) for n in array.shape]
    affine[:3, :3] = affine[:3, :3] * step
    return array[:: step[0], :: step[1], :: step[2]], affine


def _body_mask(sample: NDArray[Any], is_hu: bool, affine: Affine) -> NDArray[np.bool_]:
    """The core of the body: bright, filled level by level, shrunk by 12 mm so that arms and couch fall off."""
    from scipy import ndimage

    values = np.asarray(sample, np.float32)
    low, high = np.percentile(values, (1, 99))
    mask = values > (-300.0 if is_hu else low + 0.1 * (high - low))
    along = closest_axes(affine)[2]
    mask = np.moveaxis(
        np.array([ndimage.binary_fill_holes(level) for level in np.moveaxis(mask, along, 0)]), 0, along
    )
    core = _main_parts(_shrunk(mask, affine, along), along)
    return core if core.any() else _main_parts(mask, along)


def _shrunk(mask: NDArray[np.bool_], affine: Affine, along: int, mm: float = 12.0) -> NDArray[np.bool_]:
    """Eroded within each level; the borders of the picture are not taken for the outside."""
    from scipy import ndimage

    for axis in range(3):
        steps = int(mm / spacing_of(affine)[axis])
        if axis != along and steps > 0:
            line = np.ones([2 * steps + 1 if a == axis else 1 for a in range(3)], bool)
            mask = ndimage.binary_erosion(mask, line, border_value=1)
    return mask


def _main_parts(mask: NDArray[np.bool_], along: int) -> NDArray[np.bool_]:
    """In every level the largest part and those at least half as large (two legs, but no arm beside the trunk)."""
    from scipy import ndimage

    structure = np.zeros((3, 3, 3), bool)
    structure[tuple(slice(1, 2) if a == along else slice(None) for a in range(3))] = True
    labels, count = ndimage.label(mask, structure)
    if count == 0:
        return np.zeros(mask.shape, bool)
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    area = sizes[labels]
    largest = area.max(tuple(a for a in range(3) if a != along), keepdims=True)
    return np.asarray(mask & (area * 2 >= largest))
