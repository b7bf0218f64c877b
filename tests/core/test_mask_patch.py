"""Packed masks and patches."""

from __future__ import annotations

import numpy as np
import pytest

from medviewer.core.mask_patch import MaskPatch, PackedMask, bounding_box


def random_mask(seed: int, density: float = 0.3) -> np.ndarray:
    mask = np.zeros((13, 9, 17), bool)
    mask[2:11, 3:8, 4:16] = np.random.default_rng(seed).random((9, 5, 12)) < density
    return mask


@pytest.mark.parametrize("density", [0.0, 0.01, 0.5, 1.0])
def test_packing_gives_the_same_mask_back(density: float) -> None:
    mask = random_mask(1, density)
    assert np.array_equal(PackedMask.pack(mask).unpack(), mask)


def test_patch_goes_both_ways() -> None:
    before, after = random_mask(1), random_mask(2)
    patch = MaskPatch.between(before, after)
    assert np.array_equal(patch.apply(before), after)
    assert np.array_equal(patch.apply(after), before)


def test_a_small_change_of_a_big_mask_is_stored_small() -> None:
    before = np.ones((200, 200, 100), bool)
    after = before.copy()
    after[10:14, 10:14, 10:14] = False
    assert MaskPatch.between(before, after).nbytes <= 8


def test_patch_refuses_another_grid() -> None:
    with pytest.raises(ValueError, match="different grids"):
        MaskPatch.between(random_mask(1), random_mask(1)[:-1])


def test_bounding_box_of_nothing() -> None:
    assert bounding_box(np.zeros((3, 3, 3), bool)) is None


@pytest.mark.parametrize("order", ["C", "F"])
def test_both_memory_orders_are_packed_in_their_own_order(order: str) -> None:
    rng = np.random.default_rng(3)
    mask = np.zeros((7, 9, 11), bool, order=order)  # type: ignore[call-overload]
    mask[1:6, 2:8, 3:10] = rng.random((5, 6, 7)) < 0.5
    packed = PackedMask.pack(mask)
    assert packed.order == order
    assert np.array_equal(packed.unpack(), mask)
    assert packed.unpack().flags.f_contiguous
