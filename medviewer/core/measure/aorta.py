"""The largest diameter of the aorta, perpendicular to its centreline, in an oblique plane through the mask.

Whether that is the outer wall or the lumen depends on what the mask holds: the method's text says so.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medviewer.core.measure.centreline import centreline, directions, resampled, smoothed, walked
from medviewer.core.measure.outcome import NotMeasurable, Outcome
from medviewer.core.measure.surface import farthest_pair
from medviewer.core.measure.target import Points, Target

_PIXELS = 64  # samples across a plane
_RECENTRED = 2  # times the line is moved to the middles of its planes
_LONG = 1.5  # times its diameter a vessel is long at least: else the line may run across it
_END = 1.2  # of the vessel's radius is left out at either end
_SMOOTH = 0.7  # of the smallest voxel size: takes the steps off the mask
_PAD = 3  # voxels around the mask
_BRANCH = 0.5  # what is narrower than this share of the vessel is a branch, not wall


@dataclass(frozen=True, eq=False)
class _Section:
    """One oblique plane: the outline (n, 3) of the vessel in mm, its middle, and whether the edge of the scan cuts
    it."""

    outline: Points
    middle: Points
    cut: bool


def largest_diameter(target: Target) -> Outcome:
    """The largest diameter perpendicular to the centreline, in mm, over all planes that the edge of the scan does not
    cut.

    The ends of the mask, somewhat more than one radius, are left out: there is no direction of the vessel.
    """
    target.require_volume()
    whole = centreline(target)
    sampler = _Sampler(target, whole)
    line = sampler.without_ends(whole)
    for _ in range(_RECENTRED):
        line = sampler.recentred(line)
    sections = [s for s in sampler.sections(line) if s is not None and not s.cut]
    if not sections:
        raise NotMeasurable("too_short")
    diameter, ends = max((_span(section) for section in sections), key=lambda span: span[0])
    if float(walked(whole)[-1]) < _LONG * diameter:
        raise NotMeasurable("too_short")
    return Outcome(diameter, "mm", "perpendicular_to_centreline", target.place(target.crop_index(ends)))


def _span(section: _Section) -> tuple[float, Points]:
    distance, one, other = farthest_pair(section.outline, (0, 1))
    return distance, section.outline[[one, other]]


class _Sampler:
    """Cuts oblique planes through the mask of a target."""

    def __init__(self, target: Target, line: Points) -> None:
        from scipy import ndimage

        self._target = target
        padded = np.pad(target.crop, _PAD)
        self._depth = ndimage.distance_transform_edt(padded, target.spacing).astype(np.float32)
        sigma = _SMOOTH * float(target.spacing.min()) / target.spacing
        self._mask = ndimage.gaussian_filter(padded.astype(np.float32), sigma, mode="nearest")
        self._reach = self._needed(line)  # half the width of a plane, mm
        self._step = 2 * self._reach / (_PIXELS - 1)

    def _needed(self, line: Points) -> float:
        """1.3 times the largest distance of the wall from the line, and a margin."""
        from scipy.spatial import cKDTree

        index = np.argwhere(self._target.crop)[:: max(1, self._target.count // 20_000)]
        away, _ = cKDTree(line).query(self._target.mm(index))
        wall = max(1.5 * float(self._depth.max()), 1.3 * float(np.percentile(away, 99.0)))
        return wall + 3 * float(self._target.spacing.max())

    def without_ends(self, line: Points) -> Points:
        """The line less 1.2 times the vessel's radius at either end. Refuses where little is left."""
        radius, place = self._at(self._depth, line), walked(line)
        length = float(place[-1])
        first, last = (_END * float(radius[near <= 3 * np.median(radius)].max()) for near in (place, length - place))
        kept = line[(place >= first) & (place <= length - last)]
        if len(kept) < 3:
            raise NotMeasurable("too_short")
        return kept

    def _at(self, values: NDArray[np.float32], points: Points) -> NDArray[np.float32]:
        """Values at points (n, 3) in mm, by linear interpolation."""
        from scipy import ndimage

        index = self._target.crop_index(points).T + _PAD
        return np.asarray(ndimage.map_coordinates(values, index, order=1, mode="nearest"))

    def recentred(self, line: Points) -> Points:
        """The line through the middles of its planes."""
        sections = self.sections(line)
        moved = np.array([p if s is None or s.cut else s.middle for p, s in zip(line, sections, strict=True)])
        return resampled(smoothed(moved, 4.0), 2.0)

    def sections(self, line: Points) -> list[_Section | None]:
        """The plane at every point of the line; None where the point lies outside of the mask."""
        return [self._section(point, tangent) for point, tangent in zip(line, directions(line), strict=True)]

    def _section(self, point: Points, tangent: Points) -> _Section | None:
        right, up = _basis(tangent)
        offsets = np.linspace(-self._reach, self._reach, _PIXELS)
        grid = point + offsets[:, None, None] * right + offsets[None, :, None] * up
        values = self._at(self._mask, grid.reshape(-1, 3)).reshape(_PIXELS, _PIXELS)
        inside = _around_middle(values >= 0.5)
        if inside is None:
            return None
        vessel = _without_branches(inside)
        outline = _outline(np.where(inside, values, np.minimum(values, 0.49)), vessel)
        if len(outline) < 3:
            return None
        placed = outline * self._step - self._reach
        mm = point + placed[:, :1] * right + placed[:, 1:] * up
        middle = np.argwhere(vessel).mean(0) * self._step - self._reach
        return _Section(mm, point + middle[0] * right + middle[1] * up, self._leaves_scan(mm))

    def _leaves_scan(self, outline: Points) -> bool:
        """Whether an outline (n, 3) in mm reaches the edge of the scan."""
        index = self._target.crop_index(outline) + self._target.start
        last = np.array(self._target.volume.shape) - 1
        return bool(((index < 0.0) | (index > last)).any())


