"""Keeps a prior's own scene in step with the active scan: cursor through the registration, window where both are HU."""

from __future__ import annotations

import numpy as np

from medviewer.api.panel import PriorView
from medviewer.core.geometry import lps_to_voxel, voxel_to_lps
from medviewer.core.scene import Position, Scan, Scene
from medviewer.core.volume import Volume
from medviewer.render.presets import default_window


class PriorLink:
    """`scene` shows the scan, `own` the prior and nothing else. GUI thread; `close` disconnects."""

    def __init__(self, scene: Scene, scan: Scan, prior: PriorView) -> None:
        self.scene, self.scan, self.prior = scene, scan, prior
        self.own = Scene()
        self._mine = self.own.add_volume(prior.volume)
        self.linked = True
        self._moving = False
        scene.cursor_changed.connect(self.follow)
        scene.window_changed.connect(self.follow_window)
        self.own.cursor_changed.connect(self._lead)
        self.show(prior)
        self.follow_window()

    def close(self) -> None:
        """Stop listening."""
        self.scene.cursor_changed.disconnect(self.follow, missing_ok=True)
        self.scene.window_changed.disconnect(self.follow_window, missing_ok=True)

    def show(self, prior: PriorView) -> None:
        """The same prior with another matrix or other masks."""
        self.prior = prior
        self._mine.segments[:] = prior.segments
        self.own.segments_changed.emit()
        self.follow()

    @property
    def can_link(self) -> bool:
        """Whether a place in one of the two is known in the other."""
        affines = self.prior.volume.affine, self.scan.volume.affine
        return self.prior.matrix is not None and all(affine is not None for affine in affines)

    @property
    def is_outside(self) -> bool:
        """Whether the place that the scan shows was not scanned in the prior."""
        return self.can_link and self.linked and not _holds(self.prior.volume, self.in_prior(self.scan.cursor))

    def in_prior(self, position: Position) -> Position:
        """LPS mm of the prior for LPS mm of the scan."""
        assert self.prior.matrix is not None
        return _point(np.linalg.inv(self.prior.matrix), position)

    def in_scan(self, position: Position) -> Position:
        """LPS mm of the scan for LPS mm of the prior."""
        assert self.prior.matrix is not None
        return _point(self.prior.matrix, position)

    def follow(self) -> None:
        """The prior goes where the scan is."""
        if self.can_link and self.linked and not self._moving and self.scene.active is self.scan:
            self._moving = True
            self.own.set_cursor(self.in_prior(self.scan.cursor))
            self._moving = False

    def _lead(self) -> None:
        """Somebody scrolled or clicked in the prior: the scan goes there."""
        if self.can_link and self.linked and not self._moving and self.scene.active is self.scan:
            self._moving = True
            self.scene.set_cursor(self.in_scan(self._mine.cursor))
            self._moving = False

    def follow_window(self) -> None:
        """The same window, where the numbers mean the same."""
        if self.same_units and self.scene.active is self.scan:
            self.own.set_window(self.scan.window or default_window(self.scan.volume))
            self.own.set_inverted(self.scan.inverted)

    def drag_window(self, window: tuple[float, float]) -> None:
        """A window was dragged in the prior."""
        (self.scene if self.same_units else self.own).set_window(window)

    @property
    def same_units(self) -> bool:
        """Whether both are in Hounsfield units."""
        return self.prior.volume.units == self.scan.volume.units == "HU"

    @property
    def window(self) -> tuple[float, float]:
        """(width, centre) of the prior."""
        return self._mine.window or default_window(self.prior.volume)


def _point(matrix: np.ndarray, position: Position) -> Position:
    x, y, z = voxel_to_lps(matrix, position)
    return float(x), float(y), float(z)


def _holds(volume: Volume, position: Position) -> bool:
    assert volume.affine is not None
    voxel = lps_to_voxel(volume.affine, position)
    return bool(((voxel >= -0.5) & (voxel <= np.asarray(volume.shape) - 0.5)).all())
