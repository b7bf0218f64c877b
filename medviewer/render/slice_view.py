"""One slice of one volume as a picture: the state of a 2D view and its rendering. No VTK, no Qt; one thread."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from medviewer.core.geometry import Affine, lps_to_voxel, voxel_to_lps
from medviewer.core.volume import Volume
from medviewer.render.camera import Camera, Viewport
from medviewer.render.masks import BoxCache, MaskLayer, blend, mask_patch
from medviewer.render.presets import default_window, has_sigmoid
from medviewer.render.raster import Bytes, Look, block_mean_2d, grey_to_bgra, resample, to_grey
from medviewer.render.slice_grid import Plane, SliceGrid, grid_of, opposite, side_letters

_LINE_WIDTH = 1.6  # logical pixels
_LARGE = 1_500_000  # pixels of a slice


@dataclass(frozen=True)
class Pick:
    """What lies under a display position.

    `position` is LPS mm, or voxel indices where the volume has no affine; `voxel` the index of the voxel it lies
    in, None outside the scan.
    """

    position: tuple[float, float, float]
    voxel: tuple[int, int, int] | None


class SliceView:
    """Axial, coronal, sagittal or native slices. Coordinates are logical pixels; pictures are device pixels."""

    def __init__(self, plane: Plane = "axial", boxes: BoxCache | None = None) -> None:
        self.plane: Plane = plane
        self.volume: Volume | None = None
        self.grid: SliceGrid | None = None
        self.camera = Camera()
        self.layers: Sequence[MaskLayer] = ()
        self.masks_shown = True
        self.smooth = True
        self.look = Look((1.0, 0.5))
        self.voxel = np.zeros(3)  # continuous index of the cursor
        self._size, self._ratio = (256, 256), 1.0
        self._boxes = boxes or BoxCache()
        self._base: tuple[object, Bytes] | None = None
        self._small: tuple[object, NDArray[np.generic]] | None = None

    # -- what is shown ---------------------------------------------------------------
    def set_volume(self, volume: Volume | None) -> None:
        """Show another volume from its middle; None frees everything."""
        self.volume, self._base, self._small, self.layers = volume, None, None, ()
        self.camera = Camera()
        self.grid = None if volume is None else grid_of(volume, self.plane)
        if volume is not None:
            self.voxel = (np.asarray(volume.shape, float) - 1) // 2
            self.set_window(default_window(volume))

    def set_size(self, width: int, height: int, ratio: float = 1.0) -> None:
        """Logical size and device-pixel ratio of the window."""
        self._ratio = ratio
        self._size = max(round(width * ratio), 1), max(round(height * ratio), 1)

    def set_window(self, window: tuple[float, float], inverted: bool = False) -> None:
        """(width, centre) in stored units; `inverted` comes on top of the volume's own inversion (MONOCHROME1)."""
        own = self.volume.inverted if self.volume is not None else False
        sigmoid = self.volume is not None and has_sigmoid(self.volume) and tuple(window) == self.volume.window
        self.look = Look((max(float(window[0]), 1e-6), float(window[1])), inverted != own, sigmoid)

    def set_layers(self, layers: Sequence[MaskLayer]) -> None:
        """Masks to draw, the last on top."""
        self.layers = tuple(layers)

    def set_position(self, position: Sequence[float]) -> None:
        """Show the slice nearest to a position (LPS mm; voxel indices where the volume has no affine)."""
        volume = self._volume()
        voxel = np.asarray(position, float)
        if volume.affine is not None:
            voxel = lps_to_voxel(volume.affine, voxel)
        self.voxel = np.clip(voxel, 0, np.asarray(volume.shape) - 1)

    @property
    def index(self) -> int:
        """The shown slice along the plane's voxel axis, from 0."""
        return int(np.floor(self.voxel[self._grid().slice_axis] + 0.5))

    def set_index(self, index: int) -> None:
        """Show slice `index`, clamped (no wrap)."""
        grid = self._grid()
        self.voxel = self.voxel.copy()
        self.voxel[grid.slice_axis] = min(max(index, 0), grid.count - 1)

    def scroll(self, notches: int) -> None:
        """One notch, one image; no wrap."""
        self.set_index(self.index + notches)

    def position(self) -> tuple[float, float, float]:
        """The cursor (LPS mm; voxel indices where the volume has no affine)."""
        return self._place(self.voxel)

    def place_voxel(self, voxel: Sequence[float] | NDArray[np.float64]) -> tuple[float, float, float]:
        """LPS mm of a continuous voxel index (the index itself where the volume has no affine)."""
        return self._place(np.asarray(voxel, float))

    # -- where things are ---------------------------------------------------------------
    @property
    def viewport(self) -> Viewport:
        return Viewport(self._grid(), self.camera, self._size)

    def pick(self, x: float, y: float) -> Pick:
        """What lies under logical pixel position (x, y), (0, 0) being the outer corner of the window."""
        grid, volume = self._grid(), self._volume()
        u, v = self.viewport.to_pixel(x * self._ratio, y * self._ratio)
        exact = grid.voxel(u, v, self.index)
        nearest = np.floor(exact + 0.5).astype(int)
        inside = bool(((nearest >= 0) & (nearest < volume.shape)).all())
        i, j, k = (int(n) for n in nearest)
        return Pick(self._place(exact), (i, j, k) if inside else None)

    def pick_cursor(self) -> Pick:
        """The cursor as if it had been picked."""
        i, j, k = (int(n) for n in np.floor(self.voxel + 0.5))
        return Pick(self.position(), (i, j, k))

    def clamped(self, position: Sequence[float]) -> tuple[float, float, float]:
        """The nearest position inside the scan."""
        volume = self._volume()
        voxel = np.asarray(position, float)
        if volume.affine is not None:
            voxel = lps_to_voxel(volume.affine, voxel)
        return self._place(np.clip(voxel, 0, np.asarray(volume.shape) - 1))

    def locate(self, position: Sequence[float]) -> tuple[float, float]:
        """Logical pixel position of a position (LPS mm or voxel indices), projected along the slice axis."""
        volume = self._volume()
        voxel = np.asarray(position, float)
        if volume.affine is not None:
            voxel = lps_to_voxel(volume.affine, voxel)
        return self._logical(self._grid().pixel(voxel))

    def crosshair(self) -> tuple[tuple[float, float], tuple[float, float], tuple[float, float], tuple[float, float]]:
        """Ends in logical pixels of the line along u (where v stays) and of the line along v, across the picture."""
        grid = self._grid()
        u, v = np.floor(np.asarray(grid.pixel(self.voxel)) + 0.5)
        (width, height), low = grid.shape, -0.5
        ends = ((low, v), (width + low, v), (u, low), (u, height + low))
        a, b, c, d = (self._logical(end) for end in ends)
        return a, b, c, d

    def letters(self) -> dict[str, str]:
        """Patient directions at the "left", "right", "top" and "bottom" of the window; empty where unknown."""
        grid, turn = self._grid(), self.camera.turn
        if grid.right is not None and not self._volume().orientation_recorded:
            return {}  # the affine is made of the voxel size alone
        if grid.right is not None and grid.down is not None:
            axes = np.stack([grid.right, grid.down]).T @ turn.T  # columns: screen right, screen down, in LPS
            right, bottom = side_letters(axes[:, 0]), side_letters(axes[:, 1])
        elif grid.letters is not None:
            right, bottom = _turned(grid.letters, turn)
        else:
            return {}
        return {"left": opposite(right), "right": right, "top": opposite(bottom), "bottom": bottom}

    def mm_per_pixel(self) -> float | None:
        """Millimetres per logical pixel; None where the spacing is unknown."""
        return self._ratio / self.viewport.scale if self._grid().in_mm else None

    def layers_at(self, voxel: tuple[int, int, int]) -> list[str]:
        """Names of the shown masks at a voxel, the topmost first."""
        if not self.masks_shown:
            return []
        return [layer.name for layer in reversed(self._active_layers()) if layer.mask[voxel] and layer.name]

    # -- camera ---------------------------------------------------------------
    def pan(self, dx: float, dy: float) -> None:
        """Drag the picture by logical pixels."""
        self.camera = self.viewport.panned(dx * self._ratio, dy * self._ratio)

    def zoom(self, factor: float, x: float | None = None, y: float | None = None) -> None:
        """Zoom about a logical position, or about the middle."""
        if x is None or y is None:
            self.camera = self.camera.zoomed(factor)
        else:
            self.camera = self.viewport.zoomed_about(factor, x * self._ratio, y * self._ratio)

    def fit(self) -> None:
        """The whole slice; flips and rotation stay."""
        self.camera = replace(self.camera, zoom=1.0, pan=(0.0, 0.0))

    def look_like(self, view: SliceView, matrix: Affine, larger: float = 1.0) -> None:
        """Take the zoom (in mm, times `larger`), place and turn of another view. `matrix` maps its LPS mm to those of
        this one; both show a scan in patient space and know the size of their window."""
        other, volume = view._volume(), self._volume()
        if other.affine is None or volume.affine is None:
            raise ValueError("both views need a scan that has a place in space")
        width, height = view._size
        place = view._place(view._grid().voxel(*view.viewport.to_pixel(width / 2, height / 2), view.index))
        u_v = self._grid().pixel(lps_to_voxel(volume.affine, voxel_to_lps(matrix, place)))
        plain = replace(view.camera, zoom=1.0, pan=(0.0, 0.0))
        zoom = larger * view.viewport.scale / Viewport(self._grid(), plain, self._size).scale
        pan = self._grid().to_plane @ u_v - self._grid().corners().mean(axis=0)
        self.camera = replace(plain, zoom=zoom, pan=(float(pan[0]), float(pan[1])))

    def turn(self, *, horizontal: bool = False, vertical: bool = False, quarters: int = 0) -> None:
        """Flip or rotate (clockwise) what is on the screen."""
        camera = self.camera
        if camera.quarter_turns % 2:  # screen directions are the other plane directions
            horizontal, vertical = vertical, horizontal
        self.camera = replace(
            camera,
            flip_horizontal=camera.flip_horizontal != horizontal,
            flip_vertical=camera.flip_vertical != vertical,
            quarter_turns=(camera.quarter_turns + quarters) % 4,
        )

    # -- pixels ---------------------------------------------------------------
    def render(self) -> Bytes:
        """The picture, B, G, R, A uint8 (height, width, 4) in device pixels: voxels and masks, no text."""
        picture = grey_to_bgra(self._scaled())
        self.drawn_previews = self._draw_masks(picture)
        return picture

    drawn_previews = 0  # preview masks that had a pixel in the last picture

    def _scaled(self) -> Bytes:
        matrix, factor = self.viewport.matrix, self._reduction()
        if factor > 1:
            middle = matrix[:, 2] + matrix[:, :2] @ ((factor - 1) / 2, (factor - 1) / 2)
            matrix = np.column_stack([matrix[:, :2] * factor, middle])
        return resample(self._base_picture(factor), matrix, self._size, smooth=self.smooth)

    def _reduction(self) -> int:
        """Large images (X-ray) shown small are averaged over blocks first, so that dragging the window stays quick."""
        width, height = self._grid().shape
        if not self.smooth or width * height < _LARGE:
            return 1
        scale = float(np.sqrt(abs(np.linalg.det(self.viewport.matrix[:, :2]))))
        return 1 << max(int(np.log2(max(0.7 / scale, 1.0))), 0)

    def _values(self, factor: int) -> NDArray[np.generic]:
        """Stored values of the slice, rows and columns (and colour), averaged over `factor` x `factor` pixels."""
        if factor == 1:
            return self._grid().extract(self._volume().array, self.index)
        key = (self.index, factor)
        if self._small is None or self._small[0] != key:
            self._small = key, block_mean_2d(self._grid().extract(self._volume().array, self.index), factor)
        return self._small[1]

    def _base_picture(self, factor: int) -> Bytes:
        """The windowed slice at its own (or the reduced) resolution; kept while only the camera moves."""
        key = (self.index, self.look, factor)
        if self._base is None or self._base[0] != key:
            values = self._values(factor)
            grey = np.asarray(values) if values.ndim == 3 else to_grey(values, self.look)
            if values.ndim == 3 and self.look.inverted:
                grey = 255 - grey
            self._base = key, np.ascontiguousarray(grey, dtype=np.uint8)
        return self._base[1]

    def _active_layers(self) -> list[MaskLayer]:
        frame = self.index if self._volume().kind == "cine" else None
        return [m for m in self.layers if m.frame is None or frame is None or m.frame == frame]

    def _draw_masks(self, picture: Bytes) -> int:
        if not self.masks_shown:
            return 0
        line = max(round(_LINE_WIDTH * self._ratio), 1)
        viewport, previews = self.viewport, 0
        for layer in self._active_layers():
            box = self._boxes.box(layer.mask)
            if box is None or layer.opacity <= 0:
                continue
            patch = mask_patch(
                layer.mask, box, viewport.grid, self.index, viewport.matrix, self._size,
                smooth=self.smooth, margin=line + 1,
            )  # fmt: skip
            if patch is not None:
                blend(picture, patch, layer, line)
                previews += layer.preview
        return previews

    # -- small ---------------------------------------------------------------
    def _volume(self) -> Volume:
        if self.volume is None:
            raise RuntimeError("no volume is shown")
        return self.volume

    def _grid(self) -> SliceGrid:
        if self.grid is None:
            raise RuntimeError("no volume is shown")
        return self.grid

    def _place(self, voxel: NDArray[np.float64]) -> tuple[float, float, float]:
        affine = self._volume().affine
        point = voxel if affine is None else voxel_to_lps(affine, voxel)
        return float(point[0]), float(point[1]), float(point[2])

    def _logical(self, pixel: Sequence[float]) -> tuple[float, float]:
        x, y = self.viewport.to_display(float(pixel[0]), float(pixel[1]))
        return x / self._ratio, y / self._ratio


def _turned(letters: tuple[str, str], turn: NDArray[np.float64]) -> tuple[str, str]:
    """Letters (right, down) of the stored frame as seen after flips and rotation."""
    right, down = letters
    toward = []
    for screen in np.eye(2):
        stored = turn.T @ screen
        axis = int(np.argmax(np.abs(stored)))
        text = (right, down)[axis]
        toward.append(text if stored[axis] > 0 else opposite(text))
    return toward[0], toward[1]
