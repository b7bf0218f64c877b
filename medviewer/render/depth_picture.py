"""A plain 3D picture from the front for computers without OpenGL: the first surface met, lit by its slope."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from medviewer.core.geometry import lps_to_voxel, spacing_of, voxel_to_lps
from medviewer.core.segmentation import Segment
from medviewer.core.volume import Volume
from medviewer.render.coarse import CoarseVolume, reduced
from medviewer.render.raster import Bytes
from medviewer.render.volume_looks import VolumeLook, looks_for

_BACKGROUND = (15.0, 19.0, 23.0)
_SEEN_FROM = 0.2  # opacity
_VOXELS = 2_000_000
Grey = NDArray[np.float32]


def depth_picture(volume: Volume, segments: Sequence[Segment], size: tuple[int, int]) -> Bytes:
    """RGB uint8 (height, width, 3), seen from the front, head up. Raises ValueError as `reduced` does."""
    coarse = reduced(volume, _VOXELS)
    look = looks_for(volume, coarse.array)[0]
    color, depth = _layer(coarse, coarse.array > _threshold(look), _colors(coarse, look))
    place = _voxels_at(volume, coarse)
    for segment in segments:
        if segment.visible:
            mask = np.asarray(segment.mask[place]).reshape(coarse.array.shape)
            paint = np.broadcast_to(np.asarray(segment.color, np.float32), (*mask.shape, 3))
            shown, distance = _layer(coarse, mask, paint)
            nearer = distance < depth
            color[nearer], depth[nearer] = shown[nearer], distance[nearer]
    return _fit(color, coarse, size)


def _threshold(look: VolumeLook) -> float:
    """The value from which a look is opaque enough to be seen."""
    return next((stop[0] for stop in look.stops if stop[4] >= _SEEN_FROM), look.stops[-1][0])


def _colors(coarse: CoarseVolume, look: VolumeLook) -> Grey:
    values = [stop[0] for stop in look.stops]
    channels = [np.interp(coarse.array, values, [255 * stop[c] for stop in look.stops]) for c in (1, 2, 3)]
    return np.stack(channels, axis=-1).astype(np.float32)


def _layer(coarse: CoarseVolume, solid: NDArray[np.bool_], colors: Grey) -> tuple[Grey, Grey]:
    """Colour (x, z, 3) and depth in mm (x, z), infinite where nothing is met."""
    first, met = np.asarray(solid.argmax(axis=1)), np.asarray(solid.any(axis=1))
    x, z = np.ogrid[: first.shape[0], : first.shape[1]]
    depth = np.where(met, first * spacing_of(coarse.affine)[1], np.inf).astype(np.float32)
    lit = np.where(met[..., None], colors[x, first, z] * _light(depth, coarse)[..., None], np.float32(0))
    return np.where(met[..., None], lit, np.asarray(_BACKGROUND, np.float32)), depth


def _light(depth: Grey, coarse: CoarseVolume) -> Grey:
    """1 where the surface faces the front, less where it slopes away."""
    filled = np.where(np.isfinite(depth), depth, depth[np.isfinite(depth)].max(initial=0.0))
    step_x, _, step_z = spacing_of(coarse.affine)
    steep = np.zeros_like(filled)
    for axis, step in ((0, step_x), (1, step_z)):
        if depth.shape[axis] > 1:
            steep += np.gradient(filled, step, axis=axis) ** 2
    return np.asarray(0.3 + 0.7 / np.sqrt(1 + steep), np.float32)


def _voxels_at(volume: Volume, coarse: CoarseVolume) -> tuple[NDArray[np.int64], ...]:
    """Indices of the scan's voxels at the centres of the reduced scan's voxels."""
    if volume.affine is None:
        raise ValueError("3D needs a place in space")
    index = np.moveaxis(np.indices(coarse.array.shape), 0, -1).reshape(-1, 3)
    voxel = np.rint(lps_to_voxel(volume.affine, voxel_to_lps(coarse.affine, index))).astype(int)
    return tuple(np.clip(voxel, 0, np.asarray(volume.shape) - 1).T)


def _fit(color: Grey, coarse: CoarseVolume, size: tuple[int, int]) -> Bytes:
    """Patient left to the right, head up, in the middle of the picture."""
    picture = np.clip(color.transpose(1, 0, 2)[::-1], 0, 255).astype(np.uint8)
    step_x, _, step_z = spacing_of(coarse.affine)
    wide, high = picture.shape[1] * step_x, picture.shape[0] * step_z
    scale = 0.85 * min(size[0] / wide, size[1] / high)
    box = max(round(wide * scale), 1), max(round(high * scale), 1)
    whole = Image.new("RGB", size, tuple(int(c) for c in _BACKGROUND))
    drawn = Image.fromarray(picture).resize(box, Image.Resampling.BICUBIC)
    whole.paste(drawn, ((size[0] - box[0]) // 2, (size[1] - box[1]) // 2))
    return np.asarray(whole)
