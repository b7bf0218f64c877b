"""Compressed pixels: lossless ones equal their uncompressed twins, lossy ones are close and flagged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pydicom
import pytest
from dicom_factory import Series, save
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate

from medviewer.core.volume import SeriesEntry, Volume
from medviewer.io import dicom_series

SYNTAX = "1.2.840.10008.1.2.4."


def pydicom_file(name: str) -> Path:
    """A test file inside the pydicom wheel; nothing is downloaded."""
    path = Path(pydicom.__file__).parent / "data" / "test_files" / name
    if not path.is_file():
        pytest.skip(f"{name} is not in this pydicom wheel")
    return path


def entry_of(path: Path) -> SeriesEntry:
    for entry in dicom_series.scan(path).entries:
        if any(ref.path == path for ref in entry.handle.frames):
            return entry
    raise AssertionError(dicom_series.scan(path))


def open_alone(path: Path, tmp_path: Path) -> Volume:
    """The file away from its neighbours, which share series UIDs."""
    copy = tmp_path / path.name
    copy.write_bytes(path.read_bytes())
    return dicom_series.load(entry_of(copy))


TWINS = [
    ("MR_small_RLE.dcm", "MR_small.dcm"),
    ("MR_small_jp2klossless.dcm", "MR_small.dcm"),
    ("MR_small_jpeg_ls_lossless.dcm", "MR_small.dcm"),
    ("MR_small_bigendian.dcm", "MR_small.dcm"),
    ("MR_small_expb.dcm", "MR_small.dcm"),
    ("MR_small_implicit.dcm", "MR_small.dcm"),
    ("MR_small_padded.dcm", "MR_small.dcm"),
    ("SC_rgb_rle_2frame.dcm", "SC_rgb_rle_16bit_2frame.dcm"),
    ("SC_rgb_small_odd_big_endian.dcm", "SC_rgb_small_odd.dcm"),
    ("SC_rgb_jpeg_gdcm.dcm", "SC_rgb_rle.dcm"),
    ("SC_rgb_rle_16bit.dcm", "SC_rgb_rle.dcm"),
    ("SC_rgb_rle_32bit.dcm", "SC_rgb_rle.dcm"),
]


@pytest.mark.parametrize(("name", "twin"), TWINS)
def test_lossless_equals_its_twin(name: str, twin: str, tmp_path: Path) -> None:
    found = open_alone(pydicom_file(name), tmp_path)
    expected = open_alone(pydicom_file(twin), tmp_path)
    np.testing.assert_array_equal(found.array, expected.array)
    assert not any("LOSSY" in warning for warning in found.warnings)


@pytest.mark.parametrize(
    "name",
    [
        "SC_rgb_dcmtk_+eb+cr.dcm",
        "SC_rgb_dcmtk_+eb+cy+n1.dcm",
        "SC_rgb_dcmtk_+eb+cy+n2.dcm",
        "SC_rgb_dcmtk_+eb+cy+np.dcm",
        "SC_rgb_dcmtk_+eb+cy+s2.dcm",
        "SC_rgb_dcmtk_+eb+cy+s4.dcm",
        "SC_rgb_jpeg_dcmtk.dcm",
        "SC_rgb_jpeg_lossy_gdcm.dcm",
        "SC_rgb_gdcm_KY.dcm",
        "SC_rgb_jls_lossy_line.dcm",
        "SC_rgb_jls_lossy_sample.dcm",
        "SC_ybr_full_422_uncompressed.dcm",
    ],
)
def test_lossy_color_is_close_to_its_twin(name: str, tmp_path: Path) -> None:
    found = open_alone(pydicom_file(name), tmp_path).array.astype(int)
    expected = open_alone(pydicom_file("SC_rgb_rle.dcm"), tmp_path).array.astype(int)
    assert found.shape == expected.shape
    assert np.median(np.abs(found - expected)) <= 3
    assert np.abs(found - expected).mean() <= 12


@pytest.mark.parametrize("name", ["JPEG-lossy.dcm", "JPGExtended.dcm"])
def test_twelve_bit_jpeg(name: str, tmp_path: Path) -> None:
    found = open_alone(pydicom_file(name), tmp_path)
    reference = open_alone(pydicom_file("JPEG2000.dcm"), tmp_path)
    assert np.corrcoef(found.array.ravel(), reference.array.ravel())[0, 1] > 0.95
    assert (found.array[140, 420, 0], found.array[120, 230, 0]) == (244, 95)  # what pydicom's own tests expect
    assert any("LOSSY" in warning for warning in found.warnings)


def test_signedness_follows_the_header_not_the_stream(tmp_path: Path) -> None:
    """The JPEG 2000 stream says unsigned, the header signed: CT numbers must come out right."""
    volume = open_alone(pydicom_file("J2K_pixelrep_mismatch.dcm"), tmp_path)
    assert volume.array.min() == -2000
    assert volume.array[0, 0, 0] == -2000


def _lossless_jpeg(values: NDArray[Any], predictor: int) -> bytes:
    return bytes(imagecodecs.jpeg8_encode(values, lossless=True, predictor=predictor, bitspersample=16))


ENCODERS = {
    "57": lambda values: _lossless_jpeg(values, 4),
    "70": lambda values: _lossless_jpeg(values, 1),
    "80": lambda values: bytes(imagecodecs.jpegls_encode(values)),
    "90": lambda values: bytes(imagecodecs.jpeg2k_encode(values, codecformat="j2k", reversible=True, level=0)),
    "201": lambda values: bytes(imagecodecs.htj2k_encode(values)),
}


@pytest.mark.parametrize("codec", ENCODERS)
def test_every_lossless_codec_keeps_the_oracle(tmp_path: Path, codec: str) -> None:
    series = Series(slices=5, rows=64, columns=48, signed=False)

    def compress(dataset: Dataset, k: int) -> None:
        stored = series.stored(k)
        dataset.PixelData = encapsulate([ENCODERS[codec](stored)])
        dataset["PixelData"].VR = "OB"
        dataset["PixelData"].is_undefined_length = True
        dataset.file_meta.TransferSyntaxUID = pydicom.uid.UID(SYNTAX + codec)

    plain = series.write(tmp_path / "plain")
    series.edit = compress
    packed = series.write(tmp_path / "packed")
    ours = dicom_series.load(entry_of(packed[0]))
    expected = dicom_series.load(entry_of(plain[0]))
    np.testing.assert_array_equal(ours.array, expected.array)
    np.testing.assert_allclose(ours.affine, expected.affine)  # type: ignore[arg-type]


def _two_fragments(data: bytes) -> list[bytes]:
    middle = len(data) // 4 * 2
    return [data[:middle], data[middle:]]


@pytest.mark.parametrize("table", [True, False])
def test_frames_of_several_fragments(tmp_path: Path, table: bool) -> None:
    """A cine of four JPEG-LS frames, each cut into two fragments, with and without an offset table."""
    rng = np.random.default_rng(2)
    frames = [np.asarray(rng.integers(0, 4000, (40, 30)), np.uint16) for _ in range(4)]
    streams = [bytes(imagecodecs.jpegls_encode(frame)) for frame in frames]
    dataset = Series(slices=1, rows=40, columns=30, signed=False, origin=(0.0, 0.0, 200.0)).dataset(0)
    dataset.Modality, dataset.NumberOfFrames = "XA", 4
    dataset.PixelData = encapsulate(streams, fragments_per_frame=2, has_bot=table)
    dataset["PixelData"].VR, dataset["PixelData"].is_undefined_length = "OB", True
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.UID(SYNTAX + "80")
    dataset.RescaleIntercept = 0
    volume = dicom_series.load(entry_of(save(dataset, tmp_path / "cine.dcm")))
    assert volume.kind == "cine"
    for k, frame in enumerate(frames):
        np.testing.assert_array_equal(volume.array[:, :, k].T, frame)


def test_palette_color_becomes_rgb(tmp_path: Path) -> None:
    path = pydicom_file("examples_palette.dcm")
    volume = open_alone(path, tmp_path)
    dataset = pydicom.dcmread(path)
    from pydicom.pixels.processing import apply_color_lut

    expected = apply_color_lut(dataset.pixel_array, dataset) >> 8
    np.testing.assert_array_equal(volume.array[:, :, 0].swapaxes(0, 1), expected)
    assert volume.array.dtype == np.uint8
    assert volume.calibrated_regions


@pytest.mark.parametrize("name", ["examples_rgb_color.dcm", "examples_jpeg2k.dcm"])
def test_color_ultrasound(name: str, tmp_path: Path) -> None:
    path = pydicom_file(name)
    volume = open_alone(path, tmp_path)
    assert volume.is_color
    assert volume.modality == "US"
    if name.startswith("examples_rgb"):
        np.testing.assert_array_equal(volume.array[:, :, 0].swapaxes(0, 1), pydicom.dcmread(path).pixel_array)


def test_ultrasound_cine_is_time_not_a_volume(tmp_path: Path) -> None:
    volume = open_alone(pydicom_file("examples_ybr_color.dcm"), tmp_path)
    assert volume.kind == "cine"
    assert volume.shape == (320, 240, 30)
    assert volume.affine is None
    assert volume.frame_time_ms is not None
    assert volume.spacing_mm is not None
    assert volume.spacing_mm[2] == 0.0
    assert volume.voxel_ml is None


def test_one_frame_of_a_cine_is_read_alone(tmp_path: Path) -> None:
    copy = tmp_path / "cine.dcm"
    copy.write_bytes(pydicom_file("examples_ybr_color.dcm").read_bytes())
    entry = entry_of(copy)
    np.testing.assert_array_equal(dicom_series.load_slice(entry, 17), dicom_series.load(entry).array[:, :, 17])
    assert dicom_series.load_thumbnail(entry, 96).shape == (60, 80, 3)


def test_segmented_palette(tmp_path: Path) -> None:
    """Discrete values 0 and 100, then a line of 4 steps to 500; 16 bits, of which the upper 8 are shown."""
    dataset = Series(slices=1, rows=1, columns=6, signed=False).dataset(0)
    dataset.Modality, dataset.PhotometricInterpretation = "US", "PALETTE COLOR"
    dataset.PixelData = np.arange(6, dtype="<u2").tobytes()
    words = np.array([0, 2, 0, 100 << 8, 1, 4, 120 << 8], "<u2").tobytes()
    for color in ("Red", "Green", "Blue"):
        setattr(dataset, f"{color}PaletteColorLookupTableDescriptor", [6, 0, 16])
        setattr(dataset, f"Segmented{color}PaletteColorLookupTableData", words)
    found = dicom_series.load(entry_of(save(dataset, tmp_path / "a.dcm"))).array[:, 0, 0, 0]
    np.testing.assert_array_equal(found, [0, 100, 105, 110, 115, 120])
