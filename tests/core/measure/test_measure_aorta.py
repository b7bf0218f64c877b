"""The aorta's diameter perpendicular to its centreline, on tubes of known diameter.

Tolerance: one voxel of thin slices (0.8 to 1.5 mm); one slice where slices are 5 mm thick, as an arch that runs along
them is known to one slice only.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from medviewer.core.measure import Rules, measure_quantity
from medviewer.core.report.document import Measurement
from tests.core.measure.bodies import CENTRE, ellipsoid, grid, paint, rotation, scan, segment

Inside = Callable[[NDArray[np.float64]], NDArray[np.bool_]]


def arch(radius: float, bend: float = 35.0) -> Inside:
    """A tube like the thoracic aorta: half a torus above, two straight legs below; the right leg is shorter."""

    def inside(points: NDArray[np.float64]) -> NDArray[np.bool_]:
        x, y, z = (points - CENTRE).T
        above = np.hypot(np.hypot(x, z) - bend, y)
        legs = np.hypot(np.abs(x) - bend, y)
        return np.asarray((np.where(z > 0, above, legs) <= radius) & (z > np.where(x < 0, -40, -60)))

    return inside


def tube(radius: float, turn: NDArray[np.float64], bulge: float = 0.0, length: float = 120.0) -> Inside:
    """A straight tube along the third column of `turn`, wider by `bulge` in the middle."""
    axis = turn[:, 2]

    def inside(points: NDArray[np.float64]) -> NDArray[np.bool_]:
        along = (points - CENTRE) @ axis
        away = np.linalg.norm(points - CENTRE - along[:, None] * axis, axis=1)
        return np.asarray((away <= radius + bulge * np.exp(-((along / 15) ** 2))) & (np.abs(along) <= length / 2))

    return inside


def diameter(rules: Rules, mask: NDArray[np.bool_], affine: NDArray[np.float64], term: str = "aorta") -> Measurement:
    return measure_quantity(scan(mask, affine), segment(mask, term), "aortic_diameter", rules)


@pytest.mark.parametrize(
    ("spacing", "tolerance"), [((0.8, 0.8, 1.0), 0.8), ((1.5, 1.5, 1.5), 1.5), ((0.7, 0.7, 5.0), 5.0)]
)
@pytest.mark.parametrize("radius", [10.0, 15.0])
def test_a_bent_tube_has_its_diameter(
    rules: Rules, spacing: tuple[float, float, float], tolerance: float, radius: float
) -> None:
    shape, affine = grid((60, 25, 70), spacing)
    found = diameter(rules, paint(shape, affine, arch(radius)), affine)
    assert found.value == pytest.approx(2 * radius, abs=tolerance)
    assert np.linalg.norm(np.subtract(*found.points)) == pytest.approx(found.value)


@pytest.mark.parametrize("degrees", [0, 25, 45])
@pytest.mark.parametrize("thick", [1.0, 5.0])
def test_an_aneurysm_is_measured_across_and_not_along_the_slices(rules: Rules, degrees: float, thick: float) -> None:
    turn = rotation(5, degrees)
    shape, affine = grid((55, 55, 65), (1.2, 1.2, thick))
    mask = paint(shape, affine, tube(14, turn, 8.0))
    found = diameter(rules, mask, affine)
    assert found.value == pytest.approx(44, abs=1.2 if thick == 1.0 else 3.0)
    across = np.subtract(*found.points) / np.linalg.norm(np.subtract(*found.points))
    assert abs(across @ turn[:, 2]) < np.sin(np.deg2rad(10)), "perpendicular to the vessel"
    if degrees == 45:
        axial = measure_quantity(scan(mask, affine), segment(mask, "lesion"), "axial_diameter", rules)
        assert axial.value is None or axial.value > found.value * 1.05, "an axial diameter would be too large"


def test_no_orientation_of_the_grid_changes_the_diameter_by_more_than_a_voxel(rules: Rules) -> None:
    found = []
    for order, flips, degrees in (((0, 1, 2), (1, 1, 1), 0), ((2, 0, 1), (-1, 1, -1), 0), ((1, 2, 0), (1, -1, 1), 20)):
        shape, affine = grid((64, 64, 70), (1.5, 1.5, 1.5), order, flips, rotation(1, degrees))
        found.append(diameter(rules, paint(shape, affine, arch(12.0, 30.0)), affine).value)
    assert found == pytest.approx([24.0] * 3, abs=1.5)


def test_an_elliptic_cross_section_gives_its_larger_diameter(rules: Rules) -> None:
    shape, affine = grid((30, 30, 60), (0.8, 0.8, 1.0))

    def inside(points: NDArray[np.float64]) -> NDArray[np.bool_]:
        x, y, z = (points - CENTRE).T
        return np.asarray(((x + y) ** 2 / 2 / 16**2 + (x - y) ** 2 / 2 / 11**2 <= 1) & (np.abs(z) < 50))

    assert diameter(rules, paint(shape, affine, inside), affine).value == pytest.approx(32, abs=0.9)


def test_the_stump_of_a_branch_does_not_widen_the_aorta(rules: Rules) -> None:
    shape, affine = grid((40, 30, 60), (0.8, 0.8, 1.0))
    body = tube(12, np.eye(3), length=100)

    def inside(points: NDArray[np.float64]) -> NDArray[np.bool_]:
        x, y, z = (points - CENTRE).T
        return np.asarray(body(points) | ((np.hypot(y, z) < 3.5) & (x > 0) & (x < 28)))

    assert diameter(rules, paint(shape, affine, inside), affine).value == pytest.approx(24, abs=1.6)


def test_an_aorta_cut_by_the_edge_is_measured_where_it_was_scanned_and_marked_incomplete(rules: Rules) -> None:
    shape, affine = grid((30, 30, 40), (1.0, 1.0, 1.0))
    mask = paint(shape, affine, tube(12, rotation(2, 20), length=300))
    found = diameter(rules, mask, affine)
    assert found.value == pytest.approx(24, abs=1.0)
    assert "incomplete" in found.flags


def test_what_is_not_longer_than_wide_has_no_centreline(rules: Rules) -> None:
    shape, affine = grid((30, 30, 30))
    ball = diameter(rules, paint(shape, affine, ellipsoid((14, 14, 14), CENTRE)), affine)
    assert (ball.value, ball.reason) == (None, "too_short")
    slab = diameter(rules, paint(shape, affine, tube(14, np.eye(3), length=12)), affine)
    assert (slab.value, slab.reason) == (None, "too_short")


def test_the_method_says_wall_or_lumen_is_that_of_the_mask(rules: Rules, texts) -> None:  # type: ignore[no-untyped-def]
    shape, affine = grid((30, 30, 60), (1.5, 1.5, 1.5))
    found = diameter(rules, paint(shape, affine, tube(12, np.eye(3), length=100)), affine)
    assert "outer wall or the lumen" in texts.method(found, "en")
    assert "Außenwand oder Lumen" in texts.method(found, "de")


def test_a_lumen_is_not_the_aorta(rules: Rules) -> None:
    shape, affine = grid((30, 30, 60), (2.0, 2.0, 2.0))
    mask = paint(shape, affine, tube(12, np.eye(3), length=100))
    found = diameter(rules, mask, affine, "aorta_true_lumen")
    assert (found.value, found.reason) == (None, "not_allowed")
