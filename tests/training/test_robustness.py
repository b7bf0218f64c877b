"""The table of robustness: exact figures with a predictor whose answers are known, the same pictures every time."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from medviewer.core.errors import InputRefused, WrongUsage
from medviewer.core.volume import Volume
from training.data.dev_cases import Case, dev_cases
from training.evaluation.robustness import (
    CLEAN,
    RobustnessRow,
    corrupted,
    mean_relative_drop,
    picture_sets,
    robustness_rows,
    rows_of_cases,
    to_markdown,
    write_csv,
    write_markdown,
)
from training.transforms.corruptions import names_for


class Threshold:
    """Finds what is brighter than the middle grey; counts what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def predict(self, picture: Volume, text: str) -> NDArray[np.bool_]:
        self.asked.append(text)
        return np.asarray(picture.array > 127)


def _case(modality: str = "US", seed: int = 0) -> Case:
    y, x = np.mgrid[:60, :80]
    disc = np.hypot(y - 30, x - 40 + seed) < 14
    picture = np.where(disc, 200, 40).astype(np.uint8).T[:, :, None]
    return Case("set", modality, Volume(picture, None, modality, kind="image"), {"breast tumor": disc.T[:, :, None]})


def test_rows_compare_with_the_clean_picture() -> None:
    predictor = Threshold()
    rows = rows_of_cases(predictor, [_case(), _case(seed=3)], ["brightness_down", "rings", "gamma_down"], (1, 5))
    assert [(row.corruption, row.severity) for row in rows] == [
        (CLEAN, 0), ("brightness_down", 1), ("brightness_down", 5), ("gamma_down", 1), ("gamma_down", 5),
    ], "rings do not happen to ultrasound"
    assert {(row.n, row.pictures) for row in rows} == {(2, 2)}
    by = {(row.corruption, row.severity): row for row in rows}
    assert by[CLEAN, 0].dice == 1
    assert by["brightness_down", 1].drop == 0  # 200 * 0.9 is still above the threshold
    assert by["brightness_down", 5].dice == 0  # 200 * 0.35 is not: nothing found
    assert by["brightness_down", 5].drop == 1
    assert len(predictor.asked) == 2 * 5
    assert set(predictor.asked) == {"breast tumor"} or set(predictor.asked) == {"breast tumour"}


def test_everything_is_measured_and_repeats() -> None:
    first, second = (rows_of_cases(Threshold(), [_case("MR"), _case("CT")]) for _ in range(2))
    assert first == second
    for modality in ("MR", "CT"):
        names = {row.corruption for row in first if row.modality == modality}
        assert names == {CLEAN, *names_for(modality)}
        assert sum(row.modality == modality for row in first) == 1 + 5 * len(names_for(modality))


def test_mean_relative_drop_weighs_modalities_and_corruptions_alike() -> None:
    def row(modality: str, corruption: str, severity: int, drop: float) -> RobustnessRow:
        return RobustnessRow(modality, corruption, severity, 1 - drop, drop, 3, 3)

    rows = [
        row("CT", CLEAN, 0, 0.0), row("CT", "rings", 1, 0.1), row("CT", "rings", 2, 0.3), row("CT", "low_dose", 1, 0.4),
        row("US", CLEAN, 0, 0.0), row("US", "calipers", 1, 0.5),
    ]
    assert mean_relative_drop(rows) == pytest.approx((0.3 + 0.5) / 2)
    assert mean_relative_drop(rows[:1]) == 0


def test_no_clean_dice_gives_no_drop() -> None:
    class Nothing:
        def predict(self, picture: Volume, text: str) -> NDArray[np.bool_]:
            return np.zeros(picture.shape, bool)

    rows = rows_of_cases(Nothing(), [_case()], ["pixelate"], (3,))
    assert [(row.dice, row.drop) for row in rows] == [(0, 0), (0, 0)]


def test_corrupted_pictures_keep_grid_type_and_range() -> None:
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 256, (50, 40, 1)).astype(np.uint8)
    for array in (picture, picture.astype(np.int16) * 7 - 900, np.repeat(picture[..., None], 3, axis=3)):
        volume = Volume(array.copy(), None, "XR", kind="image")
        changed = corrupted(volume, "black_corner", 5, seed=1)
        assert changed.shape == volume.shape
        assert changed.array.dtype == array.dtype
        assert changed.array.min() >= array.min()
        assert changed.array.max() <= array.max()
    plain = Volume(picture, None, "XR", kind="image")
    assert np.array_equal(corrupted(plain, "characters", 2, 5).array, corrupted(plain, "characters", 2, 5).array)
    dark = corrupted(Volume(np.tile(np.arange(40, dtype=np.uint8), (50, 1))[:, :, None], None), "gamma_up", 1, 0)
    assert (np.diff(dark.array[0, :, 0].astype(int)) >= 0).all(), "i and j are not exchanged"


def test_tables_as_files(tmp_path: Path) -> None:
    rows = rows_of_cases(Threshold(), [_case()], ["brightness_down", "pixelate"], (1, 5))
    write_csv(rows, tmp_path / "robustness.csv")
    write_markdown(rows, tmp_path / "robustness.md")
    with (tmp_path / "robustness.csv").open(newline="") as file:
        read = list(csv.DictReader(file))
    assert len(read) == len(rows)
    assert read[0] == {"modality": "US", "corruption": "clean", "severity": "0", "dice": "1.0000", "drop": "0.0000",
                       "n": "1", "pictures": "1"}
    text = (tmp_path / "robustness.md").read_text()
    assert text == to_markdown(rows)
    assert "### US" in text
    assert "| brightness down | 1.000 | 0.000 | 50.0% |" in text
    columns = {line.count("|") for line in text.splitlines() if line.startswith("|")}
    assert columns == {5}


def test_what_cannot_be_measured_is_told() -> None:
    with pytest.raises(WrongUsage, match="no corruption named 'rust'"):
        rows_of_cases(Threshold(), [_case()], ["rust"])
    with pytest.raises(WrongUsage, match="1 to 5"):
        rows_of_cases(Threshold(), [_case()], None, (0,))
    with pytest.raises(InputRefused, match="no 2D development picture"):
        rows_of_cases(Threshold(), [])


def test_the_same_pictures_every_time(shared_data: Path) -> None:
    sets = picture_sets(shared_data)
    assert "xray/jsrt_scr" in sets
    assert "ct3d/totalsegmentator" not in sets
    first, second = (
        [case.volume.source.path for case in dev_cases(shared_data, sets[:2], 2)] for _ in range(2)
    )
    assert first == second
    assert len(first) == 4
    rows = robustness_rows(Threshold(), shared_data, most=1, sets=["us/breast_busi"], corruptions=["pixelate"])
    assert [row.severity for row in rows] == [0, 1, 2, 3, 4, 5]
