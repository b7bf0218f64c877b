"""Pictures from label maps, planted tumours, recoloured slices: true to their labels, varied, fast."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from training.data.samples import load_nifti
from training.synthesis.cardiac import recolour_labels
from training.synthesis.contrasts import random_mixture
from training.synthesis.fields import bias_field, resized, smooth_field
from training.synthesis.label_maps import deformed, random_anatomy, synthetic_picture
from training.synthesis.lesions import BRAIN, CORE, INSIDE, OEDEMA, add_tumour, brain_mask, plant_tumour, rim
from training.synthesis.mr_artefacts import stripped

DATA = Path(__file__).parents[3] / "shared" / "data" / "mr3d" / "synthseg_label_maps"
Label = NDArray[np.uint16]


@pytest.fixture(scope="module")
def head() -> Label:
    """A head of ellipses: skin, soft tissue, bone, fluid, cortex, white matter, ventricles, thalami."""
    y, x = np.mgrid[-1:1:200j, -1:1:160j]
    label = np.zeros(y.shape, np.uint16)
    for size, code in ((0.97, 511), (0.93, 507), (0.86, 515), (0.8, 24), (0.75, 42), (0.66, 41)):
        label[np.hypot(y, x / 0.95) < size] = code
    label[(label == 42) & (x < 0)] = 3
    label[(label == 41) & (x < 0)] = 2
    for side, ventricle, thalamus in ((-1, 4, 10), (1, 43, 49)):
        label[np.hypot((y + 0.15) / 0.3, (x - 0.1 * side) / 0.06) < 1] = ventricle
        label[np.hypot((y - 0.2) / 0.15, (x - 0.15 * side) / 0.12) < 1] = thalamus
    return label


def test_pictures_keep_shape_and_are_reproducible(head: Label) -> None:
    once, again = (synthetic_picture(head, np.random.default_rng(4)) for _ in range(2))
    assert once.shape == head.shape
    assert once.dtype == np.uint8
    assert np.array_equal(once, again)
    assert not np.array_equal(once, synthetic_picture(head, np.random.default_rng(5)))


def test_tissues_are_told_apart_where_they_are(head: Label) -> None:
    """In nearly all pictures white matter, cortex and ventricles differ more than they vary, at their own places."""
    separated = 0
    for seed in range(40):
        picture = synthetic_picture(head, np.random.default_rng(seed)).astype(float)
        groups = [picture[ndimage.binary_erosion(np.isin(head, codes), iterations=3)] for codes in ((2, 41), (4, 43))]
        gap = abs(np.median(groups[0]) - np.median(groups[1]))
        separated += gap > min(group.std() for group in groups)
    assert separated >= 34


def test_contrasts_vary(head: Label) -> None:
    """White matter is brighter than the ventricles in some pictures, darker in others; some show the brain alone."""
    brighter, black_outside = [], []
    brain = ndimage.binary_dilation(brain_mask(head), iterations=12)
    for seed in range(60):
        picture = synthetic_picture(head, np.random.default_rng(seed)).astype(float)
        brighter.append(picture[head == 2].mean() > picture[head == 4].mean())
        black_outside.append(not picture[~brain].any())
    assert 0.2 < np.mean(brighter) < 0.9
    assert 0.2 < np.mean(black_outside) < 0.6


def test_left_and_right_have_one_grey() -> None:
    for seed in range(20):
        mean = random_mixture(np.random.default_rng(seed)).mean
        for left, right in ((2, 41), (3, 42), (10, 49), (17, 53)):
            assert abs(mean[left] - mean[right]) < 0.06


def test_planted_tumours_can_be_seen() -> None:
    for seed in range(60):
        mean = random_mixture(np.random.default_rng(seed)).mean
        step = min(abs(mean[OEDEMA] - mean[2]), abs(mean[OEDEMA] - mean[3]))
        assert step > 0.05


def test_deformation_keeps_the_labels(head: Label) -> None:
    for seed in range(5):
        moved = deformed(head, np.random.default_rng(seed))
        assert moved.shape == head.shape
        assert moved.dtype == head.dtype
        assert set(np.unique(moved)) <= set(np.unique(head))
        sizes = [(array == 41).sum() for array in (head, moved)]
        assert 0.8 < sizes[0] / sizes[1] < 1.25


def test_tumours_lie_in_the_brain_and_vary(head: Label) -> None:
    sizes, with_oedema = [], 0
    brain = ndimage.binary_fill_holes(brain_mask(head))
    for seed in range(40):
        planted = plant_tumour(head, np.random.default_rng(seed))
        tumour = np.isin(planted, (OEDEMA, CORE))
        assert (planted == CORE).any()
        assert not tumour[~np.isin(head, (*INSIDE, 24))].any(), "the skull holds"
        assert (tumour & brain).sum() > 0.6 * tumour.sum(), "the fluid gives way at the surface"
        sizes.append(tumour.sum() / brain.sum())
        with_oedema += bool((planted == OEDEMA).any())
        others = set(np.unique(planted)) - {OEDEMA, CORE}
        assert others <= set(np.unique(head))
    assert min(sizes) < 0.03
    assert 0.08 < max(sizes) < 0.6
    assert 15 < with_oedema < 38


def test_planting_copies_and_skips_slices_without_brain(head: Label) -> None:
    before = head.copy()
    plant_tumour(head, np.random.default_rng(0))
    assert np.array_equal(head, before)
    neck = np.where(np.isin(head, BRAIN), 507, head).astype(np.uint16)
    assert plant_tumour(neck, np.random.default_rng(0)) is neck


def test_random_anatomy_has_tumours_at_the_chance(head: Label) -> None:
    found = [np.isin(random_anatomy(head, np.random.default_rng(s), 0.3), (OEDEMA, CORE)).any() for s in range(100)]
    assert 0.15 < np.mean(found) < 0.45
    assert not any(np.isin(random_anatomy(head, np.random.default_rng(s), 0.0), (OEDEMA,)).any() for s in range(20))


def test_synthesised_tumours_stand_out(head: Label) -> None:
    """The tumour's median differs from that of the white matter around it, for most tumours of a visible size."""
    seen, count = 0, 0
    for seed in range(40):
        planted = plant_tumour(head, np.random.default_rng(seed))
        tumour = np.isin(planted, (OEDEMA, CORE))
        near = ndimage.binary_dilation(tumour, iterations=10) & np.isin(planted, (2, 41))
        if tumour.sum() > 150 and near.sum() > 50:
            picture = synthetic_picture(planted, np.random.default_rng(1000 + seed)).astype(float)
            count += 1
            seen += abs(np.median(picture[tumour]) - np.median(picture[near])) > 10
    assert count > 20
    assert seen > 0.7 * count


