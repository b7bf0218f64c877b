"""What a NIfTI header says: sizes, voxel type, scaling, and the place in the patient. No voxels are read here."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from medviewer.core.errors import InputRefused
from medviewer.core.geometry import Affine, flip_ras_lps, volume_corners
from medviewer.core.volume import Fact
from medviewer.io.export_notes import noted_resampling
from medviewer.io.voxel_stream import Encoding, read_start

_MM_PER_UNIT = {"meter": 1000.0, "mm": 1.0, "micron": 0.001, "unknown": 1.0}
_INTEGERS_AND_FLOATS = {2, 4, 8, 16, 64, 256, 512, 768, 1024, 1280}
_RGB, _RGBA = 128, 2304
_DAMAGED_HINT = "The header is damaged or was written wrongly: convert the scan again from its source."


@dataclass(frozen=True)
class NiftiInfo:
    """One NIfTI file, understood.

    `dtype` is the stored voxel type with its byte order; colour has `channels` 3 or 4 of uint8. `affine` maps voxel
    (i, j, k) to LPS mm. `slope`, `intercept` turn stored values into real ones; (1, 0) where trivial.
    """

    data_path: Path
    encoding: Encoding
    offset: int
    shape: tuple[int, int, int]
    frames: int
    dtype: np.dtype[Any]
    channels: int
    slope: float
    intercept: float
    affine: Affine
    facts: dict[str, Fact]
    warnings: tuple[str, ...]

    @property
    def frame_bytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize * self.channels

    @property
    def is_colour(self) -> bool:
        return self.channels > 1

    @property
    def peak_bytes(self) -> int:
        """Memory that reading one time point takes at its worst: as stored, scaled, and which voxels are numbers."""
        scaled = 0 if (self.slope, self.intercept) == (1.0, 0.0) else 8 if self.dtype.itemsize > 2 else 4
        return self.frame_bytes + math.prod(self.shape) * (self.channels if self.is_colour else scaled + 1)


def looks_like_nifti(start: bytes) -> bool:
    """Whether unpacked first bytes (540 or more wanted) are a NIfTI-1, NIfTI-2 or Analyze header."""
    size = start[:4]
    return size in (b"\x5c\x01\0\0", b"\0\0\x01\x5c", b"\x1c\x02\0\0", b"\0\0\x02\x1c")


def read_info(path: Path) -> NiftiInfo:
    """Read and check the header. Raises InputRefused with the reason; nothing is repaired silently."""
    header = _parse(path, read_start(path, 4096))
    shape, frames = _dims(path, header)
    dtype, channels = _voxel_type(path, header)
    affine, facts, warnings = _place(path, header, shape)
    slope, intercept, note = _scaling(header)
    warnings += noted_resampling(header["descrip"].tobytes())
    data_path, encoding, offset = _data_position(path, header)
    if channels > 1 and (slope, intercept) != (1.0, 0.0):
        slope, intercept, note = 1.0, 0.0, ("The value scaling of a colour image was ignored.",)
    return NiftiInfo(
        data_path, encoding, offset, shape, frames, dtype, channels, slope, intercept, affine, facts, warnings + note
    )


def _parse(path: Path, start: bytes) -> Any:
    from nibabel.nifti1 import Nifti1Header
    from nibabel.nifti2 import Nifti2Header

    if not looks_like_nifti(start):
        raise InputRefused(f"{path.name} is not a NIfTI file or is damaged.", "Check that the right file was chosen.")
    second = start[:4] in (b"\x1c\x02\0\0", b"\0\0\x02\x1c")
    magic = start[4:8] if second else start[344:348]
    if magic[:3] not in (b"n+1", b"ni1", b"n+2", b"ni2"):
        raise InputRefused(
            f"{path.name} is an Analyze 7.5 file, which does not record left and right.",
            "Convert it to NIfTI where its orientation is known.",
        )
    endian = "<" if start[0] else ">"
    kind = Nifti2Header if second else Nifti1Header
    try:
        return kind.from_fileobj(io.BytesIO(start[:1024]), endianness=endian, check=False)
    except Exception as error:
        raise InputRefused(f"The NIfTI header of {path.name} cannot be read.", _DAMAGED_HINT) from error


def _dims(path: Path, header: Any) -> tuple[tuple[int, int, int], int]:
    count = int(header["dim"][0])
    if not 1 <= count <= 7:
        raise InputRefused(f"{path.name} claims {count} dimensions.", _DAMAGED_HINT)
    sizes = [int(n) for n in header["dim"][1 : count + 1]]
    if min(sizes) < 1:
        raise InputRefused(f"{path.name} claims an image of size {'x'.join(map(str, sizes))}.", _DAMAGED_HINT)
    sizes += [1] * (4 - len(sizes))
    if any(n > 1 for n in sizes[4:]):
        raise InputRefused(
            f"{path.name} has {count} dimensions (vectors or tensors), which is not supported.",
            "Save one scalar image per file.",
        )
    return (sizes[0], sizes[1], sizes[2]), sizes[3]


def _voxel_type(path: Path, header: Any) -> tuple[np.dtype[Any], int]:
    code = int(header["datatype"])
    if code in (_RGB, _RGBA):
        return np.dtype(np.uint8), 3 if code == _RGB else 4
    if code not in _INTEGERS_AND_FLOATS:
        raise InputRefused(
            f"{path.name} has the voxel type {code} (complex, binary or unknown), which is not supported.",
            "Save it as integers or floating point numbers.",
        )
    dtype = np.dtype(header.get_data_dtype())
    if int(header["bitpix"]) != dtype.itemsize * 8:
        raise InputRefused(f"{path.name} contradicts itself about the size of a voxel value.", _DAMAGED_HINT)
    return dtype, 1


def _scaling(header: Any) -> tuple[float, float, tuple[str, ...]]:
    slope, intercept = float(header["scl_slope"]), float(header["scl_inter"])
    if slope == 0 or (math.isnan(slope) and (math.isnan(intercept) or intercept == 0)):
        return 1.0, 0.0, ()
    if not math.isfinite(slope) or not math.isfinite(intercept):
        return 1.0, 0.0, ("The value scaling in the header is not a number and was ignored.",)
    return slope, intercept, ()


def _data_position(path: Path, header: Any) -> tuple[Path, Encoding, int]:
    magic = bytes(header["magic"].tobytes()[:3])
    offset = float(header["vox_offset"])
    data_path = path
    if magic in (b"ni1", b"ni2"):
        data_path = _image_beside(path)
        smallest = 0
    else:
        smallest = int(header["sizeof_hdr"]) + 4
        offset = offset or smallest
    if not math.isfinite(offset) or offset < smallest or offset != int(offset) or offset > 1 << 40:
        raise InputRefused(f"{path.name} claims that its voxels begin at byte {offset:g}.", _DAMAGED_HINT)
    with open(data_path, "rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    return data_path, "gzip" if packed else "raw", int(offset)


def _image_beside(path: Path) -> Path:
    stem = path.name.removesuffix(".gz").removesuffix(".hdr")
    for suffix in (".img", ".img.gz"):
        candidate = path.with_name(stem + suffix)
        if candidate.is_file():
            return candidate
    raise InputRefused(f"{path.name} has no image file {stem}.img beside it.", "Keep both files in one folder.")


def _place(path: Path, header: Any, shape: tuple[int, int, int]) -> tuple[Affine, dict[str, Fact], tuple[str, ...]]:
    """The affine to LPS mm, its origin, and what is doubtful about it."""
    unit = _length_unit(header)
    scale = np.diag([_MM_PER_UNIT[unit]] * 3 + [1.0])
    facts = {"length_unit": Fact("mm", "estimated") if unit == "unknown" else Fact(unit, "file header")}
    qform, sform = _qform(path, header), _sform(path, header)
    warnings: list[str] = []
    if sform is not None:
        chosen, facts["orientation"] = sform, Fact("sform", "file header")
        if qform is not None:
            warnings += _disagreement(scale @ sform, scale @ qform, shape)
    elif qform is not None:
        chosen, facts["orientation"] = qform, Fact("qform", "file header")
    else:
        chosen, facts["orientation"] = _from_pixdim(path, header, shape), Fact(None, "unknown")
        warnings.append(
            "The file does not record its orientation: left and right, front and back, up and down are not known."
        )
    warnings += _shear(chosen)
    return flip_ras_lps(scale @ chosen), facts, tuple(warnings)


def _length_unit(header: Any) -> str:
    try:
        unit = str(header.get_xyzt_units()[0])
    except KeyError:
        return "unknown"
    return unit if unit in _MM_PER_UNIT else "unknown"


def _sform(path: Path, header: Any) -> Affine | None:
    if int(header["sform_code"]) <= 0:
        return None
    return _checked(path, np.asarray(header.get_sform(), float), "sform")


def _qform(path: Path, header: Any) -> Affine | None:
    if int(header["qform_code"]) <= 0:
        return None
    if int(header["sform_code"]) <= 0:
        _zooms(path, header)
    try:
        matrix = np.asarray(header.get_qform(), float)
    except Exception:
        if int(header["sform_code"]) > 0:
            return None  # the sform is used; a broken qform beside it changes nothing
        raise InputRefused(f"The orientation (qform) of {path.name} is not valid.", _DAMAGED_HINT) from None
    if int(header["sform_code"]) > 0 and not _is_usable(matrix):
        return None
    return _checked(path, matrix, "qform")


def _is_usable(matrix: Affine) -> bool:
    if not np.isfinite(matrix).all():
        return False
    lengths = np.linalg.norm(matrix[:3, :3], axis=0)
    if lengths.min() < 1e-6 or lengths.max() > 1e6 or np.abs(matrix[:3, 3]).max() > 1e7:
        return False
    return bool(abs(np.linalg.det(matrix[:3, :3] / lengths)) > 1e-3)


def _checked(path: Path, matrix: Affine, name: str) -> Affine:
    if not _is_usable(matrix):
        raise InputRefused(
            f"The position of {path.name} in the patient ({name}) is not valid: voxels would have no place.",
            "Convert the scan again from its source; nothing was guessed.",
        )
    return matrix


def _zooms(path: Path, header: Any) -> tuple[float, float, float]:
    zooms = [float(value) for value in header["pixdim"][1:4]]
    count = min(int(header["dim"][0]), 3)
    zooms[count:] = [zoom if math.isfinite(zoom) and zoom > 0 else 1.0 for zoom in zooms[count:]]
    if not all(math.isfinite(zoom) and zoom > 0 for zoom in zooms):
        raise InputRefused(
            f"{path.name} claims a voxel size of {' x '.join(f'{zoom:g}' for zoom in zooms)}.", _DAMAGED_HINT
        )
    return zooms[0], zooms[1], zooms[2]


def _from_pixdim(path: Path, header: Any, shape: tuple[int, int, int]) -> Affine:
    """NIfTI method 1 as readers of reference apply it: x flipped, centre of the image at the origin (RAS)."""
    zooms = np.array(_zooms(path, header)) * [-1.0, 1.0, 1.0]
    matrix = np.diag([*zooms, 1.0])
    matrix[:3, 3] = -(np.array(shape) - 1) / 2.0 * zooms
    return matrix


def _disagreement(sform: Affine, qform: Affine, shape: tuple[int, int, int]) -> list[str]:
    distance = float(np.abs(volume_corners(shape, sform) - volume_corners(shape, qform)).max())
    if distance <= 0.1:
        return []
    return [f"The header holds two positions that differ by up to {distance:.1f} mm; the sform is used."]


def _shear(matrix: Affine) -> list[str]:
    unit = matrix[:3, :3] / np.linalg.norm(matrix[:3, :3], axis=0)
    if float(np.abs(unit.T @ unit - np.eye(3)).max()) < 2e-3:
        return []
    return ["The voxel axes are not at right angles to each other (sheared volume)."]
