"""Logits of other planes land on the right voxels, whatever the storage orientation."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch

from medviewer.core.geometry import voxel_to_lps
from medviewer.core.phantom import torso_phantom
from medviewer.core.prompts import parse_prompt
from medviewer.core.terminology import Terminology
from medviewer.core.volume import Volume
from medviewer.models.pipeline import TextSegmenter
from medviewer.models.plane_fusion import brought, fused
from medviewer.models.preprocessing import into_box, out_of_box
from medviewer.models.views import View, acquisition_view, other_views

from .storage import STORAGES, Storage

ORIENTATIONS = [
    (axes, signs) for axes in itertools.permutations(range(3)) for signs in itertools.product((1, -1), repeat=3)
]
FEW = ORIENTATIONS[::9]
SHAPE, SPACING = (52, 44, 60), (2.0, 2.5, 1.8)


def oriented(axes: tuple[int, ...], signs: tuple[int, ...], mirrored: bool = False) -> Volume:
    """Voxel axes along the given patient axes; `mirrored` turns the first one round once more."""
    affine = np.zeros((4, 4))
    affine[3, 3] = 1
    for voxel_axis, (patient_axis, sign) in enumerate(zip(axes, signs, strict=True)):
        turn = -1 if mirrored and voxel_axis == 0 else 1
        affine[patient_axis, voxel_axis] = turn * sign * SPACING[voxel_axis]
    affine[:3, 3] = (-30, 12, 400)
    return Volume(np.zeros(SHAPE, np.int16), affine, "CT", "HU")


def code(volume: Volume) -> np.ndarray:
    """A value (i, j, k) that is linear in the patient's x, y and z, different along each."""
    assert volume.affine is not None
    ijk = np.stack(np.meshgrid(*map(np.arange, volume.shape), indexing="ij"), axis=-1)
    x, y, z = np.moveaxis(voxel_to_lps(volume.affine, ijk), -1, 0)
    return np.asarray(x + 0.5 * y - 0.25 * z, np.float32)


def seen(values: np.ndarray, view: View) -> np.ndarray:
    """An array (i, j, k) as a network of perfect sight would return it: (slices, s/2, s/2) of a view."""
    stack = view.plan.to_stack(values)[view.numbers(0, view.count)]
    fitted = into_box(torch.from_numpy(np.ascontiguousarray(stack))[:, None], view.box)
    return torch.nn.functional.avg_pool2d(fitted, 2)[:, 0].numpy()


@pytest.mark.parametrize(("axes", "signs"), ORIENTATIONS)
@pytest.mark.parametrize("mirrored", [False, True])
def test_position_codes_agree_between_planes(axes: tuple[int, ...], signs: tuple[int, ...], mirrored: bool) -> None:
    volume = oriented(axes, signs, mirrored)
    main = acquisition_view(volume)
    others = other_views(volume, main)
    assert sorted(view.plan.axes[0] for view in (main, *others)) == [0, 1, 2]
    assert {view.plan.plane for view in (main, *others)} == {"axial", "coronal", "sagittal"}
    values = code(volume)
    wanted = main.plan.to_stack(values)
    for view in others:
        found = out_of_box(torch.from_numpy(brought(seen(values, view), view, main)), main.box).numpy()
        inner = (slice(6, -6),) * 3  # at the edges the outermost values are repeated
        assert np.abs(found - wanted)[inner].max() < 0.6  # mm; a voxel has 1.8 mm and more


@pytest.mark.parametrize(("axes", "signs"), FEW)
def test_a_block_keeps_its_voxels(axes: tuple[int, ...], signs: tuple[int, ...]) -> None:
    """Perfect predictions of all planes, fused, are the block again: no shift, no turn."""
    volume = oriented(axes, signs)
    block = np.zeros(SHAPE, bool)
    block[8:25, 20:36, 9:30] = True
    main = acquisition_view(volume)
    logits = np.where(block, 6.0, -6.0).astype(np.float32)
    others = [brought(seen(logits, view), view, main) for view in other_views(volume, main)]
    together = fused(seen(logits, main), [other.copy() for other in others], 2)
    for part in (together, *others):
        mask = main.plan.from_stack((out_of_box(torch.from_numpy(part), main.box) > 0).numpy())
        overlap = 2 * (mask & block).sum() / (mask.sum() + block.sum())
        assert overlap > 0.93
        centre, wanted = (np.argwhere(m).mean(axis=0) for m in (mask, block))
        assert np.abs(centre - wanted).max() < 0.3


