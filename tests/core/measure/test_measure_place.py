"""Sides, distances, differences between the sides, and the ratio of heart and chest."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from medviewer.core.measure import Examination, Rules, measure_scan, measure_segment
from medviewer.core.measure.facts import examination_of
from medviewer.core.report.document import Measurement
from medviewer.core.segmentation import Segment
from medviewer.core.volume import Fact, Patient, Volume
from tests.core.measure.bodies import CENTRE, at, box, ellipsoid, grid, paint, rotation, scan, segment

ORIENTATIONS = list(itertools.product(itertools.permutations(range(3)), itertools.product((1, -1), repeat=3)))[::5]


def one(found: tuple[Measurement, ...], quantity: str, term: str | None = None) -> Measurement:
    (only,) = [m for m in found if m.quantity == quantity and (term is None or m.term_id == term)]
    return only


@pytest.mark.parametrize(("order", "flips"), ORIENTATIONS)
def test_distance_and_side_do_not_depend_on_the_grid(rules: Rules, order, flips) -> None:  # type: ignore[no-untyped-def]
    shape, affine = grid((40, 20, 30), (1.0, 1.25, 2.0), order, flips)
    left = segment(paint(shape, affine, box((10, 10, 10), at(20, 0, 6))), "lesion")
    right = segment(paint(shape, affine, box((10, 10, 10), CENTRE - (20, 0, 6))), "liver")
    found = measure_scan(scan(left.mask, affine), [left, right], rules, relate=[(left.id, right.id)])
    gap = one(found, "distance")
    assert gap.value == pytest.approx(30, abs=1.5)
    assert np.linalg.norm(np.subtract(*gap.points)) == pytest.approx(gap.value)
    aside, up = one(found, "offset_left_right"), one(found, "offset_up_down")
    assert (aside.side, up.flags) == ("left", ("above",))
    assert (aside.value, up.value) == pytest.approx((40, 12), abs=1.5)
    assert gap.segment_ids == (left.id, right.id)


def test_masks_that_touch_are_at_distance_zero_and_those_that_share_voxels_overlap(rules: Rules) -> None:
    shape, affine = grid((20, 20, 20))
    first, second, third = np.zeros((3, *shape), bool)
    first[5:10, 5:10, 5:10] = True
    second[10:14, 5:10, 5:10] = True
    third[9:14, 5:10, 5:10] = True
    a, b, c = segment(first, "lesion"), segment(second, "liver"), segment(third, "spleen")
    pairs = [(a.id, b.id), (a.id, c.id)]
    touching, sharing = (
        m for m in measure_scan(scan(first, affine), [a, b, c], rules, relate=pairs) if m.quantity == "distance"
    )
    assert (touching.value, touching.flags) == (0, ())
    assert (sharing.value, sharing.flags) == (0, ("overlap",))


def test_distance_is_the_smallest_of_all_on_irregular_masks(rules: Rules) -> None:
    shape, affine = grid((25, 25, 25), (1.0, 1.0, 2.0), turn=rotation(3, 15))
    first = paint(shape, affine, ellipsoid((7, 5, 9), CENTRE - (12, 4, 6), rotation(1)))
    second = paint(shape, affine, ellipsoid((6, 9, 5), at(10, 6, 5), rotation(2)))
    a, b = segment(first, "lesion"), segment(second, "liver")
    gap = one(measure_scan(scan(first, affine), [a, b], rules, relate=[(a.id, b.id)]), "distance")
    places = [np.argwhere(mask) @ affine[:3, :3].T for mask in (first, second)]
    centres = np.linalg.norm(places[0][:, None] - places[1][None], axis=2).min()
    assert centres - np.sqrt(6) <= gap.value <= centres  # type: ignore[operator]


def head(order=(0, 1, 2), flips=(1, 1, 1)):  # type: ignore[no-untyped-def]
    """A head with a midline at the patient's x of CENTRE."""
    shape, affine = grid((85, 100, 90), (3.0, 3.0, 3.0), order, flips)
    brain = paint(shape, affine, ellipsoid((70, 88, 75), CENTRE))
    return brain, affine, Volume(np.where(brain, 300, 0).astype(np.int16), affine, "MR")


