"""Slices as displayed, from any storage orientation, and back."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from medviewer.core.geometry import voxel_to_lps
from medviewer.core.volume import Volume
from medviewer.models.planes import plan_slices

ORIENTATIONS = [
    (axes, signs) for axes in itertools.permutations(range(3)) for signs in itertools.product((1, -1), repeat=3)
]


def oriented(axes: tuple[int, ...], signs: tuple[int, ...], spacing: tuple[float, ...], tilt: float = 0.0) -> Volume:
    """A volume of different voxel values, its axes along the given patient axes, then turned about z by `tilt`."""
    affine = np.eye(4)
    affine[:3, :3] = 0
    for voxel_axis, (patient_axis, sign) in enumerate(zip(axes, signs, strict=True)):
        affine[patient_axis, voxel_axis] = sign * spacing[voxel_axis]
    turn = np.array([[np.cos(tilt), -np.sin(tilt), 0], [np.sin(tilt), np.cos(tilt), 0], [0, 0, 1]])
    affine[:3, :3] = turn @ affine[:3, :3]
    return Volume(np.arange(210.0).reshape(5, 6, 7), affine, "CT")


def positions(volume: Volume, stack: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """LPS mm of every stack voxel, told by its value."""
    assert volume.affine is not None
    index = np.stack(np.unravel_index(stack.astype(int), volume.shape), axis=-1)
    x, y, z = np.moveaxis(voxel_to_lps(volume.affine, index), -1, 0)
    return x, y, z


@pytest.mark.parametrize(("axes", "signs"), ORIENTATIONS)
def test_axial_slices_show_front_at_top_and_right_at_left(axes: tuple[int, ...], signs: tuple[int, ...]) -> None:
    volume = oriented(axes, signs, (2.0, 2.0, 2.0))
    plan = plan_slices(volume)
    stack = plan.to_stack(volume.array)
    x, y, z = positions(volume, stack)
    assert plan.plane == "axial"
    assert (np.diff(x, axis=2) > 0).all()
    assert (np.diff(y, axis=1) > 0).all()
    assert (np.ptp(z, axis=(1, 2)) == 0).all()
    np.testing.assert_array_equal(plan.from_stack(stack), volume.array)


@pytest.mark.parametrize(("axes", "signs"), ORIENTATIONS)
@pytest.mark.parametrize("thick", [0, 1, 2])
def test_slices_follow_the_acquisition_axis(axes: tuple[int, ...], signs: tuple[int, ...], thick: int) -> None:
    spacing = tuple(6.0 if axes[axis] == thick else 1.0 for axis in range(3))
    volume = oriented(axes, signs, spacing, tilt=0.2)
    plan = plan_slices(volume)
    assert plan.plane == ("sagittal", "coronal", "axial")[thick]
    assert plan.spacing == pytest.approx((6.0, 1.0, 1.0))
    stack = plan.to_stack(volume.array)
    x, y, z = positions(volume, stack)
    if thick == 1:
        assert (np.diff(z, axis=1) < 0).all()
        assert (np.diff(x, axis=2) > 0).all()
    if thick == 0:
        assert (np.diff(z, axis=1) < 0).all()
        assert (np.diff(y, axis=2) > 0).all()
    np.testing.assert_array_equal(plan.from_stack(stack), volume.array)
    assert plan.shape == stack.shape


def test_stack_position_agrees_with_the_stack() -> None:
    volume = oriented((2, 0, 1), (-1, 1, -1), (1.0, 1.0, 3.0))
    plan = plan_slices(volume)
    stack = plan.to_stack(volume.array)
    for ijk in ((0, 0, 0), (4, 1, 2), (3, 5, 6)):
        place = tuple(int(n) for n in plan.stack_position(np.array(ijk)))
        assert stack[place] == volume.array[ijk]


def test_a_picture_keeps_rows_and_columns() -> None:
    volume = Volume(np.arange(12.0).reshape(4, 3, 1), None, kind="image", spacing_mm=(0.5, 0.25, 0.0))
    plan = plan_slices(volume)
    assert plan.to_stack(volume.array).shape == (1, 3, 4)
    assert plan.spacing == (0.0, 0.25, 0.5)
    np.testing.assert_array_equal(plan.to_stack(volume.array)[0], volume.array[:, :, 0].T)


@pytest.mark.parametrize(("axes", "signs"), ORIENTATIONS[::7])
def test_an_empty_stack_lies_in_memory_as_the_volume_does(axes: tuple[int, ...], signs: tuple[int, ...]) -> None:
    volume = oriented(axes, signs, (2.0, 2.0, 2.0))
    plan = plan_slices(volume)
    stack = plan.empty_stack()
    assert stack.shape == plan.shape
    assert not stack.any()
    stack[1, 2, 3] = True
    back = plan.from_stack(stack)
    assert back.shape == volume.shape
    assert back.flags.c_contiguous
    np.testing.assert_array_equal(plan.to_stack(back), stack)
