"""Keeps the 2D views in step with the scene: volume, window, cursor, masks, preview."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from medviewer.core.prediction import Prediction
from medviewer.core.scene import Scan, Scene
from medviewer.core.segmentation import Segment
from medviewer.core.volume import Volume
from medviewer.gui.views.slice_widget import SliceWidget
from medviewer.render.camera import Camera
from medviewer.render.masks import BoxCache, MaskLayer
from medviewer.render.presets import default_window
from medviewer.render.slice_grid import has_one_view

_HOVER_FILL, _EDIT_FILL, _PREVIEW_FILL = 0.22, 0.18, 0.16
_PREVIEW_OPACITY = 0.55  # in 3D
_SAMPLED = 40  # voxels along an axis that are looked at to find the middle of a mask


class SceneLink:
    """Pushes the state of the active scan into the views. GUI thread; `close` disconnects."""

    def __init__(self, scene: Scene, views: Sequence[SliceWidget], boxes: BoxCache) -> None:
        self.scene, self._views, self._boxes = scene, views, boxes
        self.hovered: frozenset[str] = frozenset()
        self.pointed_at: str | None = None  # id of the segment that a panel points at
        self.editing = False
        self._default: tuple[float, float] | None = None
        self._slots: list[tuple[object, Callable[[], None]]] = []
        self._volume: Volume | None = None
        self._preview_solid: tuple[Prediction, Segment] | None = None
        self._key = ""
        self._cameras: dict[str, dict[str, Camera]] = {}

    def connect(self, volume_changed: Callable[[], None]) -> None:
        """Listen; `volume_changed` is called after another volume was put into the views."""
        scene = self.scene
        self._volume_changed = volume_changed
        pairs = (
            (scene.active_changed, self.show_scan), (scene.segments_changed, self.show_masks),
            (scene.preview_changed, self._preview_changed), (scene.cursor_changed, self.show_cursor),
            (scene.window_changed, self.show_window), (scene.frame_changed, self.show_cursor),
            (scene.selection_changed, self.show_masks),
        )  # fmt: skip
        for signal, slot in pairs:
            signal.connect(slot)
            self._slots.append((signal, slot))

    def close(self) -> None:
        """Stop listening and let go of the scan."""
        for signal, slot in self._slots:
            signal.disconnect(slot)  # type: ignore[attr-defined]
        self._slots.clear()
        self._volume, self._preview_solid = None, None
        for widget in self._views:
            widget.view.set_volume(None)

    # -- scene to views ---------------------------------------------------------------
    @property
    def scan(self) -> Scan | None:
        return self.scene.active

    def show_scan(self) -> None:
        """The active scan changed (or its facts)."""
        volume = None if self.scan is None else self.scan.volume
        if volume is not self._volume:
            self._remember_cameras()
            self._volume = volume
            self._default = None if volume is None else default_window(volume)
            self.hovered = frozenset()
            for widget in self._views:
                widget.view.set_volume(volume if volume is None or fits(widget, volume) else None)
                widget.hover_pick = None
            self._recall_cameras()
        self._volume_changed()
        self.show_window()
        self.show_masks()
        self.show_cursor()

    def _remember_cameras(self) -> None:
        """Zoom, pan and flips belong to a scan."""
        open_keys = {scan.key for scan in self.scene.scans}
        self._cameras = {key: cameras for key, cameras in self._cameras.items() if key in open_keys}
        if self._key in open_keys:
            self._cameras[self._key] = {widget.plane: widget.view.camera for widget in self._views}
        self._key = "" if self.scan is None else self.scan.key

    def _recall_cameras(self) -> None:
        for widget in self._views:
            widget.view.camera = self._cameras.get(self._key, {}).get(widget.plane, widget.view.camera)

    def show_window(self) -> None:
        """Window and inversion."""
        scan = self.scan
        if scan is None or self._default is None:
            return
        for widget in self._shown():
            widget.view.set_window(scan.window or self._default, scan.inverted)
            widget.refresh()

    def show_cursor(self) -> None:
        """Slices and crosshair; a view whose slice stays the same only redraws its overlays."""
        scan = self.scan
        if scan is None:
            return
        for widget in self._shown():
            before = widget.view.index
            widget.view.set_position(scan.cursor)
            if scan.volume.kind == "cine":
                widget.view.set_index(scan.frame)
            widget.refresh(pixels=widget.view.index != before)

    def show_masks(self) -> None:
        layers = self._layers()
        for widget in self._shown():
            widget.view.set_layers(layers)
            widget.refresh()

    def set_hovered(self, names: Sequence[str]) -> None:
        """Fill the masks under the pointer."""
        now = frozenset(names)
        if now != self.hovered:
            self.hovered = now
            self.show_masks()

    def point_at(self, segment_id: str | None) -> None:
        """Fill one segment besides; None ends it."""
        if segment_id != self.pointed_at:
            self.pointed_at = segment_id
            self.show_masks()

    def _shown(self) -> list[SliceWidget]:
        """The views that show the active scan; none while they still hold the one before."""
        return [] if self._behind() else [w for w in self._views if w.view.volume is not None]

    def _behind(self) -> bool:
        """Another listener to the change of the scan was told first, and changed the scene."""
        return self.scan is not None and self.scan.volume is not self._volume

    # -- masks ---------------------------------------------------------------
    def _layers(self) -> list[MaskLayer]:
        scan = self.scan
        if scan is None:
            return []
        layers = [
            MaskLayer(s.mask, s.color, s.opacity, self._fill(s.id, s.name), name=s.name, frame=s.frame, id=s.id)
            for s in scan.segments
            if s.visible
        ]
        preview = scan.preview
        if preview is not None and preview.found:
            title = preview.title or preview.prompt
            color = self.scene.next_color(scan)
            frame = scan.frame if scan.volume.kind == "cine" else None
            layers.append(MaskLayer(preview.mask, color, 1.0, _PREVIEW_FILL, True, title, frame, "preview"))
        return layers

    def solids(self) -> list[Segment]:
        """What the 3D view shows: the segments and, paler, the preview."""
        scan = self.scan
        if scan is None:
            return []
        preview = scan.preview
        if preview is None or not preview.found:
            self._preview_solid = None
            return list(scan.segments)
        solid = self._preview_solid
        if solid is None or solid[0] is not preview:
            color, mask = self.scene.next_color(scan), preview.mask.view()  # a segment locks its array
            solid = preview, Segment(preview.title, mask, color, _PREVIEW_OPACITY, id="preview")
            self._preview_solid = solid
        return [*scan.segments, solid[1]]

    def _fill(self, segment_id: str, name: str) -> float:
        if name in self.hovered or segment_id == self.pointed_at:
            return _HOVER_FILL
        return _EDIT_FILL if self.editing and segment_id == self.scene.selected_id else 0.0

    def _preview_changed(self) -> None:
        if self._behind():
            self.show_scan()
        self._go_to_preview()
        self.show_masks()

    def _go_to_preview(self) -> None:
        """Move to the preview if no view shows a part of it, so that it is seen before it is accepted."""
        scan = self.scan
        if scan is None or scan.preview is None or not scan.preview.found or scan.volume.kind != "volume":
            return
        mask = scan.preview.mask
        box = self._boxes.box(mask)
        seen = [widget for widget in self._shown() if widget.isVisible()] or self._shown()
        if box is not None and not any(_meets(widget, mask) for widget in seen):
            self.scene.set_cursor(seen[0].view.place_voxel(central_voxel(mask, box)))


def fits(widget: SliceWidget, volume: Volume) -> bool:
    """Whether a view has something to show: three planes of a volume, one view of an image or cine."""
    return (widget.plane == "native") == has_one_view(volume)


def _meets(widget: SliceWidget, mask: np.ndarray) -> bool:
    grid = widget.view.grid
    return grid is not None and bool(grid.extract(mask, widget.view.index).any())


def central_voxel(mask: np.ndarray, box: tuple[tuple[int, int], ...]) -> tuple[int, int, int]:
    """A voxel near the centre of mass; in a large mask, of a sample of its voxels (this is the GUI thread)."""
    crop = mask[tuple(slice(*span) for span in box)]
    steps = [max(1, n // _SAMPLED) for n in crop.shape]
    index = np.argwhere(crop[:: steps[0], :: steps[1], :: steps[2]]) * steps
    if not len(index):  # thin, between the sampled voxels
        index = np.argwhere(crop)
    nearest = index[np.argmin(((index - index.mean(axis=0)) ** 2).sum(axis=1))]
    i, j, k = (int(n) + span[0] for n, span in zip(nearest, box, strict=True))
    return i, j, k
