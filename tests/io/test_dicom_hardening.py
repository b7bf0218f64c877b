"""Files that contradict the standard or themselves: opened with a note, or refused by name, and nothing in between."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pydicom
import pytest
from dicom_factory import Series, save
from pydicom.dataset import FileDataset
from pydicom.encaps import encapsulate

from medviewer.core.errors import InputRefused
from medviewer.core.volume import SeriesEntry, Volume
from medviewer.io import dicom_series
from medviewer.io.dicom_header import read_header

pytestmark = pytest.mark.filterwarnings("ignore:Invalid value for VR")  # written here on purpose
J2K, RLE = "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.5"
VALUES = np.random.default_rng(0).integers(0, 4000, (20, 24)).astype(np.uint16)


def one_slice(**changes: Any) -> FileDataset:
    dataset = Series(slices=1, signed=False, intercept=0.0, origin=(0.0, 0.0, 300.0)).dataset(0)
    for keyword, value in changes.items():
        setattr(dataset, keyword, value)
    return dataset


def packed(syntax: str, items: bytes | list[bytes], **changes: Any) -> FileDataset:
    """A compressed file; `items` are frames, or the whole encapsulated value as bytes."""
    dataset = one_slice(**changes)
    dataset.PixelData = encapsulate(items) if isinstance(items, list) else items
    dataset["PixelData"].VR, dataset["PixelData"].is_undefined_length = "OB", True
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.UID(syntax)
    return dataset


def opened(path: Path) -> Volume:
    """The one volume of a file."""
    return dicom_series.load(entry_of(path))


def entry_of(path: Path) -> SeriesEntry:
    result = dicom_series.scan(path)
    assert result.entries, result.refused
    return result.entries[0]


def refusal(path: Path) -> str:
    """Why the file was refused, by the scan or by loading; it must name the file."""
    result = dicom_series.scan(path)
    if result.entries:
        with pytest.raises(InputRefused) as error:
            dicom_series.load(result.entries[0])
        text = error.value.message
    else:
        text = result.refused[0].reason
    assert path.name in text
    return text


def j2k() -> bytes:
    return bytes(imagecodecs.jpeg2k_encode(VALUES, codecformat="j2k", reversible=True, level=0))


def item(data: bytes, length: int | None = None) -> bytes:
    """An item of encapsulated pixel data, which may lie about its length."""
    return struct.pack("<HHI", 0xFFFE, 0xE000, len(data) if length is None else length) + data


END = struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
FRAGMENTS = {
    "offset table past the end": (item(struct.pack("<2I", 0, 1 << 30)) + item(j2k()[:100]) + item(j2k()[100:]), 2),
    "offset table that does not begin at 0": (item(struct.pack("<2I", 8, 16)) + item(j2k()) * 3, 2),
    "offset table with two equal entries": (item(struct.pack("<2I", 0, 0)) + item(j2k()) * 3, 2),
    "fragment past the end": (item(b"") + item(j2k(), 1 << 30), 1),
    "fragment of undefined length": (item(b"") + item(j2k(), 0xFFFFFFFF), 1),
    "fragment of one byte": (item(b"") + item(b"\xff"), 1),
    "fragment of no bytes": (item(b"") + item(b""), 1),
    "no fragment": (item(b""), 1),
    "no items at all": (b"", 1),
    "other elements between": (item(b"") + b"\x10\x00\x10\x00PN\x04\0ABCD" + item(j2k()), 1),
    "fewer frames than claimed": (item(b"") + item(j2k()), 3),
}


@pytest.mark.parametrize("name", FRAGMENTS)
def test_fragments_that_lie(tmp_path: Path, name: str) -> None:
    items, frames = FRAGMENTS[name]
    dataset = packed(J2K, item(b""), NumberOfFrames=frames, Modality="XA")
    path = save(dataset, tmp_path / "a.dcm")
    data = path.read_bytes()
    at = data.index(b"\xe0\x7f\x10\x00") + 12
    path.write_bytes(data[:at] + items + END)
    assert refusal(path)


def test_an_item_between_good_ones_is_not_skipped(tmp_path: Path) -> None:
    """One frame in three fragments is read whole."""
    data = j2k()
    path = save(packed(J2K, item(b"") + item(data[:100]) + item(data[100:200]) + item(data[200:])), tmp_path / "a.dcm")
    np.testing.assert_array_equal(opened(path).array[:, :, 0].T, VALUES)


@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
@pytest.mark.parametrize("codec", ["50", "70", "80", "90", "201"])
def test_a_code_stream_that_is_cut_short_is_refused(tmp_path: Path, codec: str, share: float) -> None:
    """libjpeg and OpenJPH fill what is missing with grey or leftovers and report nothing."""
    eight = {"BitsAllocated": 8, "BitsStored": 8, "HighBit": 7} if codec == "50" else {}
    noise = np.random.default_rng(1).integers(0, 256 if eight else 4000, (20, 24))
    encode: dict[str, Any] = {
        "50": lambda: imagecodecs.jpeg8_encode(noise.astype(np.uint8), level=90),
        "70": lambda: imagecodecs.jpeg8_encode(noise.astype(np.uint16), lossless=True, predictor=1, bitspersample=16),
        "80": lambda: imagecodecs.jpegls_encode(noise.astype(np.uint16)),
        "90": lambda: imagecodecs.jpeg2k_encode(noise.astype(np.uint16), codecformat="j2k", reversible=True, level=0),
        "201": lambda: imagecodecs.htj2k_encode(noise.astype(np.uint16)),
    }
    whole = bytes(encode[codec]())
    syntax = "1.2.840.10008.1.2.4." + codec
    assert opened(save(packed(syntax, [whole], **eight), tmp_path / "whole.dcm")).shape == (24, 20, 1)
    cut = save(packed(syntax, [whole[: int(len(whole) * share)]], **eight), tmp_path / "cut.dcm")
    assert "could not be decoded" in refusal(cut)


def rle(*segments: bytes) -> bytes:
    """An RLE frame with these segments."""
    starts = [64 + sum(map(len, segments[:k])) for k in range(len(segments))]
    head = struct.pack("<16I", len(segments), *starts, *[0] * (15 - len(segments)))
    return head + b"".join(segments)


SEGMENT = b"\x81\x07" * 3 + bytes([95]) + bytes(96)  # 384 + 96 = 480 bytes


@pytest.mark.parametrize(
    ("segments", "good"),
    [
        ((SEGMENT, SEGMENT), True),
        ((SEGMENT + b"\0", SEGMENT), True),  # padding
        ((SEGMENT,), False),
        ((SEGMENT, SEGMENT[:-2]), False),
        ((SEGMENT, SEGMENT[:-97]), False),
        ((SEGMENT, b"\x81\x07" * 4), False),  # 512 bytes
        ((SEGMENT, SEGMENT + b"\x81\x07"), False),
        ((SEGMENT, SEGMENT, SEGMENT), False),
    ],
)
def test_rle_segments_unpack_to_the_image_exactly(tmp_path: Path, segments: tuple[bytes, ...], good: bool) -> None:
    path = save(packed(RLE, [rle(*segments)]), tmp_path / "a.dcm")
    if good:
        assert opened(path).array[0, 0, 0] == 0x0707
    else:
        assert "RLE" in refusal(path)


def test_plain_pixels_under_a_compressed_syntax(tmp_path: Path) -> None:
    path = save(one_slice(), tmp_path / "a.dcm")
    data = path.read_bytes()
    at = data.index(b"1.2.840.10008.1.2.1\0")
    syntax = J2K.encode()
    path.write_bytes(data[: at - 2] + struct.pack("<H", len(syntax)) + syntax + data[at + 20 :])
    assert "compressed but is not" in refusal(path)


@pytest.mark.parametrize("keyword", ["PixelSpacing", "ImagePositionPatient", "ImageOrientationPatient"])
@pytest.mark.parametrize("value", [b"1,5\\2,5\\3,5", b"abc", b"\\\\", b"1e400\\1\\1", b"nan\\1\\1"])
def test_geometry_that_is_no_number_is_unknown(tmp_path: Path, keyword: str, value: bytes) -> None:
    """The picture opens without a place, or is refused; it never gets a guessed one."""
    path = save(one_slice(), tmp_path / "a.dcm")
    data = path.read_bytes()
    tag = {"PixelSpacing": b"\x28\x00\x30\x00", "ImagePositionPatient": b"\x20\x00\x32\x00"}.get(
        keyword, b"\x20\x00\x37\x00"
    )
    at = data.index(tag + b"DS")
    old = struct.unpack_from("<H", data, at + 6)[0]
    value = value + b" " * (len(value) % 2)
    path.write_bytes(data[: at + 6] + struct.pack("<H", len(value)) + value + data[at + 8 + old :])
    result = dicom_series.scan(path)
    assert all(entry.affine_lps is None for entry in result.entries)
    assert result.entries or path.name in result.refused[0].reason


def test_wrong_length_of_the_meta_group(tmp_path: Path) -> None:
    for length in (0, 4, 10_000, 0xFFFFFFFF):
        path = save(one_slice(), tmp_path / f"a{length}.dcm")
        data = path.read_bytes()
        at = data.index(b"\x02\x00\x00\x00UL\x04\x00") + 8
        path.write_bytes(data[:at] + struct.pack("<I", length) + data[at + 4 :])
        assert opened(path).shape == (24, 20, 1)


def test_missing_transfer_syntax_is_told(tmp_path: Path) -> None:
    path = save(one_slice(), tmp_path / "a.dcm")
    data = path.read_bytes()
    at = data.index(b"\x02\x00\x10\x00UI")
    end = at + 8 + struct.unpack_from("<H", data, at + 6)[0]
    path.write_bytes(data[:at] + data[end:])
    volume = opened(path)
    assert any("no transfer syntax recorded" in warning.lower() for warning in volume.warnings)
    np.testing.assert_array_equal(volume.array, opened(save(one_slice(), tmp_path / "b.dcm")).array)


@pytest.mark.parametrize("preamble", [b"MZ\x90\0\x03\0\0\0", b"\x7fELF\x02\x01\x01\0", b"II*\0\x08\0\0\0"])
def test_a_preamble_that_is_another_program(tmp_path: Path, preamble: bytes) -> None:
    dataset = one_slice()
    dataset.preamble = preamble.ljust(128, b"\0")
    assert opened(save(dataset, tmp_path / "a.dcm")).shape == (24, 20, 1)


def test_repeated_elements_are_told_and_private_ones_do_not_matter(tmp_path: Path) -> None:
    path = save(one_slice(KVP="120"), tmp_path / "a.dcm")
    data = path.read_bytes()
    at = data.index(b"\x18\x00\x60\x00DS")
    end = at + 8 + struct.unpack_from("<H", data, at + 6)[0]
    path.write_bytes(data[:end] + data[at:end].replace(b"120", b"140") + data[end:])
    entry = entry_of(path)
    assert entry.facts["kvp"].value == 140.0
    assert any("recorded twice" in warning for warning in entry.warnings)
    creators = b"\x09\x00\x10\x00LO\x04\0ACME" * 2 + b"\x09\x00\x01\x10LO\x04\0ABCD" * 2
    path.write_bytes(data[: data.index(b"\x10\x00\x10\x00PN")] + creators + data[data.index(b"\x10\x00\x10\x00PN") :])
    assert not any("twice" in warning for warning in entry_of(path).warnings)


@pytest.mark.parametrize(
    ("charset", "raw", "shown"),
    [
        ("ISO_IR 999", b"M\xfcller^Anna", "M"),
        ("ISO_IR 192", b"M\xfcller^Anna", "M"),  # Latin-1 called UTF-8
        ("ISO_IR 100", b"M\xfcller^Anna", "M\u00fcller, Anna"),
        ("", b"Doe^Jane=A^B=C^D=E^F", "Doe, Jane = A, B = C, D = E, F"),
        ("ISO_IR 100", b"^^^^", ""),
        ("\\\\\\ISO 2022 IR 87", b"\x1b$B\x1b", ""),
    ],
)
def test_names_that_cannot_be_decoded_still_open(tmp_path: Path, charset: str, raw: bytes, shown: str) -> None:
    path = save(one_slice(SpecificCharacterSet="ISO_IR 192"), tmp_path / "a.dcm")
    data = path.read_bytes()
    for tag, value in ((b"\x08\x00\x05\x00CS", charset.encode()), (b"\x10\x00\x10\x00PN", raw)):
        at = data.index(tag)
        old = struct.unpack_from("<H", data, at + 6)[0]
        value = value + b" " * (len(value) % 2)
        data = data[: at + 6] + struct.pack("<H", len(value)) + value + data[at + 8 + old :]
    path.write_bytes(data)
    name = read_header(path).get("PatientName") or ""
    assert name.startswith(shown)
    assert opened(path).shape == (24, 20, 1)


@pytest.mark.parametrize("value", [b"9" * 300_000, b"\\".join([b"1"] * 150_000)])
def test_a_rescale_of_300_kb_is_not_taken_for_absent(tmp_path: Path, value: bytes) -> None:
    """Skipping a value as too long must not read as if there were none."""
    dataset = one_slice(RescaleSlope="2")
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.ImplicitVRLittleEndian
    path = save(dataset, tmp_path / "a.dcm")
    data = path.read_bytes()
    at = data.index(b"\x28\x00\x53\x10")
    old = struct.unpack_from("<I", data, at + 4)[0]
    path.write_bytes(data[: at + 4] + struct.pack("<I", len(value)) + value + data[at + 8 + old :])
    assert "rescale" in refusal(path)