@pytest.mark.parametrize(("order", "flips"), ORIENTATIONS[:4])
def test_a_tumour_lies_on_the_side_of_the_patient(rules: Rules, order, flips) -> None:  # type: ignore[no-untyped-def]
    brain, affine, volume = head(order, flips)
    for sign, side in ((1, "left"), (-1, "right")):
        mask = paint(brain.shape, affine, ellipsoid((12, 12, 12), at(sign * 35, 5, 10)))
        found = one(measure_segment(volume, segment(mask, "glioma"), rules), "side_share")
        assert (found.value, found.side, found.flags) == (100, side, ())


def test_a_tumour_across_the_midline_says_so(rules: Rules) -> None:
    brain, affine, volume = head()
    mask = paint(brain.shape, affine, ellipsoid((21, 12, 12), at(12, 5, 10)))
    found = one(measure_segment(volume, segment(mask, "glioma"), rules), "side_share")
    assert found.side == "left"
    assert found.value == pytest.approx(88, abs=6)  # a ball cap beyond 12/21 of its half axis
    assert "crosses midline" in found.flags
    mask = paint(brain.shape, affine, ellipsoid((10, 10, 10), at(2, 5, 10)))
    assert "near midline" in one(measure_segment(volume, segment(mask, "glioma"), rules), "side_share").flags


def test_a_scan_that_does_not_show_the_middle_gives_no_side(rules: Rules) -> None:
    shape, affine = grid((30, 40, 40), (3.0, 3.0, 3.0))
    mask = paint(shape, affine, ellipsoid((10, 10, 10), CENTRE))
    volume = Volume(np.full(shape, 300, np.int16), affine, "MR")
    found = one(measure_segment(volume, segment(mask, "glioma"), rules), "side_share")
    assert (found.value, found.reason) == (None, "midline_unknown")


