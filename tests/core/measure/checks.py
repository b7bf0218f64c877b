"""Every measurement beside an independent way to the same number: geometry, SimpleITK, or brute force over voxels.

Nothing here uses a function of `medviewer.core.measure` for its own value. Tolerances are stated with their reason: one
voxel (or pixel) for lengths between faces, the voxel's diagonal against SimpleITK's Feret diameter, which runs between
centres of voxels, 2 % for volumes of painted bodies, nothing but rounding where both count the same voxels.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medviewer.core.measure import KNOWN, Examination, Rules, allowed_table, measure_scan, reference_ranges
from medviewer.core.report.document import Measurement
from medviewer.core.segmentation import Segment
from medviewer.core.volume import Volume
from tests.core.measure.bodies import CENTRE, at, ellipsoid, grid, paint, rotation, scan, segment

Mask = NDArray[np.bool_]
Affine = NDArray[np.float64]
REPOSITORY = Path(__file__).resolve().parents[3]
ROUNDING = 1e-6


@dataclass(frozen=True)
class Check:
    """One number measured twice. `tolerance` is in the unit of the quantity."""

    quantity: str
    body: str
    ours: float
    other: float
    unit: str
    way: str
    tolerance: float

    @property
    def difference(self) -> float:
        return self.ours - self.other

    @property
    def holds(self) -> bool:
        return abs(self.difference) <= self.tolerance


@cache
def shipped() -> Rules:
    """The shipped table of allowed measurements and the ranges."""
    folder = REPOSITORY / "resources" / "terminology"
    allowed, ranges = (json.loads((folder / f"{name}.json").read_text("utf-8")) for name in ("allowed", "ranges"))
    return Rules(allowed_table(allowed, KNOWN), reference_ranges(ranges))


def numbers(volume: Volume, *segments: Segment, **more: Any) -> dict[tuple[str, str | None], Measurement]:
    """What the program measures, by quantity and side (of the structure, or of the result)."""
    return {(m.quantity, m.side): m for m in measure_scan(volume, segments, shipped(), **more)}


def value(found: dict[tuple[str, str | None], Measurement], quantity: str, side: str | None = None) -> float:
    """The one number; KeyError where it was not measured."""
    measurement = found[quantity, side]
    if measurement.value is None:
        raise KeyError(f"{quantity}: {measurement.reason}")
    return measurement.value


def image_of(array: NDArray[Any], affine: Affine) -> Any:
    """The array as SimpleITK has it, with its place in the patient."""
    import SimpleITK as sitk

    image = sitk.GetImageFromArray(np.ascontiguousarray(array.transpose(2, 1, 0)))
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    image.SetSpacing([float(step) for step in spacing])
    image.SetDirection([float(v) for v in (affine[:3, :3] / spacing).ravel()])
    image.SetOrigin([float(v) for v in affine[:3, 3]])
    return image


def shape_of(mask: Mask, affine: Affine) -> Any:
    """SimpleITK's LabelShapeStatistics of label 1."""
    import SimpleITK as sitk

    statistics = sitk.LabelShapeStatisticsImageFilter()
    statistics.ComputeFeretDiameterOn()
    statistics.Execute(image_of(mask.astype(np.uint8), affine))
    return statistics


def feret_in_slice(mask: Mask, affine: Affine) -> float:
    """The largest Feret diameter of all axial slices, by SimpleITK."""
    import SimpleITK as sitk

    found = 0.0
    for level in np.flatnonzero(mask.any((0, 1))):
        statistics = sitk.LabelShapeStatisticsImageFilter()
        statistics.ComputeFeretDiameterOn()
        image = sitk.GetImageFromArray(mask[:, :, level].T.astype(np.uint8))
        image.SetSpacing([float(step) for step in np.linalg.norm(affine[:3, :2], axis=0)])
        statistics.Execute(image)
        found = max(found, statistics.GetFeretDiameter(1))
    return found