@pytest.mark.parametrize(
    ("shape", "spacing", "count"),
    [
        ((60, 60, 60), (1.0, 1.0, 1.0), 2), ((60, 60, 60), (1.0, 1.0, 2.4), 2), ((60, 60, 60), (1.0, 1.0, 3.0), 0),
        ((60, 60, 23), (1.0, 1.0, 1.0), 0), ((60, 60, 1), (1.0, 1.0, 1.0), 0), ((24, 24, 24), (1.0, 1.0, 1.0), 2),
    ],
)
def test_other_planes_only_where_they_show_something(
    shape: tuple[int, int, int], spacing: tuple[float, float, float], count: int
) -> None:
    volume = Volume(np.zeros(shape, np.int16), np.diag([*spacing, 1.0]), "MR")
    assert len(other_views(volume, acquisition_view(volume))) == count
    unplaced = Volume(np.zeros(shape, np.int16), None, "MR", spacing_mm=spacing)
    assert other_views(unplaced, acquisition_view(unplaced)) == ()


def test_other_planes_are_reduced_and_centred() -> None:
    volume = Volume(np.zeros((300, 200, 301), np.int8), np.eye(4), "CT")
    for view in other_views(volume, acquisition_view(volume)):
        slices = view.plan.shape[0]
        assert view.count <= 64
        assert view.box.size == 192
        assert abs(view.first - (slices - 1 - view.numbers(0, view.count)[-1])) <= 1


def test_a_picture_is_looked_at_in_three_sizes_that_agree_on_places() -> None:
    picture = Volume(np.zeros((300, 200, 1), np.uint8), None, "US", kind="image")
    main = acquisition_view(picture)
    others = other_views(picture, main)
    assert [view.box.size for view in others] == [main.box.size - 32, main.box.size + 64]
    for view in others:
        half = view.box.size // 2
        ramp = np.arange(half, dtype=np.float32) * (main.box.size / view.box.size)
        seen = brought(np.broadcast_to(ramp, (1, half, half)), view, main)[0]
        inner = seen[len(seen) // 2, 40:-40]  # a letterbox begins and ends at whole pixels
        np.testing.assert_allclose(inner, np.arange(len(seen))[40:-40], atol=0.6)


def test_without_other_planes_nothing_changes() -> None:
    logits = np.random.default_rng(0).normal(size=(3, 4, 4)).astype(np.float32)
    assert fused(logits, [], 0) is logits


@pytest.mark.parametrize("storage", STORAGES, ids=str)
def test_the_whole_pipeline_does_not_care_how_a_volume_is_stored(
    shipped: TextSegmenter, terminology: Terminology, storage: Storage
) -> None:
    volume = torso_phantom(0, shape=(64, 52, 30), spacing=(6.0, 6.0, 10.0)).volume
    assert len(other_views(volume, acquisition_view(volume))) == 2
    prompt = parse_prompt("left lung", terminology)
    reference = shipped.segment(volume, prompt).mask
    assert reference.any()
    mask, wanted = shipped.segment(storage.of_volume(volume), prompt).mask, storage.of(reference)
    assert 2 * (mask & wanted).sum() / (mask.sum() + wanted.sum()) > 0.97


def test_each_plane_is_encoded_once(untrained: Path, terminology: Terminology) -> None:
    rng = np.random.default_rng(0)
    volume = Volume(rng.normal(0, 200, (32, 30, 28)).astype(np.int16), np.diag([2.0, 2.0, 3.0, 1.0]), "CT", "HU")
    segmenter = TextSegmenter.load(untrained, "cpu")
    for text in ("liver", "kidneys"):
        segmenter.segment(volume, parse_prompt(text, terminology))
        entries = list(segmenter._runtime.cache._entries.values())
        assert sorted(entry.encoded for entry in entries) == [28, 30, 32]
