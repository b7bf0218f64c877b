"""Single images and cine: spacing only where it is known, frames are time, facts with their origin."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dicom_factory import Series, save
from pydicom.dataset import Dataset, FileDataset

from medviewer.core.volume import Volume
from medviewer.io import dicom_series

PLACE = ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "FrameOfReferenceUID", "RescaleType")


def picture(modality: str, **values: Any) -> FileDataset:
    """A 2D image of a modality, without any place in the patient."""
    dataset = Series(slices=1, signed=False).dataset(0)
    for keyword in PLACE:
        delattr(dataset, keyword)
    dataset.Modality = modality
    dataset.RescaleIntercept = 0
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    return dataset


def opened(dataset: FileDataset, path: Path) -> Volume:
    (entry,) = dicom_series.scan(save(dataset, path / "image.dcm")).entries
    return dicom_series.load(entry)


def test_pixel_spacing_of_an_x_ray(tmp_path: Path) -> None:
    volume = opened(picture("DX", PixelSpacing=[0.2, 0.1], ImagerPixelSpacing=[0.4, 0.4]), tmp_path)
    assert volume.spacing_mm == (0.1, 0.2, 0.0)
    assert volume.spacing_note == ""
    assert volume.kind == "image"
    assert volume.affine is None


def test_imager_pixel_spacing_is_at_the_detector(tmp_path: Path) -> None:
    volume = opened(picture("CR", ImagerPixelSpacing=[0.2, 0.1]), tmp_path)
    assert volume.spacing_mm == (0.1, 0.2, 0.0)
    assert volume.spacing_note == "at the detector"
    assert any("detector" in warning for warning in volume.warnings)


def test_pixel_spacing_equal_to_the_imager_spacing_is_not_corrected(tmp_path: Path) -> None:
    volume = opened(picture("DX", PixelSpacing=[0.2, 0.1], ImagerPixelSpacing=[0.2, 0.1]), tmp_path)
    assert volume.spacing_note == "at the detector"


@pytest.mark.parametrize("spacing", [None, [0, 0], [-1, 1]])
def test_unknown_spacing_stays_unknown(tmp_path: Path, spacing: list[float] | None) -> None:
    values = {} if spacing is None else {"PixelSpacing": spacing}
    volume = opened(picture("DX", **values), tmp_path)
    assert volume.spacing_mm is None
    assert volume.pixel_area_mm2 is None
    assert any("in pixels" in warning for warning in volume.warnings)


def test_patient_orientation_and_view(tmp_path: Path) -> None:
    dataset = picture("DX", PatientOrientation=["L", "F"], ViewPosition="PA", BodyPartExamined="CHEST")
    volume = opened(dataset, tmp_path)
    assert volume.patient_orientation == ("L", "F")
    assert volume.facts["view_position"].value == "PA"
    assert volume.facts["view_position"].origin == "DICOM"
    assert volume.facts["contrast_agent"].value is None
    assert volume.facts["contrast_agent"].origin == "unknown"


def test_x_ray_with_a_position_is_still_an_image(tmp_path: Path) -> None:
    dataset = Series(slices=1).dataset(0)
    dataset.Modality = "XA"
    assert opened(dataset, tmp_path).kind == "image"


def test_two_views_of_a_chest_are_two_images(tmp_path: Path) -> None:
    first = picture("DX")
    second = picture("DX", SeriesInstanceUID=first.SeriesInstanceUID, InstanceNumber=2)
    save(first, tmp_path / "pa.dcm")
    save(second, tmp_path / "lateral.dcm")
    entries = dicom_series.scan(tmp_path).entries
    assert [entry.id for entry in entries] == [first.SeriesInstanceUID, f"{first.SeriesInstanceUID}/2"]
    assert [entry.kind for entry in entries] == ["image", "image"]


def _region(dx: float, dy: float, unit: int = 3) -> Dataset:
    region = Dataset()
    region.RegionLocationMinX0, region.RegionLocationMinY0 = 2, 3
    region.RegionLocationMaxX1, region.RegionLocationMaxY1 = 20, 15
    region.PhysicalUnitsXDirection = region.PhysicalUnitsYDirection = unit
    region.PhysicalDeltaX, region.PhysicalDeltaY = dx, dy
    return region


def test_ultrasound_spacing_of_one_region(tmp_path: Path) -> None:
    volume = opened(picture("US", SequenceOfUltrasoundRegions=[_region(0.03, 0.04)]), tmp_path)
    assert volume.spacing_mm == pytest.approx((0.3, 0.4, 0.0))
    assert volume.calibrated_regions == ({"x0": 2, "y0": 3, "x1": 20, "y1": 15, "dx": 0.3, "dy": 0.4},)


def test_ultrasound_regions_that_differ_give_no_spacing(tmp_path: Path) -> None:
    regions = [_region(0.03, 0.03), _region(0.05, 0.05)]
    volume = opened(picture("US", SequenceOfUltrasoundRegions=regions, PixelSpacing=[1, 1]), tmp_path)
    assert volume.spacing_mm is None
    assert len(volume.calibrated_regions) == 2


def test_ultrasound_region_in_seconds_is_not_a_length(tmp_path: Path) -> None:
    volume = opened(picture("US", SequenceOfUltrasoundRegions=[_region(0.03, 0.03, unit=4)]), tmp_path)
    assert volume.calibrated_regions == ()
    assert volume.spacing_mm is None


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"FrameTime": 40}, 40.0),
        ({"FrameTimeVector": [0, 50, 70]}, 60.0),
        ({"RecommendedDisplayFrameRate": 25}, 40.0),
        ({"CineRate": 20}, 50.0),
        ({}, None),
    ],
)
@pytest.mark.parametrize("modality", ["US", "XA", "RF"])
def test_cine(tmp_path: Path, modality: str, values: dict[str, Any], expected: float | None) -> None:
    frames = np.arange(3 * 20 * 24, dtype="<u2").reshape(3, 20, 24)
    dataset = picture(modality, NumberOfFrames=3, PixelData=frames.tobytes(), **values)
    volume = opened(dataset, tmp_path)
    assert volume.kind == "cine"
    assert volume.frame_time_ms == expected
    np.testing.assert_array_equal(volume.array.transpose(2, 1, 0), frames)
    assert volume.source.frame_numbers == (1, 2, 3)
    assert len(volume.source.files) == 1


def test_multi_frame_without_positions_is_not_stacked(tmp_path: Path) -> None:
    frames = np.zeros((3, 20, 24), "<u2")
    volume = opened(picture("NM", NumberOfFrames=3, PixelData=frames.tobytes()), tmp_path)
    assert volume.kind == "cine"
    assert any("not stacked" in warning for warning in volume.warnings)


@pytest.mark.parametrize("planar", [0, 1])
@pytest.mark.parametrize("photometric", ["RGB", "YBR_FULL"])
def test_native_color(tmp_path: Path, planar: int, photometric: str) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (20, 24, 3)).astype(np.uint8)
    stored = np.moveaxis(pixels, -1, 0) if planar else pixels
    dataset = picture(
        "US", SamplesPerPixel=3, PhotometricInterpretation=photometric, PlanarConfiguration=planar, BitsAllocated=8
    )
    dataset.BitsStored, dataset.HighBit, dataset.PixelData = 8, 7, np.ascontiguousarray(stored).tobytes()
    found = opened(dataset, tmp_path).array[:, :, 0].swapaxes(0, 1)
    if photometric == "RGB":
        np.testing.assert_array_equal(found, pixels)
        return
    from pydicom.pixels.processing import convert_color_space

    expected = convert_color_space(pixels, "YBR_FULL", "RGB").astype(int)
    assert np.abs(found - expected).max() <= 1


def test_burned_in_text_and_lossy_compression_are_warned_of(tmp_path: Path) -> None:
    volume = opened(picture("US", BurnedInAnnotation="YES", LossyImageCompression="01"), tmp_path)
    text = " ".join(volume.warnings)
    assert "burned into the pixels" in text
    assert "LOSSY" in text
    assert volume.facts["lossy_compression"].value == "yes"


def test_identity_line_and_window(tmp_path: Path) -> None:
    dataset = picture("CR", WindowCenter=[300, 40], WindowWidth=[1500, 400])
    dataset.SpecificCharacterSet = "ISO_IR 100"
    dataset.PatientName = "Müller^Jürgen^^Dr"
    volume = opened(dataset, tmp_path)
    assert volume.patient.name == "Müller, Jürgen, Dr"
    assert (volume.patient.id, volume.patient.sex, volume.patient.birth_date) == ("S1", "F", "19700101")
    assert volume.window == (1500.0, 300.0)


def test_padding_value_is_a_fact_in_the_values_of_the_volume(tmp_path: Path) -> None:
    def pad(dataset: Dataset, k: int) -> None:
        dataset.add_new(0x00280120, "SS", -2000)

    Series(slices=2, edit=pad).write(tmp_path)
    (entry,) = dicom_series.scan(tmp_path).entries
    assert entry.facts["pixel_padding_value"].value == -3024.0


def test_entry_is_picklable_and_light(tmp_path: Path) -> None:
    import pickle

    Series(slices=5).write(tmp_path)
    (entry,) = dicom_series.scan(tmp_path).entries
    again = pickle.loads(pickle.dumps(entry))
    np.testing.assert_array_equal(dicom_series.load(again).array, dicom_series.load(entry).array)