def eroded_mean(array: NDArray[Any], mask: Mask, affine: Affine, rim: float = 5.0) -> float:
    """Mean of the mask without its rim, by SimpleITK's erosion with a box."""
    import SimpleITK as sitk

    radius = [int(np.ceil(rim / step)) for step in np.linalg.norm(affine[:3, :3], axis=0)]
    core = sitk.GetArrayFromImage(sitk.BinaryErode(image_of(mask.astype(np.uint8), affine), radius, sitk.sitkBox, 0, 1))
    return float(array[core.transpose(2, 1, 0) > 0].mean())


# -- bodies -----------------------------------------------------------------------------
def sizes() -> Iterator[Check]:
    """An oblique ellipsoid in an oblique grid."""
    axes, spacing = (15.0, 11.0, 27.0), (0.9, 0.9, 1.5)
    turn = rotation(11)
    shape, affine = grid((36, 36, 36), spacing, turn=rotation(1, 25))
    mask = paint(shape, affine, ellipsoid(axes, CENTRE, turn))
    found = numbers(scan(mask, affine), segment(mask, "kidney", side="left"))
    ml = 4 / 3 * np.pi * float(np.prod(axes)) / 1000
    voxel, statistics = float(np.linalg.norm(spacing)), shape_of(mask, affine)
    body = "oblique ellipsoid 30 x 22 x 54 mm"
    volume, length = value(found, "volume", "left"), value(found, "length", "left")
    yield Check("volume", body, volume, ml, "ml", "geometry", 0.02 * ml)
    yield Check("volume", body, volume, statistics.GetPhysicalSize(1) / 1000, "ml", "SimpleITK", ROUNDING * ml)
    yield Check("length", body, length, 2 * axes[2], "mm", "geometry", voxel)
    yield Check("length", body, length, statistics.GetFeretDiameter(1), "mm", "SimpleITK Feret", voxel)
    height = 2 * float(np.linalg.norm(turn[2] * axes))
    yield Check("z_extent", body, value(found, "z_extent", "left"), height, "mm", "geometry", voxel)
    centre = found["volume", "left"].points[0]
    gap = float(np.linalg.norm(np.subtract(centre, statistics.GetCentroid(1))))
    yield Check("volume (centroid)", body, gap, 0.0, "mm", "SimpleITK", ROUNDING)


def spleen() -> Iterator[Check]:
    """A bent body like a spleen: its length is the longest distance of its surface, not its extent feet to head."""
    shape, affine = grid((60, 60, 70), (1.0, 1.0, 1.25))
    turn = rotation(3, 40)
    mask = paint(shape, affine, ellipsoid((30, 18, 52), CENTRE, turn))
    found = numbers(scan(mask, affine), segment(mask, "spleen"))
    voxel, feret = float(np.linalg.norm((1.0, 1.0, 1.25))), shape_of(mask, affine).GetFeretDiameter(1)
    yield Check("length", "spleen, 104 mm", value(found, "length"), 104.0, "mm", "geometry", voxel)
    yield Check("length", "spleen, 104 mm", value(found, "length"), feret, "mm", "SimpleITK Feret", voxel)


def diameters() -> Iterator[Check]:
    """A lesion, elliptic in its axial slices and turned there by 33 degrees."""
    c, s = np.cos(np.deg2rad(33)), np.sin(np.deg2rad(33))
    shape, affine = grid((32, 32, 20), (0.8, 0.8, 3.0))
    mask = paint(shape, affine, ellipsoid((22, 13, 12), CENTRE, np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])))
    found = numbers(scan(mask, affine), segment(mask, "liver_tumor"))
    body, pixel = "lesion 44 x 26 x 24 mm", float(np.hypot(0.8, 0.8))
    in_slice = feret_in_slice(mask, affine)
    for quantity in ("long_axis", "axial_diameter"):
        yield Check(quantity, body, value(found, quantity), 44.0, "mm", "geometry", pixel)
        yield Check(quantity, body, value(found, quantity), in_slice, "mm", "SimpleITK Feret", pixel)
    yield Check("short_axis", body, value(found, "short_axis"), 26.0, "mm", "geometry", pixel)
    voxel, feret = float(np.linalg.norm((0.8, 0.8, 3.0))), shape_of(mask, affine).GetFeretDiameter(1)
    yield Check("longest_diameter", body, value(found, "longest_diameter"), feret, "mm", "SimpleITK Feret", voxel)
    yield Check("longest_diameter", body, value(found, "longest_diameter"), 44.0, "mm", "geometry", voxel)


