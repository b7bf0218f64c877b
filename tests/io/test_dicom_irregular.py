"""Irregular series are refused by name; nothing is resampled or stacked wrongly in silence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dicom_factory import Series
from pydicom.dataset import Dataset

from medviewer.io import dicom_series

Recipe = dict[str, Any]


def _shear(degrees: float) -> tuple[float, float, float]:
    return (0.0, 3.0 * float(np.tan(np.radians(degrees))), 0.0)


def _remove_position(dataset: Dataset, k: int) -> None:
    del dataset.ImagePositionPatient, dataset.ImageOrientationPatient


def _zero_spacing(dataset: Dataset, k: int) -> None:
    dataset.PixelSpacing = [0, 0]


def _not_orthogonal(dataset: Dataset, k: int) -> None:
    dataset.ImageOrientationPatient = [1, 0, 0, 0.26, 0.966, 0]


def _not_unit(dataset: Dataset, k: int) -> None:
    dataset.ImageOrientationPatient = [1.1, 0, 0, 0, 1, 0]


def _infinite(dataset: Dataset, k: int) -> None:
    if k == 3:
        dataset["ImagePositionPatient"]._value = None
        dataset.add_new(0x00200032, "LO", ["-20", "1e400", "3"])


def _uneven(dataset: Dataset, k: int) -> None:
    dataset.ImagePositionPatient = [-20, -30, 40 + 3 * k + 0.1 * k * k]


def _same_place(dataset: Dataset, k: int) -> None:
    if k == 7:
        dataset.ImagePositionPatient = [-20, -30, 40 + 6 * 3]


REFUSED: dict[str, tuple[Recipe, str]] = {
    "gantry tilt": ({"shear": _shear(15.0)}, "sheared by 15.0 degrees"),
    "slight gantry tilt": ({"shear": _shear(1.0)}, "sheared by 1.0 degrees"),
    "no position": ({"edit": _remove_position}, "do not state where they lie"),
    "zero spacing": ({"edit": _zero_spacing}, "pixel spacing of 0 x 0"),
    "not orthogonal": ({"edit": _not_orthogonal}, "not perpendicular"),
    "not unit vectors": ({"edit": _not_unit}, "unit vectors"),
    "uneven spacing": ({"edit": _uneven}, "varies from 3.10 to 5.10 mm"),
    "two images at one place": ({"edit": _same_place}, "same position"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_irregular_series_are_refused_by_name(tmp_path: Path, name: str) -> None:
    recipe, reason = REFUSED[name]
    Series(**recipe).write(tmp_path)
    result = dicom_series.scan(tmp_path)
    assert not result.entries
    assert any(reason in item.reason for item in result.refused), result.refused


@pytest.mark.parametrize("gone", [(5,), (4, 5), (3, 8)])
def test_missing_slices_are_refused_with_their_number(tmp_path: Path, gone: tuple[int, ...]) -> None:
    paths = Series().write(tmp_path)
    for k in gone:
        paths[k].unlink()
    result = dicom_series.scan(tmp_path)
    assert not result.entries
    verb = "s are" if len(gone) > 1 else " is"
    assert f"{len(gone)} slice{verb} missing" in result.refused[0].reason
    before = paths[gone[0] - 1].name
    assert before in result.refused[0].reason


def test_infinite_position_is_refused(tmp_path: Path) -> None:
    paths = Series().write(tmp_path)
    data = paths[3].read_bytes()
    at = data.index(b"\x20\x00\x32\x00DS") + 8
    length = int.from_bytes(data[at - 2 : at], "little")
    value = b"-20\\1e400\\3".ljust(length)
    paths[3].write_bytes(data[:at] + value + data[at + length :])
    result = dicom_series.scan(tmp_path)
    assert not result.entries
    assert "no finite number" in " ".join(item.reason for item in result.refused)
