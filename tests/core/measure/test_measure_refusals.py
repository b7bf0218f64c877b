"""What a scan does not allow has no number, and says why: truncation, 2D, voxel size, ultrasound, units."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from medviewer.core.measure import Rules, measure_quantity, measure_segment
from medviewer.core.report.document import Measurement
from medviewer.core.volume import Fact, Volume
from tests.core.measure.bodies import CENTRE, at, box, grid, paint, scan, segment


@pytest.fixture
def block() -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    shape, affine = grid((20, 20, 20))
    return paint(shape, affine, box((12, 10, 14), CENTRE)), affine


@pytest.fixture
def cut() -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """A block that the upper edge of the scan cuts."""
    shape, affine = grid((20, 20, 20))
    return paint(shape, affine, box((12, 10, 50), at(0, 0, 20))), affine


def of(rules: Rules, volume: Volume, mask: NDArray[np.bool_], term: str, **more: object) -> dict[str, Measurement]:
    return {m.quantity: m for m in measure_segment(volume, segment(mask, term, **more), rules)}


@pytest.mark.parametrize("quantity", ["volume", "length", "z_extent"])
def test_a_mask_cut_by_the_edge_has_no_volume_and_no_length(rules: Rules, cut, quantity: str) -> None:  # type: ignore[no-untyped-def]
    found = of(rules, scan(*cut), cut[0], "kidney")[quantity]
    assert (found.value, found.reason, found.range_text) == (None, "cut_by_edge", "")
    assert "incomplete" in found.flags


def test_a_mask_cut_by_the_edge_has_no_largest_3d_diameter(rules: Rules, cut) -> None:  # type: ignore[no-untyped-def]
    assert of(rules, scan(*cut), cut[0], "lesion")["longest_diameter"].reason == "cut_by_edge"


def test_a_mask_cut_above_keeps_its_diameters_in_whole_slices_marked_incomplete(rules: Rules, cut) -> None:  # type: ignore[no-untyped-def]
    found = of(rules, scan(*cut), cut[0], "lesion")["long_axis"]
    assert found.value == pytest.approx(np.hypot(12, 10), abs=1.5)
    assert "incomplete" in found.flags


def test_a_mask_cut_at_the_side_has_no_diameter(rules: Rules) -> None:
    shape, affine = grid((20, 20, 20))
    mask = paint(shape, affine, box((50, 10, 10), at(20, 0, 0)))
    found = of(rules, scan(mask, affine), mask, "lesion")
    assert {found[name].reason for name in ("long_axis", "short_axis", "axial_diameter")} == {"cut_by_edge"}


def test_edges_that_the_segment_records_count_too(rules: Rules, block) -> None:  # type: ignore[no-untyped-def]
    found = of(rules, scan(*block), block[0], "kidney", cut_edges=("upper",))
    assert found["volume"].reason == "cut_by_edge"
    assert found["axial_diameter"].value is not None


def test_intensities_of_a_cut_mask_are_given_and_marked_incomplete(rules: Rules, cut) -> None:  # type: ignore[no-untyped-def]
    found = of(rules, scan(*cut), cut[0], "liver")["intensity_median"]
    assert found.value == 0
    assert "incomplete" in found.flags


def test_a_single_slice_has_no_ml_and_no_3d_length(rules: Rules) -> None:
    shape, affine = grid((20, 20, 1))
    mask = paint(shape, affine, box((12, 10, 9), CENTRE))[:, :, 1:2].copy()
    found = of(rules, scan(mask, affine), mask, "lesion")
    assert (found["volume"].value, found["volume"].reason) == (None, "single_slice")
    assert found["longest_diameter"].reason == "single_slice"
    assert found["long_axis"].unit == "mm"
    assert found["long_axis"].value == pytest.approx(np.hypot(12, 10), abs=1.5)


def test_without_a_voxel_size_there_are_pixels_and_no_ml(rules: Rules, block) -> None:  # type: ignore[no-untyped-def]
    mask = block[0]
    found = of(rules, scan(mask, None), mask, "lesion")
    assert found["volume"].reason == "no_spacing"
    assert found["longest_diameter"].reason == "no_spacing"
    assert (found["long_axis"].unit, found["short_axis"].unit) == ("px", "px")
    assert np.array(found["long_axis"].points).min() >= -0.5, "voxel indices"


def test_a_picture_without_a_pixel_size_gives_pixels(rules: Rules) -> None:
    mask = np.zeros((40, 30, 1), bool)
    mask[5:25, 8:18] = True
    found = of(rules, scan(mask, None, "CT", kind="image"), mask, "lung_nodule")
    assert found["volume"].reason == "two_dimensional"
    assert found["long_axis"].unit == "px"
    assert found["short_axis"].value == pytest.approx(2 * 20 * 10 / np.hypot(20, 10) / 2, abs=3)


def test_lungs_on_an_x_ray_have_no_volume(rules: Rules) -> None:
    mask = np.zeros((40, 30, 1), bool)
    mask[5:25, 8:18] = True
    volume = scan(mask, None, "DX", kind="image", spacing_mm=(0.2, 0.2, 0.0))
    found = of(rules, volume, mask, "lung")
    assert set(found) == {"area"}
    assert (found["area"].value, found["area"].unit) == (pytest.approx(200 * 0.04), "mm2")
    asked = measure_quantity(volume, segment(mask, "lung"), "volume", rules)
    assert (asked.value, asked.reason) == (None, "not_allowed")


def test_an_area_is_in_pixels_without_a_pixel_size_and_refused_where_it_is_cut(rules: Rules) -> None:
    mask = np.zeros((40, 30, 1), bool)
    mask[5:25, 8:18] = True
    plain = of(rules, scan(mask, None, "DX", kind="image"), mask, "pneumothorax")["area"]
    assert (plain.value, plain.unit) == (200, "px")
    cut = mask.copy()
    cut[25:] = True
    assert of(rules, scan(cut, None, "DX", kind="image"), cut, "pneumothorax")["area"].reason == "cut_by_edge"
    stack = np.repeat(mask, 4, axis=2)
    assert of(rules, scan(stack, np.eye(4), "US"), stack, "lesion")["area"].reason == "not_flat"


def test_millimetres_of_an_x_ray_say_that_they_are_at_the_detector(rules: Rules) -> None:
    mask = np.zeros((80, 60, 1), bool)
    mask[10:50, 10:30] = True
    volume = scan(mask, None, "DX", kind="image", spacing_mm=(0.2, 0.2, 0.0), spacing_note="at the detector")
    found = of(rules, volume, mask, "lung_nodule")["long_axis"]
    assert found.unit == "mm"
    assert found.value == pytest.approx(0.2 * np.hypot(40, 20), abs=0.3)
    assert "at the detector" in found.flags


def ultrasound(mask: NDArray[np.bool_], regions: tuple[dict[str, float], ...]) -> Volume:
    return scan(mask, None, "US", kind="image", spacing_mm=(0.1, 0.1, 0.0), calibrated_regions=regions)


REGION = {"x0": 0.0, "y0": 0.0, "x1": 39.0, "y1": 59.0, "dx": 0.5, "dy": 0.25}


def test_ultrasound_without_calibration_gives_no_mm(rules: Rules) -> None:
    mask = np.zeros((80, 60, 1), bool)
    mask[5:25, 10:30] = True
    assert of(rules, ultrasound(mask, ()), mask, "breast_tumor")["long_axis"].unit == "px"


def test_ultrasound_is_measured_inside_its_calibrated_region_only(rules: Rules) -> None:
    mask = np.zeros((80, 60, 1), bool)
    mask[5:25, 10:30] = True
    found = of(rules, ultrasound(mask, (REGION,)), mask, "breast_tumor")["long_axis"]
    assert found.unit == "mm"
    assert found.value == pytest.approx(np.hypot(20 * 0.5, 20 * 0.25), abs=0.6)
    outside = np.zeros_like(mask)
    outside[50:70, 10:30] = True
    assert of(rules, ultrasound(outside, (REGION,)), outside, "breast_tumor")["long_axis"].unit == "px"


def test_ultrasound_across_regions_is_refused(rules: Rules) -> None:
    mask = np.zeros((80, 60, 1), bool)
    mask[30:50, 10:30] = True
    other = REGION | {"x0": 40.0, "x1": 79.0}
    for regions in ((REGION,), (REGION, other)):
        found = of(rules, ultrasound(mask, regions), mask, "breast_tumor")
        assert {(m.value, m.reason) for m in found.values()} == {(None, "across_regions")}


def test_ultrasound_never_gives_ml(rules: Rules, block) -> None:  # type: ignore[no-untyped-def]
    asked = measure_quantity(scan(*block, "US"), segment(block[0], "left_ventricle"), "volume", rules)  # type: ignore[misc]
    assert asked.reason == "not_allowed"


def test_a_frame_of_a_cine_is_measured_in_that_frame(rules: Rules) -> None:
    mask = np.zeros((40, 40, 6), bool)
    mask[10:20, 10:20, 2] = True
    mask[5:30, 5:30, 4] = True
    volume = scan(mask, None, "US", kind="cine", calibrated_regions=(REGION,))
    small = of(rules, volume, mask, "breast_tumor", frame=2)["long_axis"]
    assert (small.slice_index, small.points[0][2]) == (2, 2.0)
    assert of(rules, volume, mask, "breast_tumor")["long_axis"].slice_index == 4, "else the frame where it is largest"


def test_ct_whose_values_are_not_hounsfield_units_has_no_density(rules: Rules, block) -> None:  # type: ignore[no-untyped-def]
    volume = scan(*block).with_changes(units=None)
    found = of(rules, volume, block[0], "liver")
    assert {found[name].reason for name in ("intensity_median", "intensity_mean", "parenchyma_mean")} == {"not_hu"}


def test_mr_intensities_have_no_hounsfield_units(rules: Rules, block) -> None:  # type: ignore[no-untyped-def]
    mask, affine = block
    assert of(rules, scan(mask, affine, "MR"), mask, "lesion")["intensity_median"].unit == "1"


def test_padding_takes_no_part_in_intensities(rules: Rules, block) -> None:  # type: ignore[no-untyped-def]
    mask, affine = block
    array = np.full(mask.shape, 40, np.int16)
    array[: mask.shape[0] // 2] = -2000
    volume = Volume(array, affine, "CT", "HU", facts={"pixel_padding_value": Fact(-2000, "DICOM")})
    found = of(rules, volume, mask, "liver")
    assert [found[f"intensity_{name}"].value for name in ("median", "mean", "sd", "p5", "p95")] == [40, 40, 0, 40, 40]
    blank = volume.with_changes(array=np.full(mask.shape, -2000, np.int16))
    assert of(rules, blank, mask, "liver")["intensity_mean"].reason == "not_scanned"


@pytest.mark.parametrize("dtype", [np.int16, np.float32, np.int32, np.uint8])
@pytest.mark.parametrize("order", ["C", "F"])
def test_intensities_are_those_of_the_voxels(rules: Rules, block, dtype: type, order: str) -> None:  # type: ignore[no-untyped-def]
    mask, affine = block
    scale = 1_000_000 if dtype is np.int32 else 1
    array = np.asarray(np.random.default_rng(0).normal(60, 12, mask.shape) * scale, dtype, order=order)  # type: ignore[call-overload]
    found = of(rules, Volume(array, affine, "CT", "HU"), np.asarray(mask, order=order), "liver")  # type: ignore[call-overload]
    values = array[mask].astype(float)
    expected = [*np.percentile(values, (5, 50, 95)), values.mean(), values.std(ddof=1)]
    names = ("p5", "median", "p95", "mean", "sd")
    assert [found[f"intensity_{name}"].value for name in names] == pytest.approx(expected, rel=1e-6)


def test_an_empty_mask_has_nothing_but_a_reason(rules: Rules, block) -> None:  # type: ignore[no-untyped-def]
    found = of(rules, scan(*block), np.zeros(block[0].shape, bool), "kidney")
    assert {(m.value, m.reason) for m in found.values()} == {(None, "empty")}


def test_a_mask_of_another_grid_is_a_defect_of_the_caller(rules: Rules, block) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match="grid"):
        measure_segment(scan(*block), segment(np.ones((2, 2, 2), bool), "kidney"), rules)


def test_without_an_orientation_nothing_axial_is_said(rules: Rules, block) -> None:  # type: ignore[no-untyped-def]
    mask, affine = block
    volume = scan(mask, affine, facts={"orientation": Fact(None, "unknown")})
    found = of(rules, volume, mask, "glioma")
    for name in ("axial_diameter", "extent_left_right", "side_share"):
        assert found[name].reason == "orientation_unknown", name
    assert found["volume"].value is not None
    assert found["long_axis"].method == "recist_acquired"


def test_two_kidneys_in_one_mask_have_no_length(rules: Rules) -> None:
    shape, affine = grid((60, 20, 30))
    mask = paint(shape, affine, box((20, 20, 40), at(35, 0, 0))) | paint(
        shape, affine, box((20, 20, 40), CENTRE - (35, 0, 0))
    )
    assert of(rules, scan(mask, affine), mask, "kidney")["length"].reason == "several_parts"


def test_a_colour_image_has_no_density(rules: Rules) -> None:
    mask = np.zeros((40, 30, 1), bool)
    mask[5:25, 8:18] = True
    volume = Volume(np.zeros((40, 30, 1, 3), np.uint8), None, "MR", kind="image")
    assert of(rules, volume, mask, "lesion")["intensity_median"].reason == "colour"


def test_a_tiny_mask_is_measured_without_an_error(rules: Rules) -> None:
    for size in (1, 2):
        shape, affine = grid((10, 10, 10))
        mask = np.zeros(shape, bool)
        mask[4 : 4 + size, 5, 5] = True
        found = of(rules, scan(mask, affine), mask, "lesion")
        assert found["long_axis"].value == pytest.approx(max(size, 1), abs=0.5)
        assert found["longest_diameter"].value is not None
        for term in ("aorta", "liver"):
            assert all(m.value is not None or m.reason for m in of(rules, scan(mask, affine), mask, term).values())
        body = of(rules, scan(mask, affine, "MR"), mask, "vertebra_l1")
        assert body["height_front"].reason in ("too_small", "not_sagittal")
