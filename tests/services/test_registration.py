"""Rigid registration of two studies: a known movement is found again, and what cannot be registered says so."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from medviewer.core.comparison import comparison_rules
from medviewer.core.errors import Cancelled
from medviewer.core.geometry import voxel_to_lps
from medviewer.core.progress import Progress
from medviewer.core.volume import Fact, Source, Volume
from medviewer.services.registration import nudged, register_rigid
from medviewer.services.resources import read_data_file, resource_path

Matrix = Any
_BLOBS = np.array([
    # x, y, z in mm, radius, value: no two alike, so that no turned or mirrored position fits
    [-45, -20, -30, 16, 300], [40, -30, 10, 22, 180], [10, 35, 40, 14, 500], [-30, 30, 20, 20, -120],
    [25, 15, -40, 12, 700], [0, 0, 0, 26, 90], [-10, -40, 45, 10, 900],
], float)  # fmt: skip


def value_at(points: Matrix) -> Matrix:
    """What a body (an ellipsoid with blobs) measures at places in LPS mm (..., 3); the place is told by the value: it
    rises from the right foot to the left head."""
    x, y, z = np.moveaxis(points, -1, 0)
    inside = (x / 78) ** 2 + (y / 60) ** 2 + (z / 80) ** 2
    value = np.where(inside < 1, 40 + 0.5 * x + 0.3 * y + 0.7 * z, -1000.0)
    for *centre, radius, level in _BLOBS:
        away = np.linalg.norm(points - np.array(centre), axis=-1)
        value = np.where(away < radius, level + 0.2 * x, value)
    return value


def scan(affine: Matrix, shape: tuple[int, int, int], moved: Matrix | None = None, **changes: Any) -> Volume:
    """The body on a grid, after it was moved by a matrix (where it lies = moved @ where it lay)."""
    places = voxel_to_lps(affine, np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), -1))
    back = np.eye(4) if moved is None else np.linalg.inv(moved)
    array = value_at(voxel_to_lps(back, places)).astype(np.int16, order="F")
    return Volume(array, affine, **{"modality": "CT", "units": "HU"} | changes)


def grid(
    spacing: tuple[float, float, float], shape: tuple[int, int, int], turn: tuple[float, ...] = (0, 0, 0)
) -> Matrix:
    """An affine whose middle is the middle of the body, its axes turned."""
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_euler("xyz", turn, degrees=True).as_matrix() * np.array(spacing)
    affine[:3, 3] = -affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    return affine


def movement(turn: tuple[float, ...], shift: tuple[float, ...]) -> Matrix:
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("xyz", turn, degrees=True).as_matrix()
    matrix[:3, 3] = shift
    return matrix


def worst_error(found: Matrix, true: Matrix) -> float:
    """In mm, over places all across the body."""
    axis = np.array([-50.0, 0.0, 50.0])
    points = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(-1, 3)
    return float(np.linalg.norm(voxel_to_lps(found, points) - voxel_to_lps(true, points), axis=1).max())


PLAIN = ((3.0, 3.0, 3.0), (60, 50, 60))
CASES = {
    "shifted": (PLAIN, PLAIN, (0, 0, 0), (0, 0, 0), (14, -9, 20)),
    "turned": (PLAIN, PLAIN, (0, 0, 0), (5, -7, 11), (6, 4, -8)),
    "oblique": (PLAIN, PLAIN, (20, 10, -15), (3, 4, -6), (-10, 5, 6)),
    "anisotropic": (PLAIN, ((2.0, 2.0, 6.0), (85, 70, 30)), (0, 0, 0), (4, -3, 8), (8, -12, 10)),
}


@pytest.mark.parametrize("name", CASES)
def test_a_known_movement_is_found_to_less_than_a_voxel(name: str) -> None:
    (spacing, shape), (prior_spacing, prior_shape), oblique, turn, shift = CASES[name]
    current = scan(grid(spacing, shape), shape)
    moved = movement(turn, shift)  # where the body lay in the prior
    prior = scan(grid(prior_spacing, prior_shape, oblique), prior_shape, moved)
    found = register_rigid(current, prior)
    assert worst_error(found.matrix, np.linalg.inv(moved)) < min(*spacing, *prior_spacing)
    assert found.quality == "good"
    assert found.usable
    assert np.linalg.det(found.matrix[:3, :3]) == pytest.approx(1.0, abs=1e-6)  # sides are never flipped
    assert found.metric_before is not None
    assert found.metric_after is not None
    assert found.metric_after > found.metric_before
    left = voxel_to_lps(found.matrix, voxel_to_lps(moved, [50.0, 0.0, 0.0]))
    assert left[0] == pytest.approx(50.0, abs=3.0)  # what lay on the left lies on the left


def test_one_frame_of_reference_starts_as_recorded_and_stays_there() -> None:
    frame = {"facts": {"frame_of_reference_uid": Fact("1.2.3")}}
    current = scan(grid(*PLAIN), PLAIN[1], **frame)
    found = register_rigid(current, scan(grid((3.0, 3.0, 4.0), (60, 50, 45)), (60, 50, 45), **frame))
    assert found.same_frame
    assert found.quality == "good"
    assert worst_error(found.matrix, np.eye(4)) < 3.0


def test_noise_is_not_called_registered() -> None:
    random = np.random.default_rng(1)
    first, second = (
        Volume(np.asfortranarray(random.normal(0, 100, (40, 40, 40)).astype(np.int16)), grid((3.0,) * 3, (40,) * 3))
        for _ in range(2)
    )
    found = register_rigid(first, second)
    assert found.quality != "good"
    assert not found.usable
    assert np.array_equal(found.matrix, np.eye(4))


def test_parts_that_hardly_overlap_are_told() -> None:
    frame = {"facts": {"frame_of_reference_uid": Fact("1.2.3")}}
    below, above = grid((3.0, 3.0, 3.0), (60, 50, 20)), grid((3.0, 3.0, 3.0), (60, 50, 20))
    below[2, 3] -= 27.0
    above[2, 3] += 27.0
    found = register_rigid(scan(below, (60, 50, 20), **frame), scan(above, (60, 50, 20), **frame))
    assert not found.usable
    assert found.quality in ("low overlap", "not checked")


def test_a_picture_without_a_place_could_not_be_checked() -> None:
    rules = comparison_rules(read_data_file(resource_path("report/comparison.toml")))
    flat = Volume(np.zeros((30, 30, 1), np.uint8), None, kind="image", source=Source("image", Path("x.png")))
    found = register_rigid(scan(grid(*PLAIN), PLAIN[1]), flat, rules=rules)
    assert found.quality == "not checked"
    assert "could not be checked" in found.statement("en")
    assert "konnte nicht geprüft werden" in found.statement("de")


def test_cancelling_ends_the_search() -> None:
    current = scan(grid(*PLAIN), PLAIN[1])
    prior = scan(grid(*PLAIN), PLAIN[1], movement((5, 5, 5), (20, 0, 0)))
    calls = []

    def cancelled() -> bool:
        calls.append(1)
        return len(calls) > 6

    begun = time.monotonic()
    with pytest.raises(Cancelled):
        register_rigid(current, prior, Progress(is_cancelled=cancelled))
    assert time.monotonic() - begun < 10.0


def test_a_nudge_turns_about_the_middle_and_is_by_hand() -> None:
    found = register_rigid(scan(grid(*PLAIN), PLAIN[1]), Volume(np.zeros((3, 3, 3), np.int16), np.eye(4)))
    turned = nudged(replace(found, centre=(10.0, 20.0, 30.0)), (1.0, 2.0, 3.0), (0.0, 0.0, 90.0))
    assert turned.quality == "by hand"
    assert turned.usable
    assert voxel_to_lps(turned.matrix, (10.0, 20.0, 30.0)) == pytest.approx([11.0, 22.0, 33.0])
    assert voxel_to_lps(turned.matrix, (11.0, 20.0, 30.0)) == pytest.approx([11.0, 23.0, 33.0])
    assert turned.turn_deg == pytest.approx(90.0)
