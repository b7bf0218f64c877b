"""Bad input: each file gets one sentence and a hint, the rest of the folder stays usable, nothing crashes."""

from __future__ import annotations

import os
import struct
import time
import zlib
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import psutil
import pydicom
import pytest
from dicom_factory import Series, enhanced, save
from pydicom.dataset import Dataset, FileDataset
from pydicom.encaps import encapsulate
from pydicom.uid import DeflatedExplicitVRLittleEndian, RLELossless

from medviewer.core.errors import Cancelled, InputRefused
from medviewer.core.progress import Progress
from medviewer.core.volume import ScanResult, SeriesEntry
from medviewer.io import dicom_series

pytestmark = pytest.mark.filterwarnings("ignore:Invalid value for VR")  # written here on purpose


def reasons(result: ScanResult) -> str:
    return " ".join(item.reason for item in result.refused)


def one_slice(**changes: Any) -> FileDataset:
    dataset = Series(slices=1).dataset(0)
    for keyword, value in changes.items():
        setattr(dataset, keyword, value)
    return dataset


def packed(dataset: FileDataset, syntax: str, frames: list[bytes]) -> FileDataset:
    dataset.PixelData = encapsulate(frames)
    dataset["PixelData"].VR, dataset["PixelData"].is_undefined_length = "OB", True
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.UID(syntax)
    return dataset


def test_empty_folder(tmp_path: Path) -> None:
    assert dicom_series.scan(tmp_path) == ScanResult()


def test_path_that_is_not_there(tmp_path: Path) -> None:
    result = dicom_series.scan(tmp_path / "nothing.dcm")
    assert not result.entries
    assert "cannot be opened" in reasons(result)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty (0 bytes)"),
        (b"Dear colleague,\n" * 40, "not a DICOM file"),
        (b"%PDF-1.4\n" + bytes(500), "not a DICOM"),
    ],
)
def test_other_files_called_dcm(tmp_path: Path, data: bytes, reason: str) -> None:
    Series(slices=3).write(tmp_path)
    (tmp_path / "letter.dcm").write_bytes(data)
    result = dicom_series.scan(tmp_path)
    assert [entry.shape_xyz[2] for entry in result.entries] == [3]
    assert reason in reasons(result)
    assert "letter.dcm" in reasons(result)


@pytest.mark.skipif(os.name == "nt", reason="POSIX permissions and pipes")
def test_special_files(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.dcm")
    (tmp_path / "loop").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "zero.dcm").symlink_to("/dev/zero")
    (tmp_path / "gone.dcm").symlink_to(tmp_path / "nowhere")
    Series(slices=2).write(tmp_path / "good")
    result = dicom_series.scan(tmp_path)
    assert len(result.entries) == 1
    assert reasons(result).count("not an ordinary file") == 2
    assert "gone.dcm cannot be opened" in reasons(result)


def test_no_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = Series(slices=3).write(tmp_path)
    really_open = os.open

    def forbidden(path: Any, *arguments: Any) -> int:
        if Path(path) == paths[2]:
            raise PermissionError(13, "Permission denied")
        return really_open(path, *arguments)

    monkeypatch.setattr(os, "open", forbidden)
    result = dicom_series.scan(tmp_path)
    assert "Check its permissions" in reasons(result)
    assert [entry.shape_xyz[2] for entry in result.entries] == [2]
    assert any("may be incomplete" in warning for warning in result.entries[0].warnings)


def test_last_slice_cut_in_its_header_is_warned_of(tmp_path: Path) -> None:
    paths = Series().write(tmp_path)
    paths[-1].write_bytes(paths[-1].read_bytes()[:600])
    (entry,) = dicom_series.scan(tmp_path).entries
    assert entry.shape_xyz[2] == 11
    assert any("may be incomplete" in warning and paths[-1].name in warning for warning in entry.warnings)


@pytest.mark.parametrize("share", np.linspace(0.02, 0.98, 20))
def test_truncated_anywhere(tmp_path: Path, share: float) -> None:
    path = Series(slices=1, rows=64, columns=64).write(tmp_path)[0]
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    result = dicom_series.scan(tmp_path)
    assert not result.entries
    assert path.name in reasons(result)


