"""Pan, zoom, flip and rotation of a slice view: the map between slice pixels and display pixels."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from medviewer.render.slice_grid import SliceGrid

Matrix = NDArray[np.float64]
_FIT_MARGIN = 0.98
_MIN_ZOOM, _MAX_ZOOM = 0.2, 60.0


@dataclass(frozen=True)
class Camera:
    """`zoom` is relative to the fitted picture; `pan` is in plane mm (pixels without spacing).

    `quarter_turns` rotates clockwise on the screen, after the flips.
    """

    zoom: float = 1.0
    pan: tuple[float, float] = (0.0, 0.0)
    flip_horizontal: bool = False
    flip_vertical: bool = False
    quarter_turns: int = 0

    @property
    def flipped(self) -> bool:
        return self.flip_horizontal or self.flip_vertical

    @property
    def turn(self) -> Matrix:
        """2x2, plane directions to screen directions."""
        flip = np.diag([-1.0 if self.flip_horizontal else 1.0, -1.0 if self.flip_vertical else 1.0])
        quarter = np.array([[0.0, -1.0], [1.0, 0.0]])
        return np.asarray(np.linalg.matrix_power(quarter, self.quarter_turns % 4) @ flip)

    def zoomed(self, factor: float) -> Camera:
        """Zoom about the middle of the view, within limits."""
        return replace(self, zoom=float(np.clip(self.zoom * factor, _MIN_ZOOM, _MAX_ZOOM)))


@dataclass(frozen=True)
class Viewport:
    """The display map of one slice grid in a window of `size` device pixels.

    Display coordinates are continuous with (0, 0) at the outer corner of the top left pixel (as Qt has them).
    """

    grid: SliceGrid
    camera: Camera
    size: tuple[int, int]
    _matrix: list[Matrix] = field(default_factory=list, repr=False, compare=False)

    @property
    def scale(self) -> float:
        """Device pixels per plane mm (or per pixel where the spacing is unknown)."""
        extent = np.ptp(self.grid.corners() @ self.camera.turn.T, axis=0)
        fit = min(self.size[0] / max(extent[0], 1e-9), self.size[1] / max(extent[1], 1e-9))
        return float(fit * self.camera.zoom * _FIT_MARGIN)

    @property
    def matrix(self) -> Matrix:
        """2x3: slice pixel (u, v) to display (x, y)."""
        if not self._matrix:
            self._matrix.append(self._compute())
        return self._matrix[0]

    def _compute(self) -> Matrix:
        linear = self.camera.turn @ self.grid.to_plane * self.scale
        middle = self.grid.corners().mean(axis=0) + np.asarray(self.camera.pan)
        centre = np.asarray(self.size, float) / 2 - self.camera.turn @ middle * self.scale
        return np.column_stack([linear, centre])

    def to_display(self, u: float, v: float) -> tuple[float, float]:
        """Display position of slice pixel (u, v)."""
        x, y = self.matrix @ (u, v, 1.0)
        return float(x), float(y)

    def to_pixel(self, x: float, y: float) -> tuple[float, float]:
        """Continuous slice pixel (u, v) under a display position."""
        matrix = self.matrix
        u, v = np.linalg.solve(matrix[:, :2], np.array([x, y]) - matrix[:, 2])
        return float(u), float(v)

    def panned(self, dx: float, dy: float) -> Camera:
        """The camera after dragging the picture by display pixels."""
        shift = np.linalg.solve(self.camera.turn * self.scale, np.array([dx, dy]))
        pan = np.asarray(self.camera.pan) - shift
        return replace(self.camera, pan=(float(pan[0]), float(pan[1])))

    def zoomed_about(self, factor: float, x: float, y: float) -> Camera:
        """The camera zoomed so that the slice pixel under (x, y) stays there."""
        u, v = self.to_pixel(x, y)
        after = Viewport(self.grid, self.camera.zoomed(factor), self.size)
        moved_x, moved_y = after.to_display(u, v)
        return after.panned(x - moved_x, y - moved_y)
