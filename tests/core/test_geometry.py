"""Patient geometry."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from medviewer.core.geometry import (
    axis_letters,
    closest_axes,
    flip_ras_lps,
    lps_to_voxel,
    position_text,
    spacing_of,
    voxel_to_lps,
)

SPACING = np.array([0.7, 1.3, 5.0])


def oriented(order: tuple[int, int, int], signs: tuple[int, int, int]) -> np.ndarray:
    affine = np.eye(4)
    affine[:3, :3] = np.eye(3)[:, order] * np.array(signs) * SPACING
    affine[:3, 3] = (11.0, -7.0, 300.0)
    return affine


ALL = [
    oriented(order, signs)
    for order in itertools.permutations((0, 1, 2))
    for signs in itertools.product((1, -1), repeat=3)
]


@pytest.mark.parametrize("affine", ALL)
def test_voxel_positions_go_there_and_back(affine: np.ndarray) -> None:
    index = np.array([[0, 0, 0], [3, 4, 5], [10.5, 0.25, 2]])
    assert np.allclose(lps_to_voxel(affine, voxel_to_lps(affine, index)), index)
    assert np.allclose(spacing_of(affine), SPACING)


@pytest.mark.parametrize("affine", ALL)
def test_closest_axes_name_the_voxel_axis_of_each_patient_axis(affine: np.ndarray) -> None:
    for patient_axis, voxel_axis in enumerate(closest_axes(affine)):
        assert np.argmax(np.abs(affine[:3, voxel_axis])) == patient_axis


def test_axis_letters_tell_where_indices_grow() -> None:
    assert axis_letters(np.eye(4)) == "LPS"
    assert axis_letters(np.diag([-1.0, -1.0, 1.0, 1.0])) == "RAS"


def test_nifti_border_flips_x_and_y_only() -> None:
    assert np.allclose(flip_ras_lps(np.eye(4)), np.diag([-1.0, -1.0, 1.0, 1.0]))
    assert np.allclose(flip_ras_lps(flip_ras_lps(ALL[7])), ALL[7])


def test_positions_are_read_with_letters_and_without_signs() -> None:
    assert position_text((78.2, -126.4, 357.0)) == "L 78 A 126 S 357 mm"
    assert position_text((-78.2, 126.4, -3.0)) == "R 78 P 126 I 3 mm"