def test_file_that_shrinks_after_the_scan(tmp_path: Path) -> None:
    paths = Series().write(tmp_path)
    entry = dicom_series.scan(tmp_path).entries[0]
    paths[7].write_bytes(paths[7].read_bytes()[:-10])
    with pytest.raises(InputRefused, match=paths[7].name):
        dicom_series.load(entry)


def test_truncated_jpeg_2000(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 4000, (20, 24)).astype(np.uint16)
    data = bytes(imagecodecs.jpeg2k_encode(pixels, codecformat="j2k", reversible=True, level=0))
    path = save(packed(one_slice(PixelRepresentation=0), "1.2.840.10008.1.2.4.90", [data]), tmp_path / "a.dcm")
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(InputRefused, match=r"a\.dcm"):
        dicom_series.load(dicom_series.scan(path).entries[0])


def test_element_longer_than_the_file(tmp_path: Path) -> None:
    path = Series(slices=1).write(tmp_path)[0]
    data = path.read_bytes()
    at = data.index(b"\x08\x00\x70\x00LO")
    path.write_bytes(data[:at] + b"\x08\x00\x70\x00UT\0\0" + struct.pack("<I", 2_000_000_000) + b"abc")
    assert "cut short" in reasons(dicom_series.scan(path))


@pytest.mark.parametrize("depth", [300, 5000])
def test_deeply_nested_sequences(tmp_path: Path, depth: int) -> None:
    path = Series(slices=1).write(tmp_path)[0]
    data = path.read_bytes()
    opened = b"\x09\x00\x10\x10SQ\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff" * depth
    closed = b"\xfe\xff\x0d\xe0\0\0\0\0\xfe\xff\xdd\xe0\0\0\0\0" * depth
    at = data.index(b"\x10\x00\x10\x00PN")
    path.write_bytes(data[:at] + opened + closed + data[at:])
    start = time.perf_counter()
    result = dicom_series.scan(path)
    assert time.perf_counter() - start < 5
    assert len(result.entries) == 1  # nothing in there is needed


def test_deflate_bomb(tmp_path: Path) -> None:
    path = Series(slices=1, syntax=DeflatedExplicitVRLittleEndian).write(tmp_path)[0]
    from medviewer.io.dicom_header import deflated_start

    data = path.read_bytes()
    compressor = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    element = b"\x08\x00\x70\x00UT\0\0" + struct.pack("<I", 1 << 30)
    stream = compressor.compress(element) + b"".join(compressor.compress(bytes(1 << 24)) for _ in range(64))
    path.write_bytes(data[: deflated_start(data)] + stream + compressor.flush())
    before = psutil.Process().memory_info().rss
    result = dicom_series.scan(path)
    assert not result.entries
    assert result.refused
    assert psutil.Process().memory_info().rss - before < 500e6


def test_impossible_size_is_refused_before_memory_is_asked_for(tmp_path: Path) -> None:
    dataset = one_slice(Rows=65535, Columns=65535, NumberOfFrames=2**31 - 1)
    result = dicom_series.scan(save(dataset, tmp_path / "a.dcm"))
    assert not result.entries
    assert "cut short" in reasons(result)


def test_forged_rle_size(tmp_path: Path) -> None:
    dataset = packed(
        one_slice(Rows=65535, Columns=65535, NumberOfFrames=50, Modality="XA"), RLELossless, [bytes(64)] * 50
    )
    result = dicom_series.scan(save(dataset, tmp_path / "a.dcm"))
    for entry in result.entries:
        with pytest.raises(InputRefused, match="GB of memory"):
            dicom_series.load(entry)


@pytest.mark.parametrize("syntax", ["80", "90"])
def test_code_stream_larger_than_the_header_says(tmp_path: Path, syntax: str) -> None:
    pixels = np.zeros((400, 300), np.uint16)
    encode = imagecodecs.jpegls_encode if syntax == "80" else imagecodecs.jpeg2k_encode
    dataset = packed(one_slice(), "1.2.840.10008.1.2.4." + syntax, [bytes(encode(pixels))])
    entry = dicom_series.scan(save(dataset, tmp_path / "a.dcm")).entries[0]
    with pytest.raises(InputRefused, match="400 x 300"):
        dicom_series.load(entry)


