"""Opens a mutant as the program does and judges what came of it.

What "no wrong voxels returned as good" can mean depends on the format:

* With integrity data (gzip, zlib and PNG checksums) damage must be found: what loads must equal the original. For
  .nii.gz and PNG the checksum covers the header too, so that nothing at all may change; the text headers of NRRD and
  MetaImage are not covered, and the voxels must equal the original as long as those still say the same type and size.
* Without it (native, deflated, RLE, .nii, .nrrd, .mha) a changed byte of a voxel is a changed voxel, which nobody can
  know. Then a second, independent reader (pydicom, nibabel, pynrrd, a few lines for MetaImage) must read the same
  numbers, or refuse.
* Codecs without checksums (all of JPEG) mostly decode damage to other numbers. Where a second decoder exists (lossless
  JPEG, HTJ2K) the program itself compares both and refuses what differs; else size, type and range must be right.

"wrong" counts everything that breaks these rules. "changed" counts what loaded, differs, and breaks none.
"""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medviewer.core.errors import InputRefused
from medviewer.core.volume import Volume
from medviewer.io import decode_pool
from medviewer.services import open_data
from tests.fuzz.originals import DICOM, Original

Array = NDArray[Any]
VERDICTS = ("same", "changed", "refused", "death", "timeout", "wrong", "error")
_COVERED = ("nifti.gz", "png")  # by a checksum, header and voxels
_PACKED = ("nrrd.gz", "metaimage.zlib")
_KINDS = {"u1", "i1", "u2", "i2", "u4", "i4", "f4", "f8", "u8", "i8"}


@dataclass(frozen=True)
class Judged:
    """One of `VERDICTS`, why, and how long it took."""

    verdict: str
    why: str
    seconds: float


def judge(path: Path, name: str, whole: Volume) -> Judged:
    """Open the file at `path`, a mutant of format `name` whose undamaged file gives `whole`."""
    deaths, start = decode_pool.POOL.deaths, time.perf_counter()
    try:
        found, why = _load(path)
    except InputRefused as error:
        found, why = None, error.message
    except Exception as error:  # anything else would be a defect of the program
        return Judged("error", f"{type(error).__name__}: {error}", time.perf_counter() - start)
    seconds = time.perf_counter() - start
    if decode_pool.POOL.deaths > deaths:
        return Judged("timeout" if seconds > decode_pool.SECONDS * 0.8 else "death", why, seconds)
    if found is None:
        return Judged("refused" if path.name in why else "error", why, seconds)
    return Judged(*_compare(found, whole, path, name), seconds)


def _load(path: Path) -> tuple[Volume | None, str]:
    catalogue = open_data.scan_path(path)
    if not catalogue.entries:
        (first, *_) = catalogue.refused
        return None, f"{first.path.name}: {first.reason}"  # as it is listed
    volume = open_data.load(catalogue.entries[0])
    if volume.shape != catalogue.entries[0].shape_xyz:
        raise AssertionError(f"{volume.shape} instead of {catalogue.entries[0].shape_xyz}")
    return volume, ""


def _compare(found: Volume, whole: Volume, path: Path, name: str) -> tuple[str, str]:
    if found.array.dtype.str[1:] not in _KINDS or not np.isfinite(found.array).all():
        return "wrong", f"voxels of type {found.array.dtype}"
    if _equal(found.array, whole.array):
        return "same", ""
    if name in _COVERED:
        return "wrong", "differs although a checksum covers it"
    if name in _PACKED:
        same_header = found.shape == whole.shape and found.array.dtype == whole.array.dtype
        return ("wrong", "differs although a checksum covers it") if same_header else ("changed", "")
    other = _second_reading(path, name)
    if other is not None and not _equal(found.array, other):
        return "wrong", "a second reader reads other numbers"
    return "changed", ""


def _equal(first: Array, second: Array) -> bool:
    return first.shape == second.shape and bool(np.allclose(first, second, rtol=1e-6, atol=1e-6, equal_nan=True))


def _second_reading(path: Path, name: str) -> Array | None:
    """What an independent reader makes of the file, as (i, j, k); None where it refuses or there is none."""
    reader = _READERS.get(name)
    if reader is None:
        return None
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            return reader(path)
    except Exception:
        return None


def _by_pydicom(path: Path) -> Array | None:
    import pydicom

    dataset = pydicom.dcmread(path)
    if dataset.get("SamplesPerPixel", 1) != 1 or int(dataset.get("NumberOfFrames") or 1) != 1:
        return None
    stored = _stored_bits(dataset.pixel_array.astype(np.int64), dataset)
    slope, intercept = float(dataset.get("RescaleSlope", 1)), float(dataset.get("RescaleIntercept", 0))
    return np.asarray(stored.T[:, :, None] * slope + intercept)


def _stored_bits(values: Array, dataset: Any) -> Array:
    """The stored bits alone (PS3.5 8.1.1), which pydicom leaves to the caller."""
    bits, high = int(dataset.BitsStored), int(dataset.HighBit)
    values = (values >> (high + 1 - bits)) & ((1 << bits) - 1)
    return np.where(values >> (bits - 1), values - (1 << bits), values) if dataset.PixelRepresentation else values


def _by_nibabel(path: Path) -> Array:
    import nibabel

    values = np.asarray(nibabel.load(path).dataobj, np.float64)
    lowest = values[np.isfinite(values)].min() if values.dtype.kind == "f" and np.isfinite(values).any() else 0.0
    values = np.where(np.isfinite(values), values, lowest)
    return values.reshape((*values.shape, 1, 1)[:3]) if values.ndim < 3 else values


def _by_pynrrd(path: Path) -> Array:
    import nrrd

    return np.asarray(nrrd.read(str(path))[0])


def _by_hand(path: Path) -> Array:
    """MetaImage: the fields as the format names them, nothing checked."""
    head, _, data = path.read_bytes().partition(b"ElementDataFile = LOCAL\n")
    fields = dict(line.split(" = ", 1) for line in head.decode("latin-1").splitlines() if " = " in line)
    sizes = [int(n) for n in fields["DimSize"].split()]
    kind = {"MET_SHORT": "i2", "MET_USHORT": "u2", "MET_CHAR": "i1", "MET_UCHAR": "u1"}[fields["ElementType"]]
    order = ">" if fields.get("BinaryDataByteOrderMSB") == "True" else "<"
    return np.frombuffer(data, order + kind, math.prod(sizes)).reshape(sizes, order="F")


_READERS: dict[str, Callable[[Path], Array | None]] = {
    **dict.fromkeys(("native", "deflated", "rle", "big-endian"), _by_pydicom),
    "nifti": _by_nibabel,
    "nrrd": _by_pynrrd,
    "metaimage": _by_hand,
}


def whole_volume(folder: Path, name: str, whole: Original) -> Volume:
    """The undamaged file as the program reads it."""
    path = folder / ("whole" + whole.suffix)
    path.write_bytes(whole.data)
    volume = open_data.open_volume(path)
    path.unlink()
    assert volume.shape[:2] == (40, 48), name
    return volume


def is_dicom(name: str) -> bool:
    """Does the format go through the DICOM reader?"""
    return name in DICOM
