"""Volume, number of parts, extents and the longest distance of a mask."""

from __future__ import annotations

import numpy as np

from medviewer.core.measure.outcome import NotMeasurable, Outcome
from medviewer.core.measure.surface import farthest_pair, outer_faces
from medviewer.core.measure.target import Points, Target

SMALLEST_PART = 5  # voxels; smaller specks are not counted as parts
_STRAY = 0.10  # a second part of at least this share makes a length across both meaningless


def volume(target: Target) -> Outcome:
    """Voxels times the volume of one, in ml."""
    target.require_volume()
    target.require_whole()
    ml = target.count * float(abs(np.linalg.det(target.linear))) / 1000.0
    return Outcome(ml, "ml", "voxel_count", (_centre(target),))


def area(target: Target) -> Outcome:
    """Pixels of an image, frame or single slice times the area of one, in mm2 (px without a pixel size)."""
    if target.flat is None:
        raise NotMeasurable("not_flat")
    target.require_whole(frozenset(range(3)) - {target.flat})
    return area_of_slice(target, target.flat)


def area_of_slice(target: Target, axis: int = 2) -> Outcome:
    """The same of a mask that lies in one slice across `axis` of any scan."""
    one, other = np.delete(target.linear, axis, axis=1).T
    pixel = float(np.linalg.norm(np.cross(one, other)))
    unit = "mm2" if target.unit == "mm" else "px"
    return Outcome(target.count * pixel, unit, "pixel_count", (_centre(target),), _slice_of(target))


def _slice_of(target: Target) -> int | None:
    return target.native_slice(2, 0.0) if target.flat == 2 else None


def parts(target: Target) -> Outcome:
    """Number of separate parts of at least five voxels; voxels that touch by face, edge or corner belong together."""
    sizes = _part_sizes(target)
    counted = int((sizes >= SMALLEST_PART).sum()) or len(sizes)
    return Outcome(float(counted), "1", "touching_voxels", (_centre(target),))


def _part_sizes(target: Target) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
    """Voxels of every part, largest first."""
    from scipy import ndimage

    if "parts" not in target.cache:
        labels, _ = ndimage.label(target.crop, np.ones((3, 3, 3), bool))
        target.cache["parts"] = np.sort(np.bincount(labels.ravel())[1:])[::-1]
    return target.cache["parts"]  # type: ignore[no-any-return]


def z_extent(target: Target) -> Outcome:
    """From the lowest to the highest outer face, feet to head in the patient, in mm."""
    target.require_volume()
    target.require_orientation()
    target.require_whole()
    faces = _faces(target)
    height = target.mm(faces)[:, 2]
    ends = faces[[int(np.argmin(height)), int(np.argmax(height))]]
    return Outcome(float(np.ptp(height)), "mm", "feet_head", target.place(ends))


def longest_diameter(target: Target) -> Outcome:
    """The longest distance between two outer faces anywhere in the mask, in mm."""
    target.require_volume()
    target.require_whole()
    return _longest(target, "longest_distance")


def pole_to_pole(target: Target) -> Outcome:
    """Length of an organ: the longest distance of its surface, which ends at its poles. One whole part only."""
    target.require_volume()
    target.require_whole()
    sizes = _part_sizes(target)
    if len(sizes) > 1 and sizes[1] > _STRAY * sizes[0]:
        raise NotMeasurable("several_parts")
    return _longest(target, "pole_to_pole_surface")


def _longest(target: Target, method: str) -> Outcome:
    if "longest" not in target.cache:
        faces = _faces(target)
        distance, one, other = farthest_pair(target.mm(faces))
        target.cache["longest"] = distance, faces[[one, other]]
    distance, ends = target.cache["longest"]
    return Outcome(distance, "mm", method, target.place(ends))


def _faces(target: Target) -> Points:
    if "faces" not in target.cache:
        target.cache["faces"] = outer_faces(target.crop, (0, 1, 2))
    return target.cache["faces"]  # type: ignore[no-any-return]


def extents(target: Target) -> tuple[Outcome, Outcome, Outcome]:
    """Extents left-right, front-back and feet-head in the patient, in mm."""
    target.require_volume()
    target.require_orientation()
    target.require_whole()
    faces = _faces(target)
    places = target.mm(faces)
    found = []
    for axis in range(3):
        ends = faces[[int(np.argmin(places[:, axis])), int(np.argmax(places[:, axis]))]]
        found.append(Outcome(float(np.ptp(places[:, axis])), "mm", "patient_axis", target.place(ends)))
    return found[0], found[1], found[2]


def _centre(target: Target) -> tuple[float, float, float]:
    return target.place(centre_index(target))[0]


def centre_index(target: Target) -> Points:
    """The centre of gravity of the mask as an index of the crop."""
    if "centre" not in target.cache:
        sums = [target.crop.sum(tuple(a for a in range(3) if a != axis)) for axis in range(3)]
        target.cache["centre"] = np.array([float((s * np.arange(len(s))).sum()) / target.count for s in sums])
    return target.cache["centre"]  # type: ignore[no-any-return]