@pytest.mark.parametrize(
    "changes",
    [
        {"BitsAllocated": 12},
        {"BitsStored": 17},
        {"HighBit": 16},
        {"BitsStored": 14, "HighBit": 11},
        {"SamplesPerPixel": 2},
    ],
)
def test_impossible_pixel_format(tmp_path: Path, changes: dict[str, int]) -> None:
    result = dicom_series.scan(save(one_slice(**changes), tmp_path / "a.dcm"))
    assert not result.entries
    assert "a.dcm" in reasons(result)


def test_unsupported_compression_is_named(tmp_path: Path) -> None:
    dataset = packed(one_slice(), "1.2.840.10008.1.2.4.95", [b"1234"])
    result = dicom_series.scan(save(dataset, tmp_path / "a.dcm"))
    assert not result.entries
    assert "is not supported" in reasons(result)


def test_compression_that_contradicts_the_transfer_syntax(tmp_path: Path) -> None:
    dataset = packed(one_slice(), "1.2.840.10008.1.2.4.90", [b"1234"])
    path = save(dataset, tmp_path / "a.dcm")
    path.write_bytes(path.read_bytes().replace(b"1.2.840.10008.1.2.4.90", b"1.2.840.10008.1.2.1\0\0\0"))
    assert "says it is uncompressed but is compressed" in reasons(dicom_series.scan(path))


def test_palette_shorter_than_it_says(tmp_path: Path) -> None:
    dataset = one_slice(PhotometricInterpretation="PALETTE COLOR", Modality="US", PixelRepresentation=0)
    for color in ("Red", "Green", "Blue"):
        setattr(dataset, f"{color}PaletteColorLookupTableDescriptor", [4096, 0, 16])
        setattr(dataset, f"{color}PaletteColorLookupTableData", bytes(100))
    entry = dicom_series.scan(save(dataset, tmp_path / "a.dcm")).entries[0]
    with pytest.raises(InputRefused, match="colour table"):
        dicom_series.load(entry)


@pytest.mark.parametrize("value", ["abc", "1,5", "1e999"])
def test_numbers_that_are_none_are_unknown(tmp_path: Path, value: str) -> None:
    path = save(one_slice(KVP="120"), tmp_path / "a.dcm")
    data = path.read_bytes()
    at = data.index(b"\x18\x00\x60\x00DS")
    path.write_bytes(data[: at + 6] + struct.pack("<H", 6) + value.encode().ljust(6) + data[at + 12 :])
    entry = dicom_series.scan(path).entries[0]
    assert entry.facts["kvp"].value in (None, float("inf"))


def test_other_dicom_objects_are_called_by_their_name(tmp_path: Path) -> None:
    names = {
        "1.2.840.10008.5.1.4.1.1.66.4": "a DICOM Segmentation",
        "1.2.840.10008.5.1.4.1.1.88.33": "Structured Report",
        "1.2.840.10008.5.1.4.1.1.481.3": "RT Structure Set",
        "1.2.840.10008.5.1.4.1.1.11.1": "Presentation State",
        "1.2.840.10008.5.1.4.1.1.88.59": "Key Object Selection",
        "1.2.840.10008.5.1.4.1.1.104.1": "encapsulated document",
    }
    for index, uid in enumerate(names):
        dataset = one_slice(SOPClassUID=uid)
        dataset.file_meta.MediaStorageSOPClassUID = uid
        save(dataset, tmp_path / f"{index}.dcm")
    result = dicom_series.scan(tmp_path)
    assert not result.entries
    for name in names.values():
        assert f"{name}." in reasons(result).replace(" (PDF, CDA or model)", "")


def test_file_without_preamble(tmp_path: Path) -> None:
    path = Series(slices=1).write(tmp_path)[0]
    path.write_bytes(path.read_bytes()[132:])
    entry = dicom_series.scan(path).entries[0]
    assert any("no DICOM preamble" in warning for warning in entry.warnings)
    assert dicom_series.load(entry).shape == (24, 20, 1)


def test_mixed_folder(tmp_path: Path) -> None:
    Series(slices=4).write(tmp_path / "ct")
    Series(slices=5).write(tmp_path / "ct2" / "deeper")
    for index in range(30):
        (tmp_path / f"note{index}.txt").write_text("text")
    (tmp_path / "noise.dcm").write_bytes(np.random.default_rng(0).bytes(5000))
    result = dicom_series.scan(tmp_path)
    assert sorted(entry.shape_xyz[2] for entry in result.entries) == [4, 5]
    assert len(result.refused) == 1


