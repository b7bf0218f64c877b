"""What an NRRD header says, for scans and for segmentations: axes, voxel type, data place, position in the patient."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medviewer.core.errors import InputRefused
from medviewer.core.geometry import Affine
from medviewer.core.progress import Progress
from medviewer.core.volume import Fact
from medviewer.io.voxel_stream import (
    Encoding,
    read_array,
    read_first_slices,
    refuse_if_memory_short,
    refuse_impossible_size,
    to_native,
)

_TYPES = {
    "i1": ("signed char", "int8", "int8_t"), "u1": ("uchar", "unsigned char", "uint8", "uint8_t"),
    "i2": ("short", "short int", "signed short", "signed short int", "int16", "int16_t"),
    "u2": ("ushort", "unsigned short", "unsigned short int", "uint16", "uint16_t"),
    "i4": ("int", "signed int", "int32", "int32_t"), "u4": ("uint", "unsigned int", "uint32", "uint32_t"),
    "i8": ("longlong", "long long", "long long int", "signed long long", "int64", "int64_t"),
    "u8": ("ulonglong", "unsigned long long", "unsigned long long int", "uint64", "uint64_t"),
    "f4": ("float",), "f8": ("double",),
}  # fmt: skip
_DTYPES = {name: code for code, names in _TYPES.items() for name in names}
_TO_LPS = {
    "left-posterior-superior": (1, 1), "lps": (1, 1), "right-anterior-superior": (-1, -1), "ras": (-1, -1),
    "left-anterior-superior": (1, -1), "las": (1, -1),
}  # fmt: skip
_MM_PER_UNIT = {"mm": 1.0, "millimeter": 1.0, "um": 0.001, "µm": 0.001, "cm": 10.0, "m": 1000.0}
_DAMAGED_HINT = "The header is damaged or was written wrongly: export the image again from its source."
_LONGEST_HEADER = 4 << 20


@dataclass(frozen=True)
class NrrdInfo:
    """One NRRD file, understood.

    `sizes` are all axes as stored (fastest first); `domain` the indices of the axes in space (i, j, k), `extra` the
    index of the other axis (colour, time or layers) or None, `extra_kind` its kind. `affine` maps (i, j, k) to LPS
    mm, None where the file gives nothing but pixels; `spacing` the voxel size where only that is known.
    """

    path: Path
    data_path: Path
    encoding: Encoding | str
    offset: int
    skip: int
    dtype: np.dtype[Any]
    sizes: tuple[int, ...]
    domain: tuple[int, ...]
    extra: int | None
    extra_kind: str
    affine: Affine | None
    spacing: tuple[float, float, float] | None
    facts: dict[str, Fact]
    warnings: tuple[str, ...]
    fields: dict[str, Any]

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxel counts (i, j, k); k is 1 for a 2D image."""
        sizes = [self.sizes[axis] for axis in self.domain] + [1]
        return sizes[0], sizes[1], sizes[2]

    @property
    def is_segmentation(self) -> bool:
        return any(key.startswith("Segment0_") for key in self.fields) or self.path.name.lower().endswith(".seg.nrrd")


def read_info(path: Path) -> NrrdInfo:
    """Read and check the header. Raises InputRefused with the reason."""
    fields, end = _parse(path)
    sizes = _sizes(path, fields)
    domain, extra, extra_kind = _axes(path, fields, sizes)
    affine, spacing, facts, warnings = _place(path, fields, domain)
    dtype = _dtype(path, fields)
    data_path, encoding, offset, skip = _data(path, fields, end, math.prod(sizes) * dtype.itemsize)
    return NrrdInfo(
        path, data_path, encoding, offset, skip, dtype, sizes, domain, extra, extra_kind, affine, spacing, facts,
        warnings, fields,
    )  # fmt: skip


