"""Dice, surface Dice, HD95 and intervals against figures known by hand and against brute force."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial.distance import cdist

from medviewer.core.volume import Volume
from training.evaluation.intervals import interval_of, mean_interval
from training.evaluation.overlap import Scale, dice, scale_of, surface_points, surface_scores

Mask = NDArray[np.bool_]


def square(low: tuple[int, int], size: int = 4, shape: tuple[int, int, int] = (20, 20, 1)) -> Mask:
    mask = np.zeros(shape, bool)
    mask[low[0] : low[0] + size, low[1] : low[1] + size, 0] = True
    return mask


def test_dice_of_squares_that_overlap_by_half() -> None:
    assert dice(square((4, 4)), square((6, 4))) == pytest.approx(0.5)
    assert dice(square((4, 4)), np.zeros((20, 20, 1), bool)) == 0.0
    assert dice(np.zeros((3, 3, 1), bool), np.zeros((3, 3, 1), bool)) == 1.0


def test_a_square_moved_by_one_pixel() -> None:
    pixels = Scale((1.0, 1.0, 1.0), 0.5, "px")
    near, far = surface_scores(square((4, 4)), square((5, 4)), pixels)
    assert far == 1.0
    assert near == pytest.approx(12 / 24)  # of 12 edge pixels, 6 lie on the other edge, in both directions
    assert surface_scores(square((4, 4)), square((5, 4)), Scale((1.0, 1.0, 1.0), 1.0, "px"))[0] == 1.0


def test_no_mask_scores_nothing_and_has_no_distance() -> None:
    empty, scale = np.zeros((20, 20, 1), bool), Scale((1.0, 1.0, 1.0), 1.0, "px")
    assert surface_scores(empty, square((4, 4)), scale) == (0.0, None)
    assert surface_scores(square((4, 4)), empty, scale) == (0.0, None)
    assert surface_scores(empty, empty, scale) == (1.0, 0.0)


def test_the_surface_of_a_picture_has_no_faces_towards_other_slices() -> None:
    assert len(surface_points(square((4, 4), 5), (1.0, 1.0, 1.0))) == 16
    assert len(surface_points(square((0, 0), 3), (1.0, 1.0, 1.0))) == 8, "the border of the picture is outside"
    cube = np.zeros((9, 9, 9), bool)
    cube[2:7, 2:7, 2:7] = True
    assert len(surface_points(cube, (1.0, 1.0, 1.0))) == 5**3 - 3**3


def brute_force(mask: Mask, truth: Mask, scale: Scale) -> tuple[float, float]:
    """Every distance between surface voxels, with another definition of the surface: a neighbour by face is outside."""

    def surface(of: Mask) -> NDArray[np.float64]:
        points = []
        axes = (0, 1) if of.shape[2] == 1 else (0, 1, 2)
        for voxel in np.argwhere(of):
            around = [tuple(voxel + step * np.eye(3, dtype=int)[axis]) for axis in axes for step in (-1, 1)]
            inside = [all(0 <= at < n for at, n in zip(p, of.shape, strict=True)) and bool(of[p]) for p in around]
            if not all(inside):
                points.append(voxel * np.array(scale.step))
        return np.array(points, float)

    table = cdist(surface(mask), surface(truth))
    there, back = table.min(axis=1), table.min(axis=0)
    near = (there <= scale.tolerance).sum() + (back <= scale.tolerance).sum()
    return near / (len(there) + len(back)), max(np.percentile(there, 95), np.percentile(back, 95))


@pytest.mark.parametrize("shape", [(24, 18, 1), (14, 11, 9)])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_surface_scores_are_those_of_brute_force(shape: tuple[int, int, int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    scale = Scale((0.7, 1.1, 2.5), 1.3, "mm")
    blobs = [ndimage.gaussian_filter(rng.normal(size=shape), (2, 2, 1 if shape[2] > 1 else 0)) > 0.02 for _ in range(2)]
    assert surface_scores(blobs[0], blobs[1], scale) == pytest.approx(brute_force(blobs[0], blobs[1], scale))


def test_volumes_are_measured_in_mm_and_pictures_in_pixels() -> None:
    affine = np.diag([0.8, 0.8, 3.0, 1.0])
    volume = Volume(np.zeros((40, 40, 8), np.int16), affine, "CT", "HU")
    picture = Volume(np.zeros((300, 200, 1), np.uint8), None, kind="image")
    assert scale_of(volume) == Scale((0.8, 0.8, 3.0), 2.0, "mm")
    assert scale_of(picture) == Scale((1.0, 1.0, 1.0), 3.0, "px")


# -- intervals ---------------------------------------------------------------------------------------------------------
def test_fewer_than_five_patients_have_no_interval() -> None:
    interval = mean_interval([0.5] * 40, [n % 4 for n in range(40)])
    assert (interval.low, interval.high, interval.units) == (None, None, 4)
    assert interval_of(lambda rows: 1.0, [1, 2, 3, 4]).low is None
    assert mean_interval([], []).units == 0


def test_patients_are_drawn_whole() -> None:
    rng = np.random.default_rng(0)
    level = rng.normal(size=12)
    values = np.repeat(level, 20)  # 20 equal slices of each of 12 patients
    slices = mean_interval(values.tolist(), range(len(values)))
    patients = mean_interval(values.tolist(), np.repeat(np.arange(12), 20).tolist())
    assert patients.units == 12
    assert patients.high is not None and patients.low is not None  # noqa: PT018
    assert slices.high is not None and slices.low is not None  # noqa: PT018
    assert patients.high - patients.low > 3 * (slices.high - slices.low)


def test_the_interval_of_a_mean_is_the_usual_one() -> None:
    values = np.random.default_rng(1).normal(3.0, 2.0, 400)
    interval = mean_interval(values.tolist(), range(400))
    half = 1.96 * values.std() / 20
    assert interval.low == pytest.approx(values.mean() - half, abs=0.03)
    assert interval.high == pytest.approx(values.mean() + half, abs=0.03)
    assert interval == mean_interval(values.tolist(), range(400)), "the seed is fixed"
    any_statistic = interval_of(lambda rows: float(values[rows].mean()), range(400))
    assert any_statistic.low == pytest.approx(interval.low, abs=0.02)


def test_draws_without_a_figure_are_left_out() -> None:
    assert interval_of(lambda rows: None, range(10)).low is None
    interval = interval_of(lambda rows: 1.0 if 0 in rows else None, range(10))
    assert (interval.low, interval.high) == (1.0, 1.0)
