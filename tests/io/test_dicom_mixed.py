"""Series whose slices are stored in different ways: each is read by its own header, or the series is split."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
from dicom_factory import Series, save
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRBigEndian, RLELossless

from medviewer.core.volume import Volume
from medviewer.io import dicom_series

NOISE = np.random.default_rng(9).integers(-30000, 30000, (12, 20, 24)).astype("<i2")


def load_only(folder: Path) -> Volume:
    (entry,) = dicom_series.scan(folder).entries
    return dicom_series.load(entry)


def compress(path: Path) -> None:
    dataset = pydicom.dcmread(path)
    dataset.compress(RLELossless)
    dataset.save_as(path)


@pytest.mark.parametrize("which", [[0], [5], [11], [0, 5, 7], list(range(1, 12))])
def test_some_slices_were_compressed_later(tmp_path: Path, which: list[int]) -> None:
    """Noise: run-length encoding makes it longer, so that nothing but the header tells that it is compressed."""
    series = Series(intercept=0.0)
    series.stored = lambda k: NOISE[k]  # type: ignore[method-assign]
    paths = series.write(tmp_path)
    for k in which:
        compress(paths[k])
    assert load_only(tmp_path).warnings == ()
    np.testing.assert_array_equal(load_only(tmp_path).array.T, NOISE)


def test_some_slices_are_big_endian_or_unsigned_or_of_eight_bits(tmp_path: Path) -> None:
    common = Series(intercept=0.0, origin=(10.0, 10.0, 0.0), spacing=(0.5, 0.5, 1.0), slices=9)
    kinds: list[dict[str, object]] = [{"syntax": ExplicitVRBigEndian}, {"signed": False}, {"bits": 8, "signed": False}]
    for k in range(9):
        one = Series(**{**vars(common), **kinds[k % 3]})  # type: ignore[arg-type]
        save(one.dataset(k), tmp_path / f"{k}.dcm")
    volume = load_only(tmp_path)
    expected = np.stack([np.rint(common.values(k)) for k in range(9)])
    np.testing.assert_array_equal(volume.array.T, expected)


def color(k: int) -> Callable[[Dataset], None]:
    def paint(dataset: Dataset) -> None:
        dataset.SamplesPerPixel, dataset.PhotometricInterpretation, dataset.PlanarConfiguration = 3, "RGB", 0
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 8, 8, 7, 0
        dataset.PixelData = NOISE.view(np.uint8).reshape(12, -1)[k, : 20 * 24 * 3 // 2].repeat(2).tobytes()

    return paint


@pytest.mark.parametrize("which", [[0], [5]])
def test_some_colour_slices_were_compressed_later(tmp_path: Path, which: list[int]) -> None:
    paths = Series(edit=lambda dataset, k: color(k)(dataset)).write(tmp_path)
    before = load_only(tmp_path).array
    for k in which:
        compress(paths[k])
    np.testing.assert_array_equal(load_only(tmp_path).array, before)


def test_every_file_has_its_own_palette(tmp_path: Path) -> None:
    def palette(dataset: Dataset, k: int) -> None:
        dataset.PhotometricInterpretation = "PALETTE COLOR"
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 8, 8, 7, 0
        for name in ("Red", "Green", "Blue"):
            setattr(dataset, f"{name}PaletteColorLookupTableDescriptor", [4, 0, 8])
            setattr(dataset, f"{name}PaletteColorLookupTableData", bytes([0, 10 + k, 20 + k, 30 + k]))
        dataset.PixelData = np.full((20, 24), 2, np.uint8).tobytes()

    Series(slices=3, edit=palette).write(tmp_path)
    volume = load_only(tmp_path)
    assert volume.array[5, 5, :, 0].tolist() == [20, 21, 22]


def test_slices_in_other_units_are_a_volume_of_their_own(tmp_path: Path) -> None:
    def unit(dataset: Dataset, k: int) -> None:
        if k >= 6:
            dataset.RescaleType = "ED"
        elif k == 2:
            del dataset.RescaleType  # not stated: no contradiction by itself

    Series(slices=12, edit=unit).write(tmp_path)
    entries = dicom_series.scan(tmp_path).entries
    assert {entry.units for entry in entries} >= {"HU", None}
    assert any("in ED" in entry.title for entry in entries)
    for entry in entries:
        words = "in ED" if entry.units is None else "in HU"
        assert words in entry.title or "unknown units" in entry.title