def read_stored(info: NrrdInfo, progress: Progress) -> NDArray[Any]:
    """All voxels in native byte order: (i, j, k), or with the extra axis last (i, j, k, e). Raises InputRefused."""
    check_size(info)
    if info.encoding in ("ascii", "txt", "text"):
        stored = _read_text(info)
    else:
        encoding: Any = info.encoding
        stored = read_array(
            info.data_path, info.sizes, info.dtype, encoding, info.offset, skip=info.skip, progress=progress
        )
    stored = to_native(stored)
    if info.extra is not None:
        stored = np.moveaxis(stored, info.extra, -1)
    return stored.reshape((*info.shape, -1) if info.extra is not None else info.shape, order="F")


def read_sample(info: NrrdInfo) -> NDArray[Any] | None:
    """Some voxels of a scalar image for a modality estimate, None where that is not cheap."""
    if info.extra is not None or info.encoding not in ("raw", "zlib", "bzip2"):
        return None
    encoding: Any = info.encoding
    return read_first_slices(info.data_path, info.shape, info.dtype, encoding, info.offset, skip=info.skip)


def read_middle_slice(info: NrrdInfo) -> NDArray[Any] | None:
    """Slice (i, j) in the middle of a scalar image, unverified; None where that is not cheap."""
    if info.extra is not None or info.encoding not in ("raw", "zlib", "bzip2"):
        return None
    encoding: Any = info.encoding
    i, j, k = info.shape
    before = info.skip + (k // 2) * i * j * info.dtype.itemsize
    stored = read_array(
        info.data_path, (i, j), info.dtype, encoding, info.offset, skip=before, progress=Progress(), whole=False
    )
    return to_native(stored)


def check_size(info: NrrdInfo) -> None:
    """Refuse sizes that the file or the memory cannot hold. Raises InputRefused."""
    needed = math.prod(info.sizes) * info.dtype.itemsize
    if info.encoding in ("raw", "zlib", "bzip2"):
        encoding: Any = info.encoding
        peak = needed * (3 if info.extra is not None else 1) + math.prod(info.sizes)
        begin = info.offset + info.skip if encoding == "raw" else 0
        refuse_impossible_size(info.data_path, needed + (info.skip if begin == 0 else 0), encoding, begin, peak)
    else:
        _check_text_size(info)


def _check_text_size(info: NrrdInfo) -> None:
    """Each value takes at least a digit and a space. Raises InputRefused."""
    count, size = math.prod(info.sizes), info.data_path.stat().st_size
    if 2 * count > size + 1:
        raise InputRefused(f"{info.path.name} is cut short: the image is not complete.", "Export the image again.")
    refuse_if_memory_short(info.data_path, count * 64)


def _parse(path: Path) -> tuple[dict[str, Any], int]:
    import nrrd

    with open(path, "rb") as file:
        start = file.read(_LONGEST_HEADER)
        ends = b"\n\n" in start or b"\r\n\r\n" in start or (path.name.lower().endswith(".nhdr") and not file.read(1))
        if not ends:
            raise InputRefused(f"The header of {path.name} does not end.", _DAMAGED_HINT)
        file.seek(0)
        try:
            return dict(nrrd.read_header(file)) | _texts(start), file.tell()
        except Exception as error:
            raise InputRefused(f"The NRRD header of {path.name} cannot be read.", _DAMAGED_HINT) from error


def _texts(start: bytes) -> dict[str, str]:
    """The key/value lines as UTF-8 text; pynrrd drops letters outside ASCII."""
    end = min((n for n in (start.find(b"\n\n"), start.find(b"\r\n\r\n")) if n >= 0), default=len(start))
    lines = start[:end].decode("utf-8", "replace").splitlines()
    pairs = (line.split(":=", 1) for line in lines if ":=" in line and not line.startswith("#"))
    return {key.strip(): value.strip() for key, value in pairs}


def _sizes(path: Path, fields: dict[str, Any]) -> tuple[int, ...]:
    sizes = tuple(int(n) for n in fields.get("sizes", ()))
    if not sizes or min(sizes) < 1 or len(sizes) != int(fields.get("dimension", 0)):
        shown = "x".join(map(str, sizes[:6])) or "?"
        raise InputRefused(f"{path.name} claims an image of size {shown}.", _DAMAGED_HINT)
    return sizes


def _dtype(path: Path, fields: dict[str, Any]) -> np.dtype[Any]:
    code = _DTYPES.get(str(fields.get("type", "")).lower())
    if code is None:
        raise InputRefused(
            f"{path.name} has the voxel type {fields.get('type', '?')}, which is not supported.",
            "Save it as integers or floating point numbers.",
        )
    order = ">" if str(fields.get("endian", "little")).lower() == "big" else "<"
    return np.dtype(code if code[1] == "1" else order + code)


def _axes(path: Path, fields: dict[str, Any], sizes: tuple[int, ...]) -> tuple[tuple[int, ...], int | None, str]:
    """Which axes lie in space, and the one that does not."""
    kinds = [str(kind) for kind in fields.get("kinds", ["???"] * len(sizes))]
    directions = fields.get("space directions")
    if directions is not None:
        rows = [_direction(row) for row in directions]
        domain = [axis for axis, row in enumerate(rows) if row is not None]
    else:
        domain = [axis for axis, kind in enumerate(kinds) if kind in ("domain", "space", "???", "none")]
        if len(domain) > 3:
            domain = domain[:3]
    others = [axis for axis in range(len(sizes)) if axis not in domain]
    extra = [axis for axis in others if sizes[axis] > 1]
    if len(domain) not in (2, 3) or len(extra) > 1:
        raise InputRefused(f"{path.name} is not a 2D or 3D image (axes: {', '.join(kinds)}).", "Save one scalar image.")
    return tuple(domain), extra[0] if extra else None, kinds[extra[0]] if extra else ""


def _direction(row: Any) -> NDArray[np.float64] | None:
    if row is None:
        return None
    vector = np.atleast_1d(np.asarray(row, float))
    return None if np.isnan(vector).all() else vector


def _place(
    path: Path, fields: dict[str, Any], domain: tuple[int, ...]
) -> tuple[Affine | None, tuple[float, float, float] | None, dict[str, Fact], tuple[str, ...]]:
    """Affine to LPS mm, or only a voxel size, with the origin of what is known."""
    if "space directions" not in fields:
        return _from_spacings(path, fields, domain)
    columns = [_direction(fields["space directions"][axis]) for axis in domain]
    matrix = np.eye(4)
    matrix[:3, : len(columns)] = _columns(path, columns)
    if len(columns) == 2:
        normal = np.cross(matrix[:3, 0], matrix[:3, 1])
        matrix[:3, 2] = normal / max(float(np.linalg.norm(normal)), 1e-12)
    origin = np.asarray(fields.get("space origin", np.zeros(3)), float)
    matrix[:3, 3] = origin if origin.shape == (3,) else np.nan
    factor = _mm_factor(fields.get("space units"))
    space = str(fields.get("space", "")).lower().removesuffix("-time")
    flips = _TO_LPS.get(space)
    affine = _usable(path, np.diag([*(flips or (1, 1)), 1, 1]) @ np.diag([factor] * 3 + [1.0]) @ matrix)
    if flips is None:
        return affine, None, {"orientation": Fact(None, "unknown")}, (orientation_unknown(path),)
    return affine, None, {"orientation": Fact(space, "file header")}, ()


def _columns(path: Path, columns: list[NDArray[np.float64] | None]) -> NDArray[np.float64]:
    good = [column for column in columns if column is not None and column.shape == (3,)]
    if len(good) != len(columns):
        raise InputRefused(f"The space directions of {path.name} are not three-dimensional.", _DAMAGED_HINT)
    return np.stack(good, axis=1)


def _from_spacings(
    path: Path, fields: dict[str, Any], domain: tuple[int, ...]
) -> tuple[Affine | None, tuple[float, float, float] | None, dict[str, Fact], tuple[str, ...]]:
    facts = {"orientation": Fact(None, "unknown")}
    spacings = np.asarray(fields.get("spacings", []), float)
    values = [float(spacings[axis]) if axis < len(spacings) else math.nan for axis in domain]
    if not all(math.isfinite(value) and value > 0 for value in values):
        return None, None, facts | {"pixel_spacing": Fact(None, "unknown")}, (orientation_unknown(path),)
    if len(values) == 2:
        return None, (values[0], values[1], 0.0), facts, (orientation_unknown(path),)
    return np.diag([*values, 1.0]), None, facts, (orientation_unknown(path),)


def orientation_unknown(path: Path) -> str:
    """The warning of a file that has a voxel size but no direction."""
    return f"{path.name} does not record its orientation: left and right, front and back, up and down are not known."


def _mm_factor(units: Any) -> float:
    if units is None or len(units) == 0:
        return 1.0
    return _MM_PER_UNIT.get(str(units[0]).strip('"').lower(), 1.0)


def _usable(path: Path, affine: Affine) -> Affine:
    finite = bool(np.isfinite(affine).all())
    lengths = np.linalg.norm(affine[:3, :3], axis=0) if finite else np.zeros(3)
    if not finite or lengths.min() < 1e-6 or abs(np.linalg.det(affine[:3, :3] / lengths)) < 1e-3:
        raise InputRefused(
            f"The position of {path.name} in the patient is not valid: voxels would have no place.", _DAMAGED_HINT
        )
    return affine


def _data(path: Path, fields: dict[str, Any], end: int, needed: int) -> tuple[Path, Encoding | str, int, int]:
    """Where the voxels are: file, packing, offset in the file, bytes to pass over after unpacking."""
    names = {"gz": "zlib", "gzip": "zlib", "bz2": "bzip2", "bzip2": "bzip2"}
    encoding = str(fields.get("encoding", "raw")).lower()
    encoding = names.get(encoding, encoding)
    if encoding not in ("raw", "zlib", "bzip2", "ascii", "txt", "text"):
        raise InputRefused(f"{path.name} is packed as {encoding}, which is not supported.", "Save it as gzip or raw.")
    name = fields.get("data file", fields.get("datafile"))
    data_path, offset = (path, end) if name is None else (beside(path, str(name)), 0)
    offset = _after_lines(data_path, offset, int(fields.get("line skip", fields.get("lineskip", 0))))
    skip = int(fields.get("byte skip", fields.get("byteskip", 0)))
    if skip == -1 and encoding == "raw":
        offset, skip = max(data_path.stat().st_size - needed, 0), 0
    if skip < 0:
        raise InputRefused(f"{path.name} claims that its voxels begin before the file.", _DAMAGED_HINT)
    return data_path, encoding, offset, skip


def beside(path: Path, name: str) -> Path:
    """The data file that a header names; it must lie in the header's folder or below. Raises InputRefused."""
    folder = path.parent.resolve()
    try:
        target = (folder / name.replace("\0", "")).resolve()
    except (OSError, RuntimeError):  # links that lead in a circle
        raise InputRefused(f"{path.name} names a data file that is a broken link.", "Copy both files again.") from None
    if "\0" in name or not target.is_relative_to(folder) or name.startswith("LIST") or "%" in name:
        raise InputRefused(f"{path.name} names data that is not one file beside it.", "Keep header and data together.")
    if not target.is_file():
        raise InputRefused(f"{path.name} has no data file {target.name} beside it.", "Keep both files in one folder.")
    return target


def _after_lines(path: Path, offset: int, count: int) -> int:
    with open(path, "rb") as file:
        file.seek(offset)
        for _ in range(count):
            if not file.readline():  # past the end; the size check names it
                break
        return file.tell()


def _read_text(info: NrrdInfo) -> NDArray[Any]:
    with open(info.data_path, "rb") as file:
        file.seek(info.offset + info.skip)
        words = file.read().split()
    if len(words) < math.prod(info.sizes):
        raise InputRefused(f"{info.path.name} is cut short: the image is not complete.", "Export the image again.")
    try:
        values = np.array(words[: math.prod(info.sizes)], info.dtype.newbyteorder("="))
    except ValueError as error:
        raise InputRefused(f"{info.path.name} holds text where numbers should be.", _DAMAGED_HINT) from error
    return values.reshape(info.sizes, order="F")
