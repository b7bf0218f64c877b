"""Undo of any depth stays small and exact; a short form of `tests/benchmarks/bench_undo.py`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.benchmarks.bench_undo import measure


def test_two_hundred_edits_stay_small_and_are_undone_exactly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDVIEWER_HOME", str(tmp_path))
    shape, edits = (160, 160, 120), 200
    figures = measure(shape, edits)
    whole = edits * shape[0] * shape[1] * shape[2] / 2**20
    assert float(str(figures["accounted_mb"])) < 0.02 * whole, figures
    assert float(str(figures["rss_growth_mb"])) < 0.2 * whole, figures
    assert figures["undone_equal"]
    assert figures["redone_equal"]
