"""Draws the 3D view in a process of its own: VTK's code and its drawing would hold up the window that shows the
picture, and a graphics driver that fails would take it along.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from medviewer.core.errors import UserError
from medviewer.core.progress import Progress
from medviewer.core.segmentation import Color
from medviewer.render.coarse import CoarseVolume, Surface, surface_of
from medviewer.render.raster import Bytes
from medviewer.render.volume_looks import VolumeLook
from medviewer.render.volume_view import VolumeView

_log = logging.getLogger(__name__)
FACTORY = "medviewer.render.picture_server:PictureServer"  # for `services.logic_process`
Order = tuple[int, str, tuple[Any, ...]]  # number, what, with what


@dataclass(frozen=True, eq=False)
class Drawn:
    """A picture, B, G, R, A uint8 (height, width, 4), and how many segments are in it."""

    picture: Bytes
    segments: int
    still: bool


class PictureServer:
    """A `VolumeView` that follows numbered orders, each once; one thread."""

    def __init__(self) -> None:
        self.view = VolumeView()
        self._last = 0
        self._surfaces: dict[str, Surface | None] = {}

    def warm(self, progress: Progress) -> None:
        """Load VTK's code."""
        import medviewer.render.vtk_stage  # noqa: F401

    def draw(
        self, followed: int, orders: Sequence[Order], size: tuple[int, int], moving: bool, progress: Progress
    ) -> Drawn | None:
        """Follow the orders, then draw; a still picture is given up between its parts when it is cancelled.

        None while there is no scan. Raises UserError where there is no OpenGL, or where this is another process than
        the one that had followed the orders up to `followed`.
        """
        if followed > self._last:
            raise UserError("The 3D view was lost.", "It is loaded again.", code="lost")
        for number, what, given in orders:
            if number > self._last:
                getattr(self, f"_{what}")(*given)
                self._last = number
        if not self.view.looks:
            return None
        self.view.set_size(*size)
        return Drawn(self._moving() if moving else self._still(progress), len(self._surfaces), not moving)

    def _moving(self) -> Bytes:
        return self.view.render(moving=True)

    def _still(self, progress: Progress) -> Bytes:
        for picture in self.view.render_parts():
            progress.check_cancelled()
            if picture is not None:
                return np.ascontiguousarray(picture)
        raise RuntimeError("the picture has no last part")

    # -- orders -----------------------------------------------------------------
    def _load(
        self, window: tuple[str, bool], coarse: CoarseVolume, looks: list[VolumeLook], sides_known: bool,
        size: tuple[int, int],
    ) -> None:  # fmt: skip
        self._clear()
        self.view.window = window
        self.view.load_reduced(coarse, looks, sides_known)
        self.view.set_size(*size)
        self.view.reset()

    def _clear(self) -> None:
        self._surfaces.clear()
        self.view.load_reduced(None, [], False)

    def _surface(self, name: str, mask: Any, affine: Any) -> None:
        try:
            self._surfaces[name] = surface_of(mask, affine)
        except Exception:  # one surface must not take the rest of the picture with it
            _log.exception("a surface could not be made")
            self._surfaces[name] = None

    def _show(self, shown: dict[str, tuple[Color, float]], known: Sequence[str]) -> None:
        self._surfaces = {name: surface for name, surface in self._surfaces.items() if name in known}
        surfaces = {}
        for name, (color, opacity) in shown.items():
            surface = self._surfaces.get(name)
            if surface is not None:
                surfaces[name] = surface, color, opacity
        self.view.set_surfaces(surfaces)

    def _look(self, index: int) -> None:
        self.view.set_look(index)

    def _rotate(self, dx: float, dy: float) -> None:
        self.view.rotate(dx, dy)

    def _pan(self, dx: float, dy: float) -> None:
        self.view.pan(dx, dy)

    def _zoom(self, factor: float) -> None:
        self.view.zoom(factor)

    def _reset(self) -> None:
        self.view.reset()