def counts() -> Iterator[Check]:
    """Blobs and specks of noise."""
    import SimpleITK as sitk
    from scipy import ndimage

    noise = ndimage.gaussian_filter(np.random.default_rng(5).normal(size=(48, 48, 48)), 2.0)
    mask = noise > 0.045
    mask[:2], mask[-2:], mask[:, :2], mask[:, -2:], mask[:, :, :2], mask[:, :, -2:] = [False] * 6
    _, affine = grid((24, 24, 24))
    found = numbers(scan(mask, affine), segment(mask, "lesion"))
    labels = sitk.ConnectedComponent(image_of(mask.astype(np.uint8), affine), True)
    kept = int(sitk.GetArrayFromImage(sitk.RelabelComponent(labels, 5)).max())
    yield Check("parts", "blobs of noise", value(found, "parts"), float(kept), "1", "SimpleITK components", 0.0)
    picture = np.zeros((200, 160, 1), bool)
    i, j = np.mgrid[:200, :160]
    picture[..., 0] = ((i - 90.0) / 60) ** 2 + ((j - 80.0) / 45) ** 2 <= 1
    x_ray = scan(picture, None, "DX", kind="image", spacing_mm=(0.2, 0.3, 0.0))
    area = value(numbers(x_ray, segment(picture, "consolidation")), "area")
    exact = np.pi * 60 * 0.2 * 45 * 0.3
    yield Check("area", "ellipse on an X-ray", area, exact, "mm2", "geometry", 0.01 * exact)


def intensities() -> Iterator[Check]:
    """A liver and a spleen of known attenuation with noise."""
    import SimpleITK as sitk

    shape, affine = grid((60, 30, 30), (1.2, 1.2, 2.0))
    liver = paint(shape, affine, ellipsoid((25, 22, 24), at(-30, 0, 0)))
    spleen_ = paint(shape, affine, ellipsoid((18, 16, 20), at(35, 0, 0)))
    array = np.random.default_rng(2).normal(-90, 25, shape)
    array[liver] += 90 + 55
    array[spleen_] += 90 + 45
    whole = np.rint(array).astype(np.int16)
    found = numbers(Volume(whole, affine, "CT", "HU"), segment(liver, "liver"), segment(spleen_, "spleen"))
    values = sorted(int(v) for v in whole[liver])
    body = "liver 55 HU, noise 25 HU"
    only_liver = numbers(Volume(whole, affine, "CT", "HU"), segment(liver, "liver"))
    for quantity, share in (("intensity_p5", 0.05), ("intensity_median", 0.5), ("intensity_p95", 0.95)):
        ours = value(only_liver, quantity)
        yield Check(quantity, body, ours, ranked(values, share), "HU", "sorted voxels", ROUNDING)
    statistics = sitk.LabelIntensityStatisticsImageFilter()
    statistics.Execute(image_of(liver.astype(np.uint8), affine), image_of(whole.astype(float), affine))
    for quantity, other in (("mean", statistics.GetMean(1)), ("sd", statistics.GetStandardDeviation(1))):
        ours = value(only_liver, f"intensity_{quantity}")
        yield Check(f"intensity_{quantity}", body, ours, other, "HU", "SimpleITK", 1e-4)
    core = [eroded_mean(whole, mask, affine) for mask in (liver, spleen_)]
    mean, difference = value(only_liver, "parenchyma_mean"), value(found, "liver_minus_spleen")
    yield Check("parenchyma_mean", body, mean, core[0], "HU", "SimpleITK erosion", 1e-4)
    yield Check("parenchyma_mean", body, mean, 55.0, "HU", "painted value", 1.0)
    yield Check("liver_minus_spleen", "55 and 45 HU", difference, core[0] - core[1], "HU", "SimpleITK erosion", 1e-4)
    yield Check("liver_minus_spleen", "55 and 45 HU", difference, 10.0, "HU", "painted values", 1.0)


