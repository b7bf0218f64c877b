"""Sides in patient coordinates for every orientation of the grid, and scan edges in patient terms."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from medviewer.core.geometry import flip_ras_lps
from medviewer.core.laterality import FLIP_WARNING, cut_edges, is_chest_x_ray, keep_side, orientation_check
from medviewer.core.phantom import Phantom, torso_phantom
from medviewer.core.volume import Fact, Volume

ORIENTATIONS = [
    (order, flips) for order in itertools.permutations(range(3)) for flips in itertools.product((1, -1), repeat=3)
]


@pytest.fixture(scope="module")
def phantom() -> Phantom:
    return torso_phantom(1, (64, 52, 64), (6.0, 6.0, 6.0))


def reordered(array: NDArray, order: tuple[int, ...], flips: tuple[int, ...]) -> NDArray:  # type: ignore[type-arg]
    return np.ascontiguousarray(np.transpose(array, order)[tuple(slice(None, None, f) for f in flips)])


def reordered_affine(volume: Volume, order: tuple[int, ...], flips: tuple[int, ...]) -> NDArray[np.float64]:
    """The affine under which the reordered array lies where it lay before."""
    assert volume.affine is not None
    step = np.zeros((4, 4))
    step[3, 3] = 1
    for new, (old, flip) in enumerate(zip(order, flips, strict=True)):
        step[old, new] = flip
        if flip < 0:
            step[old, 3] = volume.shape[old] - 1
    return np.asarray(volume.affine @ step)


def in_orientation(phantom: Phantom, order: tuple[int, ...], flips: tuple[int, ...]) -> Volume:
    array = reordered(phantom.volume.array, order, flips)
    return Volume(array, reordered_affine(phantom.volume, order, flips), "CT", "HU")


@pytest.mark.parametrize(("order", "flips"), ORIENTATIONS)
@pytest.mark.parametrize("with_spine", [True, False])
def test_every_orientation(
    phantom: Phantom, order: tuple[int, ...], flips: tuple[int, ...], with_spine: bool
) -> None:
    volume = in_orientation(phantom, order, flips)
    spine = reordered(phantom.mask("spine"), order, flips) if with_spine else None
    both, left = (reordered(phantom.mask("kidney", side), order, flips) for side in (None, "left"))
    result = keep_side(both, volume, "left", spine)
    assert result.known
    assert ("spine" in result.note) == with_spine
    assert np.array_equal(result.mask, left)
    other = keep_side(both, volume, "right", spine)
    assert np.array_equal(other.mask, both & ~left)


@pytest.mark.parametrize(("order", "flips"), ORIENTATIONS[::5])
def test_edges_in_every_orientation(phantom: Phantom, order: tuple[int, ...], flips: tuple[int, ...]) -> None:
    volume = in_orientation(phantom, order, flips)
    spine = reordered(phantom.mask("spine"), order, flips)
    assert cut_edges(spine, volume) == ("upper", "lower")
    assert cut_edges(reordered(phantom.mask("liver"), order, flips), volume) == ()


def turned(volume: Volume, degrees: tuple[float, float, float]) -> Volume:
    """The same scan with the patient's place turned: an oblique affine."""
    from medviewer.core.phantom_shapes import rotation

    assert volume.affine is not None
    turn = np.eye(4)
    turn[:3, :3] = rotation(*degrees)
    return Volume(volume.array, turn @ volume.affine, "CT", "HU")


@pytest.mark.parametrize("degrees", [(12, 0, 0), (0, 10, 0), (0, 0, 14), (20, -8, 10)])
def test_oblique_scans(phantom: Phantom, degrees: tuple[float, float, float]) -> None:
    volume = turned(phantom.volume, degrees)
    for spine in (phantom.mask("spine"), None):
        result = keep_side(phantom.mask("lung"), volume, "right", spine)
        expected = phantom.mask("lung", "right")
        assert result.known
        assert 2 * (result.mask & expected).sum() / (result.mask.sum() + expected.sum()) > 0.97


def test_off_centre_body_is_judged_by_the_body_not_by_the_image(phantom: Phantom) -> None:
    shifted = np.full((110, 52, 64), -1000, np.int16)
    shifted[46:] = phantom.volume.array
    both = np.zeros(shifted.shape, bool)
    both[46:] = phantom.mask("kidney")
    assert phantom.volume.affine is not None
    affine = phantom.volume.affine.copy()
    affine[0, 3] += 77.0  # the origin of the scanner is no landmark either
    result = keep_side(both, Volume(shifted, affine, "CT", "HU"), "left")
    assert np.array_equal(result.mask[46:], phantom.mask("kidney", "left"))


def test_a_part_across_the_middle_is_cut_there_and_said(phantom: Phantom) -> None:
    bridge = phantom.mask("lung") | phantom.mask("heart") | phantom.mask("spine")
    result = keep_side(bridge, phantom.volume, "left", phantom.mask("spine"))
    assert "cut" in result.note
    right = keep_side(bridge, phantom.volume, "right", phantom.mask("spine"))
    assert not (result.mask & right.mask).any()
    assert np.array_equal(result.mask | right.mask, bridge)


