"""Ranking and calibration of presence, and the fitting of probabilities, against figures known by hand."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from medviewer.models.bundle import read_info
from training.evaluation.calibration import (
    apply_platt,
    choose_threshold,
    fit,
    fit_platt,
    raw_limit,
    write_calibration,
)
from training.evaluation.presence import bins_of, calibration_error, presence_row, presence_table, roc_auc
from training.evaluation.scores import Score


def score(presence: float | None, present: bool, *, found: bool = True, key: str = "a", kind: str = "picture") -> Score:
    return Score("s", "CT", "liver", 0.9 if present else None, presence, found, "found", key, key, "patients", kind)


def test_auc_is_the_share_of_pairs_in_the_right_order() -> None:
    probability = np.array([0.9, 0.8, 0.4, 0.4, 0.1])
    present = np.array([True, False, True, False, False])
    pairs = [(p > a) + 0.5 * (p == a) for p in probability[present] for a in probability[~present]]
    assert roc_auc(probability, present) == pytest.approx(np.mean(pairs))
    assert roc_auc(np.array([0.5, 0.6]), np.array([True, True])) is None


def test_calibration_error_known_by_hand() -> None:
    probability = np.array([0.9] * 10 + [0.1] * 30)
    present = np.array([True] * 6 + [False] * 4 + [True] * 3 + [False] * 27)  # 0.6 at 0.9; 0.1 at 0.1
    assert calibration_error(probability, present) == pytest.approx(0.25 * 0.3)
    assert [b.count for b in bins_of(probability, present)] == [30, 10]
    assert calibration_error(np.array([0.0, 1.0]), np.array([False, True])) == 0.0, "0 and 1 have a bin"
    assert calibration_error(np.array([]), np.array([], bool)) == 0.0


def test_adaptive_bins_hold_equally_many_questions() -> None:
    probability = np.random.default_rng(0).beta(0.3, 0.3, 300)
    present = np.random.default_rng(1).random(300) < probability
    bins = bins_of(probability, present, adaptive=True)
    assert {b.count for b in bins} == {20}
    assert calibration_error(probability, present, adaptive=True) < 0.12
    assert calibration_error(1 - probability, present, adaptive=True) > 0.4


def test_false_masks_count_questions_the_model_was_never_asked() -> None:
    scores = [score(0.9, True), score(0.2, False, found=False), score(0.7, False), score(None, False, found=False)]
    row = presence_row("all", scores)
    assert (row["absent"], row["absent_asked"], row["false_masks"]) == (3, 2, 1)
    assert row["false_mask_rate"] == pytest.approx(1 / 3)
    assert row["auc"] == 1.0
    assert row["auc_low"] is None, "one patient"


def test_the_table_is_told_per_kind_and_set() -> None:
    scores = [score(0.9, True), score(0.1, False, kind="volume")]
    assert [row["group"] for row in presence_table(scores)] == ["all", "picture", "volume", "s"]


# -- fitting -----------------------------------------------------------------------------------------------------------
def test_platt_finds_the_map_that_made_the_answers() -> None:
    rng = np.random.default_rng(0)
    raw = rng.uniform(0.001, 0.999, 6000)
    present = rng.random(6000) < apply_platt(raw, 0.6, -1.2)
    slope, shift = fit_platt(raw, present)
    assert slope == pytest.approx(0.6, abs=0.06)
    assert shift == pytest.approx(-1.2, abs=0.12)
    before, after = calibration_error(raw, present), calibration_error(apply_platt(raw, slope, shift), present)
    assert after < 0.03 < before


def test_the_map_never_falls_and_stays_finite() -> None:
    raw = np.array([0.0, 0.1, 0.9, 1.0])
    slope, shift = fit_platt(raw, np.array([True, True, False, False]))
    assert slope > 0
    assert np.isfinite(shift)
    slope, _ = fit_platt(raw, np.array([False, False, True, True]))
    assert (np.diff(apply_platt(raw, slope, 0.0)) >= 0).all()


def test_the_largest_threshold_that_keeps_both_limits() -> None:
    present = np.array([True] * 100 + [False] * 100)
    apart = np.concatenate([np.linspace(0.6, 0.99, 100), np.linspace(0.01, 0.4, 100)])
    threshold = choose_threshold(apart, present)
    assert (apart[present] >= threshold).mean() >= 0.98
    assert (apart[present] >= threshold + 0.006).mean() < 0.98
    assert (apart[~present] >= threshold).mean() <= 0.05


def test_the_best_balance_where_no_threshold_keeps_both_limits() -> None:
    present = np.array([True] * 100 + [False] * 100)
    mixed = np.concatenate([np.linspace(0.3, 0.9, 100), np.linspace(0.1, 0.7, 100)])
    threshold = choose_threshold(mixed, present)
    missed, false = (mixed[present] < threshold).mean(), (mixed[~present] >= threshold).mean()
    assert 0 < missed < 0.5
    assert false < 0.66, "better than keeping all that is present"


def test_fit_tells_what_it_rests_on() -> None:
    rng = np.random.default_rng(2)
    scores = [score(float(rng.uniform(0.6, 1.0)), True, key=f"{n}") for n in range(40)]
    scores += [score(float(rng.uniform(0.0, 0.5)), False, key=f"{n}") for n in range(40)]
    scores += [score(0.8, True, key="v", kind="volume")]
    fitted = fit(scores)
    assert set(fitted["calibration"]) == {"picture"}, "a kind without absent structures is left as it is"
    assert fitted["calibrated_on"]["volume"] == {"present": 1, "absent": 0, "scans": 1}
    assert fitted["calibrated_on"]["picture"]["scans"] == 40
    slope, shift = fitted["calibration"]["picture"]
    raw = raw_limit(fitted)
    assert apply_platt(np.array([raw]), slope, shift)[0] == pytest.approx(fitted["threshold"], abs=1e-6)


def test_fitted_values_reach_the_bundle(tmp_path: Path, repository: Path) -> None:
    shipped = repository / "resources" / "models" / "default" / "config.json"
    (tmp_path / "config.json").write_text(shipped.read_text(encoding="utf-8"), encoding="utf-8")
    fitted = {"calibration": {"picture": [0.5, -0.25], "volume": [2.0, 1.0]}, "threshold": 0.4, "slice_threshold": 0.2,
              "calibrated_on": {"picture": {"present": 3, "absent": 4, "scans": 2}}}
    write_calibration(tmp_path, fitted)
    info = read_info(tmp_path)
    assert (info.threshold, info.slice_threshold) == (0.4, 0.2)
    assert info.probability(0.3, 1) == pytest.approx(apply_platt(np.array([0.3]), 0.5, -0.25)[0])
    assert info.probability(0.3, 40) == pytest.approx(apply_platt(np.array([0.3]), 2.0, 1.0)[0])
    assert json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))["calibrated_on"]["picture"]["scans"] == 2
