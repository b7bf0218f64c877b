"""CT pictures published in one window for everything: soft tissue gets a window of its own."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from medviewer.core.volume import Volume
from medviewer.models.channels import choose_windows
from medviewer.models.tissue_window import air_limit, tissue_window


def body(low: float, high: float) -> NDArray[np.uint8]:
    """A slice in an 8-bit window: air, fat (-100 HU), muscle (50), liver (110), kidneys (200), bone (900)."""
    hu = np.full((128, 128), -1000.0)
    rows, columns = np.ogrid[:128, :128]
    hu[(rows - 64) ** 2 + (columns - 64) ** 2 < 56**2] = -100
    hu[(rows - 64) ** 2 + (columns - 64) ** 2 < 48**2] = 50
    hu[(rows - 56) ** 2 + (columns - 48) ** 2 < 20**2] = 110
    for column in (38, 90):  # enhanced kidneys
        hu[(rows - 84) ** 2 + (columns - column) ** 2 < 12**2] = 200
    hu[(rows - 100) ** 2 + (columns - 64) ** 2 < 7**2] = 900
    hu += np.random.default_rng(0).normal(0, 20, hu.shape)
    return np.round(255 * ((hu - low) / (high - low)).clip(0, 1)).astype(np.uint8)


def contrast(picture: NDArray[np.uint8], window: tuple[float, float]) -> float:
    """Of liver against muscle, as a share of black to white."""
    shown = ((picture - window[0]) / (window[1] - window[0])).clip(0, 1)
    return float(shown[50:60, 44:52].mean() - shown[64:72, 84:96].mean())


@pytest.mark.parametrize("window", [(-1000, 1000), (-1024, 3000), (-500, 1300)])
def test_soft_tissue_is_spread_where_the_window_was_too_wide(window: tuple[float, float]) -> None:
    picture = body(*window)
    found = tissue_window(picture, (0.0, 255.0))
    assert found != (0.0, 255.0)
    assert contrast(picture, found) > 1.8 * contrast(picture, (0.0, 255.0))


def test_a_picture_in_a_soft_tissue_window_stays_as_it_is() -> None:
    assert tissue_window(body(-160, 240), (0.0, 255.0)) == (0.0, 255.0)


@pytest.mark.parametrize("value", [0, 128, 255])
def test_an_even_picture_keeps_a_window(value: int) -> None:
    low, high = tissue_window(np.full((32, 32), value, np.uint8), (0.0, 255.0))
    assert high > low


def test_air_ends_between_air_and_body() -> None:
    unit = (body(-1000, 1000) / np.float32(255)).astype(np.float32)
    rows, columns = np.ogrid[:128, :128]
    inside = (rows - 64) ** 2 + (columns - 64) ** 2 < 56**2
    assert ((unit > air_limit(unit)) == inside).mean() > 0.98


@pytest.mark.parametrize(("modality", "kind", "changed"), [("CT", None, True), (None, "CT", True), (None, None, False),
                                                           ("DX", "CT", True), ("DX", None, False)])
def test_only_ct_pictures_get_it(modality: str | None, kind: str | None, changed: bool) -> None:
    picture = body(-1000, 1000).T[:, :, None]
    windows = choose_windows(Volume(picture, None, modality, kind="image"), False, kind)
    assert (windows.narrow != windows.wide) is changed
    assert windows.wide == (0.0, 255.0)


def test_hounsfield_units_keep_their_windows() -> None:
    volume = Volume(np.zeros((8, 8, 8), np.int16), np.eye(4), "CT", "HU")
    assert choose_windows(volume, False, "CT") == choose_windows(volume, False)
