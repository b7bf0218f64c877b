"""What a file is, by its first bytes; the name's ending decides only where the content cannot."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path

from medviewer.io.nifti_header import looks_like_nifti
from medviewer.io.voxel_stream import read_start


class FileKind(StrEnum):
    """The reader a file is given to; UNKNOWN files are refused with a reason."""

    DICOM = "dicom"
    NIFTI = "nifti"
    NRRD = "nrrd"
    METAIMAGE = "metaimage"
    IMAGE = "image"
    COMPANION = "companion"  # the data part of another file, or our label sidecar: not listed
    UNKNOWN = "unknown"


_IMAGE_STARTS = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"II*\0", b"MM\0*", b"BM", b"GIF8")
_DICOM_ENDINGS = {".dcm", ".dicom", ".ima", ".dc3"}
_SESSION = ".mvsession"
_COMPANION_ENDINGS = {".img", ".raw", ".zraw"}
_SIDECARS = {".json", ".bval", ".bvec"}
_ARCHIVES = {"a zip archive", "a 7z archive", "a rar archive", "a packed file"}
WHAT_WORKS = "Choose DICOM, NIfTI, NRRD, MetaImage, PNG or JPEG files."
_FIRST_GROUPS = (b"\x02\x00", b"\x08\x00", b"\x00\x02", b"\x00\x08")
_REASONS = (
    (b"%PDF", "a PDF document"), (b"PK\x03\x04", "a zip archive"), (b"7z\xbc\xaf", "a 7z archive"),
    (b"Rar!", "a rar archive"), (b"\x1f\x8b", "a packed file"),
    (b"\x89HDF", "an HDF5 file"), (b"\x1aE\xdf\xa3", "a video"), (b"RIFF", "a video or sound"),
)  # fmt: skip


def kind_of(path: Path) -> FileKind:
    """Look at the first bytes of a regular file. Raises OSError where it cannot be read."""
    start = read_start(path, 4096)
    suffix = path.suffix.lower()
    if start[128:132] == b"DICM":
        return FileKind.DICOM
    if looks_like_nifti(start):
        return FileKind.NIFTI
    if start[:4] == b"NRRD":
        return FileKind.NRRD
    if _is_metaimage(start, suffix):
        return FileKind.METAIMAGE
    if start.startswith(_IMAGE_STARTS) and suffix not in _DICOM_ENDINGS:
        return FileKind.IMAGE
    if path.name.upper() == "DICOMDIR" or suffix in _DICOM_ENDINGS or _is_bare_dicom(start):
        return FileKind.DICOM
    return _by_name(path, suffix)


def readable_files(folder: Path) -> Iterator[Path]:
    """All files below a folder in a stable order, hidden ones and links to folders left out."""
    for root, folders, names in os.walk(folder, followlinks=False):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if not name.startswith("."):
                yield Path(root) / name


def is_regular(path: Path) -> bool:
    """Whether opening the path cannot wait forever (no pipe, device or socket)."""
    return stat.S_ISREG(path.stat().st_mode)


def why_not_a_scan(path: Path) -> str:
    """One sentence for a file that no reader takes."""
    if not is_regular(path):
        return f"{path.name} is not a scan: it is a device, pipe or link. {WHAT_WORKS}"
    start = read_raw_start(path)
    if not start:
        return f"{path.name} is not a scan: the file is empty. Copy it again."
    if path.name.lower().endswith((".nii", ".nii.gz", ".hdr")):
        return f"{path.name} is not a NIfTI file, or it is damaged. Copy or convert it again."
    if path.suffix.lower() == _SESSION:
        return f"{path.name} is not a scan: it is a session of medviewer. Open it in the window."
    for mark, what in _REASONS:
        if start.startswith(mark):
            hint = "Unpack it first." if what in _ARCHIVES else WHAT_WORKS
            return f"{path.name} is not a scan: it is {what}. {hint}"
    what = "a text file" if _is_text(start) else "of an unknown kind"
    return f"{path.name} is not a scan: it is {what}. {WHAT_WORKS}"


def read_raw_start(path: Path) -> bytes:
    """The first bytes as stored."""
    with open(path, "rb") as file:
        return file.read(512)


def _is_metaimage(start: bytes, suffix: str) -> bool:
    if suffix in (".mha", ".mhd"):
        return True
    return start.startswith((b"ObjectType = Image", b"NDims = ")) and b"DimSize" in start


def _is_bare_dicom(start: bytes) -> bool:
    """A DICOM data set without the 128-byte preamble: begins with group 0002 or 0008, a low element, a known form."""
    if len(start) < 16 or start[:2] not in _FIRST_GROUPS:
        return False
    little = start[:2] in _FIRST_GROUPS[:2]
    element = int.from_bytes(start[2:4], "little" if little else "big")
    explicit = start[4:6].isalpha() and start[4:6].isupper()
    length = int.from_bytes(start[4:8], "little" if little else "big")
    return element <= 0x0060 and (explicit or length <= 256)


def _by_name(path: Path, suffix: str) -> FileKind:
    if suffix == _SESSION:  # beside its scans: opened by itself, never listed as one of them
        return FileKind.COMPANION
    if suffix in _COMPANION_ENDINGS and _has_header(path):
        return FileKind.COMPANION
    if suffix in _SIDECARS and _has_image(path):
        return FileKind.COMPANION
    if path.name.lower().endswith(".raw.gz") and _has_header(path.with_suffix("")):
        return FileKind.COMPANION
    return FileKind.UNKNOWN


def _has_header(path: Path) -> bool:
    return any(path.with_suffix(ending).is_file() for ending in (".hdr", ".mhd", ".nhdr"))


def _has_image(path: Path) -> bool:
    return any(path.with_name(path.stem + ending).is_file() for ending in (".nii.gz", ".nii", ".nrrd", ".png"))


def _is_text(start: bytes) -> bool:
    return b"\0" not in start and all(byte >= 32 or byte in (9, 10, 12, 13) for byte in start)