def kidneys(affine: NDArray[np.float64], shape: tuple[int, int, int]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    left = paint(shape, affine, ellipsoid((24, 22, 57), at(70, 20, 0)))
    return left, paint(shape, affine, ellipsoid((24, 22, 48), at(-70, 20, -5)))


def body(sides: tuple[NDArray[np.bool_], NDArray[np.bool_]], affine: NDArray[np.float64], **more: object) -> Volume:
    trunk = paint(sides[0].shape, affine, ellipsoid((150, 100, 400), CENTRE))  # type: ignore[arg-type]
    return Volume(np.where(trunk, 40, -1000).astype(np.int16), affine, "CT", "HU", **more)  # type: ignore[arg-type]


def test_kidney_lengths_and_their_difference_name_the_longer_side(rules: Rules) -> None:
    shape, affine = grid((165, 110, 70), (3.0, 3.0, 3.0))
    left, right = kidneys(affine, shape)
    volume = body((left, right), affine)
    pair = [segment(left, "kidney", side="left"), segment(right, "kidney", side="right")]
    found = one(measure_scan(volume, pair, rules), "length_difference")
    assert (found.value, found.side) == (pytest.approx(18, abs=3.0), "left")
    assert len(found.points) == 4
    both = measure_scan(volume, [segment(left | right, "kidney")], rules)
    lengths = {m.side: m.value for m in both if m.quantity == "length"}
    assert lengths == {"left": pytest.approx(114, abs=3), "right": pytest.approx(96, abs=3)}
    assert one(both, "length_difference").value == pytest.approx(found.value)


def test_equal_kidneys_have_no_longer_side(rules: Rules) -> None:
    shape, affine = grid((165, 110, 70), (3.0, 3.0, 3.0))
    left, _ = kidneys(affine, shape)
    right = left[::-1]
    pair = [segment(left, "kidney", side="left"), segment(right, "kidney", side="right")]
    found = one(measure_scan(body((left, right), affine), pair, rules), "length_difference")
    assert (found.value, found.side) == (pytest.approx(0, abs=0.04), None)


def test_a_cut_kidney_gives_no_difference_of_length(rules: Rules) -> None:
    shape, affine = grid((165, 110, 48), (3.0, 3.0, 3.0))
    left, right = kidneys(affine, shape)
    pair = [segment(left, "kidney", side="left"), segment(right, "kidney", side="right")]
    found = one(measure_scan(body((left, right), affine), pair, rules), "length_difference")
    assert (found.value, found.reason) == (None, "cut_by_edge")


def test_hippocampal_asymmetry_is_a_number_without_a_range(rules: Rules) -> None:
    shape, affine = grid((40, 30, 20))
    left = paint(shape, affine, box((10, 20, 10), at(20, 0, 0)))
    right = paint(shape, affine, box((10, 20, 8), CENTRE - (20, 0, 0)))
    pair = [segment(left, "hippocampus", side="left"), segment(right, "hippocampus", side="right")]
    found = one(measure_scan(scan(left, affine, "MR"), pair, rules), "asymmetry_index")
    expected = 100 * abs(left.sum() - right.sum()) / ((left.sum() + right.sum()) / 2)
    assert found.value == pytest.approx(expected)
    assert (found.side, found.range_text, found.unit) == ("left", "", "%")


def liver_and_spleen(hu: tuple[int, int]) -> tuple[Volume, list[Segment]]:
    shape, affine = grid((90, 60, 50), (2.0, 2.0, 2.5))
    liver = paint(shape, affine, ellipsoid((45, 40, 35), CENTRE - (35, 0, 0)))
    spleen = paint(shape, affine, ellipsoid((22, 25, 30), at(55, 0, 0)))
    array = np.full(shape, -100, np.int16)
    array[liver], array[spleen] = hu
    rim = liver & ~paint(shape, affine, ellipsoid((43, 38, 33), CENTRE - (35, 0, 0)))
    array[rim] = -50  # fat at the surface
    facts = {"contrast": Fact("unenhanced", "user"), "patient_age": Fact("050Y", "DICOM")}
    volume = Volume(array, affine, "CT", "HU", facts=facts, patient=Patient(sex="F"))
    return volume, [segment(liver, "liver"), segment(spleen, "spleen")]


def test_liver_minus_spleen_leaves_out_the_rims(rules: Rules) -> None:
    volume, masks = liver_and_spleen((40, 52))
    found = measure_scan(volume, masks, rules)
    difference = one(found, "liver_minus_spleen")
    assert (difference.value, difference.unit) == (-12, "HU")
    assert "below range" in difference.flags
    assert one(found, "parenchyma_mean", "liver").value == 40
    assert one(found, "intensity_mean", "liver").value < 38  # type: ignore[operator]


def test_liver_values_name_no_disease(rules: Rules) -> None:
    volume, masks = liver_and_spleen((40, 52))
    for language in ("en", "de"):
        found = measure_scan(volume, masks, replace(rules, language=language))
        text = " ".join(m.range_text for m in found).lower()
        assert "48" in text
        assert not any(word in text for word in ("steatosis", "steatose", "fatty liver", "fettleber", "normal"))


def chest(**more: object) -> tuple[Volume, list[Segment]]:
    """A frontal X-ray: chest 200, heart 90 pixels wide, both a little askew."""
    lungs, heart = np.zeros((2, 240, 260, 1), bool)
    lungs[20:95, 40:200] = True
    lungs[130:220, 60:210] = True
    lungs[20:30, 40:100] = False
    heart[80:170, 120:200] = True
    volume = scan(heart, None, "DX", kind="image", **more)
    return volume, [segment(heart, "heart"), segment(lungs, "lung")]


ERECT_PA = Examination("XR", None, "PA", "erect", 50.0, "M")


def test_the_cardiothoracic_ratio_of_a_pa_erect_adult_image(rules: Rules) -> None:
    volume, masks = chest()
    found = measure_scan(volume, masks, rules, examination=ERECT_PA)
    ratio = one(found, "cardiothoracic_ratio")
    assert ratio.value == pytest.approx(90 / 200)
    assert len(ratio.points) == 4
    assert "0.50" in ratio.range_text
    assert not [m for m in found if m.quantity == "width_ratio"]


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"projection": "AP"}, "projection_not_pa"),
        ({"projection": None}, "projection_unknown"),
        ({"position": "lying"}, "position_not_erect"),
        ({"position": None}, "position_unknown"),
        ({"age": 12.0}, "not_adult"),
        ({"age": None}, "age_unknown"),
    ],
)
def test_the_cardiothoracic_ratio_is_refused_unless_pa_adult_and_erect(  # type: ignore[no-untyped-def]
    rules: Rules, changed, reason: str
) -> None:
    volume, masks = chest()
    found = measure_scan(volume, masks, rules, examination=replace(ERECT_PA, **changed))
    ratio, widths = one(found, "cardiothoracic_ratio"), one(found, "width_ratio")
    assert (ratio.value, ratio.reason) == (None, reason)
    assert widths.value == pytest.approx(90 / 200)
    assert (widths.range_text, widths.method) == ("", "width_of_pixels")


