"""The rule that tells kinds of pictures apart is fitted on what people publish, and the same whenever it is fitted."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch
from torch import Tensor

from medviewer.models.picture_kind import SURE, PictureKind, length_of
from training.data.samples import Sample
from training.data.sets import load_sets
from training.evaluation import picture_kind
from training.evaluation.picture_kind import (
    WIDE_WINDOWS,
    Picture,
    counted,
    fit_picture_kind,
    fit_weights,
    in_wide_window,
    judged,
    pictures_of,
    views_of,
)

SETS = load_sets()
DIM = 3
LEVELS = {"us/breast_busi": 10, "mr/cardiac_acdc": 90, "ct/spleen_msd": 170, "xray/jsrt_scr": 240}


class Eye:
    """Stands for a network: the embedding is the picture itself, coarse, in three channels."""

    def __init__(self) -> None:
        self.sides: list[int] = []

    def encode_images(self, images: Tensor) -> tuple[Tensor, Tensor]:
        self.sides.append(images.shape[-1])
        return torch.nn.functional.adaptive_avg_pool2d(images[:, :DIM], 8), images


def sample(name: str, pixels: np.ndarray, is_hu: bool = False) -> Sample:
    return Sample(name, SETS[name], pixels, np.zeros(pixels.shape, np.uint16), {}, is_hu=is_hu)


def flat(level: int, seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).integers(-5, 6, (1, 90, 70))
    return (level + noise).astype(np.uint8)


def grey(level: float) -> np.ndarray:
    return np.full((1, 40, 40), level, np.uint8)


def test_the_fit_separates_kinds() -> None:
    rng = np.random.default_rng(0)
    truth = np.repeat([0, 1, 2], [300, 60, 60])
    middles = np.array([[0.0, 0.0], [4.0, 0.0], [0.0, 40.0]])
    views = np.append(middles[truth] + rng.normal(0, 1.0, (420, 2)) * [0.5, 5.0], np.ones((420, 1)), axis=1)
    fitted = dict(zip("abc", fit_weights(views, truth).tolist(), strict=True))
    for number, kind in enumerate(fitted):
        found = counted(views[truth == number], kind, fitted)
        assert found[str(SURE)]["right"] >= 0.9 * (truth == number).sum()
        assert found["0.5"]["wrong"] <= 2
        assert {sum(one.values()) for one in found.values()} == {int((truth == number).sum())}


def test_a_larger_penalty_is_less_sure() -> None:
    views = np.append(np.repeat([[0.0], [1.0]], 50, axis=0), np.ones((100, 1)), axis=1)
    truth = np.repeat([0, 1], 50)
    loose, strict = (fit_weights(views, truth, penalty) for penalty in (1e-4, 1.0))
    assert abs(loose[0, 0]) > 3 * abs(strict[0, 0])


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(picture_kind, "VIEWS", 40)


@pytest.mark.usefixtures("few")
def test_a_fit_on_pictures_is_repeatable_and_judges_them_right() -> None:
    samples = [sample(name, flat(level, n)) for name, level in LEVELS.items() for n in range(5)]
    first, second = (fit_picture_kind(Eye(), samples) for _ in range(2))
    assert first == second
    assert first != fit_picture_kind(Eye(), samples, seed=3)
    assert list(first) == ["CT", "MR", "US", "XR"]
    assert {len(row) for row in first.values()} == {length_of(DIM)}
    found = judged(Eye(), first, [sample("us/breast_busi", flat(10, 9)), sample("xray/jsrt_scr", flat(240, 9))])
    assert list(found) == ["US", "XR"]
    assert all(found[kind]["0.5"]["right"] > 2 * found[kind]["0.5"]["wrong"] for kind in found)
    assert PictureKind({name: tuple(row) for name, row in first.items()}).weights.keys() == first.keys()


@pytest.mark.usefixtures("few")
def test_a_missing_kind_gives_no_rule() -> None:
    """Else its pictures would be taken for others, and surely so."""
    samples = [sample(name, flat(level)) for name, level in LEVELS.items()]
    assert fit_picture_kind(Eye(), samples)
    assert all(fit_picture_kind(Eye(), samples[:n] + samples[n + 1 :]) == {} for n in range(4))
    assert fit_picture_kind(Eye(), []) == {}


def test_volumes_become_pictures_in_wide_windows() -> None:
    voxels = np.zeros((100, 90, 96), np.int16)
    found = [one for one in pictures_of([sample("ct3d/totalsegmentator", voxels, is_hu=True)]) if one.kind == "CT"]
    assert len(found) == (8 + 3 + 3) * len(WIDE_WINDOWS)
    levels = {int(picture.pixels[0, 0]) for picture in found}
    assert levels == {int((0 - low) / (high - low) * 255) for low, high in WIDE_WINDOWS}
    thin = pictures_of([sample("ct3d/totalsegmentator", voxels[:20], is_hu=True)])
    assert len(thin) == 8 * len(WIDE_WINDOWS)  # coronal slices and projections of a thin stack are strips
    assert {picture.kind for picture in thin} == {"CT"}


def test_a_projection_shows_dense_parts_bright_and_the_head_up() -> None:
    voxels = np.full((100, 90, 96), -1000, np.int16)
    voxels[:, 20:70, 20:76] = 0
    voxels[:, 40:50, 44:52] = 1000  # a spine, halfway
    voxels[60:80, 25:65, 24:40] = -800  # a lung, high up on one side
    found = [one.pixels for one in pictures_of([sample("ct3d/totalsegmentator", voxels, is_hu=True)])
             if one.kind == "XR"]
    assert [one.shape for one in found] == [(100, 96), (60, 72), (100, 90), (60, 68)]
    front = found[0].astype(int)
    assert front[90, 48] > front[90, 30] > front[90, 5] + 50  # spine, soft tissue, air
    assert front[100 - 70, 30] < front[100 - 30, 30] - 50  # the lung is in the upper half


def test_a_wide_window_takes_the_contrast_and_leaves_black_and_the_order() -> None:
    unit = torch.linspace(0.0, 1.0, 101)[None]
    for seed in range(5):
        wide = in_wide_window(unit, np.random.default_rng(seed))[0]
        assert float(wide[0]) == 0.0
        assert bool((wide[2:].diff() >= 0).all())
        assert 0.0 < float(wide[-1] - wide[2]) < 0.3


def test_what_nobody_publishes_as_a_picture_is_left_out() -> None:
    crop = sample("mr3d/hippocampus_msd", np.zeros((30, 40, 50), np.uint8))
    made = Sample("m", SETS["mr3d/synthseg_label_maps"], *[np.zeros((90, 90, 90), np.uint16)] * 2, {}, synthesise=True)
    assert pictures_of([crop, made]) == []


def test_small_sets_are_seen_more_often_and_some_pictures_as_they_are() -> None:
    pictures = [Picture("US", "large", grey(n)[0]) for n in range(64)] + [Picture("US", "small", grey(200)[0])] * 4
    views = views_of(Eye(), pictures, 100, np.random.default_rng(0))
    assert len(views) == 100  # 80 and 20: roots of 64 and 4
    as_is = [round(float(view[DIM]), 6) == 0.0 for view in views]  # spread of the first channel: 0 for a flat picture
    assert 15 <= Counter(as_is)[True] <= 60


def test_pictures_are_read_at_the_side_at_which_the_program_reads_them() -> None:
    eye = Eye()
    for shape in ((300, 200), (150, 90), (60, 50)):
        picture_kind._view(eye, Picture("XR", "x", np.zeros(shape, np.uint8)), None)
    assert eye.sides == [256, 192, 128]