def test_scan_can_be_cancelled(tmp_path: Path) -> None:
    Series(slices=3).write(tmp_path)
    with pytest.raises(Cancelled):
        dicom_series.scan(tmp_path, Progress(is_cancelled=lambda: True))


def test_load_can_be_cancelled(tmp_path: Path) -> None:
    Series(slices=6).write(tmp_path)
    entry = dicom_series.scan(tmp_path).entries[0]
    with pytest.raises(Cancelled):
        dicom_series.load(entry, Progress(is_cancelled=lambda: True))


@pytest.mark.parametrize("value", [b"abc", b"1e999", b"0"])
def test_rescale_that_is_no_number_is_refused(tmp_path: Path, value: bytes) -> None:
    path = save(one_slice(RescaleSlope="1.0000"), tmp_path / "a.dcm")
    data = path.read_bytes()
    at = data.index(b"\x28\x00\x53\x10DS")
    path.write_bytes(data[: at + 8] + value.ljust(6) + data[at + 14 :])
    result = dicom_series.scan(path)
    assert not result.entries
    assert "rescale" in reasons(result)


@pytest.mark.parametrize(
    ("samples", "photometric"), [(3, "MONOCHROME2"), (1, "RGB"), (3, "YBR_PARTIAL_422"), (3, "HSV")]
)
def test_photometric_interpretations_that_are_not_read(tmp_path: Path, samples: int, photometric: str) -> None:
    dataset = one_slice(SamplesPerPixel=samples, PhotometricInterpretation=photometric, PlanarConfiguration=0)
    dataset.PixelData = dataset.PixelData * samples
    result = dicom_series.scan(save(dataset, tmp_path / "a.dcm"))
    assert not result.entries
    assert photometric in reasons(result)


def test_slice_without_position_is_listed_apart(tmp_path: Path) -> None:
    def lose(dataset: Dataset, k: int) -> None:
        if k == 11:
            del dataset.ImagePositionPatient

    Series(edit=lose).write(tmp_path)
    result = dicom_series.scan(tmp_path)
    assert [(entry.kind, entry.shape_xyz[2]) for entry in result.entries] == [("volume", 11), ("image", 1)]
    assert any("no usable position" in warning for warning in result.entries[0].warnings)


@pytest.mark.parametrize("name", ["plain", "enhanced", "palette", "deflated", "cine"])
def test_damaged_headers_never_end_the_program(tmp_path: Path, name: str) -> None:
    """60 mutants of each kind: a volume or a refusal, nothing else; the seed makes them the same in every run."""
    rng = np.random.default_rng(7)
    original = _originals(name, tmp_path / "original.dcm")
    path = tmp_path / "mutant.dcm"
    for _ in range(60):
        data = bytearray(original)
        for _ in range(int(rng.integers(1, 8))):
            data[int(rng.integers(0, min(len(data), 6000)))] = int(rng.integers(0, 256))
        path.write_bytes(data)
        result = dicom_series.scan(path)
        assert result.entries or result.refused
        for entry in result.entries:
            refusal = _refusal(entry)
            assert refusal is None or "mutant.dcm" in refusal


def _refusal(entry: SeriesEntry) -> str | None:
    try:
        assert dicom_series.load(entry).shape == entry.shape_xyz
    except InputRefused as error:
        return error.message
    return None


def _originals(name: str, path: Path) -> bytes:
    if name == "enhanced":
        dataset = enhanced(Series(slices=4))
    elif name == "deflated":
        dataset = Series(slices=1, syntax=DeflatedExplicitVRLittleEndian).dataset(0)
    elif name == "palette":
        dataset = one_slice(PhotometricInterpretation="PALETTE COLOR", Modality="US", PixelRepresentation=0)
        for color in ("Red", "Green", "Blue"):
            setattr(dataset, f"{color}PaletteColorLookupTableDescriptor", [16, 0, 16])
            setattr(dataset, f"{color}PaletteColorLookupTableData", bytes(range(32)))
    elif name == "cine":
        dataset = one_slice(Modality="XA", NumberOfFrames=3)
        dataset.PixelData = dataset.PixelData * 3
    else:
        dataset = one_slice()
    return save(dataset, path).read_bytes()
