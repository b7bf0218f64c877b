"""Further bad inputs of series geometry: thin volumes, padding, units, frames without a place, unfinished copies."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(REPOSITORY), str(REPOSITORY / "tests" / "io")]

from dicom_factory import Series, enhanced, save  # noqa: E402
from pydicom.dataset import Dataset  # noqa: E402

from medviewer.core.errors import InputRefused  # noqa: E402
from medviewer.core.mask_facts import mask_facts  # noqa: E402
from medviewer.core.volume import Volume  # noqa: E402
from medviewer.io.dicom_seg_sources import source_headers  # noqa: E402
from medviewer.render.presets import default_window, window_presets  # noqa: E402
from medviewer.services.open_data import load, open_volume, scan_path  # noqa: E402


def only(folder: Path) -> Volume:
    (entry,) = scan_path(folder).entries
    return load(entry)


def test_one_slice_is_a_thin_volume_with_areas_and_no_volumes(tmp_path: Path) -> None:
    Series(slices=1).write(tmp_path)
    volume = only(tmp_path)
    assert volume.shape == (24, 20, 1)
    assert volume.voxel_ml is None
    assert volume.pixel_area_mm2 == pytest.approx(3.0)


def padded(dataset: Dataset, k: int) -> None:
    """A scanned field in a frame that was not scanned, as GE writes it."""
    dataset.Modality = "MR"
    dataset.RescaleIntercept = 0
    dataset.add_new(0x00280120, "SS", -2000)
    pixels = np.full((20, 24), -2000, "<i2")
    pixels[4:16, 4:20] = np.random.default_rng(k).integers(90, 110, (12, 16))
    dataset.PixelData = pixels.tobytes()
    del dataset.RescaleType


def test_padding_counts_neither_for_the_window_nor_for_statistics(tmp_path: Path) -> None:
    Series(edit=padded).write(tmp_path)
    volume = only(tmp_path)
    assert volume.padding_value == -2000.0
    assert (volume.array == -2000).mean() > 0.5
    width, centre = default_window(volume)
    assert 80 < centre - width / 2 < centre + width / 2 < 120
    facts = mask_facts(volume, np.ones(volume.shape, bool))
    assert facts.low is not None
    assert facts.low >= 90
    only_padding = mask_facts(volume, volume.array == -2000)
    assert (only_padding.low, only_padding.median, only_padding.high) == (None, None, None)


@pytest.mark.parametrize("kind", ["US", "ED", "unknown derivation"])
def test_numbers_that_are_not_hu_have_no_hu_presets(tmp_path: Path, kind: str) -> None:
    def other(dataset: Dataset, k: int) -> None:
        if kind == "unknown derivation":
            del dataset.RescaleType
            dataset.ImageType = ["DERIVED", "SECONDARY"]
        else:
            dataset.RescaleType = kind

    Series(slices=3, edit=other).write(tmp_path)
    volume = only(tmp_path)
    assert volume.units is None
    assert not [preset for preset in window_presets(volume) if preset.needs_hu]
    assert any("Hounsfield" in warning for warning in volume.warnings)


@pytest.mark.parametrize("without", [range(12), [5]])
def test_enhanced_frames_without_a_position_are_refused(tmp_path: Path, without: Any) -> None:
    dataset = enhanced(Series())
    for k in without:
        del dataset.PerFrameFunctionalGroupsSequence[k].PlanePositionSequence
    save(dataset, tmp_path / "enhanced.dcm")
    catalogue = scan_path(tmp_path)
    assert not catalogue.entries
    assert "does not state where each of its 12 frames lies" in catalogue.refused[0].reason


def test_slices_that_arrive_after_the_scan_are_told_of(tmp_path: Path) -> None:
    folder = tmp_path / "incoming"
    paths = Series().write(tmp_path / "source")
    folder.mkdir()
    for path in paths[:8]:
        shutil.copy(path, folder)
    (entry,) = scan_path(folder).entries
    assert load(entry).warnings == ()
    (folder / "report.txt").write_text("not an image")
    assert load(entry).warnings == ()
    for path in paths[8:]:
        shutil.copy(path, folder)
    assert any("4 more images of this series have arrived" in warning for warning in load(entry).warnings)
    assert only(folder).shape[2] == 12


def tilted(folder: Path) -> Path:
    Series(shear=(0.0, 0.8, 0.0)).write(folder)
    return folder


def missing(folder: Path) -> Path:
    Series().write(folder)[5].unlink()
    return folder


@pytest.mark.parametrize("make", [tilted, missing])
def test_a_resampled_volume_is_never_the_source_of_a_segmentation(tmp_path: Path, make: Any) -> None:
    """Its planes are no acquired images, so a SEG may not refer to them; a copy of the scan is written instead."""
    from medviewer.core.progress import silent

    folder = make(tmp_path / "scan")
    assert source_headers(open_volume(folder), silent()) is None
    Series().write(tmp_path / "straight")
    assert source_headers(open_volume(tmp_path / "straight"), silent()) is not None


def test_the_command_line_tells_of_it(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    import json

    from medviewer.cli.main import main

    folder = tilted(tmp_path / "scan")
    assert main(["info", str(folder), "--json"]) == 0
    (volume,) = json.loads(capfd.readouterr().out)["volumes"]
    assert volume["warnings"][0].startswith("Resampled for a gantry tilt of 14.9°")
    out = tmp_path / "scan.nii.gz"
    assert main(["convert", str(folder), str(out), "--json"]) == 0
    assert json.loads(capfd.readouterr().out)["warnings"][0].startswith("Resampled for")
    again = open_volume(out)
    np.testing.assert_array_equal(again.array, open_volume(folder).array)


def test_a_grid_that_does_not_fit_into_memory_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from medviewer.io import dicom_pixels, dicom_series

    tilted(tmp_path)
    (entry,) = dicom_series.scan(tmp_path).entries
    monkeypatch.setattr(dicom_pixels, "_MEMORY_SHARE", 0.0)
    with pytest.raises(InputRefused, match="regular grid of this series would need"):
        dicom_series.load(entry)
