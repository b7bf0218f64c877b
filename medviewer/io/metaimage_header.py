"""What a MetaImage header says (.mha, .mhd). Its physical space is LPS mm, as ITK uses it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from medviewer.core.errors import InputRefused
from medviewer.core.geometry import Affine
from medviewer.core.volume import Fact
from medviewer.io.nrrd_header import beside, orientation_unknown
from medviewer.io.voxel_stream import Encoding

_TYPES = {
    "MET_CHAR": "i1", "MET_UCHAR": "u1", "MET_SHORT": "i2", "MET_USHORT": "u2", "MET_INT": "i4", "MET_UINT": "u4",
    "MET_LONG": "i4", "MET_ULONG": "u4", "MET_LONG_LONG": "i8", "MET_ULONG_LONG": "u8", "MET_FLOAT": "f4",
    "MET_DOUBLE": "f8",
}  # fmt: skip
_LONGEST_HEADER = 1 << 16
_DAMAGED_HINT = "The header is damaged or was written wrongly: export the image again from its source."


@dataclass(frozen=True)
class MetaInfo:
    """One MetaImage, understood. `frames` > 1 for a 4D image; `channels` > 1 for interleaved colour."""

    path: Path
    data_path: Path
    encoding: Encoding
    offset: int
    dtype: np.dtype[Any]
    shape: tuple[int, int, int]
    frames: int
    channels: int
    dimensions: int
    affine: Affine | None
    spacing: tuple[float, float, float] | None
    facts: dict[str, Fact]
    warnings: tuple[str, ...]

    @property
    def frame_bytes(self) -> int:
        return math.prod(self.shape) * self.channels * self.dtype.itemsize

    @property
    def peak_bytes(self) -> int:
        """Memory that reading one time point takes at its worst: as stored, rearranged, which voxels are numbers."""
        return self.frame_bytes * (2 if self.channels > 1 else 1) + math.prod(self.shape)


def read_info(path: Path) -> MetaInfo:
    """Read and check the header. Raises InputRefused with the reason."""
    fields, end = _parse(path)
    count, sizes = _sizes(path, fields)
    dtype, channels = _voxel_type(path, fields)
    affine, spacing, facts, warnings = _place(path, fields, count)
    bytes_needed = math.prod(sizes) * channels * dtype.itemsize
    data_path, encoding, offset = _data(path, fields, end, bytes_needed)
    return MetaInfo(
        path, data_path, encoding, offset, dtype, (sizes[0], sizes[1], sizes[2]), sizes[3], channels, count, affine,
        spacing, facts, warnings,
    )  # fmt: skip


def _parse(path: Path) -> tuple[dict[str, str], int]:
    """Fields by lower-case name, and the byte after the last header line (ElementDataFile ends the header)."""
    fields: dict[str, str] = {}
    with open(path, "rb") as file:
        while file.tell() < _LONGEST_HEADER and (line := file.readline(_LONGEST_HEADER)):
            name, found, value = line.decode("latin-1").partition("=")
            if not found:
                break
            fields[name.strip().lower()] = value.strip()
            if name.strip().lower() == "elementdatafile":
                return fields, file.tell()
    raise InputRefused(f"{path.name} is not a MetaImage file or its header is cut short.", _DAMAGED_HINT)


def _numbers(path: Path, fields: dict[str, str], *names: str) -> list[float] | None:
    for name in names:
        if name in fields:
            try:
                return [float(word) for word in fields[name].split()]
            except ValueError as error:
                raise InputRefused(f"{path.name} has letters where numbers belong ({name}).", _DAMAGED_HINT) from error
    return None


def _sizes(path: Path, fields: dict[str, str]) -> tuple[int, tuple[int, int, int, int]]:
    values = _numbers(path, fields, "dimsize") or []
    count = len(values)
    if fields.get("ndims") != str(count) or count not in (2, 3, 4) or not all(n >= 1 and n == int(n) for n in values):
        raise InputRefused(f"{path.name} claims an image of size {fields.get('dimsize', '?')}.", _DAMAGED_HINT)
    sizes = [int(n) for n in values] + [1, 1]
    return count, (sizes[0], sizes[1], sizes[2], sizes[3])


def _voxel_type(path: Path, fields: dict[str, str]) -> tuple[np.dtype[Any], int]:
    name = fields.get("elementtype", "").upper()
    code = _TYPES.get(name.removesuffix("_ARRAY"))
    if code is None or fields.get("binarydata", "true").lower() != "true":
        raise InputRefused(
            f"{path.name} stores voxels as {name or 'text'}, which is not supported.", "Save it as .nii.gz."
        )
    big = fields.get("binarydatabyteordermsb", fields.get("elementbyteordermsb", "false")).lower() == "true"
    channels = int((_numbers(path, fields, "elementnumberofchannels") or [1])[0])
    if channels not in (1, 3, 4) or (channels > 1 and code != "u1"):
        raise InputRefused(f"{path.name} holds {channels} values per voxel, which is not supported.", "Save one image.")
    return np.dtype((">" if big else "<") + code), channels


def _place(
    path: Path, fields: dict[str, str], count: int
) -> tuple[Affine | None, tuple[float, float, float] | None, dict[str, Fact], tuple[str, ...]]:
    spacing = _numbers(path, fields, "elementspacing", "elementsize")
    matrix = _numbers(path, fields, "transformmatrix", "rotation", "orientation")
    origin = _numbers(path, fields, "offset", "position", "origin")
    if spacing is None:
        warning = f"{path.name} records no voxel size: lengths are in pixels."
        return None, None, {"pixel_spacing": Fact(None, "unknown"), "orientation": Fact(None, "unknown")}, (warning,)
    _require(path, len(spacing) == count and all(math.isfinite(s) and s > 0 for s in spacing), "voxel size")
    if count == 2:
        return None, (spacing[0], spacing[1], 0.0), {"orientation": Fact(None, "unknown")}, ()
    _require(path, matrix is None or len(matrix) == count * count, "direction")
    _require(path, origin is None or len(origin) == count, "position")
    directions = np.eye(count) if matrix is None else np.array(matrix).reshape(count, count).T
    affine = np.eye(4)
    affine[:3, :3] = directions[:3, :3] * spacing[:3]
    affine[:3, 3] = np.zeros(3) if origin is None else origin[:3]
    finite = bool(np.isfinite(affine).all())
    _require(path, finite and abs(np.linalg.det(directions[:3, :3])) > 1e-3, "position in the patient")
    if matrix is None:
        return affine, None, {"orientation": Fact(None, "unknown")}, (orientation_unknown(path),)
    return affine, None, {"orientation": Fact("TransformMatrix", "file header")}, ()


def _require(path: Path, valid: bool, what: str) -> None:
    if not valid:
        raise InputRefused(f"The {what} in the header of {path.name} is not valid.", _DAMAGED_HINT)


def _data(path: Path, fields: dict[str, str], end: int, needed: int) -> tuple[Path, Encoding, int]:
    name = fields["elementdatafile"]
    local = name.upper() == "LOCAL"
    data_path = path if local else beside(path, name)
    encoding: Encoding = "zlib" if fields.get("compresseddata", "false").lower() == "true" else "raw"
    skip = int((_numbers(path, fields, "headersize") or [0])[0])
    if skip == -1 and encoding == "raw":
        return data_path, encoding, max(data_path.stat().st_size - needed, end if local else 0)
    return data_path, encoding, (end if local else 0) + max(skip, 0)