def test_tumour_in_a_given_picture(head: Label) -> None:
    picture = synthetic_picture(head, np.random.default_rng(7))
    changed, label, mask = add_tumour(head, picture, np.random.default_rng(8))
    assert changed.dtype == np.uint8
    assert np.array_equal(mask, np.isin(label, (OEDEMA, CORE)))
    assert mask.any()
    assert np.array_equal(label[~mask], head[~mask]), "nothing else moves in a picture that stays"
    far = ~ndimage.binary_dilation(mask, iterations=9)
    assert np.abs(changed[far].astype(int) - picture[far]).max() <= 1
    assert np.abs(changed[mask].astype(int) - picture[mask]).mean() > 5


def test_rim_is_the_outside_of_the_core() -> None:
    y, x = np.mgrid[:80, :80]
    core = np.hypot(y - 40, x - 38) < 20
    found = rim(core, np.random.default_rng(0))
    assert not (found & ~core).any()
    assert (core & ~ndimage.binary_erosion(core) & ~found).sum() == 0
    assert not found[40, 38]
    assert not rim(np.zeros((8, 8), bool), np.random.default_rng(0)).any()


def test_stripping_leaves_the_brain(head: Label) -> None:
    picture = np.full(head.shape, 0.5, np.float32)
    for seed in range(10):
        kept = stripped(picture, head, np.random.default_rng(seed)) > 0
        brain = ndimage.binary_fill_holes(brain_mask(head))
        assert (kept & brain).sum() > 0.93 * brain.sum()
        assert (kept & ~brain).sum() < 0.2 * brain.sum()
        assert not kept[np.isin(head, (0, 511))].any()