def ranked(values: list[int], share: float) -> float:
    """The percentile between the two nearest ranks of sorted values."""
    rank = share * (len(values) - 1)
    below = int(rank)
    above = min(below + 1, len(values) - 1)
    return values[below] + (values[above] - values[below]) * (rank - below)


def pairs() -> Iterator[Check]:
    """Two kidneys, two hippocampi, and two balls apart."""
    shape, affine = grid((70, 40, 70), (1.2, 1.2, 1.5))
    axes = {"left": (26.0, 24.0, 58.0), "right": (25.0, 23.0, 50.0)}
    places = {"left": at(35, 0, 0), "right": at(-35, 0, 0)}
    masks = {side: paint(shape, affine, ellipsoid(axes[side], places[side])) for side in axes}
    kidneys = [segment(masks[side], "kidney", side=side) for side in axes]
    found = numbers(scan(masks["left"], affine), *kidneys)
    ours = value(found, "length_difference", "left")
    yield Check("length_difference", "kidneys 116 and 100 mm", ours, 16.0, "mm", "geometry", 1.5)
    left, right = (shape_of(masks[side], affine).GetFeretDiameter(1) for side in axes)
    yield Check("length_difference", "kidneys 116 and 100 mm", ours, left - right, "mm", "SimpleITK Feret", 1.5)
    hippocampi = [segment(masks[side], "hippocampus", side=side) for side in axes]
    index = value(numbers(scan(masks["left"], affine, "MR"), *hippocampi), "asymmetry_index", "left")
    left, right = (float(np.prod(axes[side])) for side in axes)
    exact = 100 * (left - right) / ((left + right) / 2)
    counted = [shape_of(masks[side], affine).GetPhysicalSize(1) for side in axes]
    other = 100 * (counted[0] - counted[1]) / (sum(counted) / 2)
    yield Check("asymmetry_index", "hippocampi", index, exact, "%", "geometry", 1.0)
    yield Check("asymmetry_index", "hippocampi", index, other, "%", "SimpleITK", 1e-4)
    yield from _apart()


def _apart() -> Iterator[Check]:
    shape, affine = grid((50, 40, 45), (1.0, 1.25, 2.0), (1, 2, 0), (1, -1, 1))
    here, there = at(-20, 5, -12), at(22, -6, 14)
    one, other = (paint(shape, affine, ellipsoid((r, r, r), c)) for r, c in ((11.0, here), (14.0, there)))
    first, second = segment(one, "liver_tumor"), segment(other, "spleen")
    every = measure_scan(scan(one, affine), [first, second], shipped(), relate=[(first.id, second.id)])
    found = {(m.quantity, m.side): m for m in every if len(m.segment_ids) == 2}
    voxel, gap = float(np.linalg.norm((1.0, 1.25, 2.0))), float(np.linalg.norm(there - here)) - 25
    ours = value(found, "distance")
    yield Check("distance", "balls 22 and 28 mm wide", ours, gap, "mm", "geometry", voxel)
    near = nearest_centres(one, other, affine)
    yield Check("distance", "balls 22 and 28 mm wide", ours, near, "mm", "distance map", voxel)
    shift = np.subtract(shape_of(one, affine).GetCentroid(1), shape_of(other, affine).GetCentroid(1))
    sides = value(found, "offset_left_right", "right")
    yield Check("offset_left_right", "42 mm to the right", sides, 42.0, "mm", "geometry", 0.5)
    yield Check("offset_left_right", "42 mm to the right", sides, -float(shift[0]), "mm", "SimpleITK", ROUNDING)
    lower = value(found, "offset_up_down")
    assert found["offset_up_down", None].flags == ("below",)
    yield Check("offset_up_down", "26 mm below", lower, 26.0, "mm", "geometry", 0.5)
    yield Check("offset_up_down", "26 mm below", lower, -float(shift[2]), "mm", "SimpleITK", ROUNDING)


