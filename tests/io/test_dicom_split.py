"""Irregular series that are split, because one volume would invent too much, or refused by name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dicom_factory import Series, placed, save, shear
from pydicom.dataset import Dataset

from medviewer.core.errors import InputRefused
from medviewer.core.volume import ScanResult
from medviewer.io import dicom_series

Recipe = dict[str, Any]


def test_truncated_slice_is_left_out_and_named(tmp_path: Path) -> None:
    paths = Series().write(tmp_path)
    paths[4].write_bytes(paths[4].read_bytes()[:-100])
    result = dicom_series.scan(tmp_path)
    assert f"{paths[4].name} is cut short" in " ".join(item.reason for item in result.refused)
    (entry,) = result.entries
    assert entry.warnings[0].startswith("Resampled for 1 missing slice: slice 5 of 12")
    assert any(f"{paths[4].name} is cut short" in warning for warning in entry.warnings)
    regularisation = dicom_series.load(entry).regularisation
    assert regularisation is not None
    assert regularisation.interpolated == (4,)


def test_too_many_truncated_slices_cost_their_series(tmp_path: Path) -> None:
    paths = Series().write(tmp_path)
    for path in paths[2:11:2]:
        path.write_bytes(path.read_bytes()[:-100])
    result = dicom_series.scan(tmp_path)
    assert not result.entries
    assert len(result.refused) == 5
    assert "series of 12 images is not opened without it" in " ".join(item.reason for item in result.refused)


def _titles(result: ScanResult) -> list[str]:
    return [entry.title for entry in result.entries]


@pytest.mark.parametrize("direction", [1.0, -1.0])
def test_a_gap_too_wide_makes_two_volumes_numbered_as_listed(tmp_path: Path, direction: float) -> None:
    placed(lambda k: direction * (3.0 * k + (60.0 if k > 5 else 0.0))).write(tmp_path)
    result = dicom_series.scan(tmp_path)
    assert _titles(result) == ["oracle (part 1 of 2)", "oracle (part 2 of 2)"]
    assert [entry.shape_xyz[2] for entry in result.entries] == [6, 6]
    assert all("shown as 2 volumes" in " ".join(entry.warnings) for entry in result.entries)
    assert all(dicom_series.load(entry).regularisation is None for entry in result.entries)


def test_very_unlike_distances_make_two_volumes(tmp_path: Path) -> None:
    placed(lambda k: 1.0 * min(k, 5) + 5.0 * max(k - 5, 0)).write(tmp_path)
    result = dicom_series.scan(tmp_path)
    assert [entry.spacing_mm[2] for entry in result.entries if entry.spacing_mm] == [1.0, 5.0]


@pytest.mark.parametrize("keyword", ["AcquisitionNumber", "EchoTime", "InversionTime"])
def test_two_acquisitions_with_a_gap_between_are_two_volumes(tmp_path: Path, keyword: str) -> None:
    def tell(dataset: Dataset, k: int) -> None:
        setattr(dataset, keyword, 1 if k < 6 else 2)

    placed(lambda k: 3.0 * k + (4.0 if k > 5 else 0.0), edit=tell).write(tmp_path)
    result = dicom_series.scan(tmp_path)
    assert len(result.entries) == 2
    assert [title[-3:] for title in _titles(result)] == [" 1)", " 2)"]


def test_a_missing_slice_in_one_time_point(tmp_path: Path) -> None:
    uid = "1.2.3.4"
    for time in (1, 2):

        def tell(dataset: Dataset, k: int, time: int = time) -> None:
            dataset.TemporalPositionIdentifier = time
            dataset.InstanceNumber = 100 * time + k

        Series(series_uid=uid, frame_uid=uid, edit=tell).write(tmp_path / str(time))
    (tmp_path / "2" / "slice0004.dcm").unlink()
    result = dicom_series.scan(tmp_path)
    assert not result.refused
    volumes = [dicom_series.load(entry) for entry in result.entries]
    assert [volume.shape[2] for volume in volumes] == [12, 12]
    assert [volume.regularisation is None for volume in volumes] == [True, False]


def test_other_pictures_at_the_same_place_are_a_volume_of_their_own(tmp_path: Path) -> None:
    series = Series()
    series.write(tmp_path)
    other = series.dataset(6)
    other.InstanceNumber, other.PixelData = 50, bytes(len(other.PixelData))
    save(other, tmp_path / "other.dcm")
    result = dicom_series.scan(tmp_path)
    assert [entry.shape_xyz[2] for entry in result.entries] == [12, 1]
    assert "first images" in result.entries[0].title
    assert "further images" in result.entries[1].title
    assert all("several different images" in " ".join(entry.warnings) for entry in result.entries)
    whole = dicom_series.load(result.entries[0])
    np.testing.assert_array_equal(whole.array[:, :, 6].T, series.stored(6) + series.intercept)


def _remove_position(dataset: Dataset, k: int) -> None:
    del dataset.ImagePositionPatient, dataset.ImageOrientationPatient


def _spacing(*values: float | str) -> Any:
    def spoil(dataset: Dataset, k: int) -> None:
        del dataset.PixelSpacing
        dataset.add_new(0x00280030, "LO", [str(value) for value in values])  # DS refuses to hold some of them

    return spoil


def _axes(*values: float) -> Any:
    def turn(dataset: Dataset, k: int) -> None:
        dataset.ImageOrientationPatient = list(values)

    return turn


def _far_away(dataset: Dataset, k: int) -> None:
    dataset.ImagePositionPatient = [0, 0, f"{k + 1}e30"]


def _turning(dataset: Dataset, k: int) -> None:
    angle = 8e-5 * k
    dataset.ImageOrientationPatient = [
        f"{v:.9f}" for v in (np.cos(angle), np.sin(angle), 0, -np.sin(angle), np.cos(angle), 0)
    ]


REFUSED: dict[str, tuple[Recipe, str]] = {
    "zero spacing": ({"edit": _spacing(0, 0)}, "pixel spacing of 0 x 0"),
    "negative spacing": ({"edit": _spacing(-1, 1)}, "pixel spacing of -1 x 1"),
    "huge spacing": ({"edit": _spacing(1e9, 1e9)}, "pixel spacing of 1e+09"),
    "NaN spacing": ({"edit": _spacing("nan", "1")}, "no finite number"),
    "positions beyond any scanner": ({"edit": _far_away}, "no scanner reaches"),
    "not unit vectors": ({"edit": _axes(1.1, 0, 0, 0, 1, 0)}, "unit vectors"),
    "zero orientation": ({"edit": _axes(0, 0, 0, 0, 0, 0)}, "unit vectors"),
    "rows along the columns": ({"edit": _axes(1, 0, 0, 1, 0, 0)}, "far from perpendicular"),
    "leaning too much": ({"shear": shear(60.0)}, "lean by 60.0 degrees"),
    "turning slices": ({"edit": _turning, "rows": 400, "columns": 400, "spacing": (1.0, 1.0, 3.0)}, "turned against"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_mended_is_refused_by_name(tmp_path: Path, name: str) -> None:
    recipe, reason = REFUSED[name]
    Series(**recipe).write(tmp_path)
    result = dicom_series.scan(tmp_path)
    assert not result.entries
    assert any(reason in item.reason for item in result.refused), result.refused


def test_too_many_missing_slices_are_refused(tmp_path: Path) -> None:
    paths = Series(slices=20).write(tmp_path)
    for k in (2, 3, 5, 8, 9, 10, 13, 16):
        paths[k].unlink()
    result = dicom_series.scan(tmp_path)
    assert not result.entries
    assert "8 of 20 slices are missing" in result.refused[0].reason


def test_radial_slices_are_never_one_volume(tmp_path: Path) -> None:
    def turn(dataset: Dataset, k: int) -> None:
        angle = np.radians(15.0 * k)
        dataset.ImageOrientationPatient = [f"{v:.9f}" for v in (np.cos(angle), np.sin(angle), 0, 0, 0, -1)]

    Series(slices=6, edit=turn).write(tmp_path)
    result = dicom_series.scan(tmp_path)
    assert [entry.shape_xyz[2] for entry in result.entries] == [1] * 6
    assert len(set(_titles(result))) == 6


def test_a_wrong_grid_is_never_given_out(tmp_path: Path) -> None:
    """The corner check is in the loader: an entry whose grid does not fit its slices is refused."""
    Series(shear=shear(15.0)).write(tmp_path / "tilted")
    Series().write(tmp_path / "straight")
    for folder in ("tilted", "straight"):
        (entry,) = dicom_series.scan(tmp_path / folder).entries
        assert entry.affine_lps is not None
        moved = entry.affine_lps.copy()
        moved[2, 3] += 0.002
        with pytest.raises(InputRefused, match="beside the grid"):
            dicom_series.load(replace(entry, affine_lps=moved))
    plan = replace(dicom_series.scan(tmp_path / "tilted").entries[0].handle.plan)
    object.__setattr__(plan, "offsets", plan.offsets + np.array([0.0, 0.01, 0.0]))
    (entry,) = dicom_series.scan(tmp_path / "tilted").entries
    with pytest.raises(InputRefused, match="beside the grid"):
        dicom_series.load(replace(entry, handle=replace(entry.handle, plan=plan)))


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


@pytest.mark.parametrize("apart", [0.0, 0.02, 0.055, 0.2])
def test_repeats_whose_positions_differ_by_rounding(tmp_path: Path, apart: float) -> None:
    """Two time points that nothing but the numbers tell apart, the second a little off: two volumes, or one with a
    banner or a reason; never a crash, never one stack of both."""
    for time in (0, 1):

        def number(dataset: Dataset, k: int, time: int = time) -> None:
            dataset.InstanceNumber = 100 * time + k
            dataset.PixelData = bytes([dataset.PixelData[0] ^ time, *dataset.PixelData[1:]])

        series = placed(lambda k, time=time: 3.0 * k + time * apart, edit=number)  # type: ignore[misc]
        series.series_uid = series.frame_uid = series.study_uid = "1.2.3.4"
        series.write(tmp_path / str(time))
    result = dicom_series.scan(tmp_path)
    assert result.entries or result.refused
    for entry in result.entries:
        volume = dicom_series.load(entry)
        assert volume.shape[2] <= 12 or volume.regularisation is not None


@pytest.mark.parametrize("apart", [0.0, 0.02, 0.055, 0.2, 0.6])
@pytest.mark.parametrize("keyword", ["TemporalPositionIdentifier", "EchoTime"])
def test_time_points_a_little_off_each_other_are_told_apart(tmp_path: Path, apart: float, keyword: str) -> None:
    for time in (1, 2):

        def tell(dataset: Dataset, k: int, time: int = time) -> None:
            setattr(dataset, keyword, time)
            dataset.InstanceNumber = 100 * time + k

        series = placed(lambda k, time=time: 3.0 * k + time * apart, edit=tell)  # type: ignore[misc]
        series.series_uid = series.frame_uid = series.study_uid = "1.2.3.4"
        series.write(tmp_path / str(time))
    result = dicom_series.scan(tmp_path)
    assert not result.refused
    assert [entry.shape_xyz[2] for entry in result.entries] == [12, 12]
    assert all(dicom_series.load(entry).regularisation is None for entry in result.entries)
