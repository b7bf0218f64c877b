"""Writes the other files of `bombs` (volumes, pictures, archives), and knows them all: `BOMBS`."""

from __future__ import annotations

import gzip
import struct
import zlib
from functools import partial
from pathlib import Path

import numpy as np

from tests.fuzz import bomb_dicom  # fills BOMBS
from tests.fuzz.bomb_kit import BOMBS, GIB, bomb, start_of_frame, zeros

__all__ = ["BOMBS", "bomb_dicom"]


def nifti_header(sizes: tuple[int, int, int], code: int = 4, bits: int = 16, slope: float = 1.0) -> bytes:
    """A NIfTI-1 header of 352 bytes."""
    head = bytearray(352)
    struct.pack_into("<i", head, 0, 348)
    struct.pack_into("<8h", head, 40, 3, *sizes, 1, 1, 1, 1)
    struct.pack_into("<hh", head, 70, code, bits)
    struct.pack_into("<8f", head, 76, 1, 1, 1, 1, 0, 0, 0, 0)
    struct.pack_into("<3f", head, 108, 352, slope, 0)
    head[344:348] = b"n+1\0"
    return bytes(head)


@bomb("claimed_8gb.nii.gz", "8 GB of voxels, really packed")
def _(path: Path) -> Path:
    path.write_bytes(zeros(8 * GIB, 31, nifti_header((32000, 32000, 4))))
    return path


@bomb("hidden_8gb.nii.gz", "a small image, 8 GB behind it")
def _(path: Path) -> Path:
    path.write_bytes(zeros(8 * GIB, 31, nifti_header((30, 30, 30))))
    return path


@bomb("scaled_900mb.nii.gz", "0.9 GB of bytes, scaled to 3.6 GB")
def _(path: Path) -> Path:
    path.write_bytes(zeros(900 << 20, 31, nifti_header((1000, 1000, 900), 2, 8, 0.5)))
    return path


@bomb("forged.nii", "dims 32767 x 32767 x 32767, 352 bytes")
def _(path: Path) -> Path:
    path.write_bytes(nifti_header((32767, 32767, 32767)))
    return path


@bomb("one_slice_1gb.nii.gz", "one slice of 32000 x 32000")
def _(path: Path) -> Path:
    path.write_bytes(zeros(GIB, 31, nifti_header((32000, 32000, 1), 2, 8)))
    return path


@bomb("gz_of_gz.nii.gz", "a gzip of a gzip of 8 GB")
def _(path: Path) -> Path:
    path.write_bytes(gzip.compress(zeros(8 * GIB, 31, nifti_header((32000, 32000, 4)))))
    return path


def _nrrd(path: Path, encoding: str, sizes: str, packed: bytes, more: str = "") -> Path:
    lines = ["NRRD0004", "type: short", "dimension: 3", f"sizes: {sizes}", "endian: little", f"encoding: {encoding}"]
    path.write_bytes(("\n".join(lines) + "\n" + more + "\n").encode() + packed)
    return path


@bomb("gzip_8gb.nrrd", "8 GB of voxels, gzip")
def _(path: Path) -> Path:
    return _nrrd(path, "gzip", "32000 32000 4", zeros(8 * GIB, 31))


@bomb("bzip2_4gb.nrrd", "4 GB of voxels, bzip2")
def _(path: Path) -> Path:
    import bz2

    return _nrrd(path, "bzip2", "32000 32000 2", bz2.compress(bytes(1 << 24)))


@bomb("bzip2_hidden.nrrd", "a small image, 8 GB behind it, bzip2")
def _(path: Path) -> Path:
    import bz2

    return _nrrd(path, "bzip2", "30 30 30", bz2.compress(bytes(1 << 28)))


@bomb("line_skip.nrrd", "two thousand million lines to skip")
def _(path: Path) -> Path:
    return _nrrd(path, "raw", "30 30 30", b"\n" * 5_000_000, "line skip: 2000000000\n")


@bomb("header_4mb.nrrd", "a header of 4 MB")
def _(path: Path) -> Path:
    return _nrrd(path, "raw", "30 30 30", bytes(54000), "".join(f"key{n}:=value\n" for n in range(250_000)))


@bomb("header_9mb.nhdr", "a header of 9 MB")
def _(path: Path) -> Path:
    lines = "".join(f"key{n}:=value\n" for n in range(500_000))
    return _nrrd(path, "raw", "30 30 30", b"", lines + "data file: a.raw\n")


@bomb("sizes_million.nrrd", "a million sizes")
def _(path: Path) -> Path:
    return _nrrd(path, "raw", "30 " * 1_000_000, bytes(54000))


@bomb("text_forged.nrrd", "8 GB of voxels written as text")
def _(path: Path) -> Path:
    return _nrrd(path, "ascii", "32000 32000 4", b"0 " * 100)