def nearest_centres(one: Mask, other: Mask, affine: Affine) -> float:
    """The smallest distance between voxels' centres, by a distance map of the whole (unturned) grid: larger than that
    between faces by at most a voxel's diagonal."""
    from scipy import ndimage

    away = ndimage.distance_transform_edt(~other, np.linalg.norm(affine[:3, :3], axis=0))
    return float(away[one].min())


def aorta() -> Iterator[Check]:
    """A straight, an oblique and a bent tube."""
    for degrees in (0, 45):
        shape, affine = grid((55, 55, 65), (1.2, 1.2, 1.2))
        mask = paint(shape, affine, tube(14.0, rotation(5, degrees)))
        ours = value(numbers(scan(mask, affine), segment(mask, "aorta")), "aortic_diameter")
        yield Check("aortic_diameter", f"tube 28 mm, {degrees} degrees", ours, 28.0, "mm", "geometry", 1.2)
    shape, affine = grid((60, 25, 70), (1.0, 1.0, 1.0))
    for radius in (10.0, 15.0):
        mask = paint(shape, affine, arch(radius))
        ours = value(numbers(scan(mask, affine), segment(mask, "aorta")), "aortic_diameter")
        yield Check("aortic_diameter", f"arch {2 * radius:.0f} mm", ours, 2 * radius, "mm", "geometry (torus)", 1.0)


def tube(radius: float, turn: NDArray[np.float64]) -> Callable[[NDArray[np.float64]], Mask]:
    """A straight tube, 120 mm long, along the third column of `turn`."""
    axis = turn[:, 2]

    def inside(points: NDArray[np.float64]) -> Mask:
        along = (points - CENTRE) @ axis
        away = np.linalg.norm(points - CENTRE - along[:, None] * axis, axis=1)
        return np.asarray((away <= radius) & (np.abs(along) <= 60))

    return inside


def arch(radius: float, bend: float = 35.0) -> Callable[[NDArray[np.float64]], Mask]:
    """Half a torus above two straight legs, like the thoracic aorta."""

    def inside(points: NDArray[np.float64]) -> Mask:
        x, y, z = (points - CENTRE).T
        above = np.hypot(np.hypot(x, z) - bend, y)
        legs = np.hypot(np.abs(x) - bend, y)
        return np.asarray((np.where(z > 0, above, legs) <= radius) & (z > np.where(x < 0, -40, -60)))

    return inside


def spine() -> Iterator[Check]:
    """A wedge like a vertebral body and one like a disc, tilted, in thick sagittal slices."""
    for term, front, back, tilt in (("vertebra_l1", 18.0, 26.0, 12.0), ("disc_l4_l5", 11.0, 7.0, -15.0)):
        shape, affine = grid((28, 40, 40), (4.0, 0.6, 0.6), (1, 2, 0), (1, -1, 1))
        mask = paint(shape, affine, wedge(front, back, tilt))
        found = numbers(scan(mask, affine, "MR"), segment(mask, term))
        for name, share in (("front", 0.1), ("middle", 0.5), ("back", 0.9)):
            exact = front + share * (back - front)
            ours = value(found, f"height_{name}")
            yield Check(f"height_{name}", f"{term}, tilted {tilt:.0f} degrees", ours, exact, "mm", "geometry", 0.9)