def test_no_ratio_of_a_lateral_image_or_of_one_lung(rules: Rules) -> None:
    volume, masks = chest()
    lateral = measure_scan(volume, masks, rules, examination=replace(ERECT_PA, projection="lateral"))
    assert one(lateral, "width_ratio").reason == "not_frontal"
    single = masks[1].mask.copy()
    single[110:] = False
    found = measure_scan(volume, [masks[0], segment(single, "lung")], rules, examination=ERECT_PA)
    assert one(found, "cardiothoracic_ratio").reason == "lungs_not_apart"
    cut = masks[1].mask.copy()
    cut[:95, 60:200] = True
    found = measure_scan(volume, [masks[0], segment(cut, "lung")], rules, examination=ERECT_PA)
    assert one(found, "cardiothoracic_ratio").reason == "cut_by_edge"


def test_the_ratio_follows_the_recorded_orientation_of_the_image(rules: Rules) -> None:
    _, masks = chest()
    turned = [m.changed(mask=np.ascontiguousarray(m.mask.transpose(1, 0, 2))) for m in masks]
    on_its_side = scan(turned[0].mask, None, "DX", kind="image", patient_orientation=("F", "L"))
    assert one(measure_scan(on_its_side, turned, rules, examination=ERECT_PA), "cardiothoracic_ratio").value == (
        pytest.approx(90 / 200)
    )


def test_facts_that_are_estimated_count_as_unknown() -> None:
    volume, _ = chest(
        facts={
            "view_position": Fact("PA", "estimated"),
            "body_position": Fact("erect", "user"),
            "patient_age": Fact("040Y"),
        }
    )
    assert examination_of(volume) == Examination("XR", None, None, "erect", 40.0, None)
    volume, _ = chest(
        facts={"view_position": Fact("PA", "DICOM")}, patient=Patient("", "", "19800615", "F", "20200614")
    )
    assert examination_of(volume) == Examination("XR", None, "PA", None, 39, "F")


def test_contrast_is_never_inferred_from_a_missing_agent() -> None:
    shape, affine = grid((5, 5, 5))
    mask = np.zeros(shape, bool)
    known = {"contrast_agent": Fact("Iomeron", "DICOM")}
    assert examination_of(scan(mask, affine, facts=known)).contrast == "enhanced"
    assert examination_of(scan(mask, affine, facts={"contrast_agent": Fact(None, "unknown")})).contrast is None
    assert examination_of(scan(mask, affine, facts={"contrast": Fact("unenhanced", "estimated")})).contrast is None
    assert examination_of(scan(mask, affine, facts={"phase": Fact("Native", "series text")})).contrast == "unenhanced"
