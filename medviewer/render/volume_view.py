"""The 3D view: volume rendering and segment surfaces, drawn off-screen by VTK and handed out as an array."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from medviewer.core.segmentation import Color, Segment
from medviewer.core.volume import Volume
from medviewer.render.coarse import CoarseVolume, Surface, reduced, surface_of
from medviewer.render.gl_backend import working_window
from medviewer.render.raster import Bytes
from medviewer.render.volume_looks import VolumeLook, looks_for

if TYPE_CHECKING:
    from medviewer.render.vtk_stage import Stage


class VolumeView:
    """Scan and segments in 3D. VTK objects are made on first use; use one thread (for the window: of another process).

    `load` and `set_surfaces` take arrays made elsewhere; `show` does everything at once. Call `close` when done.
    Raises UserError on first drawing where this computer has no OpenGL. `window` is what `working_window` gave, where
    that was asked before.
    """

    def __init__(self) -> None:
        self._stage: Stage | None = None
        self.window: tuple[str, bool] | None = None
        self._size = (400, 400)
        self.looks: list[VolumeLook] = []
        self.look_index = 0

    # -- content ---------------------------------------------------------------
    def show(self, volume: Volume, segments: Sequence[Segment] = ()) -> None:
        """Reduce the scan, make the surfaces of the visible segments, look from the front."""
        self.load(volume, reduced(volume))
        surfaces: dict[str, tuple[Surface, Color, float]] = {}
        for segment in segments:
            made = surface_of(segment.mask, volume.affine) if segment.visible and volume.affine is not None else None
            if made is not None:
                surfaces[segment.id] = made, segment.color, segment.opacity
        self.set_surfaces(surfaces)
        self.reset()

    def load(self, volume: Volume | None, coarse: CoarseVolume | None) -> None:
        """Show a reduced scan (None: nothing)."""
        looks = [] if coarse is None or volume is None else looks_for(volume, coarse.array)
        self.load_reduced(coarse, looks, volume is not None and volume.orientation_recorded)

    def load_reduced(self, coarse: CoarseVolume | None, looks: list[VolumeLook], sides_known: bool) -> None:
        """The same, where the ways to see it are known already."""
        self.looks, self.look_index = looks, 0
        if coarse is None:
            if self._stage is not None:
                self._stage.clear()
            return
        self.stage.set_volume(coarse)
        self.stage.sides_known = sides_known
        self.stage.set_look(self.looks[0])

    def set_look(self, index: int) -> None:
        """Another of `looks`."""
        self.look_index = index % max(len(self.looks), 1)
        if self.looks:
            self.stage.set_look(self.looks[self.look_index])

    def set_surfaces(self, surfaces: Mapping[str, tuple[Surface, Color, float]]) -> None:
        """The surfaces to show: id to (surface, colour, opacity). Unchanged surfaces are not rebuilt."""
        self.stage.set_surfaces(surfaces)

    @property
    def title(self) -> str:
        """For instance "3D · bone + segments"."""
        parts = [self.looks[self.look_index].name] if self.looks else []
        if self._stage is not None and self._stage.has_surfaces:
            parts.append("segments")
        return " · ".join(["3D", " + ".join(parts)]) if parts else "3D"

    # -- camera ---------------------------------------------------------------
    def set_size(self, width: int, height: int) -> None:
        """Device pixels."""
        self._size = max(int(width), 16), max(int(height), 16)

    def rotate(self, dx: float, dy: float) -> None:
        """Turn by degrees: to the right and down on the screen."""
        self.stage.rotate(dx, dy)

    def zoom(self, factor: float) -> None:
        """Come nearer (factor > 1)."""
        self.stage.zoom(factor)

    def pan(self, dx: float, dy: float) -> None:
        """Shift the picture by device pixels."""
        self.stage.pan(dx, dy, self._size)

    def reset(self) -> None:
        """Look from the front, head up, everything in sight."""
        self.stage.reset(self._size)

    # -- pixels ---------------------------------------------------------------
    def render(self, moving: bool = False) -> Bytes:
        """The picture, B, G, R, A uint8 (height, width, 4); coarser and faster while `moving`."""
        return self.stage.render(self._size, moving)

    def render_parts(self) -> Iterator[Bytes | None]:
        """The still picture in steps of a few dozen ms: None until the last gives it."""
        return self.stage.render_parts(self._size)

    @property
    def stage(self) -> Stage:
        if self._stage is None:
            from medviewer.render.vtk_stage import Stage

            self._stage = Stage(*(self.window or working_window()))
        return self._stage

    def close(self) -> None:
        """Free every VTK object and the graphics context."""
        if self._stage is not None:
            self._stage.close()
            self._stage = None


def empty_picture(size: tuple[int, int]) -> Bytes:
    """A black picture, B, G, R, A."""
    picture: Any = np.zeros((size[1], size[0], 4), np.uint8)
    picture[..., 3] = 255
    return np.asarray(picture)