def wedge(front: float, back: float, degrees: float, depth: float = 34.0) -> Callable[[NDArray[np.float64]], Mask]:
    """A body whose height changes evenly from front to back, tilted about the left-right axis."""
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    turn = np.array([[1, 0, 0], [0, c, -s], [0, s, c]])

    def inside(points: NDArray[np.float64]) -> Mask:
        x, y, z = ((points - CENTRE) @ turn).T
        height = (front + back) / 2 + (back - front) * y / depth
        return np.asarray((np.abs(x) < 20) & (np.abs(y) <= depth / 2) & (np.abs(z) <= height / 2))

    return inside


def brain() -> Iterator[Check]:
    """A tumour across the middle of a head: the share beyond the middle is that of a cap of a ball."""
    shape, affine = grid((85, 100, 90), (2.0, 2.0, 2.0))
    head = paint(shape, affine, ellipsoid((70, 88, 75), CENTRE))
    radius, offset = 20.0, 8.0
    mask = paint(shape, affine, ellipsoid((radius, radius, radius), at(offset, 10, 5)))
    volume = Volume(np.where(head, 300, 0).astype(np.int16), affine, "MR")
    found = numbers(volume, segment(mask, "brain_tumor"))
    cap = (radius - offset) ** 2 * (2 * radius + offset) / (4 * radius**3)
    body = "ball 40 mm, 8 mm left of the middle"
    yield Check("side_share", body, value(found, "side_share", "left"), 100 * (1 - cap), "%", "geometry (cap)", 3.0)
    for axis, name in enumerate(("left_right", "front_back", "feet_head")):
        places = np.argwhere(mask) @ affine[:3, :3].T
        brute = float(np.ptp(places[:, axis])) + 2.0
        ours = value(found, f"extent_{name}")
        yield Check(f"extent_{name}", body, ours, 2 * radius, "mm", "geometry", 2.0)
        yield Check(f"extent_{name}", body, ours, brute, "mm", "voxels", ROUNDING)


def chest() -> Iterator[Check]:
    """Two lung fields and a heart of known widths."""
    lungs, heart = np.zeros((2, 260, 220, 1), bool)
    i, j = (axis[..., None] for axis in np.mgrid[:260, :220])
    lungs |= ((i - 75.0) / 50) ** 2 + ((j - 110.0) / 90) ** 2 <= 1
    lungs |= ((i - 185.0) / 50) ** 2 + ((j - 110.0) / 90) ** 2 <= 1
    heart |= ((i - 140.0) / 46) ** 2 + ((j - 140.0) / 40) ** 2 <= 1
    volume = scan(heart, None, "DX", kind="image")
    erect = Examination("XR", None, "PA", "erect", 50.0, "F")
    masks = (segment(heart, "heart"), segment(lungs & ~heart, "lung"))
    ratio = value(numbers(volume, *masks, examination=erect), "cardiothoracic_ratio")
    body = "heart 93, chest 211 pixels"
    yield Check("cardiothoracic_ratio", body, ratio, widths(heart, masks[1].mask), "1", "brute force", ROUNDING)
    yield Check("cardiothoracic_ratio", body, ratio, 93 / 211, "1", "geometry", 0.01)
    ratio = value(numbers(volume, *masks), "width_ratio")
    yield Check("width_ratio", body, ratio, 93 / 211, "1", "geometry", 0.01)


def widths(heart: Mask, lungs: Mask) -> float:
    """Widest heart over the widest row of the lungs, by looking at every row."""
    columns = [i for i in range(heart.shape[0]) if heart[i].any()]
    rows = (np.flatnonzero(lungs[:, j, 0]) for j in range(lungs.shape[1]))
    chest_width = max(int(row[-1] - row[0]) + 1 for row in rows if len(row))
    return (columns[-1] - columns[0] + 1) / chest_width


PHANTOMS = (sizes, spleen, diameters, counts, intensities, pairs, aorta, spine, brain, chest)


def covered(checks: list[Check]) -> set[str]:
    """Quantities that have an independent check."""
    return {check.quantity for check in checks}

