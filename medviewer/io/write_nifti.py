"""Masks as a NIfTI label map, and scans as NIfTI. Label 1 is the first segment; where masks overlap the later wins."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medviewer.core.errors import OutputNotWritten
from medviewer.core.geometry import Affine, flip_ras_lps
from medviewer.core.progress import Progress, silent
from medviewer.core.segmentation import Segment
from medviewer.core.volume import Volume
from medviewer.io.export_notes import NIFTI_DESCRIPTION_BYTES, short_note
from medviewer.io.nifti_header import read_info
from medviewer.io.voxel_stream import read_array

AFFINE_TOLERANCE_MM = 1e-3
_LONGEST_NIFTI1_AXIS = 32767
_ORIGIN = b"medviewer, research use only"


def label_map(shape: tuple[int, int, int], segments: Sequence[Segment]) -> NDArray[Any]:
    """Labels 1..n in the order of `segments` on the grid (i, j, k); uint8, or uint16 for more than 255."""
    labels = np.zeros(shape, np.uint8 if len(segments) <= 255 else np.uint16, order="F")
    for number, segment in enumerate(segments, start=1):
        labels[segment.mask] = number
    return labels


def write(path: Path, volume: Volume, segments: Sequence[Segment], progress: Progress) -> None:
    """Write the label map to `path` (.nii or .nii.gz) with qform and sform in scanner mm and no patient data."""
    progress.report(0.0, "Writing NIfTI")
    write_array(path, label_map(volume.shape, segments), _affine_of(volume), "labels", _description(volume))


def verify(path: Path, volume: Volume, segments: Sequence[Segment]) -> None:
    """Re-open `path` without nibabel's image class and compare voxels and position. Raises OutputNotWritten."""
    verify_array(path, label_map(volume.shape, segments), _affine_of(volume))


def write_volume(path: Path, volume: Volume, progress: Progress) -> None:
    """Write the voxels of a scan as they are, position included. Raises OutputNotWritten without a position."""
    progress.report(0.0, "Writing NIfTI")
    write_array(path, _storable(volume.array), _affine_of(volume), "", _description(volume))


def verify_volume(path: Path, volume: Volume) -> None:
    """Compare a file written by `write_volume` with the volume. Raises OutputNotWritten."""
    verify_array(path, _storable(volume.array), _affine_of(volume))


def write_array(path: Path, array: NDArray[Any], affine: Affine, intent: str, description: bytes = _ORIGIN) -> None:
    """One array (i, j, k) or RGB (i, j, k, 3) with its affine to LPS mm into one NIfTI file.

    `description` goes into the field `descrip`: at most 79 bytes, never patient data.
    """
    import nibabel

    long = max(array.shape) > _LONGEST_NIFTI1_AXIS
    data = _as_rgb_records(array) if array.ndim == 4 else array
    ras = flip_ras_lps(affine)
    image = (nibabel.Nifti2Image if long else nibabel.Nifti1Image)(data, ras, dtype=data.dtype)
    header = image.header
    header.set_sform(ras, code=1)
    header.set_qform(ras, code=1 if _at_right_angles(ras) else 0, strip_shears=True)
    header.set_xyzt_units("mm")
    header["descrip"] = description
    if intent == "labels":
        header.set_intent("label", name="labels")
    image.to_filename(path)


def verify_array(path: Path, array: NDArray[Any], affine: Affine) -> None:
    """Compare what the file holds with what was meant: every voxel, every entry of the affine."""
    info = read_info(path)
    expected = np.moveaxis(array, -1, 0) if array.ndim == 4 else array
    shape = (info.channels, *info.shape) if info.is_colour else info.shape
    if shape != expected.shape or info.dtype != expected.dtype:
        raise _differs(path, "sizes")
    read = read_array(path, shape, info.dtype, info.encoding, info.offset, progress=silent())
    if not np.array_equal(read, expected, equal_nan=expected.dtype.kind == "f"):
        raise _differs(path, "voxels")
    if np.abs(_raw_sform(path) - flip_ras_lps(affine)).max() > AFFINE_TOLERANCE_MM:
        raise _differs(path, "positions")


def _description(volume: Volume) -> bytes:
    return short_note(volume, _ORIGIN.decode(), NIFTI_DESCRIPTION_BYTES)


def _differs(path: Path, what: str) -> OutputNotWritten:
    return OutputNotWritten(
        f"{path.name} was not written: reading it back gave other {what} than were saved.",
        "Try another folder or drive; the old file, if there was one, is unchanged.",
    )


def _raw_sform(path: Path) -> Affine:
    """The affine to RAS mm straight from the bytes of the header, without any library."""
    with open(path, "rb") as file:
        start = file.read(4096)
    if start[:2] == b"\x1f\x8b":
        start = zlib.decompressobj(31).decompress(start, 1024)
    if struct.unpack("<i", start[:4])[0] == 540:
        rows = struct.unpack("<12d", start[400:496])
    else:
        rows = struct.unpack("<12f", start[280:328])
    return np.array([*rows, 0, 0, 0, 1], float).reshape(4, 4)


def _affine_of(volume: Volume) -> Affine:
    if volume.affine is None:
        raise OutputNotWritten(
            "NIfTI needs the position of the image in the patient, which this image does not have.",
            "Save the mask as .png instead.",
        )
    return volume.affine


def _at_right_angles(affine: Affine) -> bool:
    unit = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    return bool(np.abs(unit.T @ unit - np.eye(3)).max() < 1e-5)


def _as_rgb_records(array: NDArray[Any]) -> NDArray[Any]:
    records = np.empty(array.shape[:3], dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")], order="F")
    for channel, name in enumerate("RGB"):
        records[name] = array[..., channel]
    return records


def _storable(array: NDArray[Any]) -> NDArray[Any]:
    """NIfTI readers in the field know no bool, float16 or 64-bit integers: the nearest type that keeps every value."""
    if array.dtype == np.bool_:
        return array.astype(np.uint8)
    if array.dtype == np.float16:
        return array.astype(np.float32)
    if array.dtype.kind in "iu" and array.dtype.itemsize == 8:
        small = np.iinfo(np.int32)
        fits = array.size == 0 or (array.min() >= small.min and array.max() <= small.max)
        return array.astype(np.int32 if fits else np.float64)
    return array