def test_a_small_overhang_stays_with_its_organ(phantom: Phantom) -> None:
    liver = phantom.mask("liver")
    result = keep_side(liver, phantom.volume, "right", phantom.mask("spine"))
    assert result.mask.sum() > 0.85 * liver.sum()


def test_an_empty_mask_has_a_known_side(phantom: Phantom) -> None:
    result = keep_side(np.zeros(phantom.volume.shape, bool), phantom.volume, "left")
    assert result.known
    assert not result.mask.any()


def test_a_crop_without_the_middle_is_unknown_and_empty(phantom: Phantom) -> None:
    crop = slice(40, 54), slice(20, 40), slice(5, 30)
    volume = Volume(np.ascontiguousarray(phantom.volume.array[crop]), phantom.volume.affine, "CT", "HU")
    result = keep_side(phantom.mask("kidney")[crop], volume, "left")
    assert not result.known
    assert not result.mask.any()
    assert "unknown" in result.note


def test_a_wrong_side_word_is_a_programming_error(phantom: Phantom) -> None:
    with pytest.raises(ValueError, match="left or right"):
        keep_side(phantom.mask("kidney"), phantom.volume, "links")


def x_ray(**changes: object) -> tuple[Volume, NDArray[np.bool_]]:
    mask = np.zeros((100, 80, 1), bool)
    mask[15:40, 20:60] = True
    mask[58:85, 20:60] = True
    fields: dict[str, object] = {"modality": "DX", "kind": "image"} | changes
    return Volume(np.zeros((100, 80, 1), np.uint16), None, **fields), mask  # type: ignore[arg-type]


def test_recorded_patient_orientation_is_used() -> None:
    for orientation, left_is_high in ((("L", "F"), True), (("R", "F"), False)):
        volume, mask = x_ray(patient_orientation=orientation)
        result = keep_side(mask, volume, "left")
        assert result.known
        assert "recorded" in result.note
        assert result.mask.any(axis=(1, 2))[60] == left_is_high
        assert result.mask.any(axis=(1, 2))[20] != left_is_high


def test_a_picture_lying_on_its_side_is_judged_along_its_second_axis() -> None:
    _, mask = x_ray()
    lying = Volume(np.zeros((80, 100, 1)), None, "DX", kind="image", patient_orientation=("F", "LP"))
    result = keep_side(mask.transpose(1, 0, 2), lying, "left")
    assert np.array_equal(np.nonzero(result.mask.any((0, 2)))[0], np.arange(58, 85))


def test_a_lateral_view_has_no_side() -> None:
    volume, mask = x_ray(patient_orientation=("A", "F"))
    result = keep_side(mask, volume, "left")
    assert not result.known
    assert not result.mask.any()


def test_chest_x_ray_without_record_assumes_the_display_convention_and_says_so() -> None:
    volume, mask = x_ray()
    left = keep_side(mask, volume, "left")
    assert left.known
    assert "side assumed" in left.note
    assert np.array_equal(np.nonzero(left.mask.any((1, 2)))[0], np.arange(58, 85))


def test_parts_beside_the_middle_of_the_picture_are_told_apart() -> None:
    volume, mask = x_ray()
    mask = np.zeros_like(mask)
    mask[40:60] = True
    mask[64:95] = True
    left = keep_side(mask, volume, "left")
    assert np.array_equal(np.nonzero(left.mask.any((1, 2)))[0], np.arange(64, 95))


@pytest.mark.parametrize(
    "changes",
    [
        {"modality": "US"},
        {"modality": None},
        {"modality": "MR"},
        {"facts": {"body_part": Fact("HAND")}},
        {"facts": {"view_position": Fact("LL")}},
    ],
)
def test_other_pictures_have_no_side(changes: dict[str, object]) -> None:
    volume, mask = x_ray(**changes)
    result = keep_side(mask, volume, "right")
    assert not result.known
    assert not result.mask.any()
    assert not is_chest_x_ray(volume)


def test_edges_of_flat_things() -> None:
    affine = np.eye(4)
    touching = np.zeros((10, 10, 1), bool)
    touching[5, 5] = True
    for kind in ("image", "volume"):
        slice_ = Volume(np.zeros((10, 10, 1)), affine, kind=kind)  # type: ignore[arg-type]
        assert cut_edges(touching, slice_) == ()
        assert cut_edges(np.ones((10, 10, 1), bool), slice_) == ("image edge",)
    loop = Volume(np.zeros((10, 10, 4)), None, "US", kind="cine")
    inner = np.zeros((10, 10, 4), bool)
    inner[3:6, 3:6] = True  # in every frame
    assert cut_edges(inner, loop) == ()
    inner[0, 4, 2] = True
    assert cut_edges(inner, loop) == ("image edge",)