def test_fields() -> None:
    rng = np.random.default_rng(0)
    fine, coarse = (smooth_field((120, 90), knots, rng) for knots in (30.0, 3.0))
    steps = [np.abs(np.diff(field, axis=0)).mean() / field.std() for field in (fine, coarse)]
    assert fine.shape == (120, 90)
    assert steps[0] > 4 * steps[1]
    field = bias_field((64, 80), 0.6, 3.0, rng)
    assert field.min() > 0
    assert field.mean() == pytest.approx(1, abs=1e-4)
    ramp = np.tile(np.arange(40, dtype=np.float32), (20, 1))
    from PIL import Image

    assert np.abs(np.diff(resized(ramp, (10, 80), Image.Resampling.BILINEAR).mean(0)) - 0.5)[3:-3].max() < 1e-3


def test_recolouring_changes_contrast_and_keeps_order_and_edges() -> None:
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:128, :128]
    codes = np.zeros((128, 128), np.uint16)
    codes[np.hypot(y - 64, x - 50) < 26] = 2
    codes[np.hypot(y - 64, x - 50) < 16] = 3
    levels = np.array([0.15, 0.0, 0.3, 0.8])[codes] + 0.02 * rng.standard_normal(codes.shape)
    picture = levels.clip(0, 1).astype(np.float32)
    before = picture.copy()
    means = []
    for seed in range(60):
        changed = recolour_labels(picture, codes, np.random.default_rng(seed))
        assert changed.shape == picture.shape
        assert changed.dtype == np.float32
        assert changed.min() >= 0
        assert changed.max() <= 1
        means.append([changed[codes == code].mean() for code in (0, 2, 3)])
        inside = np.hypot(y - 64, x - 50) < 11
        if changed[inside].min() > 0.05 and changed[inside].max() < 0.95:  # within a region the curve only rises
            assert np.corrcoef(changed[inside], picture[inside])[0, 1] > 0.85
    spread = np.std(means, axis=0)
    assert spread[1] > 0.05
    assert spread[2] > 0.05
    assert np.median(np.array(means)[:, 0]) < 0.35, "what is not labelled stays dark"
    assert np.array_equal(picture, before)


def test_recolouring_accepts_bit_masks_and_empty_slices() -> None:
    picture = np.random.default_rng(0).random((40, 50), dtype=np.float32)
    bits = np.zeros((40, 50), np.uint16)
    bits[10:20, 10:20], bits[15:30, 15:30] = 1, 32769
    for codes in (bits, np.zeros_like(bits)):
        assert np.isfinite(recolour_labels(picture, codes, np.random.default_rng(1))).all()


@pytest.mark.parametrize("shape", [(12, 9), (64, 300)])
def test_odd_label_shapes(shape: tuple[int, int]) -> None:
    label = np.random.default_rng(0).choice([0, 2, 3, 24, 507, 511, 515, 900, 901], shape).astype(np.uint16)
    for seed in range(10):
        rng = np.random.default_rng(seed)
        assert synthetic_picture(random_anatomy(label, rng), rng).shape == shape


def test_speed() -> None:
    """At most 20 ms of this thread for 256 x 256, each; the best of five."""
    y, x = np.mgrid[-1:1:256j, -1:1:256j]
    label = np.array([2, 3, 24, 515, 507, 511, 0], np.uint16)[(np.hypot(y, x) * 6).astype(int).clip(0, 6)]
    picture = np.random.default_rng(0).random(label.shape, dtype=np.float32)
    for work in (
        lambda rng: synthetic_picture(label, rng),
        lambda rng: random_anatomy(label, rng, 1.0),
        lambda rng: recolour_labels(picture, label, rng),
    ):
        spent = []
        for seed in range(5):
            start = time.thread_time()
            work(np.random.default_rng(seed))
            spent.append(time.thread_time() - start)
        assert min(spent) < 0.02


def test_real_label_map() -> None:
    paths = sorted(DATA.glob("*.nii.gz"))
    if not paths:
        pytest.skip("the brain label maps are not there")
    label = load_nifti(paths[0]).astype(np.uint16)
    for plane in (label[label.shape[0] // 2], label[:, label.shape[1] // 2], label[:, :, label.shape[2] // 3]):
        rng = np.random.default_rng(1)
        planted = plant_tumour(plane, rng)
        picture = synthetic_picture(planted, rng)
        assert picture.shape == plane.shape
        assert picture.std() > 5
        assert np.isin(planted, (OEDEMA, CORE)).any()
