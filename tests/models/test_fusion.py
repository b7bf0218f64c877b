"""Slices to volume."""

from __future__ import annotations

import numpy as np
import pytest

from medviewer.models.fusion import drop_specks, keep_parts, smooth_along, visible_slices, volume_presence


def as_logits(mask: np.ndarray) -> np.ndarray:
    return np.where(mask, 3.0, -3.0).astype(np.float32)


def test_keeps_the_largest_parts() -> None:
    mask = np.zeros((6, 20, 20), bool)
    mask[0:4, 2:8, 2:8] = True
    mask[1:4, 12:17, 12:17] = True
    mask[5, 0:2, 0:2] = True
    assert keep_parts(as_logits(mask), 1).sum() == 4 * 36
    assert keep_parts(as_logits(mask), 2).sum() == 4 * 36 + 3 * 25
    assert keep_parts(as_logits(mask), 0).sum() == 4 * 36 + 3 * 25 + 4
    assert not keep_parts(np.full((2, 3, 3), -1.0, np.float32), 1).any()


def test_a_sure_piece_beats_a_larger_doubtful_one() -> None:
    logits = np.full((1, 20, 20), -5.0, np.float32)
    logits[0, :10, :10] = 1.0
    logits[0, 12:18, 12:18] = 4.0
    assert keep_parts(logits, 1).sum() == 36


def test_a_small_second_piece_is_no_second_organ() -> None:
    mask = np.zeros((3, 40, 40), bool)
    mask[:, :20, :20] = True
    mask[1, 30:32, 30:32] = True
    assert keep_parts(as_logits(mask), 2).sum() == 1200


def test_specks_go_in_a_picture() -> None:
    mask = np.zeros((1, 30, 30), bool)
    mask[0, :10, :10] = True
    mask[0, 20:25, 20:25] = True
    mask[0, 29, 29] = True
    assert drop_specks(mask).sum() == 125


def test_weak_slices_need_a_strong_neighbour() -> None:
    presence = np.array([0.4, 0.1, 0.4, 0.9, 0.35, 0.1, 0.45], np.float32)
    assert visible_slices(presence, 0.5).tolist() == [False, False, True, True, True, False, False]


def test_one_slice_cannot_decide_alone_in_a_volume() -> None:
    presence = np.full(60, 0.1, np.float32)
    presence[30] = 1.0
    assert volume_presence(presence) == pytest.approx((1 + 0.1 + 0.1) / 3)
    assert volume_presence(np.array([0.7], np.float32)) == pytest.approx(0.7)


def test_thick_slices_are_not_smoothed_and_thin_ones_are() -> None:
    values = np.zeros((9, 1), np.float32)
    values[4] = 1
    np.testing.assert_array_equal(smooth_along(values, 10.0), values)
    thin = smooth_along(values, 1.0)
    assert 0 < thin[3, 0] < thin[4, 0] < 1
