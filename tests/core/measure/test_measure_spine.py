"""Heights of vertebral bodies and discs on sagittal masks. Tolerance: one pixel."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from medviewer.core.measure import Rules, measure_segment
from medviewer.core.report.document import Measurement
from medviewer.core.volume import Volume
from tests.core.measure.bodies import CENTRE, at, box, grid, paint, scan, segment

HEIGHTS = ("height_front", "height_middle", "height_back")


def sagittal_turn(degrees: float) -> NDArray[np.float64]:
    """Tilted about the left-right axis."""
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    return np.array([[1, 0, 0], [0, c, -s], [0, s, c]])


def wedge(front: float, back: float, depth: float, degrees: float):  # type: ignore[no-untyped-def]
    """A body whose height falls linearly from back to front."""
    turn = sagittal_turn(degrees)

    def inside(points: NDArray[np.float64]) -> NDArray[np.bool_]:
        x, y, z = ((points - CENTRE) @ turn).T
        height = (front + back) / 2 + (back - front) * y / depth  # +y is to the back
        return np.asarray((np.abs(x) < 20) & (np.abs(y) <= depth / 2) & (np.abs(z) <= height / 2))

    return inside


def heights(rules: Rules, volume: Volume, mask: NDArray[np.bool_], term: str = "vertebra_l1") -> list[Measurement]:
    found = {m.quantity: m for m in measure_segment(volume, segment(mask, term), rules)}
    return [found[name] for name in HEIGHTS]


def spine(body, order=(1, 2, 0), flips=(1, -1, 1), spacing=(4.0, 0.6, 0.6)):  # type: ignore[no-untyped-def]
    """A sagittal magnetic resonance scan: rows and columns run front-back and feet-head, slices from right to left."""
    shape, affine = grid((28, 40, 40), spacing, order, flips)
    return paint(shape, affine, body), affine


@pytest.mark.parametrize("degrees", [-30, 0, 12, 35])
def test_a_tilted_body_has_equal_heights(rules: Rules, degrees: float) -> None:
    mask, affine = spine(box((40, 34, 26), CENTRE, sagittal_turn(degrees)))
    found = heights(rules, scan(mask, affine, "MR"), mask)
    assert [m.value for m in found] == pytest.approx([26, 26, 26], abs=0.9)
    assert {m.slice_index for m in found} == {found[0].slice_index}
    for one in found:
        assert np.linalg.norm(np.subtract(*one.points)) == pytest.approx(one.value)


@pytest.mark.parametrize("degrees", [0, 20, -25])
def test_a_wedge_is_lower_in_front(rules: Rules, degrees: float) -> None:
    mask, affine = spine(wedge(18, 26, 34, degrees))
    found = heights(rules, scan(mask, affine, "MR"), mask)
    assert [m.value for m in found] == pytest.approx([18.8, 22, 25.2], abs=0.9)
    assert found[0].points[0][1] < found[2].points[0][1], "the front lies before the back"


@pytest.mark.parametrize("degrees", [0, 15, -15])
def test_heights_of_a_strong_wedge_lie_across_the_bisector_of_its_endplates(rules: Rules, degrees: float) -> None:
    mask, affine = spine(wedge(10, 30, 34, degrees), spacing=(4.0, 0.4, 0.4))
    found = heights(rules, scan(mask, affine, "MR"), mask)
    assert [m.value for m in found] == pytest.approx([12, 20, 28], abs=0.8)
    across = sagittal_turn(degrees)[:, 2]
    for one in found:
        direction = np.subtract(*one.points) / one.value
        assert abs(direction @ across) > np.cos(np.deg2rad(3))


@pytest.mark.parametrize(
    ("order", "flips"),
    [((1, 2, 0), (1, -1, 1)), ((2, 1, 0), (-1, -1, -1)), ((0, 1, 2), (1, 1, 1)), ((0, 2, 1), (-1, 1, 1))],
)
def test_no_orientation_of_the_grid_changes_the_heights(rules: Rules, order, flips) -> None:  # type: ignore[no-untyped-def]
    mask, affine = spine(wedge(18, 26, 34, 10), order, flips)
    assert [m.value for m in heights(rules, scan(mask, affine, "MR"), mask)] == pytest.approx([18.8, 22, 25.2], abs=0.9)


def test_a_disc_has_its_heights(rules: Rules) -> None:
    mask, affine = spine(wedge(11, 7, 34, -15))
    found = heights(rules, scan(mask, affine, "MR"), mask, "disc_l4_l5")
    assert [m.value for m in found] == pytest.approx([10.6, 9, 7.4], abs=0.9)


def test_the_spinous_process_is_not_the_body(rules: Rules) -> None:
    body, process = box((40, 34, 26), CENTRE), box((40, 20, 10), at(0, 40, -4))
    shape, affine = grid((28, 60, 40), (4.0, 0.6, 0.6), (1, 2, 0))
    mask = paint(shape, affine, lambda p: body(p) | process(p))
    assert heights(rules, scan(mask, affine, "MR"), mask)[1].value == pytest.approx(26, abs=0.9)


def test_a_pedicle_that_the_slice_shows_does_not_change_the_heights(rules: Rules) -> None:
    body, pedicle = box((40, 34, 26), CENTRE), box((40, 30, 9), at(0, 30, 7))
    arch = box((40, 12, 40), at(0, 46, -5))
    shape, affine = grid((28, 65, 40), (4.0, 0.6, 0.6), (1, 2, 0))
    mask = paint(shape, affine, lambda p: body(p) | pedicle(p) | arch(p))
    found = heights(rules, scan(mask, affine, "MR"), mask)
    assert [m.value for m in found] == pytest.approx([26, 26, 26], abs=0.9)


def test_a_sagittal_picture_without_a_pixel_size_gives_pixels(rules: Rules) -> None:
    mask, _ = spine(wedge(18, 26, 34, 0), (1, 2, 0), (1, -1, 1), (4.0, 1.0, 1.0))
    middle = mask.shape[2] // 2
    picture = mask[:, :, middle : middle + 1].copy()
    volume = scan(picture, None, "MR", kind="image", patient_orientation=("P", "F"))
    found = heights(rules, volume, picture)
    assert [m.unit for m in found] == ["px"] * 3
    assert [m.value for m in found] == pytest.approx([18.8, 22, 25.2], abs=1.2)


def test_heights_are_refused_where_front_and_back_are_not_known(rules: Rules) -> None:
    mask, _ = spine(wedge(18, 26, 34, 0))
    picture = mask[:, :, 7:8].copy()
    assert heights(rules, scan(picture, None, "MR", kind="image"), picture)[0].reason == "orientation_unknown"
    coronal = scan(picture, None, "MR", kind="image", patient_orientation=("L", "F"))
    assert heights(rules, coronal, picture)[0].reason == "not_sagittal"
    shape, axial_grid = grid((28, 40, 40), (0.6, 0.6, 4.0))
    axial = paint(shape, axial_grid, box((40, 34, 26), CENTRE))
    assert heights(rules, scan(axial, axial_grid, "MR"), axial)[0].reason == "not_sagittal"


def test_a_body_cut_by_the_edge_has_no_height_but_the_sagittal_stack_may_end_in_it(rules: Rules) -> None:
    shape, affine = grid((28, 40, 10), (4.0, 0.6, 0.6), (1, 2, 0))
    cut = paint(shape, affine, box((40, 34, 26), CENTRE))
    found = heights(rules, scan(cut, affine, "MR"), cut)
    assert [(m.value, m.reason) for m in found] == [(None, "cut_by_edge")] * 3
    shape, affine = grid((12, 40, 40), (4.0, 0.6, 0.6), (1, 2, 0))
    wide = paint(shape, affine, box((60, 34, 26), CENTRE))
    assert heights(rules, scan(wide, affine, "MR"), wide)[0].value == pytest.approx(26, abs=0.9)


def test_vertebral_and_disc_heights_have_no_range(rules: Rules) -> None:
    mask, affine = spine(wedge(10, 26, 34, 0))
    assert {m.range_text for m in heights(rules, scan(mask, affine, "MR"), mask)} == {""}
    assert not [r for r in rules.ranges if r.quantity.startswith("height")]
