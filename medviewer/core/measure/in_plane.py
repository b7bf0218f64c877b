"""Diameters in one plane: the largest axial one, and RECIST's long and short axis.

RECIST 1.1 (Eisenhauer et al. 2009, doi:10.1016/j.ejca.2008.10.026): the longest diameter in the plane in which the scan
was acquired, and the longest one perpendicular to it in the same slice.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medviewer.core.measure.outcome import NotMeasurable, Outcome
from medviewer.core.measure.surface import farthest_pair, outer_faces
from medviewer.core.measure.target import Points, Target

Plane = NDArray[np.bool_]
_SAMPLES = 400  # along the long axis, at most: the short axis is found to a four-hundredth of the long one


@dataclass(frozen=True, eq=False)
class _Chord:
    """The longest distance within one connected part of one slice; `ends` are indices of the crop (2, 3)."""

    length: float
    ends: Points
    level: int
    part: Plane


def axial_diameter(target: Target) -> Outcome:
    """The largest diameter in one axial slice, within one connected part, in mm."""
    axial = target.require_orientation()
    if target.slice_axis != axial:
        raise NotMeasurable("not_axial")
    return _diameter(target, "axial_longest")


def long_axis(target: Target) -> Outcome:
    """The largest diameter in one slice as acquired, within one connected part, in mm (px without a pixel size)."""
    return _diameter(target, _method(target))


def short_axis(target: Target) -> Outcome:
    """The longest chord perpendicular to the long axis, in the same slice and part, in mm (px without a pixel size)."""
    chord = _longest(target)
    length, ends = _perpendicular(target, chord)
    axis = target.slice_axis
    return Outcome(
        length, target.unit, f"{_method(target)}_short", target.place(ends), target.native_slice(axis, chord.level)
    )


def _method(target: Target) -> str:
    if target.flat is not None and target.volume.kind != "volume":
        return "recist_image"
    return "recist_axial" if target.slice_axis == target.axial_axis else "recist_acquired"


def _diameter(target: Target, method: str) -> Outcome:
    chord = _longest(target)
    index = target.native_slice(target.slice_axis, chord.level)
    return Outcome(chord.length, target.unit, method, target.place(chord.ends), index)


def _longest(target: Target) -> _Chord:
    """Slices are tried by the largest distance across all their parts, which bounds that within each part."""
    across = frozenset(range(3)) - {target.slice_axis}
    target.require_whole(across)
    if "chord" not in target.cache:
        target.cache["chord"] = _search(target)
    return target.cache["chord"]  # type: ignore[no-any-return]


def _search(target: Target) -> _Chord:
    slices = np.moveaxis(target.crop, target.slice_axis, 0)
    lengths = [_in_slice(target, level, part).length if part.any() else -1.0 for level, part in enumerate(slices)]
    bounds = np.array(lengths)
    best: _Chord | None = None
    for level in np.argsort(bounds)[::-1]:
        if best is not None and bounds[level] <= best.length:
            break
        for part in _parts(slices[level]):
            chord = _in_slice(target, int(level), part)
            if best is None or chord.length > best.length:
                best = chord
    assert best is not None  # a target is never empty
    return best


def _parts(plane: Plane) -> list[Plane]:
    from scipy import ndimage

    labels, count = ndimage.label(plane, np.ones((3, 3), bool))
    return [labels == n for n in range(1, count + 1)]


def _in_slice(target: Target, level: int, part: Plane) -> _Chord:
    """The longest distance between outer faces of `part` (two axes of the crop, in order) of one slice."""
    flat = outer_faces(part, (0, 1))
    ends = np.insert(flat, target.slice_axis, float(level), axis=1)
    distance, one, other = farthest_pair(target.mm(ends), (0, 1))
    return _Chord(distance, ends[[one, other]], level, part)


def _perpendicular(target: Target, chord: _Chord) -> tuple[float, Points]:
    """Length and ends (crop indices) of the longest run inside the part along lines perpendicular to the long axis."""
    first, last = target.mm(chord.ends)
    along = (last - first) / chord.length
    across = _across(target, along)
    step = max(0.25 * float(np.delete(target.spacing, target.slice_axis).min()), chord.length / _SAMPLES)
    t = np.arange(step / 2, chord.length, step)
    w = np.arange(-len(t), len(t) + 1) * step
    grid = first + t[:, None, None] * along + w[None, :, None] * across
    inside = _sampled(target, chord, grid)
    row, begin, count = _longest_run(inside)
    ends = first + t[row] * along + (w[begin] - step / 2 + np.array([[0.0], [count * step]])) * across
    return count * step, target.crop_index(ends)


def _across(target: Target, along: Points) -> Points:
    """Unit vector in the plane of the slice, perpendicular to `along`."""
    one, other = np.delete(target.linear, target.slice_axis, axis=1).T
    normal = np.cross(one, other)
    vector = np.cross(normal, along)
    return np.asarray(vector / np.linalg.norm(vector))


def _sampled(target: Target, chord: _Chord, grid: Points) -> NDArray[np.bool_]:
    """Whether the points (t, w, 3) in mm lie inside the part, by linear interpolation."""
    from scipy import ndimage

    index = np.delete(target.crop_index(grid.reshape(-1, 3)), target.slice_axis, axis=1)
    part = np.pad(chord.part, 1).astype(np.float32)
    values = ndimage.map_coordinates(part, index.T + 1.0, order=1, mode="constant", cval=0.0)
    return np.asarray(values.reshape(grid.shape[:2]) >= 0.5)


def _longest_run(inside: NDArray[np.bool_]) -> tuple[int, int, int]:
    """(row, first column, length) of the longest run of True along the second axis."""
    padded = np.pad(inside.astype(np.int8), ((0, 0), (1, 1)))
    change = np.diff(padded, axis=1)
    rows, begins = np.nonzero(change == 1)
    _, stops = np.nonzero(change == -1)
    if not len(rows):
        raise NotMeasurable("too_small")
    best = int(np.argmax(stops - begins))
    return int(rows[best]), int(begins[best]), int(stops[best] - begins[best])
