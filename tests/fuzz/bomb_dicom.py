"""Writes the DICOM files of `bombs`: each at most 10 MB, each made in about a second."""

from __future__ import annotations

import struct
import sys
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from tests.fuzz.bomb_kit import GIB, bomb, start_of_frame, zeros

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "io"))

LITTLE, DEFLATED, RLE = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.5"
JPEG, JPEG_LS, J2K = (f"1.2.840.10008.1.2.4.{number}" for number in (50, 80, 90))


def dataset(**changes: Any) -> Any:
    """One CT slice, changed."""
    from dicom_factory import Series

    made = Series(slices=1, signed=False).dataset(0)
    for keyword, value in changes.items():
        setattr(made, keyword, value)
    return made


def written(path: Path, made: Any, syntax: str = LITTLE) -> Path:
    """Write a data set as it is, under any transfer syntax that is not deflated."""
    from dicom_factory import save
    from pydicom.uid import UID

    made.file_meta.TransferSyntaxUID = UID(syntax)
    return save(made, path)


def encapsulated(path: Path, syntax: str, frames: list[bytes], **changes: Any) -> Path:
    """A file whose compressed frames are these bytes."""
    from pydicom.encaps import encapsulate

    made = dataset(**changes)
    made.PixelData = encapsulate(frames)
    made["PixelData"].VR, made["PixelData"].is_undefined_length = "OB", True
    return written(path, made, syntax)


def deflated(path: Path, elements: bytes, count: int, **changes: Any) -> Path:
    """A deflated file: its usual elements, then `elements`, then `count` zero bytes."""
    from medviewer.io.dicom_header import deflated_start

    made = dataset(**changes)
    del made.PixelData
    plain = written(path, made).read_bytes()
    body = deflated_start(plain)
    meta = plain[:body].replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.1.99")
    at = meta.index(b"1.2.840.10008.1.2.1.99")
    meta = meta[: at - 2] + struct.pack("<H", 22) + meta[at:]
    path.write_bytes(meta + zeros(count, -zlib.MAX_WBITS, plain[body:] + elements))
    return path


def _element(group: int, number: int, vr: bytes, length: int) -> bytes:
    return struct.pack("<HH2sHI", group, number, vr, 0, length)


@bomb("deflated_pixels.dcm", "1 GiB of pixels")
def _(path: Path) -> Path:
    return deflated(path, _element(0x7FE0, 0x10, b"OW", GIB), GIB, Rows=16384, Columns=32768)


@bomb("deflated_frames.dcm", "500 frames, 1 GiB of pixels")
def _(path: Path) -> Path:
    pixels = _element(0x7FE0, 0x10, b"OW", 500 << 21)
    return deflated(path, pixels, 500 << 21, Rows=1024, Columns=1024, NumberOfFrames=500, Modality="XA")


@bomb("deflated_text.dcm", "a text of 2 GiB before the pixels")
def _(path: Path) -> Path:
    return deflated(path, _element(0x0029, 0x1010, b"UT", 2 * GIB - 2), 2 * GIB)


@bomb("deflated_elements.dcm", "millions of elements of 8 bytes")
def _(path: Path) -> Path:
    from medviewer.io.dicom_header import deflated_start

    deflated(path, b"", 0)
    start = path.read_bytes()[: deflated_start(path.read_bytes())]
    path.write_bytes(start + zlib.compress(b"\x29\x00\x10\x10LO\0\0" * 20_000_000, 6)[2:])
    return path


@bomb("deflated_odd_meta.dcm", "1 GiB, by the way of pydicom")
def _(path: Path) -> Path:
    deflated(path, _element(0x0029, 0x1010, b"UT", GIB), GIB)
    data = path.read_bytes()
    at = data.index(b"\x02\x00\x02\x00UI")
    path.write_bytes(data[: at + 4] + b"QQ" + data[at + 6 :])
    return path


@bomb("rle_forged.dcm", "50 frames of 65535 x 65535: 400 GiB")
def _(path: Path) -> Path:
    return encapsulated(path, RLE, [bytes(64)] * 50, Rows=65535, Columns=65535, NumberOfFrames=50, Modality="XA")


