"""Colour: samples as stored to RGB uint8 for display (PS3.3 C.7.6.3.1.2)."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medviewer.core.errors import InputRefused
from medviewer.core.progress import Progress
from medviewer.io.decode_pool import WorkerFailed, ask_about
from medviewer.io.dicom_handle import FrameRef, PixelFormat
from medviewer.io.dicom_pixels import read_frames, read_native, stored_dtype

Array = NDArray[Any]
_YBR = ("YBR_FULL", "YBR_FULL_422")
_LUTS = ("Red", "Green", "Blue")


def to_rgb(samples: Array, pixels: PixelFormat, already_rgb: bool) -> NDArray[np.uint8]:
    """Samples (rows, columns, 3) to RGB uint8."""
    eight = _to_eight_bits(samples, pixels.bits_stored)
    if already_rgb or pixels.photometric not in _YBR:
        return eight
    return ybr_full_to_rgb(eight)


def _to_eight_bits(samples: Array, bits_stored: int) -> NDArray[np.uint8]:
    if bits_stored > 8:
        return np.asarray(samples >> (bits_stored - 8), np.uint8)
    if bits_stored < 8:
        return np.asarray(samples.astype(np.uint16) * 255 // ((1 << bits_stored) - 1), np.uint8)
    return np.asarray(samples, np.uint8)


def ybr_full_to_rgb(ybr: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """YBR_FULL to RGB (PS3.3 C.7.6.3.1.2), one frame (rows, columns, 3)."""
    y, cb, cr = (ybr[..., channel].astype(np.float32) for channel in range(3))
    cb -= 128.0
    cr -= 128.0
    rgb = np.stack((y + 1.402 * cr, y - 0.344136 * cb - 0.714136 * cr, y + 1.772 * cb), axis=-1)
    return np.asarray(np.clip(np.rint(rgb), 0, 255), np.uint8)


def read_color(refs: Sequence[FrameRef], progress: Progress) -> NDArray[np.uint8]:
    """RGB uint8 (n, rows, columns, 3) of all frames. Raises `InputRefused`."""
    pixels = refs[0].format
    out = np.empty((len(refs), pixels.rows, pixels.columns, 3), np.uint8)
    if pixels.samples == 1:
        _read_palette(refs, out, progress)
    elif not any(ref.format.native for ref in refs):
        read_frames(refs, out, progress)
    else:
        for k, ref in enumerate(refs):
            if ref.format.native:
                out[k] = _native_rgb(ref)
            else:
                read_frames([ref], out[k : k + 1], progress.part(k / len(refs), (k + 1) / len(refs)))
            progress.report((k + 1) / len(refs), "Reading frames")
    return out


def _native_rgb(ref: FrameRef) -> NDArray[np.uint8]:
    pixels = ref.format
    stored = np.empty(pixels.frame_bytes // (pixels.bits_allocated // 8), stored_dtype(pixels))
    read_native(ref, stored)
    if pixels.photometric == "YBR_FULL_422":
        samples = _spread_422(stored, pixels)
    elif pixels.planar:
        samples = np.moveaxis(stored.reshape(3, pixels.rows, pixels.columns), 0, -1)
    else:
        samples = stored.reshape(pixels.rows, pixels.columns, 3)
    return to_rgb(samples, pixels, already_rgb=False)


def _spread_422(stored: Array, pixels: PixelFormat) -> Array:
    """Y0 Y1 Cb Cr of two pixels each (PS3.3 C.7.6.3.1.2) to three full planes."""
    quads = stored.reshape(pixels.rows, pixels.columns // 2, 4)
    full = np.empty((pixels.rows, pixels.columns // 2, 2, 3), stored.dtype)
    full[..., 0] = quads[..., :2]
    full[..., 1] = quads[..., 2:3]
    full[..., 2] = quads[..., 3:4]
    return full.reshape(pixels.rows, pixels.columns, 3)


def _read_palette(refs: Sequence[FrameRef], out: NDArray[np.uint8], progress: Progress) -> None:
    pixels = refs[0].format
    tables: dict[Path, tuple[int, NDArray[np.uint8]]] = {}  # every file may have its own
    stored = np.empty((1, pixels.rows, pixels.columns), stored_dtype(pixels))
    for k, ref in enumerate(refs):
        read_frames([ref], stored, progress.part(k / len(refs), (k + 1) / len(refs)))
        if ref.path not in tables:
            tables[ref.path] = palette(ref)
        first, table = tables[ref.path]
        index = np.clip(stored[0].astype(np.int64) - first, 0, len(table) - 1)
        out[k] = table[index]


def palette(ref: FrameRef) -> tuple[int, NDArray[np.uint8]]:
    """(first mapped value, table (entries, 3)) of a PALETTE COLOR file. Raises `InputRefused`."""
    try:
        found, data = ask_about("palette", ref.path, most=3 << 16)
        return int(found["first"]), np.frombuffer(data, np.uint8).reshape(-1, 3)
    except WorkerFailed as error:
        raise InputRefused(
            f"The colour table of {ref.path.name} cannot be used ({error.reason}).", "Export the image as RGB."
        ) from None


def palette_task(path: Path) -> tuple[dict[str, Any], bytes]:
    """In the worker: the palette of a file."""
    import pydicom

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = pydicom.dcmread(path, force=True, stop_before_pixels=True)
        try:
            first, table = _tables(dataset)
        except ValueError as error:
            raise InputRefused(str(error)) from None
    return {"first": first}, table.tobytes()


def _tables(dataset: Any) -> tuple[int, NDArray[np.uint8]]:
    columns, firsts = [], []
    for color in _LUTS:
        entries, first, bits = (int(v) for v in dataset[f"{color}PaletteColorLookupTableDescriptor"].value)
        segmented = dataset.get(f"Segmented{color}PaletteColorLookupTableData")
        entries = entries or 1 << 16
        if segmented is not None:
            values = _segmented(bytes(segmented), bits, dataset)
        else:
            raw = bytes(dataset[f"{color}PaletteColorLookupTableData"].value)
            values = _plain_table(raw, entries, bits, dataset)
        if len(values) < entries:
            raise ValueError(f"{len(values)} of {entries} entries")
        columns.append(values[:entries] >> (bits - 8) if bits > 8 else values[:entries])
        firsts.append(first)
    return firsts[0], np.asarray(np.stack(columns, axis=-1), np.uint8)


def _plain_table(raw: bytes, entries: int, bits: int, dataset: Any) -> Array:
    if bits == 8 and len(raw) < 2 * entries:
        return np.frombuffer(raw, np.uint8).astype(np.uint16)
    order = ">" if dataset.original_encoding[1] is False else "<"
    values = np.frombuffer(raw[: len(raw) // 2 * 2], f"{order}u2").astype(np.uint16)
    return values if bits > 8 or values.max(initial=0) < 256 else values >> 8


def _segmented(raw: bytes, bits: int, dataset: Any) -> Array:
    """A segmented table (PS3.3 C.7.9.2) written out: discrete runs and straight lines."""
    order = ">" if dataset.original_encoding[1] is False else "<"
    words = np.frombuffer(raw[: len(raw) // 2 * 2], f"{order}u2") if bits > 8 else np.frombuffer(raw, np.uint8)
    values: list[int] = []
    at = 0
    while at + 1 < len(words) and len(values) < 1 << 16:
        kind, count = int(words[at]), int(words[at + 1])
        if kind == 0:
            values += [int(word) for word in words[at + 2 : at + 2 + count]]
            at += 2 + count
        elif kind == 1 and values and at + 2 < len(words):
            values += [int(v) for v in np.rint(np.linspace(values[-1], int(words[at + 2]), count + 1)[1:])]
            at += 3
        else:
            raise ValueError("a kind of segment that is not supported")
    return np.array(values, np.uint16)
