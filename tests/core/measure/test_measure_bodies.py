"""Sizes of analytic bodies in any grid: the answer does not depend on how the voxels are stored, and agrees with
geometry.

Tolerance for lengths: one voxel diagonal. For volumes: 2 % (5 % where a flat end falls between two slices).
"""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from numpy.typing import NDArray

from medviewer.core.measure import Rules, measure_quantity
from medviewer.core.report.document import Measurement
from tests.core.measure.bodies import CENTRE, at, box, ellipsoid, grid, paint, rotation, scan, segment

ORIENTATIONS = list(itertools.product(itertools.permutations(range(3)), itertools.product((1, -1), repeat=3)))
SIZES = ("volume", "longest_diameter", "length", "z_extent", "axial_diameter", "long_axis", "short_axis")
SPACINGS = [(1.0, 1.0, 1.0), (0.8, 0.8, 2.0), (0.7, 1.1, 3.0)]


def measured(
    mask: NDArray[np.bool_], affine: NDArray[np.float64], quantity: str, rules: Rules, term: str = "kidney"
) -> Measurement:
    term = "lesion" if quantity in ("longest_diameter", "long_axis", "short_axis") else term
    return measure_quantity(scan(mask, affine), segment(mask, term), quantity, rules)


def value(*arguments: object) -> float:
    found = measured(*arguments)  # type: ignore[arg-type]
    assert found.value is not None, found.reason
    return found.value


@pytest.mark.parametrize("quantity", SIZES)
def test_no_permutation_or_flip_of_the_grid_changes_a_size(rules: Rules, quantity: str) -> None:
    body = ellipsoid((14, 9, 19), CENTRE, rotation(7))
    found = []
    for order, flips in ORIENTATIONS:
        shape, affine = grid((26, 26, 26), (1.2, 0.9, 2.1), order, flips)
        found.append(measured(paint(shape, affine, body), affine, quantity, rules))
    values = [m.value for m in found]
    assert values == pytest.approx([values[0]] * len(values), rel=1e-9)
    if quantity != "short_axis":  # of several equally long chords any may be shown
        gaps = [np.linalg.norm(np.subtract(*m.points)) for m in found if len(m.points) == 2 and quantity != "z_extent"]
        assert gaps == pytest.approx([values[0]] * len(gaps))


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_an_ellipsoid_has_the_volume_and_length_of_geometry_on_any_oblique_grid(
    rules: Rules, spacing: tuple[float, float, float], seed: int
) -> None:
    half_axes = (15.0, 11.0, 27.0)
    shape, affine = grid((36, 36, 36), spacing, turn=rotation(seed, 25))
    mask = paint(shape, affine, ellipsoid(half_axes, CENTRE, rotation(seed + 10)))
    voxel = float(np.linalg.norm(spacing))
    assert value(mask, affine, "volume", rules) == pytest.approx(4 / 3 * np.pi * np.prod(half_axes) / 1000, rel=0.02)
    assert value(mask, affine, "length", rules) == pytest.approx(54.0, abs=voxel)
    ends = measured(mask, affine, "length", rules).points
    direction = np.subtract(*ends) / np.linalg.norm(np.subtract(*ends))
    long = rotation(seed + 10)[:, 2]
    assert abs(direction @ long) > np.cos(np.deg2rad(12))


@pytest.mark.parametrize("spacing", SPACINGS)
def test_a_box_has_its_edges_exactly_on_an_aligned_grid(rules: Rules, spacing: tuple[float, float, float]) -> None:
    voxels = (10, 20, 15)
    shape, affine = grid((40, 40, 60), spacing)
    mask = np.zeros(shape, bool)
    mask[5:15, 7:27, 4:19] = True
    edges = np.array(voxels) * spacing
    assert value(mask, affine, "volume", rules) == pytest.approx(np.prod(edges) / 1000)
    assert value(mask, affine, "z_extent", rules) == pytest.approx(edges[2])
    assert value(mask, affine, "longest_diameter", rules) == pytest.approx(np.linalg.norm(edges), abs=np.max(spacing))
    if max(spacing) == spacing[2]:
        across = np.linalg.norm(edges[:2])
        assert value(mask, affine, "axial_diameter", rules) == pytest.approx(across, abs=np.max(spacing[:2]))


@pytest.mark.parametrize("degrees", [0, 15, 40])
def test_a_tilted_cylinder_has_its_height_between_opposite_rims(rules: Rules, degrees: float) -> None:
    turn = rotation(4, degrees)
    axis = turn[:, 2]

    def inside(points: NDArray[np.float64]) -> NDArray[np.bool_]:
        along = (points - CENTRE) @ axis
        return (np.linalg.norm(points - CENTRE - along[:, None] * axis, axis=1) <= 8) & (np.abs(along) <= 25)

    shape, affine = grid((36, 36, 36), (0.9, 0.9, 1.5))
    mask = paint(shape, affine, inside)
    assert value(mask, affine, "length", rules) == pytest.approx(np.hypot(16, 50), abs=np.linalg.norm((0.9, 0.9, 1.5)))
    assert value(mask, affine, "volume", rules) == pytest.approx(np.pi * 64 * 50 / 1000, rel=0.05)


