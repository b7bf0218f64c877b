"""Turns one compressed frame into an array. Runs in the decode worker only: a native codec may crash its process."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medviewer.core.errors import InputRefused
from medviewer.io.decode_checks import Damaged, check_htj2k, check_jpeg, check_lossless_jpeg, check_rle
from medviewer.io.decode_fragments import frame_bytes
from medviewer.io.dicom_color import to_rgb
from medviewer.io.dicom_handle import PixelFormat
from medviewer.io.dicom_header import NATIVE_SYNTAXES
from medviewer.io.dicom_pixels import fix_bits, stored_dtype

Array = NDArray[Any]
_JPEG = frozenset(f"1.2.840.10008.1.2.4.{n}" for n in (50, 51, 53, 55, 57, 70))
_JPEG_LOSSLESS = frozenset(f"1.2.840.10008.1.2.4.{n}" for n in (57, 70))
_JPEG_LS = frozenset(f"1.2.840.10008.1.2.4.{n}" for n in (80, 81))
_JPEG_2000 = frozenset(f"1.2.840.10008.1.2.4.{n}" for n in (90, 91, 92, 93))
_HTJ2K = frozenset(f"1.2.840.10008.1.2.4.{n}" for n in (201, 202, 203))
_JPEG_XL = frozenset(f"1.2.840.10008.1.2.4.{n}" for n in (110, 111, 112))
_RLE = "1.2.840.10008.1.2.5"
SUPPORTED = _JPEG | _JPEG_LS | _JPEG_2000 | _HTJ2K | _JPEG_XL | {_RLE}


class Undecodable(Exception):
    """Why a frame was not decoded; the caller names the file."""


def frame_task(
    path: Path, offset: int, index: int, frames: int, pixels: dict[str, Any]
) -> tuple[dict[str, Any], bytes]:
    """In the worker: one frame of a file, its stored values as bytes."""
    form = PixelFormat(**pixels)
    data = frame_bytes(path, offset, index, frames, form.transfer_syntax)
    return {}, decode_frame(data, form).tobytes()


def decode_frame(data: bytes, pixels: PixelFormat) -> Array:
    """Stored values (rows, columns) in the stored type, or RGB uint8 (rows, columns, 3). Raises `Undecodable`."""
    syntax = pixels.transfer_syntax
    if syntax not in SUPPORTED:
        raise Undecodable(f"its compression ({syntax}) is not supported")
    try:
        if syntax == _RLE:
            return _as_stored(_rle(data, pixels), pixels)
        _check_size(data, pixels)
        return _as_stored(_decode(data, pixels), pixels)
    except Damaged as error:
        raise Undecodable(str(error)) from None


def _decode(data: bytes, pixels: PixelFormat) -> Array:
    import imagecodecs

    syntax = pixels.transfer_syntax
    if syntax in _JPEG:
        check_jpeg(data)
        samples = _jpeg(data, pixels)
        if syntax in _JPEG_LOSSLESS and pixels.samples == 1:
            check_lossless_jpeg(data, samples)
        return samples
    if syntax in _JPEG_LS:
        return np.asarray(imagecodecs.jpegls_decode(data))
    if syntax in _JPEG_XL:
        return np.asarray(imagecodecs.jpegxl_decode(data))
    samples = np.asarray(imagecodecs.jpeg2k_decode(data, numthreads=1))
    if syntax in _HTJ2K:
        check_htj2k(data, samples)
    return samples


def _jpeg(data: bytes, pixels: PixelFormat) -> Array:
    """libjpeg converts YCbCr to RGB; where the stream itself is silent, PhotometricInterpretation decides."""
    import imagecodecs

    if pixels.samples == 1:
        return np.asarray(imagecodecs.jpeg8_decode(data))
    if pixels.transfer_syntax in _JPEG_LOSSLESS or (pixels.photometric == "RGB" and not _names_colors(data)):
        return np.asarray(imagecodecs.jpeg8_decode(data, colorspace="RGB", outcolorspace="RGB"))
    return np.asarray(imagecodecs.jpeg8_decode(data, outcolorspace="RGB"))


def _names_colors(data: bytes) -> bool:
    """Does the JPEG stream state its colour space (JFIF or Adobe marker)?"""
    head = data[:4096]
    adobe = head.find(b"\xff\xee")
    is_adobe = adobe >= 0 and head[adobe + 4 : adobe + 9] == b"Adobe" and head[adobe + 3] >= 14
    return is_adobe or b"JFIF\x00" in head


def is_rgb_after_decoding(pixels: PixelFormat) -> bool:
    """Codecs that return RGB whatever the photometric interpretation says of the compressed form."""
    lossy_jpeg = pixels.transfer_syntax in _JPEG - _JPEG_LOSSLESS
    transformed = pixels.photometric in ("YBR_RCT", "YBR_ICT")
    return lossy_jpeg or transformed


def _rle(data: bytes, pixels: PixelFormat) -> Array:
    import imagecodecs

    check_rle(data, pixels.samples * (pixels.bits_allocated // 8), pixels.rows * pixels.columns)
    dtype = np.dtype(f"<u{pixels.bits_allocated // 8}")
    values = np.frombuffer(imagecodecs.dicomrle_decode(data, dtype), dtype)
    count = pixels.samples * pixels.rows * pixels.columns
    if values.size < count:
        raise Undecodable(f"its RLE data holds {values.size} of {count} values")
    planes = values[:count].reshape(pixels.samples, pixels.rows, pixels.columns)
    return np.ascontiguousarray(np.moveaxis(planes, 0, -1)) if pixels.samples > 1 else planes[0].copy()


def _as_stored(samples: Array, pixels: PixelFormat) -> Array:
    expected = (pixels.rows, pixels.columns) + ((pixels.samples,) if pixels.samples > 1 else ())
    if samples.shape != expected:
        raise Undecodable(f"its compressed image measures {samples.shape}, its header says {expected}")
    if pixels.samples > 1:
        return to_rgb(samples, pixels, already_rgb=is_rgb_after_decoding(pixels))
    values = samples.astype(stored_dtype(pixels), copy=True)
    fix_bits(values, pixels)
    return values


def _check_size(data: bytes, pixels: PixelFormat) -> None:
    """The size the code stream claims, read before a codec allocates for it."""
    size = _jpeg_size(data) if data[:2] == b"\xff\xd8" else _j2k_size(data)
    if size is not None and size != (pixels.rows, pixels.columns):
        raise Undecodable(
            f"its compressed image claims {size[0]} x {size[1]} pixels, its header {pixels.rows} x {pixels.columns}"
        )


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    """(rows, columns) of a JPEG or JPEG-LS start-of-frame marker."""
    at = 2
    while at + 9 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:
            at += 1
            continue
        if marker == 0xF7 or (0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC)):
            rows, columns = struct.unpack_from(">HH", data, at + 5)
            return rows, columns
        at += 2 + struct.unpack_from(">H", data, at + 2)[0]
    return None


def _j2k_size(data: bytes) -> tuple[int, int] | None:
    """(rows, columns) of the SIZ marker of a JPEG 2000 code stream, bare or in a JP2 box."""
    at = data[: 1 << 16].find(b"\xff\x4f\xff\x51")
    if at < 0 or at + 24 > len(data):
        return None
    x1, y1, x0, y0 = struct.unpack_from(">IIII", data, at + 8)
    return y1 - y0, x1 - x0


def unsupported(transfer_syntax: str, name: str) -> InputRefused | None:
    """What to tell of a file whose compression no codec here reads; None where one does."""
    if transfer_syntax in NATIVE_SYNTAXES or transfer_syntax in SUPPORTED:
        return None
    return InputRefused(
        f"The compression of {name} ({transfer_syntax}) is not supported.", "Export it uncompressed or as JPEG 2000."
    )
