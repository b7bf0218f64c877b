"""A mask made ready to be measured: cropped, with its place and scale, and where the edge of the scan cuts it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from medviewer.core.geometry import closest_axes, direction_letter
from medviewer.core.laterality import cut_edges
from medviewer.core.mask_patch import bounding_box
from medviewer.core.measure.outcome import NotMeasurable
from medviewer.core.report.document import Point
from medviewer.core.segmentation import Segment
from medviewer.core.volume import Volume

Mask = NDArray[np.bool_]
Points = NDArray[np.float64]
X_RAY = frozenset({"DX", "CR", "XR", "RG"})
ULTRASOUND = frozenset({"US", "IVUS"})
_THICK = 1.5  # slices this much thicker than their pixels show the plane in which the scan was acquired
_AXIS_LETTERS = {"upper": "SI", "lower": "SI", "left": "LR", "right": "LR", "front": "AP", "back": "AP"}


@dataclass(frozen=True, eq=False)
class Target:
    """One mask of one scan.

    `crop` is bool (i, j, k), the bounding box of the mask (of a cine: in one frame); `start` its first voxel. `linear`
    maps steps of voxels to mm (3x3, LPS where the scan has a place in the patient), or is the identity where the pixel
    size is unknown: then `unit` is "px". `flat` is the voxel axis across an image, a frame or a single slice, None
    for a volume. `cut_axes` are the voxel axes along which the edge of the scan cuts the mask, `edges` its names.
    `cache` keeps what several quantities need.
    """

    volume: Volume
    segment: Segment
    crop: Mask
    start: tuple[int, int, int]
    linear: NDArray[np.float64]
    unit: str
    flat: int | None
    edges: tuple[str, ...]
    cut_axes: frozenset[int]
    cache: dict[str, Any] = field(default_factory=dict)

    @property
    def count(self) -> int:
        """Voxels of the mask."""
        if "count" not in self.cache:
            self.cache["count"] = int(np.count_nonzero(self.crop))
        return int(self.cache["count"])

    @property
    def spacing(self) -> NDArray[np.float64]:
        """mm (or pixels) per step along each voxel axis."""
        return np.asarray(np.linalg.norm(self.linear, axis=0))

    @property
    def axial_axis(self) -> int | None:
        """The voxel axis closest to feet-head; None where the file does not record its orientation."""
        if self.volume.affine is None or not self.volume.orientation_recorded:
            return None
        return closest_axes(self.volume.affine)[2]

    @property
    def slice_axis(self) -> int:
        """The voxel axis across the planes in which the scan was acquired; of a nearly isotropic volume across axial
        ones."""
        if self.flat is not None:
            return self.flat
        spacing = self.spacing
        if float(spacing.max()) > _THICK * float(np.median(spacing)):
            return int(np.argmax(spacing))
        return 2 if self.axial_axis is None else self.axial_axis

    def mm(self, crop_points: ArrayLike) -> Points:
        """Crop indices (n, 3) to mm (or px): LPS directions where known, the origin anywhere."""
        return np.asarray(np.asarray(crop_points, float) @ self.linear.T)

    def crop_index(self, mm: ArrayLike) -> Points:
        """The inverse of `mm`."""
        return np.asarray(np.asarray(mm, float) @ np.linalg.inv(self.linear).T)

    def place(self, crop_points: ArrayLike) -> tuple[Point, ...]:
        """Crop indices (n, 3) as they are reported: LPS mm, or voxel indices without a place in the patient."""
        index = np.atleast_2d(np.asarray(crop_points, float)) + self.start
        affine = self.volume.affine
        points = index if affine is None else index @ affine[:3, :3].T + affine[:3, 3]
        return tuple((float(x), float(y), float(z)) for x, y, z in points)

    def native_slice(self, axis: int, crop_position: float) -> int | None:
        """The slice (k) of the file for a position along `axis`; None for planes that are not slices of the file."""
        return self.start[2] + round(float(crop_position)) if axis == 2 else None

    @property
    def flags(self) -> tuple[str, ...]:
        """What is said of every number of this mask."""
        found = ["incomplete"] if self.edges or self.cut_axes else []
        if self.volume.spacing_note == "at the detector" and self.unit == "mm":
            found.append("at the detector")
        return tuple(found)

    def require_volume(self) -> None:
        """Refuses where millimetres in three dimensions are not known."""
        if self.flat is not None:
            raise NotMeasurable("single_slice" if self.volume.kind == "volume" else "two_dimensional")
        if self.unit != "mm":
            raise NotMeasurable("no_spacing")

    def require_whole(self, axes: frozenset[int] | None = None) -> None:
        """Refuses where the edge of the scan cuts the mask (along one of `axes`, default any)."""
        cut = self.cut_axes if axes is None else self.cut_axes & axes
        if cut or (axes is None and self.edges):
            raise NotMeasurable("cut_by_edge")

    def require_orientation(self) -> int:
        """The feet-head voxel axis; refuses where the file does not record its orientation."""
        if self.axial_axis is None:
            raise NotMeasurable("orientation_unknown")
        return self.axial_axis


def target_of(volume: Volume, segment: Segment) -> Target:
    """The mask of `segment` ready to be measured.

    Raises NotMeasurable for an empty mask and for an ultrasound mask that reaches across calibrated regions, ValueError
    for a mask on another grid.
    """
    if segment.mask.shape != volume.shape:
        raise ValueError(f"the mask {segment.mask.shape} is not on the grid of the scan {volume.shape}")
    mask, first = _frame(volume, segment)
    box = bounding_box(mask)
    if box is None:
        raise NotMeasurable("empty")
    start = (box[0].start, box[1].start, box[2].start + first)
    flat = _flat(volume)
    linear, unit = scale_of(volume, box)
    edges = tuple(dict.fromkeys((*segment.cut_edges, *cut_edges(segment.mask, volume))))
    crop, cut = mask[box].copy(order="K"), _cut_axes(volume, edges, flat)
    return Target(volume, segment, crop, start, linear, unit, flat, edges, cut)


def _frame(volume: Volume, segment: Segment) -> tuple[Mask, int]:
    """Of a cine the frame the mask belongs to (else that where it is largest), and its number; else all of the mask."""
    if volume.kind != "cine":
        return segment.mask, 0
    frame = segment.frame
    if frame is None or not 0 <= frame < volume.shape[2]:
        frame = int(np.argmax(np.count_nonzero(segment.mask, axis=(0, 1))))
    return segment.mask[:, :, frame : frame + 1], frame


def _flat(volume: Volume) -> int | None:
    if volume.kind != "volume":
        return 2
    return volume.shape.index(1) if min(volume.shape) == 1 else None


def scale_of(volume: Volume, box: tuple[slice, slice, slice]) -> tuple[NDArray[np.float64], str]:
    """Steps of voxels (3x3) to mm, and "mm"; the identity and "px" where the pixel size is not known. `box`: where in
    the scan (an ultrasound is calibrated by region). Raises NotMeasurable across such regions."""
    if volume.affine is not None:
        return np.array(volume.affine[:3, :3], float), "mm"
    if (volume.modality or "").upper() in ULTRASOUND:
        step = _region_step(volume, box)
        return (np.eye(3), "px") if step is None else (np.diag([*step, 1.0]), "mm")
    spacing = volume.spacing_mm
    if spacing is None or min(spacing[:2]) <= 0 or (volume.kind == "volume" and min(spacing) <= 0):
        return np.eye(3), "px"
    return np.diag([spacing[0], spacing[1], spacing[2] or 1.0]), "mm"


def _region_step(volume: Volume, box: tuple[slice, slice, slice]) -> tuple[float, float] | None:
    """mm per pixel (i, j) of the one calibrated region that holds the mask; None outside all of them.

    Raises NotMeasurable where the mask reaches across regions or out of one.
    """
    spans = ((box[0].start, box[0].stop - 1), (box[1].start, box[1].stop - 1))
    steps = set()
    for region in volume.calibrated_regions:
        limits = ((region["x0"], region["x1"]), (region["y0"], region["y1"]))
        pairs = list(zip(spans, limits, strict=True))
        if all(low <= last and first <= high for (first, last), (low, high) in pairs):
            if not all(low <= first and last <= high for (first, last), (low, high) in pairs):
                raise NotMeasurable("across_regions")
            steps.add((float(region["dx"]), float(region["dy"])))
    if len(steps) > 1:
        raise NotMeasurable("across_regions")
    return next(iter(steps), None)


def _cut_axes(volume: Volume, edges: tuple[str, ...], flat: int | None) -> frozenset[int]:
    """The voxel axes behind the names of edges."""
    axes = [axis for axis in range(3) if axis != flat]
    if not edges:
        return frozenset()
    if "image edge" in edges or volume.affine is None:
        return frozenset(axes)
    letters = "".join(_AXIS_LETTERS.get(name, "") for name in edges)
    return frozenset(axis for axis in axes if direction_letter(volume.affine[:3, axis]) in letters)
