"""The generated torso: plausible anatomy, known truth, the same person on every grid."""

from __future__ import annotations

import time

import numpy as np
import pytest

from medviewer.core.geometry import axis_letters, voxel_to_lps
from medviewer.core.phantom import Phantom, torso_phantom

SEEDS = (0, 1, 2, 7)


@pytest.fixture(scope="module", params=SEEDS)
def phantom(request: pytest.FixtureRequest) -> Phantom:
    return torso_phantom(request.param)


def centre(phantom: Phantom, term_id: str, side: str | None = None) -> np.ndarray:
    assert phantom.volume.affine is not None
    return voxel_to_lps(phantom.volume.affine, np.argwhere(phantom.mask(term_id, side)).mean(0))


def test_it_is_a_ct_volume_with_the_stated_axes(phantom: Phantom) -> None:
    volume = phantom.volume
    assert volume.affine is not None
    assert axis_letters(volume.affine) == "LPS"
    assert (volume.modality, volume.units, volume.kind) == ("CT", "HU", "volume")
    assert volume.array.dtype == np.int16
    assert volume.array.flags.f_contiguous
    assert volume.array.min() >= -1024


def test_labels_cover_the_named_structures_and_lie_in_the_body(phantom: Phantom) -> None:
    assert set(np.unique(phantom.labels)) == {0, *phantom.names}
    outside = phantom.volume.array[phantom.labels == 0]
    assert np.percentile(outside, 90) < -700
    assert {n.term_id for n in phantom.names.values()} >= {
        "liver",
        "kidney",
        "spleen",
        "lung",
        "spine",
        "aorta",
        "heart",
        "body",
        "stomach",
    }
    assert (
        phantom.mask("kidney").sum() == phantom.mask("kidney", "left").sum() + phantom.mask("kidney", "right").sum()
    )


def test_organs_lie_where_they_belong(phantom: Phantom) -> None:
    spine = centre(phantom, "spine")
    liver, spleen, heart = centre(phantom, "liver"), centre(phantom, "spleen"), centre(phantom, "heart")
    left, right = centre(phantom, "kidney", "left"), centre(phantom, "kidney", "right")
    assert liver[0] < spine[0] - 30
    assert spleen[0] > spine[0] + 60
    assert spine[0] < heart[0] < spine[0] + 50
    assert left[0] > spine[0] + 30
    assert right[0] < spine[0] - 30
    assert right[2] < left[2]  # the right kidney lies lower, under the liver
    assert heart[2] > liver[2] > left[2]
    assert liver[1] < spine[1]
    assert abs(left[1] - spine[1]) < 40
    assert centre(phantom, "aorta")[1] < spine[1]
    assert centre(phantom, "lung", "left")[0] > 0 > centre(phantom, "lung", "right")[0]


def test_the_tissue_has_the_numbers_of_a_ct(phantom: Phantom) -> None:
    def median(term_id: str) -> float:
        return float(np.median(phantom.volume.array[phantom.mask(term_id)]))

    assert -900 < median("lung") < -780
    assert 20 < median("liver") < 150
    assert 25 < median("spleen") < 180
    assert 20 < median("kidney") < 260
    assert 25 < median("aorta") < 420
    assert median("spine") > 90
    assert median("trachea") < -900
    inside = phantom.volume.array[phantom.mask("liver")].astype(float)
    assert 4 < inside.std() < 45  # noise and texture, no flat colour


@pytest.mark.parametrize(
    ("term_id", "low", "high"),
    [
        ("liver", 900, 2100),
        ("spleen", 70, 420),
        ("kidney", 180, 520),
        ("heart", 250, 800),
        ("lung", 1600, 5500),
        ("aorta", 90, 350),
    ],
)
def test_volumes_are_plausible(phantom: Phantom, term_id: str, low: float, high: float) -> None:
    assert phantom.volume.voxel_ml is not None
    assert low < phantom.mask(term_id).sum() * phantom.volume.voxel_ml < high


def test_no_organ_of_the_demonstration_is_cut_in_the_first_phantom() -> None:
    phantom = torso_phantom(0)
    for term_id in ("liver", "spleen", "kidney", "lung", "heart"):
        mask = phantom.mask(term_id)
        for axis in range(3):
            assert not np.take(mask, 0, axis).any()
            assert not np.take(mask, -1, axis).any()


def test_one_seed_gives_the_same_scan_twice_and_another_seed_another_person() -> None:
    small = {"shape": (48, 40, 48), "spacing": (8.0, 8.0, 8.0)}
    first, again, other = (torso_phantom(seed, **small) for seed in (3, 3, 4))  # type: ignore[arg-type]
    assert np.array_equal(first.volume.array, again.volume.array)
    assert np.array_equal(first.labels, again.labels)
    assert (first.labels != other.labels).mean() > 0.02


def test_another_grid_shows_the_same_person() -> None:
    fine = torso_phantom(5)
    coarse = torso_phantom(5, (64, 52, 42), (6.0, 6.0, 9.0))
    assert coarse.volume.spacing_mm == pytest.approx((6, 6, 9))
    for term_id in ("liver", "lung", "spleen"):
        assert centre(coarse, term_id) == pytest.approx(centre(fine, term_id), abs=6)


def test_contrast_can_be_asked_for() -> None:
    def aorta(contrast: int) -> float:
        phantom = torso_phantom(1, (64, 52, 64), (6.0, 6.0, 6.0), contrast=contrast)
        return float(np.median(phantom.volume.array[phantom.mask("aorta")]))

    plain, arterial, venous = (aorta(phase) for phase in (0, 1, 2))
    assert plain < 70 < venous < arterial


def test_it_is_made_in_time() -> None:
    start = time.process_time()
    torso_phantom(11)
    assert time.process_time() - start < 6  # about 1.5 s of an idle core