def _around_middle(plane: NDArray[np.bool_]) -> NDArray[np.bool_] | None:
    """The connected part that holds the middle of a plane."""
    from scipy import ndimage

    labels, _ = ndimage.label(plane)
    middle = slice(_PIXELS // 2 - 1, _PIXELS // 2 + 1)
    here = labels[middle, middle].max()
    return labels == here if here else None


def _basis(tangent: Points) -> tuple[Points, Points]:
    """Two unit vectors perpendicular to the tangent and to each other."""
    helper = np.eye(3)[int(np.argmin(np.abs(tangent)))]
    right = np.cross(tangent, helper)
    right /= np.linalg.norm(right)
    return right, np.cross(tangent, right)


def _without_branches(inside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The part that a disc of half the vessel's radius can reach (an opening): stumps of branches fall off."""
    from scipy import ndimage

    depth = ndimage.distance_transform_edt(np.pad(inside, 1))[1:-1, 1:-1]
    disc = _BRANCH * float(depth.max())
    core = depth >= disc
    return np.asarray(inside & (ndimage.distance_transform_edt(~core) <= disc + 0.5))


def _outline(values: NDArray[np.float32], vessel: NDArray[np.bool_]) -> Points:
    """Where the values cross one half between a pixel of the vessel and one outside, in pixels (n, 2)."""
    found = []
    for axis in (0, 1):
        one = np.moveaxis(values, axis, 0)
        kept = np.moveaxis(vessel, axis, 0)
        low, high = one[:-1], one[1:]
        crosses = ((low >= 0.5) != (high >= 0.5)) & (kept[:-1] | kept[1:])
        place = np.argwhere(crosses).astype(float)
        place[:, 0] += (0.5 - low[crosses]) / (high[crosses] - low[crosses])
        found.append(place if axis == 0 else place[:, ::-1])
    return np.concatenate(found)
