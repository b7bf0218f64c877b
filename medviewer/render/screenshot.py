"""Pictures of views without a window, as the command line and the demo write them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from medviewer.core.errors import UserError, WrongUsage
from medviewer.core.segmentation import Segment
from medviewer.core.volume import Volume
from medviewer.render import labels
from medviewer.render.annotate import annotate_slice, annotate_volume
from medviewer.render.masks import BoxCache, MaskLayer
from medviewer.render.presets import default_window
from medviewer.render.raster import Bytes
from medviewer.render.slice_view import SliceView

View = Literal["axial", "coronal", "sagittal", "volume", "native"]
_VIEWS = ("axial", "coronal", "sagittal", "volume", "native")


def screenshot(
    volume: Volume,
    view: str = "axial",
    segments: Sequence[Segment] = (),
    at: Sequence[float] | None = None,
    size: tuple[int, int] = (800, 800),
    window: tuple[float, float] | None = None,
    *,
    identity: bool = False,
) -> Bytes:
    """A picture of a view, RGB uint8 (height, width, 3), with letters, corner text and scale bar.

    `view` is "axial", "coronal", "sagittal" (native slices), "native" (the stored image plane) or "volume" (3D).
    `at` is LPS mm (voxel indices where the volume has no affine); without it the slice with most of the visible
    segments is shown, else the middle one. `window` is (width, centre). Images and cine loops have
    one view whatever is asked. Who the patient is stands on the picture only if `identity` is asked for.
    Raises WrongUsage for an unknown view or 3D of an image. Without OpenGL 3D is a plain picture from the front.
    """
    if view not in _VIEWS:
        raise WrongUsage(f"There is no view called {view!r}.", f"Use one of: {', '.join(_VIEWS[:4])}.")
    if view == "volume":
        return _volume_picture(volume, segments, size, labels.identity_line(volume) if identity else "")
    slices = SliceView("native" if volume.kind != "volume" or volume.affine is None else view)  # type: ignore[arg-type]
    slices.set_volume(volume)
    slices.set_size(*size)
    slices.set_window(window or default_window(volume))
    slices.set_layers(layers_of(segments))
    if at is not None:
        slices.set_position(at)
    elif segments:
        _go_to_segments(slices, segments)
    picture = slices.render()[..., 2::-1]
    return annotate_slice(picture, slices, crosshair=at is not None and volume.kind == "volume", identity=identity)


def layers_of(segments: Sequence[Segment]) -> list[MaskLayer]:
    """The visible segments as mask layers."""
    return [
        MaskLayer(s.mask, s.color, s.opacity, name=s.name, frame=s.frame, id=s.id) for s in segments if s.visible
    ]


def _go_to_segments(view: SliceView, segments: Sequence[Segment]) -> None:
    """Show the slice with most voxels of the visible segments."""
    grid, boxes = view.grid, BoxCache()
    if grid is None:
        return
    counts = np.zeros(grid.count, np.int64)
    others = tuple(axis for axis in range(3) if axis != grid.slice_axis)
    for segment in segments:
        box = boxes.box(segment.mask) if segment.visible else None
        if box is not None:
            crop = segment.mask[tuple(slice(*span) for span in box)]
            counts[slice(*box[grid.slice_axis])] += np.count_nonzero(crop, axis=others)
    if counts.any():
        view.set_index(int(counts.argmax()))


def _volume_picture(volume: Volume, segments: Sequence[Segment], size: tuple[int, int], who: str) -> Bytes:
    if volume.kind != "volume" or volume.affine is None or volume.is_color:
        raise WrongUsage("This image has no third dimension.", "Use the axial view.")
    from medviewer.render.gl_backend import working_window

    try:
        working_window()
    except UserError:
        from medviewer.render.depth_picture import depth_picture

        plain = depth_picture(volume, segments, size)
        return annotate_volume(plain, "3D · from the front, without OpenGL", who)
    return _rendered(volume, segments, size, who)


def _rendered(volume: Volume, segments: Sequence[Segment], size: tuple[int, int], who: str) -> Bytes:
    from medviewer.render.volume_view import VolumeView

    view = VolumeView()
    try:
        view.set_size(*size)
        view.show(volume, segments)
        picture = view.render()
        return annotate_volume(picture[..., 2::-1], view.title, who)
    finally:
        view.close()
