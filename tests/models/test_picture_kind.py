"""What a picture that records no modality shows: a linear rule that stays silent where it is not sure."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from medviewer.core.errors import ModelMissing
from medviewer.models.bundle import read_info
from medviewer.models.picture_kind import SURE, PictureKind, length_of, softmax, summary

from .conftest import SMALL, write_config

DIM = 4
LEVEL = float(np.log(SURE / (1 - SURE)))  # the difference of two scores from which the guess is sure


def rule(slope: float) -> PictureKind:
    """CT or X-ray by the mean of the first channel alone."""
    row = [0.0] * length_of(DIM)
    row[0] = slope
    return PictureKind({"CT": tuple(row), "XR": tuple(-value for value in row)})


def embedding(first: float) -> torch.Tensor:
    values = torch.zeros(DIM, 3, 5)
    values[0] = first
    return values


@pytest.mark.parametrize(
    ("first", "guess"), [(0.51, "CT"), (-0.51, "XR"), (0.49, None), (-0.49, None), (0.0, None), (9.0, "CT")]
)
def test_it_guesses_only_from_the_level_of_sureness(first: float, guess: str | None) -> None:
    assert rule(LEVEL).guess(embedding(first)) == guess  # the scores differ by 2 * LEVEL * first


def test_the_constant_counts() -> None:
    row = [0.0] * length_of(DIM)
    kind = PictureKind({"MR": (*row[:-1], 10.0), "US": tuple(row)})
    assert kind.guess(torch.randn(DIM, 3, 3)) == "MR"


def test_without_weights_nothing_is_guessed() -> None:
    assert PictureKind().guess(embedding(9.0)) is None


def test_half_precision_is_summed_in_full() -> None:
    values = torch.full((DIM, 64, 64), 1000.0, dtype=torch.float16)
    assert np.isfinite(summary(values)).all()
    assert rule(1.0).guess(values) == "CT"


def test_values_that_are_no_numbers_give_no_guess() -> None:
    assert rule(1.0).guess(embedding(float("nan"))) is None


def test_the_shares_sum_to_one_also_for_large_scores() -> None:
    shares = softmax(np.array([[1e4, 0.0, -1e4], [0.0, 0.0, 0.0]]))
    assert shares.sum(axis=1) == pytest.approx(1.0)
    assert shares[1] == pytest.approx(1 / 3)


def test_a_bundle_keeps_the_rule(untrained: Path) -> None:
    assert read_info(untrained).picture_kind == PictureKind()
    rows = {"CT": [0.25] * length_of(SMALL.dim), "US": [-1.5] * length_of(SMALL.dim)}
    write_config(untrained, picture_kind=rows)
    kind = read_info(untrained).picture_kind
    assert {name: list(row) for name, row in kind.weights.items()} == rows
    assert kind.guess(torch.ones(SMALL.dim, 2, 2)) == "CT"


@pytest.mark.parametrize(
    "rows",
    [{"CT": [0.0] * 3}, {"PET": [0.0] * length_of(SMALL.dim)}, {"CT": ["a"] * length_of(SMALL.dim)},
     {"CT": [1e9] * length_of(SMALL.dim)}],
)  # fmt: skip
def test_a_rule_that_does_not_fit_the_network_is_refused(untrained: Path, rows: dict[str, list[object]]) -> None:
    write_config(untrained, picture_kind=rows)
    with pytest.raises(ModelMissing, match="no readable model"):
        read_info(untrained)
