"""A second scan laid over a slice of the first one through a rigid matrix: to look whether a registration is right.

The second scan is sampled on the pixels of the shown slice, one slice at a time, so that a nudge shows at once. It is
for looking only: nothing is measured on it. No VTK, no Qt; one thread.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from medviewer.core.geometry import Affine
from medviewer.core.volume import Volume
from medviewer.render.raster import Bytes, Look, resample, to_grey
from medviewer.render.slice_grid import SliceGrid
from medviewer.render.slice_view import SliceView

Mode = Literal["swipe", "blend", "checker"]
_SQUARE = 56  # logical pixels


class OverlaidView(SliceView):
    """A `SliceView` of one scan with another one laid over it. `matrix` maps LPS mm of the shown scan to LPS mm of the
    other one; `share` (0..1) is how much of the other is seen: from the left edge of the window with "swipe"."""

    mode: Mode = "swipe"
    share = 0.5
    _other: Volume | None = None
    _other_look = Look((1.0, 0.5))
    _matrix: Affine = np.eye(4)
    _sampled: tuple[object, Bytes] | None = None

    def set_other(self, other: Volume | None, matrix: Affine, window: tuple[float, float]) -> None:
        """Lay another scan over the slices; it and the shown one need an affine. `window`: (width, centre) of it."""
        inverted = self.look.inverted != (self.volume is not None and self.volume.inverted)  # what the user did
        self._other, self._matrix, self._sampled = other, np.asarray(matrix, float), None
        self._other_look = Look(window, inverted != (other is not None and other.inverted))

    def _scaled(self) -> Bytes:
        own = super()._scaled()
        if self._other is None or own.ndim != 2:
            return own
        other = resample(self._other_picture(), self.viewport.matrix, self._size, smooth=self.smooth)
        shown = shares(self.mode, self.share, (own.shape[0], own.shape[1]), max(round(_SQUARE * self._ratio), 1))
        mixed = own + shown * (other.astype(np.float32) - own)
        return np.asarray(np.rint(mixed), np.uint8)

    def _other_picture(self) -> Bytes:
        """The other scan on the pixels of the shown slice, windowed; kept while only the camera moves."""
        key = (self.index, self._other_look)
        if self._sampled is None or self._sampled[0] != key:
            assert self._other is not None
            values = sampled_slice(self._other, self._matrix, self._volume(), self._grid(), self.index)
            grey = to_grey(np.nan_to_num(values, nan=0.0), self._other_look)
            self._sampled = key, np.where(np.isnan(values), np.uint8(0), grey)
        return self._sampled[1]


def shares(mode: Mode, share: float, shape: tuple[int, int], square: int) -> NDArray[np.float32]:
    """How much of the other scan each display pixel shows, 0..1, broadcastable to `shape` (rows, columns)."""
    rows, columns = shape
    if mode == "swipe":
        return (np.arange(columns)[None, :] < share * columns).astype(np.float32)
    if mode == "checker":
        chequered = (np.arange(rows)[:, None] // square + np.arange(columns)[None, :] // square) % 2
        return chequered.astype(np.float32)
    return np.full((1, 1), share, np.float32)


def sampled_slice(other: Volume, matrix: Affine, shown: Volume, grid: SliceGrid, index: int) -> NDArray[np.float32]:
    """Values of `other` at the pixel centres of a slice of `shown`, float32 (n_v, n_u), linear; NaN outside `other`.

    `matrix` maps LPS mm of `shown` to LPS mm of `other`. Raises ValueError where one has no place in space.
    """
    from scipy.ndimage import map_coordinates

    if other.affine is None or shown.affine is None:
        raise ValueError("both scans need a place in space")
    voxels = np.linalg.inv(other.affine) @ matrix @ shown.affine
    width, height = grid.shape
    origin = voxels @ np.append(grid.voxel(0, 0, index), 1.0)
    along_u, along_v = voxels[:3, grid.u_axis], voxels[:3, grid.v_axis]
    u, v = np.arange(width)[None, None, :], np.arange(height)[None, :, None]
    places = origin[:3, None, None] + along_u[:, None, None] * u + along_v[:, None, None] * v
    last = np.asarray(other.shape, float)[:, None, None] - 1
    outside = ((places < -0.5) | (places > last + 0.5)).any(axis=0)
    values = map_coordinates(other.luminance(), places, np.float32, order=1, mode="nearest")
    return np.where(outside, np.float32(np.nan), values).astype(np.float32)