def test_each_edge_has_its_name() -> None:
    volume = Volume(np.zeros((5, 6, 7)), np.eye(4))
    names = {(0, 0): "right", (0, 4): "left", (1, 0): "front", (1, 5): "back", (2, 0): "lower", (2, 6): "upper"}
    for (axis, index), name in names.items():
        mask = np.zeros((5, 6, 7), bool)
        place = [2, 2, 2]
        place[axis] = index
        mask[tuple(place)] = True
        assert cut_edges(mask, volume) == (name,)


def test_a_flipped_file_is_noticed(phantom: Phantom) -> None:
    masks = {name: phantom.mask(name) for name in ("liver", "spleen", "stomach", "heart", "spine")}
    assert orientation_check(phantom.volume, masks) == []
    flipped = Volume(phantom.volume.array[::-1], phantom.volume.affine, "CT", "HU")
    warnings = orientation_check(flipped, {name: mask[::-1] for name, mask in masks.items()})
    assert len(warnings) >= 3
    assert all(FLIP_WARNING in warning for warning in warnings)
    assert any("liver" in warning for warning in warnings)


def test_nothing_is_claimed_without_organs_or_place(phantom: Phantom) -> None:
    assert orientation_check(phantom.volume, {}) == []
    nowhere = Volume(phantom.volume.array, None, "CT", "HU")
    assert orientation_check(nowhere, {"liver": phantom.mask("liver")[::-1]}) == []


@pytest.mark.parametrize("scan", ["example_ct", "example_ct_dicom"])
def test_real_scans(shared_data: Path, scan: str) -> None:
    """Paired structures of a real CT (one with an arm beside the trunk), without a spine given."""
    import csv

    import nibabel

    folder = shared_data / "ct3d" / "totalsegmentator"
    csv.field_size_limit(10**8)
    with (shared_data / "manifest.csv").open(newline="", encoding="utf-8") as file:
        (row,) = [r for r in csv.DictReader(file) if r["path"].endswith(f"/{scan}.nii.gz")]
    names = {name: int(value) for value, name in json.loads(row["labels"]).items()}
    image = nibabel.load(folder / f"{scan}.nii.gz")
    labels = np.asarray(nibabel.load(folder / f"{scan}_label.nii.gz").dataobj).astype(int)
    volume = Volume(np.asarray(image.dataobj).astype(np.int16), flip_ras_lps(image.affine), "CT", "HU")
    tried = 0
    for name in ("kidney", "autochthon", "adrenal gland", "iliopsoas", "femur"):
        left, right = (labels == names.get(f"{name} {side}", -1) for side in ("left", "right"))
        if left.any() and right.any():
            assert np.array_equal(keep_side(left | right, volume, "left").mask, left), name
            tried += 1
    assert tried
    organs = {name: labels == names[name] for name in ("liver", "spleen", "stomach") if name in names}
    assert orientation_check(volume, organs) == []
    assert "upper" in cut_edges(organs["liver"], volume)


def test_real_brain(shared_data: Path) -> None:
    import csv

    import nibabel

    csv.field_size_limit(10**8)
    with (shared_data / "manifest.csv").open(newline="", encoding="utf-8") as file:
        (row,) = [r for r in csv.DictReader(file) if r["path"].endswith("mni152_T1.nii.gz")]
    names = {name: int(value) for value, name in json.loads(row["labels"]).items()}
    image = nibabel.load(shared_data / row["path"])
    labels = np.asarray(nibabel.load(shared_data / row["label_path"]).dataobj).astype(int)
    if labels.shape != image.shape:
        pytest.skip("the atlas lies on another grid")
    volume = Volume(np.asarray(image.dataobj), flip_ras_lps(image.affine), "MR")
    for name in ("Amygdala", "Hippocampus", "Thalamus", "Putamen"):
        left, right = labels == names[f"{name} L"], labels == names[f"{name} R"]
        result = keep_side(left | right, volume, "left")
        assert result.known
        assert (result.mask & left).sum() > 0.97 * left.sum()
        assert (result.mask & right).sum() < 0.03 * right.sum()


def test_the_caller_may_know_that_a_picture_is_a_chest_x_ray() -> None:
    volume, mask = x_ray(modality=None)
    told = keep_side(mask, volume, "left", chest_x_ray=True)
    assert told.known
    assert "side assumed" in told.note
    assert not keep_side(mask, x_ray()[0], "left", chest_x_ray=False).known


@pytest.mark.parametrize("kind", ["image", "volume", "cine"])
def test_a_single_placed_slice(phantom: Phantom, kind: str) -> None:
    level = int(np.argwhere(phantom.mask("kidney"))[:, 2].mean())
    here = slice(level, level + 1)
    volume = Volume(phantom.volume.array[:, :, here], phantom.volume.affine, "CT", "HU", kind)  # type: ignore[arg-type]
    result = keep_side(phantom.mask("kidney")[:, :, here], volume, "left")
    assert result.known
    assert np.array_equal(result.mask, phantom.mask("kidney", "left")[:, :, here])


def test_a_sagittal_slice_has_no_side(phantom: Phantom) -> None:
    volume = Volume(phantom.volume.array[20:21], phantom.volume.affine, "CT", "HU")
    assert not keep_side(phantom.mask("kidney")[20:21], volume, "left").known