@bomb("rle_full.dcm", "16-bit 17000 x 17000, really packed")
def _(path: Path) -> Path:
    half = b"\x81\x00" * -(-17000 * 17000 // 128)
    head = struct.pack("<16I", 2, 64, 64 + len(half), *[0] * 13)
    return encapsulated(path, RLE, [head + half + half], Rows=17000, Columns=17000)


def jpeg_2000(path: Path, claimed: int, header: int) -> Path:
    """A code stream that claims `claimed` x `claimed` pixels and holds few; the DICOM header says `header`."""
    import imagecodecs

    data = bytearray(imagecodecs.jpeg2k_encode(np.zeros((64, 64), np.uint16), codecformat="j2k", level=0))
    at = data.index(b"\xff\x51")
    struct.pack_into(">8I", data, at + 6, claimed, claimed, 0, 0, claimed, claimed, 0, 0)
    return encapsulated(path, J2K, [bytes(data)], Rows=header, Columns=header)


def jpeg_ls(path: Path, claimed: int, header: int) -> Path:
    """The same in JPEG-LS."""
    import imagecodecs

    data = start_of_frame(bytes(imagecodecs.jpegls_encode(np.zeros((64, 64), np.uint16))), 0xF7, claimed)
    return encapsulated(path, JPEG_LS, [data], Rows=header, Columns=header)


for _name, _claims, _build, _claimed, _header in (
    ("j2k_siz_60000.dcm", "SIZ of 60000 x 60000, header says 512", jpeg_2000, 60000, 512),
    ("j2k_both_60000.dcm", "SIZ and header of 60000 x 60000", jpeg_2000, 60000, 60000),
    ("j2k_both_16000.dcm", "SIZ and header of 16000 x 16000", jpeg_2000, 16000, 16000),
    ("jpegls_sof_65535.dcm", "SOF of 65535 x 65535, header says 512", jpeg_ls, 65535, 512),
    ("jpegls_both_65535.dcm", "SOF and header of 65535 x 65535", jpeg_ls, 65535, 65535),
    ("jpegls_both_16000.dcm", "SOF and header of 16000 x 16000", jpeg_ls, 16000, 16000),
):
    bomb(_name, _claims)(partial(_build, claimed=_claimed, header=_header))


@bomb("jpegls_blank_11000.dcm", "16-bit 11000 x 11000, really packed")
def _(path: Path) -> Path:
    import imagecodecs

    data = bytes(imagecodecs.jpegls_encode(np.zeros((11000, 11000), np.uint16)))
    return encapsulated(path, JPEG_LS, [data], Rows=11000, Columns=11000, RescaleSlope="0.5")


@bomb("jpeg_both_65500.dcm", "SOF and header of 65500 x 65500")
def _(path: Path) -> Path:
    import imagecodecs

    data = start_of_frame(bytes(imagecodecs.jpeg8_encode(np.zeros((64, 64), np.uint8))), 0xC0, 65500)
    bits = {"BitsAllocated": 8, "BitsStored": 8, "HighBit": 7}
    return encapsulated(path, JPEG, [data], Rows=65500, Columns=65500, **bits)


@bomb("fragments.dcm", "1.2 million fragments of one frame")
def _(path: Path) -> Path:
    encapsulated(path, JPEG_LS, [b"1234"])
    data = path.read_bytes()
    at = data.rindex(b"\xfe\xff\x00\xe0")
    path.write_bytes(data[:at] + b"\xfe\xff\x00\xe0\0\0\0\0" * 1_200_000 + data[at:])
    return path


def before_name(path: Path, inserted: bytes, made: Any = None) -> Path:
    """A plain file with bytes inserted before the patient's name."""
    data = written(path, made or dataset()).read_bytes()
    at = data.index(b"\x10\x00\x10\x00PN")
    path.write_bytes(data[:at] + inserted + data[at:])
    return path


OPEN_SQ = b"\x09\x00\x10\x10SQ\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff"
CLOSE_SQ = b"\xfe\xff\x0d\xe0\0\0\0\0\xfe\xff\xdd\xe0\0\0\0\0"


def _register_nested(depth: int) -> None:
    @bomb(f"nested_{depth}.dcm", f"sequences {depth} deep")
    def _(path: Path) -> Path:
        return before_name(path, OPEN_SQ * depth + CLOSE_SQ * depth)

    @bomb(f"nested_groups_{depth}.dcm", f"functional groups {depth} deep")
    def _(path: Path) -> Path:
        made = dataset(SOPClassUID="1.2.840.10008.5.1.4.1.1.2.1", NumberOfFrames=1)
        data = written(path, made).read_bytes()
        at = data.index(b"\xe0\x7f\x10\x00")
        groups = OPEN_SQ.replace(b"\x09\x00\x10\x10", b"\x00\x52\x30\x92", 1)
        inner = groups + OPEN_SQ * (depth - 1) + CLOSE_SQ * depth
        path.write_bytes(data[:at] + inner + data[at:])
        return path


for _depth in (300, 5000, 200_000):
    _register_nested(_depth)


@bomb("empty_items.dcm", "1.2 million functional groups")
def _(path: Path) -> Path:
    made = dataset(SOPClassUID="1.2.840.10008.5.1.4.1.1.2.1", NumberOfFrames=1_200_000)
    data = written(path, made).read_bytes()
    at = data.index(b"\xe0\x7f\x10\x00")
    items = b"\xfe\xff\x00\xe0\0\0\0\0" * 1_200_000
    path.write_bytes(data[:at] + _element(0x5200, 0x9230, b"SQ", len(items)) + items + data[at:])
    return path


@bomb("elements.dcm", "1.2 million elements")
def _(path: Path) -> Path:
    return before_name(path, b"\x09\x00\x11\x10LO\0\0" * 1_200_000)


@bomb("two_gb_element.dcm", "an element of 2 GB that holds 3 bytes")
def _(path: Path) -> Path:
    data = written(path, dataset()).read_bytes()
    at = data.index(b"\x10\x00\x10\x00PN")
    path.write_bytes(data[:at] + _element(0x0009, 0x1010, b"UT", 2_000_000_000) + b"abc")
    return path


@bomb("long_values.dcm", "a name and a spacing of 4 MB")
def _(path: Path) -> Path:
    made = dataset()
    made.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2"
    data = written(path, made, "1.2.840.10008.1.2").read_bytes()
    for tag, value in ((b"\x10\x00\x10\x00", b"\xe4" * 4_000_000), (b"\x28\x00\x30\x00", b"1\\" * 2_000_000)):
        at = data.rindex(tag)
        after = at + 8 + struct.unpack_from("<I", data, at + 4)[0]
        data = data[: at + 4] + struct.pack("<I", len(value)) + value + data[after:]
    path.write_bytes(data)
    return path


@bomb("frames_1x1.dcm", "9 million frames of one pixel")
def _(path: Path) -> Path:
    bits = {"BitsAllocated": 8, "BitsStored": 8, "HighBit": 7, "NumberOfFrames": 9_000_000, "Modality": "XA"}
    made = dataset(Rows=1, Columns=1, **bits)
    made.PixelData = bytes(9_000_000)
    return written(path, made)


@bomb("directory", "a DICOMDIR of 500 000 records")
def _(path: Path) -> Path:
    made = dataset(SOPClassUID="1.2.840.10008.1.3.10")
    made.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.1.3.10"
    del made.PixelData
    target = path.with_name("DICOMDIR")
    data = written(target, made).read_bytes()
    item = b"\xfe\xff\x00\xe0\x0a\0\0\0\x04\x00\x00\x15CS\x02\0A "
    records = item * 500_000
    at = data.index(b"\x08\x00\x05\x00") if b"\x08\x00\x05\x00" in data else data.index(b"\x08\x00\x08\x00")
    target.write_bytes(data[:at] + _element(0x0004, 0x1220, b"SQ", len(records)) + records + data[at:])
    return target


@bomb("far_slices", "slices a kilometre apart")
def _(path: Path) -> Path:
    return _series(path, lambda k: (0.0, 0.0, (0.0, 1.0, 2.0, 1e6)[k]))


@bomb("steep_tilt", "a series tilted by 89.99 degrees")
def _(path: Path) -> Path:
    return _series(path, lambda k: (0.0, 5000.0 * k, float(k)))


def _series(folder: Path, place: Callable[[int], tuple[float, float, float]]) -> Path:
    from dicom_factory import Series

    def move(made: Any, k: int) -> None:
        made.ImagePositionPatient = list(place(k))

    Series(slices=4, rows=512, columns=512, origin=(0.0, 0.0, 0.0), intercept=-20000.0, edit=move).write(folder)
    return folder
