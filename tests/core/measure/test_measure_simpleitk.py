"""The same quantities from SimpleITK (LabelShapeStatistics, LabelIntensityStatistics): an independent implementation.

Physical size and intensities are equal. ITK's Feret diameter runs between the centres of border voxels, ours between
outer faces: it is smaller by at most one voxel diagonal, and equal where ours is asked for centres.
"""

from __future__ import annotations

import numpy as np
import pytest

from medviewer.core.measure import Rules, measure_quantity
from medviewer.core.measure.surface import farthest_pair
from medviewer.core.volume import Volume
from tests.core.measure.bodies import CENTRE, ellipsoid, grid, paint, rotation, segment

sitk = pytest.importorskip("SimpleITK")
CASES = [
    ((1.0, 1.0, 1.0), (0, 1, 2), (1, 1, 1), 0.0),
    ((0.7, 0.9, 2.5), (0, 1, 2), (1, 1, 1), 20.0),
    ((0.8, 0.8, 3.0), (2, 0, 1), (-1, 1, -1), 0.0),
    ((1.3, 0.6, 1.1), (1, 2, 0), (1, -1, 1), 35.0),
]


def image_of(array: np.ndarray, affine: np.ndarray):  # type: ignore[no-untyped-def]
    image = sitk.GetImageFromArray(np.ascontiguousarray(array.transpose(2, 1, 0)))
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    image.SetSpacing([float(s) for s in spacing])
    image.SetDirection([float(v) for v in (affine[:3, :3] / spacing).ravel()])
    image.SetOrigin([float(v) for v in affine[:3, 3]])
    return image


@pytest.mark.parametrize(("spacing", "order", "flips", "degrees"), CASES)
def test_shape_agrees_with_simpleitk(rules: Rules, spacing, order, flips, degrees) -> None:  # type: ignore[no-untyped-def]
    shape, affine = grid((26, 26, 26), spacing, order, flips, rotation(5, degrees))
    mask = paint(shape, affine, ellipsoid((12, 8, 21), CENTRE, rotation(9)))
    statistics = sitk.LabelShapeStatisticsImageFilter()
    statistics.ComputeFeretDiameterOn()
    statistics.Execute(image_of(mask.astype(np.uint8), affine))
    scan = Volume(np.zeros(shape, np.int16), affine, "CT", "HU")
    found = {
        name: measure_quantity(scan, segment(mask, term), name, rules)
        for name, term in (("volume", "kidney"), ("length", "kidney"), ("longest_diameter", "lesion"))
    }
    assert found["volume"].value == pytest.approx(statistics.GetPhysicalSize(1) / 1000, rel=1e-6)
    feret = statistics.GetFeretDiameter(1)
    diagonal = float(np.linalg.norm(spacing))
    assert feret <= found["longest_diameter"].value <= feret + diagonal  # type: ignore[operator]
    places = np.argwhere(mask) @ affine[:3, :3].T
    assert farthest_pair(places)[0] == pytest.approx(feret, abs=1e-6)
    ends = np.subtract(*found["length"].points)
    longest = np.array(statistics.GetPrincipalAxes(1)).reshape(3, 3)[2]
    assert abs(ends @ longest) / np.linalg.norm(ends) > np.cos(np.deg2rad(10))
    middle = measure_quantity(scan, segment(mask, "kidney"), "volume", rules).points[0]
    assert middle == pytest.approx(statistics.GetCentroid(1), abs=1e-6)


def test_intensities_agree_with_simpleitk(rules: Rules) -> None:
    shape, affine = grid((20, 20, 20), (1.0, 0.8, 2.0))
    mask = paint(shape, affine, ellipsoid((12, 8, 15), CENTRE, rotation(2)))
    array = np.random.default_rng(1).integers(-1000, 1500, shape).astype(np.int16)
    statistics = sitk.LabelIntensityStatisticsImageFilter()
    statistics.SetNumberOfBins(4000)
    statistics.Execute(image_of(mask.astype(np.uint8), affine), image_of(array.astype(np.float64), affine))
    scan = Volume(array, affine, "CT", "HU")
    names = ("intensity_mean", "intensity_sd", "intensity_median")
    mean, spread, median = (measure_quantity(scan, segment(mask, "liver"), name, rules).value for name in names)
    assert mean == pytest.approx(statistics.GetMean(1))
    assert spread == pytest.approx(statistics.GetStandardDeviation(1))
    assert median == pytest.approx(statistics.GetMedian(1), abs=1.0)  # ITK's median has the width of its bins


def test_the_farthest_pair_is_that_of_every_pair() -> None:
    rng = np.random.default_rng(3)
    for size in (1, 2, 5, 60, 400):
        points = rng.normal(size=(size, 3)) * (1, 3, 0.5)
        every = np.linalg.norm(points[:, None] - points[None], axis=2)
        distance, one, other = farthest_pair(points)
        assert distance == pytest.approx(every.max())
        assert every[one, other] == pytest.approx(distance)