def test_extents_are_those_along_the_patient_whatever_the_grid(rules: Rules) -> None:
    body = ellipsoid((20, 12, 8), CENTRE)
    for order, flips in ORIENTATIONS[::7]:
        shape, affine = grid((24, 24, 24), (1.0, 1.0, 1.0), order, flips, rotation(3, 10))
        mask = paint(shape, affine, body)
        quantities = ("extent_left_right", "extent_front_back", "extent_feet_head")
        found = [value(mask, affine, name, rules, "brain_tumor") for name in quantities]
        assert found == pytest.approx([40, 24, 16], abs=1.5)


@pytest.mark.parametrize("angle", [0, 20, 33, 70])
def test_recist_axes_are_those_of_an_ellipse_in_the_slice(rules: Rules, angle: float) -> None:
    c, s = np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))
    turn = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
    shape, affine = grid((32, 32, 20), (0.8, 0.8, 3.0))
    mask = paint(shape, affine, ellipsoid((22, 13, 12), CENTRE, turn))
    long, short = (measured(mask, affine, name, rules) for name in ("long_axis", "short_axis"))
    assert long.value == pytest.approx(44, abs=0.9)
    assert short.value == pytest.approx(26, abs=0.9)
    one, other = (np.subtract(*m.points) for m in (long, short))
    assert abs(one @ other) / (np.linalg.norm(one) * np.linalg.norm(other)) < 1e-6, "the short axis is perpendicular"
    assert long.slice_index == short.slice_index
    slices = {round(point[2], 6) for m in (long, short) for point in m.points}
    assert len(slices) == 1
    assert np.linalg.norm(other) == pytest.approx(short.value)


def test_the_long_axis_does_not_span_two_parts(rules: Rules) -> None:
    shape, affine = grid((40, 20, 10))
    mask = paint(shape, affine, box((10, 6, 4), at(-20, 0, 0))) | paint(shape, affine, box((14, 6, 4), at(20, 0, 0)))
    assert value(mask, affine, "long_axis", rules) == pytest.approx(np.hypot(14, 6), abs=1.5)
    assert measured(mask, affine, "parts", rules, "lesion").value == 2


def test_the_long_axis_is_found_in_a_slice_that_is_not_the_widest_across_parts(rules: Rules) -> None:
    shape, affine = grid((40, 20, 10))
    mask = paint(shape, affine, box((10, 6, 4), at(-20, 0, -5))) | paint(shape, affine, box((10, 6, 4), at(20, 0, -5)))
    mask |= paint(shape, affine, box((30, 6, 4), at(0, 0, 5)))
    assert value(mask, affine, "long_axis", rules) == pytest.approx(np.hypot(30, 6), abs=1.5)


def test_the_short_axis_stays_inside_a_bent_mask(rules: Rules) -> None:
    shape, affine = grid((30, 30, 4))
    mask = paint(shape, affine, box((40, 6, 6), CENTRE)) | paint(shape, affine, box((6, 30, 6), at(-17, 12, 0)))
    short = measured(mask, affine, "short_axis", rules)
    index = (np.array(short.points) - affine[:3, 3]) @ np.linalg.inv(affine[:3, :3]).T
    along = np.linspace(index[0], index[1], 50)[1:-1]
    assert mask[tuple(np.rint(along).astype(int).T)].all()


def test_specks_below_five_voxels_are_not_counted_as_parts(rules: Rules) -> None:
    shape, affine = grid((20, 20, 20))
    mask = paint(shape, affine, ellipsoid((5, 5, 5), CENTRE))
    mask[2, 2, 2:5] = True
    assert measured(mask, affine, "parts", rules, "lesion").value == 1
    mask = mask.copy()
    mask[2, 2, 2:8] = True
    assert measured(mask, affine, "parts", rules, "lesion").value == 2


def test_a_sheared_grid_of_a_tilted_gantry_is_measured_in_the_patient(rules: Rules) -> None:
    shape, affine = grid((40, 40, 40))
    affine[1, 2] = 0.36  # 20 degrees
    affine[:3, 3] = CENTRE - affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    mask = paint(shape, affine, ellipsoid((16, 12, 22), CENTRE))
    assert value(mask, affine, "length", rules) == pytest.approx(44, abs=1.8)
    assert value(mask, affine, "volume", rules) == pytest.approx(4 / 3 * np.pi * 16 * 12 * 22 / 1000, rel=0.02)
    short = measured(mask, affine, "short_axis", rules)
    assert short.value == pytest.approx(24, abs=1.5)


def test_thick_sagittal_slices_are_measured_in_their_own_plane_and_have_no_axial_diameter(rules: Rules) -> None:
    shape, affine = grid((20, 30, 30), (4.0, 0.8, 0.8), (1, 2, 0), (1, -1, 1))
    mask = paint(shape, affine, ellipsoid((8, 20, 12), CENTRE))
    long = measured(mask, affine, "long_axis", rules)
    assert long.method == "recist_acquired"
    assert long.value == pytest.approx(40, abs=1.2)
    assert long.slice_index is not None
    axial = measured(mask, affine, "axial_diameter", rules)
    assert (axial.value, axial.reason) == (None, "not_axial")
