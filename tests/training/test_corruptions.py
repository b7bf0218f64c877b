"""Corruptions: shape, range, determinism, severity, and that nothing moves."""

from __future__ import annotations

import time

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from training.transforms.corruptions import CORRUPTIONS, SEVERITIES, corrupt, names_for, zoomed

Picture = NDArray[np.float32]


@pytest.fixture(scope="module")
def picture() -> Picture:
    """A body with organs and texture on black, in all greys."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[-1:1:192j, -1:1:160j]
    organs = 0.5 + 0.3 * np.tanh(ndimage.gaussian_filter(rng.standard_normal(y.shape), 7) * 25)
    grain = ndimage.gaussian_filter(rng.standard_normal(y.shape), 1) * 0.1
    return np.where(y**2 + (x / 0.8) ** 2 < 0.85, organs + grain, 0.02).clip(0, 1).astype(np.float32)


def _error(picture: Picture, name: str, severity: int, draws: int = 6) -> float:
    changed = [corrupt(picture, name, severity, np.random.default_rng(seed)) for seed in range(draws)]
    return float(np.mean([(one - picture) ** 2 for one in changed]))


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_shape_range_and_determinism(name: str, picture: Picture) -> None:
    before = picture.copy()
    for severity in SEVERITIES:
        once, again = (corrupt(picture, name, severity, np.random.default_rng(5)) for _ in range(2))
        assert once.shape == picture.shape
        assert once.dtype == np.float32
        assert np.isfinite(once).all()
        assert once.min() >= 0
        assert once.max() <= 1
        assert np.array_equal(once, again)
    assert np.array_equal(picture, before), "the given picture is left alone"


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_more_severe_is_worse(name: str, picture: Picture) -> None:
    errors = [_error(picture, name, severity) for severity in SEVERITIES]
    assert errors[0] > 0
    assert errors[2] > errors[0]
    assert errors[4] > errors[2]


def _best_shift(edges: NDArray[np.floating], changed: Picture) -> tuple[int, int]:
    """The shift (rows, cols) of the clean edges that fits the edges of the changed picture best."""
    found = ndimage.gaussian_gradient_magnitude(changed, 1.5)[8:-8, 8:-8]
    shifts = [(dy, dx) for dy in range(-4, 5) for dx in range(-4, 5)]
    fits = [(found * edges[8 - dy : -8 - dy, 8 - dx : -8 - dx]).sum() for dy, dx in shifts]
    return shifts[int(np.argmax(fits))]


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_nothing_moves(name: str) -> None:
    """The outline of a disc off the middle stays where it was."""
    y, x = np.mgrid[:128, :128]
    disc = (0.2 + 0.6 * ((y - 48.0) ** 2 + (x - 76.0) ** 2 < 20**2)).astype(np.float32)
    edges = ndimage.gaussian_gradient_magnitude(disc, 1.5)
    shifts = [_best_shift(edges, corrupt(disc, name, 3, np.random.default_rng(seed))) for seed in range(12)]
    assert np.abs(np.median(shifts, axis=0)).max() == 0
    assert np.abs(shifts).max() <= 2


@pytest.mark.parametrize("name", CORRUPTIONS)
@pytest.mark.parametrize("shape", [(9, 8), (40, 300)])
def test_odd_shapes(name: str, shape: tuple[int, int]) -> None:
    flat = np.full(shape, 0.5, np.float32)
    for severity in (1, 5):
        assert corrupt(flat, name, severity, np.random.default_rng(0)).shape == shape


def test_constant_pictures_survive() -> None:
    for name in CORRUPTIONS:
        for value in (0.0, 1.0):
            changed = corrupt(np.full((32, 32), value, np.float32), name, 5, np.random.default_rng(1))
            assert np.isfinite(changed).all(), name


def test_each_is_fast() -> None:
    """At most 15 ms of this thread for 256 x 256; the best of four, since other work may run beside."""
    picture = np.random.default_rng(0).random((256, 256), dtype=np.float32)
    slow = {}
    for name in CORRUPTIONS:
        spent = []
        for seed in range(4):
            start = time.thread_time()
            corrupt(picture, name, 5, np.random.default_rng(seed))
            spent.append(time.thread_time() - start)
        if min(spent) > 0.015:
            slow[name] = min(spent)
    assert not slow


def test_zoom_is_about_the_centre() -> None:
    y, x = np.mgrid[:65, :81]
    dot = np.exp(-((y - 32) ** 2 + (x - 40) ** 2) / 18.0).astype(np.float32)
    smaller, larger = zoomed(dot, [0.8, 1.25])
    for changed in (smaller, larger):
        assert changed.shape == dot.shape
        assert np.allclose(ndimage.center_of_mass(changed), (32, 40), atol=0.1)
    assert larger.sum() > 1.3 * dot.sum() > 1.7 * smaller.sum()


def test_what_applies_where() -> None:
    assert "ghosting" in names_for("MR")
    assert "ghosting" not in names_for("CT")
    assert "acoustic_shadow" in names_for("US")
    assert "black_corner" in names_for("XR")
    assert "rings" in names_for("CT")
    for modality in ("CT", "MR", "XR", "US"):
        assert {"jpeg_compression", "motion_blur", "gamma_up"} <= set(names_for(modality))


def test_two_channels_of_one_scan_are_hit_alike(picture: Picture) -> None:
    narrow = (picture * 1.2 - 0.1).clip(0, 1)
    first = corrupt(picture, "black_corner", 4, np.random.default_rng(9)) == 0
    second = corrupt(narrow, "black_corner", 4, np.random.default_rng(9)) == 0
    hidden = first & (picture > 0.3)
    assert hidden.any()
    assert second[hidden].all()


def test_wrong_calls_are_refused(picture: Picture) -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="unknown corruption 'rust'"):
        corrupt(picture, "rust", 1, rng)
    with pytest.raises(ValueError, match="1 to 5, not 6"):
        corrupt(picture, "rings", 6, rng)
    with pytest.raises(ValueError, match="rows and columns"):
        corrupt(picture[None], "rings", 1, rng)
