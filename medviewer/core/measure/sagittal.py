"""Heights of a vertebral body or a disc, front, middle and back, in its middle sagittal slice.

The body is the largest compact part of the slice: the arch falls off, as it is thinner than half of the body or lies
apart, behind the canal. The depth is counted where the height is at least half of its median. The body's axis from
back to front halves the angle between the two endplates, each a straight line fitted to the middle 60 % of the depth;
heights are taken across that axis at one tenth, half and nine tenths of the depth.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from medviewer.core.geometry import closest_axes
from medviewer.core.measure.outcome import NotMeasurable, Outcome
from medviewer.core.measure.target import Points, Target

_AT = (0.1, 0.5, 0.9)  # of the depth, from the front
_FINE = 0.25  # of the smaller pixel size: step of the samples
_ROUNDS = 4
_DISC = 0.5  # of the body's largest inscribed radius: what is thinner is the arch
_CORNER = 1.45  # a right-angled corner lies 1.41 radii from the centre of the disc that fits it
_SMALLEST = 12  # pixels


def front(target: Target) -> Outcome:
    """Height at one tenth of the depth from the front."""
    return _heights(target)[0]


def middle(target: Target) -> Outcome:
    """Height at half of the depth."""
    return _heights(target)[1]


def back(target: Target) -> Outcome:
    """Height at nine tenths of the depth from the front."""
    return _heights(target)[2]


def _heights(target: Target) -> tuple[Outcome, Outcome, Outcome]:
    if "heights" not in target.cache:
        target.cache["heights"] = _measured(target)
    return target.cache["heights"]  # type: ignore[no-any-return]


def _measured(target: Target) -> tuple[Outcome, Outcome, Outcome]:
    across, forward = _sagittal(target)
    target.require_whole(frozenset(range(3)) - {across})
    level, body = _middle_slice(target, across)
    frame = _Frame(target, across, level, body, forward)
    index = target.native_slice(across, level)
    found = []
    for share in _AT:
        height, ends = frame.height(share)
        found.append(Outcome(height, target.unit, "across_bisector", target.place(ends), index))
    return found[0], found[1], found[2]


def _sagittal(target: Target) -> tuple[int, Points]:
    """The voxel axis across sagittal slices, and the direction to the front in the mm of the target."""
    volume = target.volume
    if volume.affine is not None and volume.orientation_recorded:
        across = closest_axes(volume.affine)[0]
        if target.slice_axis != across and (target.flat is not None or _is_thick(target)):
            raise NotMeasurable("not_sagittal")
        return across, np.array([0.0, -1.0, 0.0])
    letters = [letter[:1] for letter in volume.patient_orientation or ()]
    if target.flat is None or len(letters) != 2:
        raise NotMeasurable("orientation_unknown")
    axis = next((n for n, letter in enumerate(letters) if letter in ("A", "P")), None)
    if axis is None or set(letters) & {"L", "R"}:
        raise NotMeasurable("not_sagittal")
    forward = np.zeros(3)
    forward[axis] = 1.0 if letters[axis] == "A" else -1.0
    return 2, forward


def _is_thick(target: Target) -> bool:
    spacing = target.spacing
    return float(spacing.max()) > 1.5 * float(np.median(spacing))


def _middle_slice(target: Target, across: int) -> tuple[int, NDArray[np.bool_]]:
    """The slice through the middle of the mask's volume, and the largest part in it."""
    from scipy import ndimage

    slices = np.moveaxis(target.crop, across, 0)
    grown = np.cumsum(slices.sum((1, 2)))
    level = int(np.searchsorted(grown, grown[-1] / 2))
    labels, count = ndimage.label(slices[level])
    if count == 0:
        raise NotMeasurable("too_small")
    sizes = np.bincount(labels.ravel())[1:]
    if sizes.max() < _SMALLEST:
        raise NotMeasurable("too_small")
    return level, _compact(target, across, labels == 1 + int(np.argmax(sizes)))


