"""Clicks and boxes on a mask, with a decoder that knows the truth, or that is wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from medviewer.core.progress import silent
from medviewer.models import interaction
from medviewer.models.interaction import LOCAL_SHARE, Click, Corrector, StackBox, corrected_slice
from medviewer.models.mask_decoder import POSITIVE

SHAPE = (15, 60, 60)


@dataclass(frozen=True)
class Plan:
    spacing: tuple[float, float, float] = (3.0, 1.0, 1.0)


@dataclass
class Embedding:
    count: int = SHAPE[0]
    plan: Plan = Plan()


class Oracle:
    """A decoder that answers with the truth of a slice, and keeps what it was asked."""

    def __init__(self, truth: np.ndarray) -> None:
        self.truth = truth
        self.asked: list[tuple[int, int, bool]] = []

    def __call__(self, query: Any, embedding: Any, number: int, points: Any, labels: Any, previous: Any) -> np.ndarray:
        self.asked.append((number, len(labels), previous is not None))
        return np.where(self.truth[number], 3.0, -3.0).astype(np.float32)


@pytest.fixture
def truth() -> np.ndarray:
    """Two blobs about as deep as they are wide, through slices 4 to 10."""
    mask = np.zeros(SHAPE, bool)
    mask[4:11, 10:24, 10:24] = True
    mask[4:11, 40:54, 40:54] = True
    return mask


def corrector(monkeypatch: pytest.MonkeyPatch, truth: np.ndarray, has_text: bool = True) -> tuple[Corrector, Oracle]:
    oracle = Oracle(truth)
    monkeypatch.setattr(interaction, "prompted_logits", oracle)
    return Corrector(None, Embedding(), has_text), oracle  # type: ignore[arg-type]


def dice(a: np.ndarray, b: np.ndarray) -> float:
    return float(2 * (a & b).sum() / (a.sum() + b.sum()))


def test_a_click_into_a_missing_part_adds_it_on_both_sides(monkeypatch: pytest.MonkeyPatch, truth: np.ndarray) -> None:
    before = truth.copy()
    before[:, 30:] = False
    model, _ = corrector(monkeypatch, truth)
    after = model.apply(before, [Click((7, 45, 45), True)], None, silent())
    np.testing.assert_array_equal(after, truth)


def test_a_click_on_surplus_removes_it_on_both_sides(monkeypatch: pytest.MonkeyPatch, truth: np.ndarray) -> None:
    before = truth.copy()
    before[3:12, 30:38, 5:12] = True
    model, _ = corrector(monkeypatch, truth)
    after = model.apply(before, [Click((7, 34, 8), False)], None, silent())
    np.testing.assert_array_equal(after, truth)


def test_a_click_never_makes_a_perfect_decoder_worse(monkeypatch: pytest.MonkeyPatch, truth: np.ndarray) -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        before = truth.copy()
        low = rng.integers(0, 45, 2)
        part = (slice(4, 10), slice(low[0], low[0] + 15), slice(low[1], low[1] + 15))
        before[part] = rng.random() < 0.5
        wrong = np.argwhere(before != truth)
        if not len(wrong):
            continue
        place = tuple(int(n) for n in wrong[rng.integers(len(wrong))])
        model, _ = corrector(monkeypatch, truth)
        after = model.apply(before, [Click(place, bool(truth[place]))], None, silent())  # type: ignore[arg-type]
        assert after[place] == truth[place]
        assert dice(after, truth) >= dice(before, truth)


def test_earlier_clicks_that_hold_are_not_worked_on_again(monkeypatch: pytest.MonkeyPatch, truth: np.ndarray) -> None:
    model, oracle = corrector(monkeypatch, truth)
    clicks = [Click((4, 45, 45), True), Click((5, 12, 12), True), Click((10, 30, 30), False), Click((10, 12, 12), True)]
    after = model.apply(truth, clicks, None, silent())
    np.testing.assert_array_equal(after, truth)
    assert oracle.asked == [(10, 2, True)]  # the newest click's slice, with both of its clicks and the mask


def test_the_decoder_gets_an_empty_mask_only_with_text(monkeypatch: pytest.MonkeyPatch, truth: np.ndarray) -> None:
    for has_text in (True, False):
        model, oracle = corrector(monkeypatch, truth, has_text)
        model.apply(np.zeros(SHAPE, bool), [Click((7, 45, 45), True)], None, silent())
        assert oracle.asked[0] == (7, 1, has_text)


@pytest.mark.parametrize("positive", [True, False])
def test_clicks_are_obeyed_by_a_decoder_that_is_wrong(positive: bool) -> None:
    rng = np.random.default_rng(1)
    for _ in range(30):
        before = rng.random((40, 50)) > 0.5
        logits = np.full(before.shape, -3.0 if positive else 3.0, np.float32)
        place = (0, int(rng.integers(40)), int(rng.integers(50)))
        after = corrected_slice(before, logits, [Click(place, positive)])
        assert after[place[1:]] == positive


def test_far_regions_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(2)
    before = rng.random((100, 100)) > 0.5
    before[:20, :20] = False
    logits = rng.normal(size=before.shape).astype(np.float32)
    logits[5:15, 5:15] = 3.0
    after = corrected_slice(before, logits, [Click((0, 10, 10), True)])
    assert after[5:15, 5:15].all()
    rows, columns = np.ogrid[:100, :100]
    far = (rows - 10) ** 2 + (columns - 10) ** 2 > (LOCAL_SHARE * 100 + 1) ** 2
    np.testing.assert_array_equal(after[far], before[far])


def test_a_box_in_one_slice_spreads_and_stays_inside(monkeypatch: pytest.MonkeyPatch, truth: np.ndarray) -> None:
    model, _ = corrector(monkeypatch, truth, has_text=False)
    after = model.apply(np.zeros(SHAPE, bool), [], StackBox((7, 35, 35), (7, 56, 56)), silent())
    wanted = truth.copy()
    wanted[:, :30] = False
    np.testing.assert_array_equal(after, wanted)


def test_a_decoder_that_sees_it_everywhere_does_not_run_over(monkeypatch: pytest.MonkeyPatch) -> None:
    shape = (81, 60, 60)
    monkeypatch.setattr(interaction, "prompted_logits", Oracle(np.ones(shape, bool)))
    model = Corrector(None, Embedding(count=81), True)  # type: ignore[arg-type]
    before = np.zeros(shape, bool)
    before[:, 40:44, 40:44] = True
    after = model.apply(before, [Click((40, 30, 30), True)], None, silent())
    touched = np.flatnonzero((after & ~before).any(axis=(1, 2)))
    wide = 2 * np.sqrt((after & ~before)[40].sum() / np.pi)
    assert 2 <= len(touched) <= 1 + 2 * interaction.REACH * wide / 3.0  # slices are 3 mm apart
    assert (after & ~before).sum(axis=(1, 2)).max() <= interaction.MOST_GROWTH * (after & ~before)[40].sum()


def test_the_next_slice_gets_a_click_into_the_middle_of_the_change(
    monkeypatch: pytest.MonkeyPatch, truth: np.ndarray
) -> None:
    places: dict[int, list[float]] = {}

    def decoder(query: Any, embedding: Any, number: int, points: Any, labels: Any, previous: Any) -> np.ndarray:
        places[number] = [*points[0], int(labels[0])]
        return np.where(truth[number], 3.0, -3.0).astype(np.float32)

    monkeypatch.setattr(interaction, "prompted_logits", decoder)
    before = truth.copy()
    before[:, 30:] = False
    Corrector(None, Embedding(), True).apply(before, [Click((7, 42, 42), True)], None, silent())  # type: ignore[arg-type]
    np.testing.assert_allclose(places[8], [46.5, 46.5, POSITIVE], atol=0.6)
