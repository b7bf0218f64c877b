"""Facts of masks."""

from __future__ import annotations

import numpy as np
import pytest

from medviewer.core.mask_facts import mask_facts, metal_warning
from medviewer.core.volume import Volume


def ct(fill: float = 50) -> np.ndarray:
    return np.full((10, 10, 10), fill, np.float32, order="F")


def volume_of(array: np.ndarray, units: str | None = "HU") -> Volume:
    return Volume(array, np.diag([2.0, 2.0, 5.0, 1.0]), "CT", units)


def cube() -> np.ndarray:
    mask = np.zeros((10, 10, 10), bool)
    mask[2:7, 2:7, 2:6] = True
    return mask


def test_volume_is_counted_voxels_times_voxel_size() -> None:
    facts = mask_facts(volume_of(ct()), cube())
    assert facts.voxels == 100
    assert facts.volume_ml == pytest.approx(100 * 2 * 2 * 5 / 1000)
    assert facts.median == 50


def test_a_cut_mask_has_no_volume() -> None:
    assert mask_facts(volume_of(ct()), cube(), cut=True).volume_ml is None


def test_dense_voxels_are_raised_with_their_place() -> None:
    array = ct()
    array[3, 4, 5] = 1288
    array[9, 9, 9] = 3000  # outside the mask
    look = mask_facts(volume_of(array), cube()).look_at
    assert look is not None
    assert (look.count, look.extreme, look.position) == (1, 1288.0, (6.0, 8.0, 25.0))
    assert look.text("HU") == "voxels up to 1288 HU"


def test_gas_is_raised_downwards() -> None:
    array = ct()
    array[3, 4, 5] = -700
    look = mask_facts(volume_of(array), cube()).look_at
    assert look is not None
    assert look.text("HU") == "voxels down to -700 HU"


def test_expected_range_widens_what_is_plausible() -> None:
    array = ct(-850)
    assert mask_facts(volume_of(array), cube(), expected=(-1000, -500)).look_at is None


def test_no_hu_means_no_claims_about_density() -> None:
    array = ct()
    array[3, 4, 5] = 3500
    assert mask_facts(volume_of(array, None), cube()).look_at is None
    assert metal_warning(volume_of(array, None)) is None


def test_metal_is_announced_where_it_lies() -> None:
    array = ct()
    array[8, 1, 1] = 3382
    array[8, 2, 1] = 3100
    text = metal_warning(volume_of(array))
    assert text is not None
    assert "3382 HU at L 16 P 2 S 5 mm" in text


def test_an_empty_mask_has_no_facts() -> None:
    facts = mask_facts(volume_of(ct()), np.zeros((10, 10, 10), bool))
    assert facts.voxels == 0
    assert facts.median is None


def test_an_image_with_spacing_has_an_area_and_no_volume() -> None:
    image = Volume(np.zeros((10, 10, 1), np.uint8), None, "DX", kind="image", spacing_mm=(0.2, 0.2, 0.0))
    mask = np.zeros((10, 10, 1), bool)
    mask[:5, :2] = True
    facts = mask_facts(image, mask)
    assert facts.area_mm2 == pytest.approx(10 * 0.04)
    assert facts.volume_ml is None
