"""What the network is shown of a slice: two windows and the neighbours, in true proportions."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from medviewer.core.volume import Volume
from medviewer.models.channels import choose_windows, input_channels, neighbour_step
from medviewer.models.preprocessing import HEAD, SOFT_TISSUE, WIDE, letterbox_of
from medviewer.models.views import acquisition_view


@pytest.mark.parametrize(
    ("spacing", "step"),
    [(0.5, 6), (1.0, 3), (1.5, 2), (2.5, 1), (3.0, 1), (5.0, 1), (6.0, 1), (6.1, 0), (10.0, 0), (0.0, 0)],
)
def test_neighbours_are_about_3_mm_away(spacing: float, step: int) -> None:
    assert neighbour_step(spacing) == step


def stack() -> np.ndarray:
    """Each slice has its own value: 10 HU times its number."""
    return np.broadcast_to(10 * np.arange(12)[:, None, None], (12, 64, 64)).astype(np.int16)


def hu(channel: torch.Tensor, window: tuple[float, float]) -> np.ndarray:
    return np.asarray((channel.mean((1, 2)) + 1) / 2 * (window[1] - window[0]) + window[0])


@pytest.mark.parametrize(("step", "numbers"), [(0, [4]), (1, [3, 4, 5]), (3, [0, 1, 10, 11]), (2, [1, 5, 9])])
def test_channels_are_windows_and_neighbours(step: int, numbers: list[int]) -> None:
    windows = choose_windows(Volume(np.zeros((4, 4, 4), np.int16), np.eye(4), "CT", "HU"), head=False)
    channels = input_channels(stack(), numbers, step, windows, letterbox_of(64, 64, (1.0, 1.0), 64))
    assert channels.shape == (len(numbers), 4, 64, 64)
    wanted = np.array(numbers)
    values = [hu(channels[:, k], window) for k, window in enumerate((SOFT_TISSUE, WIDE, SOFT_TISSUE, SOFT_TISSUE))]
    np.testing.assert_allclose(values[0], 10 * wanted, atol=0.1)
    np.testing.assert_allclose(values[1], 10 * wanted, atol=0.1)
    np.testing.assert_allclose(values[2], 10 * np.clip(wanted - step, 0, 11), atol=0.1)
    np.testing.assert_allclose(values[3], 10 * np.clip(wanted + step, 0, 11), atol=0.1)


def test_one_window_makes_equal_channels_and_inversion_turns_all() -> None:
    picture = np.arange(64 * 64, dtype=np.uint8).reshape(1, 64, 64)
    plain = Volume(picture.transpose(2, 1, 0), None, "DX", kind="image")
    box = letterbox_of(64, 64, (1.0, 1.0), 64)
    shown = input_channels(picture, [0], 0, choose_windows(plain, False), box)
    turned = input_channels(picture, [0], 0, choose_windows(plain.with_changes(inverted=True), False), box)
    assert all(torch.equal(shown[:, 0], shown[:, k]) for k in range(1, 4))
    torch.testing.assert_close(shown, -turned)
    head = choose_windows(Volume(np.zeros((4, 4, 4), np.int16), np.eye(4), "CT", "HU"), head=True)
    assert (head.narrow, head.wide) == (HEAD, HEAD)


@pytest.mark.parametrize(
    ("shape", "modality", "side"),
    [((512, 512, 40), "CT", 256), ((180, 200, 40), "MR", 192), ((35, 51, 35), "MR", 128), ((2000, 1700, 1), "DX", 320)],
)
def test_the_input_side_follows_scan_and_modality(shape: tuple[int, int, int], modality: str, side: int) -> None:
    affine = None if shape[2] == 1 else np.diag([1.0, 1.0, 4.0, 1.0])
    kind = "image" if affine is None else "volume"
    volume = Volume(np.zeros(shape, np.int16), affine, modality, kind=kind)  # type: ignore[arg-type]
    view = acquisition_view(volume)
    assert view.box.size == side
    assert max(view.box.height, view.box.width) == side
    proportion = view.box.height / view.box.width
    assert proportion == pytest.approx(view.plan.shape[1] / view.plan.shape[2], rel=0.02)
    assert view.count == shape[2]