@bomb("zlib_8gb.mha", "8 GB of voxels, zlib")
def _(path: Path) -> Path:
    lines = ["ObjectType = Image", "NDims = 3", "DimSize = 32000 32000 4", "ElementType = MET_SHORT",
             "ElementSpacing = 1 1 1", "CompressedData = True", "ElementDataFile = LOCAL"]  # fmt: skip
    path.write_bytes(("\n".join(lines) + "\n").encode() + zeros(8 * GIB, 15))
    return path


# Pictures and archives ------------------------------------------------------------------------------------------------


def _png(path: Path, columns: int, rows: int, channels: int) -> Path:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", columns, rows, 8, {1: 0, 3: 2}[channels], 0, 0, 0)
    packed = zeros(rows * (columns * channels + 1), 15)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", packed) + chunk(b"IEND", b""))
    return path


for _name, _claims, _columns, _rows, _channels in (
    ("png_60000.png", "60000 x 60000 pixels", 60000, 60000, 1),
    ("png_rgb_480mb.png", "16000 x 10000 RGB pixels", 16000, 10000, 3),
    ("png_rgb_780mb.png", "20000 x 13000 RGB pixels", 20000, 13000, 3),
):
    bomb(_name, _claims)(partial(_png, columns=_columns, rows=_rows, channels=_channels))


@bomb("jpeg_65500.jpg", "65500 x 65500 pixels")
def _(path: Path) -> Path:
    import imagecodecs

    path.write_bytes(start_of_frame(bytes(imagecodecs.jpeg8_encode(np.zeros((64, 64), np.uint8))), 0xC0, 65500))
    return path


@bomb("tiff_60000.tif", "60000 x 60000 pixels, one deflated strip")
def _(path: Path) -> Path:
    return _tiff(path, 60000, 8)


@bomb("tiff_22000.tif", "22000 x 22000 pixels, deflated")
def _(path: Path) -> Path:
    return _tiff(path, 22000, 8)


def _tiff(path: Path, size: int, compression: int) -> Path:
    packed = zeros(size * size, 15)
    entries = [(256, 4, 1, size), (257, 4, 1, size), (258, 3, 1, 8), (259, 3, 1, compression), (262, 3, 1, 1),
               (273, 4, 1, 8), (277, 3, 1, 1), (278, 4, 1, size), (279, 4, 1, len(packed))]  # fmt: skip
    directory = struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHII", *e) for e in entries) + bytes(4)
    path.write_bytes(b"II*\0" + struct.pack("<I", 8 + len(packed)) + packed + directory)
    return path


@bomb("gif_frames.gif", "700 000 frames of 300 x 300")
def _(path: Path) -> Path:
    head = b"GIF89a" + struct.pack("<HHBBB", 300, 300, 0x80, 0, 0) + bytes(6)
    frame = b"\x2c" + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\x02\x00"
    path.write_bytes(head + frame * 700_000 + b"\x3b")
    return path


@bomb("archive.zip", "a zip of 8 GB")
def _(path: Path) -> Path:
    import zipfile

    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("scan.nii", "w") as member:
        member.write(bytes(1 << 28))
    return path


@bomb("document.mvsession", "a session file whose document is 8 GB")
def _(path: Path) -> Path:
    return _zip(path, {"session.json": (zeros(8 * GIB, -zlib.MAX_WBITS, b"[" * 1000), 8 * GIB)})


@bomb("lying_document.mvsession", "the same, and its directory says 1 KB")
def _(path: Path) -> Path:
    return _zip(path, {"session.json": (zeros(8 * GIB, -zlib.MAX_WBITS, b'{"schema": 1}'), 1000)})


@bomb("nested_document.mvsession", "a document of a million brackets")
def _(path: Path) -> Path:
    text = b"[" * 1_000_000
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return _zip(path, {"session.json": (packer.compress(text) + packer.flush(), len(text))})


@bomb("members.mvsession", "90 000 members")
def _(path: Path) -> Path:
    return _zip(path, {f"masks/{number}": (b"", 0) for number in range(90_000)})


def _zip(path: Path, members: dict[str, tuple[bytes, int]]) -> Path:
    """An archive of deflated members, given as packed bytes and the size that its directory claims."""
    body, directory = bytearray(), bytearray()
    for name, (packed, size) in members.items():
        fields = struct.pack("<HHHHHIIIHH", 20, 0, 8, 0, 0x21, 0, len(packed), size & 0xFFFFFFFF, len(name), 0)
        directory += b"PK\1\2" + struct.pack("<H", 20) + fields + struct.pack("<HHHII", 0, 0, 0, 0, len(body))
        directory += name.encode()
        body += b"PK\3\4" + fields + name.encode() + packed
    count = min(len(members), 0xFFFF)
    end = b"PK\5\6" + struct.pack("<HHHHIIH", 0, 0, count, count, len(directory), len(body), 0)
    path.write_bytes(bytes(body) + bytes(directory) + end)
    return path