def _compact(target: Target, across: int, part: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The largest piece that holds a disc of half the largest radius, with its corners."""
    from scipy import ndimage

    spacing = np.delete(target.spacing, across)
    depth = ndimage.distance_transform_edt(np.pad(part, 1), spacing)[1:-1, 1:-1]
    disc = _DISC * float(depth.max())
    labels, _ = ndimage.label(depth >= disc)
    core = labels == 1 + int(np.argmax(np.bincount(labels.ravel())[1:]))
    near = ndimage.distance_transform_edt(~core, spacing) <= _CORNER * disc + float(spacing.max())
    return np.asarray(part & near)


class _Frame:
    """The body in its own axes: depth from front to back, height across it. Lengths in mm (or px)."""

    def __init__(self, target: Target, across: int, level: int, body: NDArray[np.bool_], forward: Points) -> None:
        self._target, self._across, self._level = target, across, level
        self._body = np.pad(body, 1).astype(np.float32)
        plane = np.delete(target.linear, across, axis=1)
        self._normal = np.cross(plane[:, 0], plane[:, 1])
        self._normal /= np.linalg.norm(self._normal)
        self._step = _FINE * float(np.delete(target.spacing, across).min())
        pixels = np.insert(np.argwhere(body).astype(float), across, float(level), axis=1)
        self._places = target.mm(pixels)
        self._centre = self._places.mean(0)
        self._turn(self._first_axis(forward))
        for _ in range(_ROUNDS):
            self._turn(self._bisector())

    def _first_axis(self, forward: Points) -> Points:
        """The side of the smallest rectangle around the body that points most to the front."""
        ahead = forward - (forward @ self._normal) * self._normal
        up = np.cross(self._normal, ahead / np.linalg.norm(ahead))
        ahead = ahead / np.linalg.norm(ahead)
        angles = np.deg2rad(np.arange(-45.0, 45.0, 1.0))
        flat = (self._places - self._centre) @ np.stack([ahead, up], axis=1)
        turned = [(flat @ _rotation(angle)) for angle in angles]
        areas = [float(np.prod(np.ptp(points, axis=0))) for points in turned]
        angle = angles[int(np.argmin(areas))]
        return np.asarray(np.cos(angle) * ahead + np.sin(angle) * up)

    def _turn(self, ahead: Points) -> None:
        """Samples the body along the axis `ahead` and across it."""
        self._ahead = ahead
        self._up = np.cross(self._normal, ahead)
        reach = float(np.linalg.norm(self._places - self._centre, axis=1).max()) + 4 * self._step / _FINE
        offsets = np.arange(-reach, reach + self._step, self._step)
        grid = self._centre - offsets[:, None, None] * ahead + offsets[None, :, None] * self._up
        self._offsets, self._inside = offsets, self._sampled(grid)
        tall = self._inside.sum(1)
        if not tall.any():
            raise NotMeasurable("too_small")
        depth = np.flatnonzero(2 * tall >= np.median(tall[tall > 0]))
        if len(depth) < 4:
            raise NotMeasurable("too_small")
        self._first, self._last = int(depth[0]), int(depth[-1])

    def _sampled(self, grid: Points) -> NDArray[np.bool_]:
        from scipy import ndimage

        index = np.delete(self._target.crop_index(grid.reshape(-1, 3)), self._across, axis=1)
        values = ndimage.map_coordinates(self._body, index.T + 1.0, order=1, mode="constant")
        return np.asarray(values.reshape(grid.shape[:2]) >= 0.5)

    def _ends(self, row: int) -> tuple[float, float]:
        hit = np.flatnonzero(self._inside[row])
        return float(self._offsets[hit[0]]) - self._step / 2, float(self._offsets[hit[-1]]) + self._step / 2

    def _bisector(self) -> Points:
        """The axis turned so that both endplates lean away from it by the same angle."""
        depth = self._last - self._first
        rows = [r for r in range(self._first + depth // 5, self._last - depth // 5 + 1) if self._inside[r].any()]
        plates = np.array([self._ends(row) for row in rows])
        slopes = np.polyfit(self._offsets[rows], plates, 1)[0]
        angle = float(np.mean(np.arctan(slopes)))  # offsets grow to the back
        return np.asarray(np.cos(angle) * self._ahead - np.sin(angle) * self._up)

    def height(self, share: float) -> tuple[float, Points]:
        """Height at a share of the depth from the front, and its two ends as crop indices."""
        row = min(self._last, round(self._first + share * (self._last - self._first)))
        if not self._inside[row].any():
            raise NotMeasurable("too_small")
        low, high = self._ends(row)
        base = self._centre - self._offsets[row] * self._ahead
        ends = np.stack([base + low * self._up, base + high * self._up])
        return high - low, self._target.crop_index(ends)


def _rotation(angle: float) -> NDArray[np.float64]:
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
