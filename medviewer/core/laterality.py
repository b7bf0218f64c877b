"""Left and right: judged in patient coordinates, never by the place on the screen unless that is said.

Sides are the patient's. In LPS +x is the patient's left.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medviewer.core.geometry import Affine, direction_letter
from medviewer.core.midline import Midline, find_midline
from medviewer.core.volume import Volume

Mask = NDArray[np.bool_]
Box = tuple[slice, slice, slice]
_STRAY = 0.10  # a component with less than this share beyond the middle belongs whole to its main side
_X_RAY = frozenset({"DX", "CR", "XR", "RG"})
_EDGES = {
    "L": "left",
    "R": "right",
    "A": "front",
    "P": "back",
    "S": "upper",
    "I": "lower",
    "H": "upper",
    "F": "lower",
}
FLIP_WARNING = "left/right may be flipped in this file, or situs inversus: compare with the source"
# structure -> the side its greater part lies on
_EXPECTED_SIDE = {"liver": "right", "spleen": "left", "stomach": "left", "heart": "left"}
CHECKED_SIDES = frozenset(_EXPECTED_SIDE)  # term ids that `orientation_check` looks at


@dataclass(frozen=True, eq=False)
class SideResult:
    """The asked side of a mask. `known` is False where left and right cannot be told: then `mask` is empty.

    `note` says what the side was judged by, and whether a component was cut at the middle.
    """

    mask: Mask
    note: str
    known: bool


def keep_side(
    mask: Mask, volume: Volume, side: str, spine_mask: Mask | None = None, *, chest_x_ray: bool | None = None
) -> SideResult:
    """The part of `mask` (bool i, j, k on the volume's grid) on the patient's `side` ("left" or "right").

    Whole connected components go to the side most of them lies on; one that crosses the middle is cut there. The
    middle is the spine's where `spine_mask` is given, else the body's, level by level, in any orientation. Without a
    place in the patient: DICOM PatientOrientation; for chest X-rays the display convention ("side assumed"); else
    unknown. `chest_x_ray` overrules what the file's facts say about being one, where the caller knows.
    Raises ValueError for another `side`.
    """
    if side not in ("left", "right"):
        raise ValueError(f"side must be left or right, not {side!r}")
    if volume.affine is not None:
        if not volume.orientation_recorded:
            return _unknown(mask, "side unknown: the file does not record its orientation")
        midline = find_midline(volume, spine_mask)
        if midline is None:
            return _unknown(mask, "side unknown: the scan does not show the middle of the body")
        if not mask.any():
            return SideResult(np.zeros_like(mask), midline.note, True)
        box = _bounding_box(mask)
        return _keep(mask, box, _offset(volume, volume.affine, midline, box), side, midline.note)
    direction, note = _image_direction(volume, chest_x_ray)
    if direction is None:
        return _unknown(mask, note)
    return _keep(mask, _everything(mask), _image_offset(mask, direction), side, note)


def _unknown(mask: Mask, note: str) -> SideResult:
    return SideResult(np.zeros_like(mask), note, False)


def _everything(mask: Mask) -> Box:
    i, j, k = mask.shape
    return slice(0, i), slice(0, j), slice(0, k)


def _offset(volume: Volume, affine: Affine, midline: Midline, box: Box) -> NDArray[np.float32]:
    """mm to the patient's left of the middle, for every voxel of a box; broadcasts to the box's shape."""
    i, j, k = (np.arange(b.start, b.stop, dtype=np.float32) for b in box)
    if volume.kind == "cine":
        k = k * 0
    grid = (i[:, None, None], j[None, :, None], k[None, None, :])
    rows = affine.astype(np.float32)
    x = sum(rows[0, a] * grid[a] for a in range(3)) + rows[0, 3]
    flat = [a for a in range(3) if abs(rows[2, a]) * volume.shape[a] > 0.5]  # axes along which the height changes
    z = sum((rows[2, a] * grid[a] for a in flat), start=np.zeros((1, 1, 1), np.float32)) + rows[2, 3]
    return np.asarray(x - midline.at(z).astype(np.float32), np.float32)


def _keep(mask: Mask, box: Box, offset: NDArray[np.float32], side: str, note: str) -> SideResult:
    """`offset` belongs to the voxels of `box`, which holds all of the mask."""
    part = mask[box]
    wanted = np.broadcast_to(offset > 0 if side == "left" else offset <= 0, part.shape)
    kept = np.zeros_like(mask)
    here = part & wanted
    if not here.any() or here.sum() == part.sum():
        kept[box] = here
        return SideResult(kept, note, True)
    kept[box], crossing = _by_component(part, wanted)
    if crossing:
        note += "; a part that crosses the middle was cut there"
    return SideResult(kept, note, True)


def _by_component(mask: Mask, wanted: Mask) -> tuple[Mask, bool]:
    """Components that lie (almost) whole on the wanted side, halves of those that cross the middle."""
    from scipy import ndimage

    labels, count = ndimage.label(mask, np.ones((3, 3, 3), bool))
    total = np.bincount(labels.ravel(), minlength=count + 1).astype(float)
    inside = np.bincount(labels[wanted & mask], minlength=count + 1)
    share = inside / np.maximum(total, 1)
    share[0] = 0
    whole, crossing = share > 1 - _STRAY, (share >= _STRAY) & (share <= 1 - _STRAY)
    kept = whole[labels] | (crossing[labels] & wanted)
    return kept, bool((crossing & (total > 0.02 * total[1:].sum())).any())


def _bounding_box(mask: Mask) -> Box:
    spans = []
    for axis in range(3):
        hit = np.nonzero(mask.any(tuple(a for a in range(3) if a != axis)))[0]
        spans.append(slice(int(hit[0]), int(hit[-1]) + 1))
    return spans[0], spans[1], spans[2]


def _image_direction(volume: Volume, chest_x_ray: bool | None) -> tuple[tuple[int, int] | None, str]:
    """(voxel axis, +1 if it grows to the patient's left else -1) of an image without a place, and the note."""
    orientation = volume.patient_orientation
    if orientation is not None:
        for axis, letters in enumerate(orientation):
            if letters[:1] in ("L", "R"):
                return (axis, 1 if letters[0] == "L" else -1), "side from the recorded patient orientation"
        return None, "side unknown: the image is not seen from the front or the back"
    if is_chest_x_ray(volume) if chest_x_ray is None else chest_x_ray:
        return (0, 1), "side assumed (display convention: the patient's right is on the left of the picture)"
    return None, "side unknown: not recorded in this file"


def is_chest_x_ray(volume: Volume) -> bool:
    """An X-ray image, not a lateral view, whose body part is the chest or not recorded."""
    modality = (volume.modality or _fact(volume, "modality")).upper()
    part = _fact(volume, "body_part").upper()
    lateral = _fact(volume, "view_position").upper() in ("LL", "RL", "LAT", "LATERAL", "LLD", "RLD")
    if volume.kind != "image" or modality not in _X_RAY or lateral:
        return False
    return not part or any(word in part for word in ("CHEST", "THORAX", "LUNG"))


def _fact(volume: Volume, name: str) -> str:
    fact = volume.facts.get(name)
    return "" if fact is None or fact.value is None else str(fact.value)


def _image_offset(mask: Mask, direction: tuple[int, int]) -> NDArray[np.float32]:
    """Pixels to the patient's left of the middle: between the two main parts of the mask, else of the picture."""
    axis, sign = direction
    place = np.arange(mask.shape[axis], dtype=np.float32) - _image_middle(mask, axis)
    shape = [1, 1, 1]
    shape[axis] = -1
    return np.asarray(sign * place.reshape(shape), np.float32)


def _image_middle(mask: Mask, axis: int) -> float:
    from scipy import ndimage

    labels, count = ndimage.label(mask, np.ones((3, 3, 3), bool))
    if count >= 2:
        sizes = np.bincount(labels.ravel())[1:]
        first, second = np.argsort(sizes)[::-1][:2]
        spans = [ndimage.find_objects(labels)[n][axis] for n in (first, second)]
        near, far = sorted(spans, key=lambda span: span.start)
        gap = near.stop - far.start
        narrower = min(span.stop - span.start for span in spans)
        if sizes[second] > 0.2 * sizes[first] and gap < 0.3 * narrower:
            return float(near.stop - 1 + far.start) / 2
    return float(mask.shape[axis] - 1) / 2


def cut_edges(mask: Mask, volume: Volume) -> tuple[str, ...]:
    """The edges of the scan that `mask` touches: it is incomplete there.

    Patient terms ("upper", "lower", "left", "right", "front", "back") for a volume of several slices, in that order;
    "image edge" for an image, a cine loop, a single slice or a volume without a place in the patient.
    """
    touched = []
    flat = volume.kind != "volume" or min(volume.shape) == 1 or volume.affine is None
    for axis in range(3):
        if mask.shape[axis] == 1 or (axis == 2 and volume.kind == "cine"):
            continue
        for index, sign in ((0, -1), (mask.shape[axis] - 1, 1)):
            if np.moveaxis(mask, axis, 0)[index].any():  # a view: np.take copies a whole mask in Fortran order
                touched.append("image edge" if flat else _edge_name(volume, axis, sign))
    order = ["upper", "lower", "left", "right", "front", "back", "image edge"]
    return tuple(sorted(set(touched), key=order.index))


def _edge_name(volume: Volume, axis: int, sign: int) -> str:
    assert volume.affine is not None
    return _EDGES[direction_letter(sign * volume.affine[:3, axis])]


def orientation_check(volume: Volume, masks: Mapping[str, Mask]) -> list[str]:
    """Warnings where organs lie on the unexpected side: `masks` maps term ids to masks on the volume's grid.

    Looks at liver, spleen, stomach and heart against the spine ("spine" in `masks`) or the body's middle. An organ
    counts only if at least 65 % of it lies on the other side. An empty list means no disagreement was seen, which
    proves nothing where no such organ was given.
    """
    if volume.kind != "volume" or not volume.orientation_recorded or not CHECKED_SIDES & masks.keys():
        return []
    midline = find_midline(volume, masks.get("spine"))
    if midline is None:
        return []
    found = []
    for term_id, expected in _EXPECTED_SIDE.items():
        mask = masks.get(term_id)
        if mask is None or int(mask.sum()) < 100:
            continue
        box = _bounding_box(mask)
        part = mask[box]
        assert volume.affine is not None  # an orientation is recorded
        left = np.broadcast_to(_offset(volume, volume.affine, midline, box) > 0, part.shape)
        share_left = float(left[part].mean())
        wrong = share_left if expected == "right" else 1 - share_left
        if wrong >= 0.65:
            other = "left" if expected == "right" else "right"
            found.append(f"The {term_id} lies on the patient's {other} side: {FLIP_WARNING}.")
    return found
