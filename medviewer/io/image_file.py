"""Reader for PNG, JPEG, TIFF and BMP through Pillow: pixels without a place in the patient and without mm."""

from __future__ import annotations

import warnings as python_warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medviewer.core.errors import InputRefused
from medviewer.core.progress import Progress, silent
from medviewer.core.volume import Fact, Kind, Refused, ScanResult, SeriesEntry, Source, Volume
from medviewer.io.voxel_stream import refuse_if_memory_short

_MOST_PIXELS = 400_000_000
_LARGE_PICTURE, _HIGHEST_RATIO = 30_000_000, 3000  # pixels; pixels per byte of the file
_FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "GIF")
_TURNED = {5, 6, 7, 8}  # EXIF orientations that swap rows and columns
_GREY_MODES = {"1": np.uint8, "L": np.uint8, "I;16": np.uint16, "I;16L": np.uint16, "I;16B": np.uint16,
               "I": np.int32, "F": np.float32}  # fmt: skip
_NO_PLACE = "A picture file records neither mm nor the patient's sides: lengths are in pixels, left and right unknown."
_DAMAGED_HINT = "Copy or export the picture again."


@dataclass(frozen=True)
class ImageHandle:
    """The picture file an entry means."""

    path: Path


def scan(path: Path, progress: Progress) -> ScanResult:
    """List a picture file from its header. Never raises for a bad file."""
    progress.check_cancelled()
    try:
        return ScanResult((_entry(path, _shape(path)),))
    except InputRefused as error:
        return ScanResult(refused=(Refused(path, str(error)),))
    except Exception:  # Pillow raises errors of every kind for damaged headers
        return ScanResult(refused=(Refused(path, str(_unreadable(path))),))


def load(entry: SeriesEntry, progress: Progress) -> Volume:
    """Decode the picture: array[i = column, j = row, k = page], grey or RGB. Raises InputRefused."""
    handle: ImageHandle = entry.handle
    _verify_checksums(handle.path)
    progress.report(0.1, "Reading")
    pages = _decode(handle.path)
    array = _as_volume(pages)
    return Volume(
        array, None, None, None, _kind(array.shape[2]), facts=entry.facts, warnings=entry.warnings, id=entry.id,
        title=entry.title, source=Source("image", entry.path, (handle.path,)),
    )  # fmt: skip


def load_slice(entry: SeriesEntry) -> NDArray[Any]:
    """The picture (its middle page) as (i, j) or (i, j, 3), for thumbnails. Raises InputRefused."""
    array = load(entry, silent()).array
    return np.asarray(array[:, :, array.shape[2] // 2])


def _shape(path: Path) -> tuple[int, int, int]:
    """Columns, rows, pages as `load` gives them."""
    with _opened(path) as image:
        _refuse_huge(path, image)
        columns, rows = image.size
        if _is_turned(image):
            columns, rows = rows, columns
        return columns, rows, _frame_count(image)


def _entry(path: Path, shape: tuple[int, int, int]) -> SeriesEntry:
    facts = {name: Fact(None, "unknown") for name in ("modality", "pixel_spacing", "orientation")}
    return SeriesEntry(
        path.name, "image", path.name, _kind(shape[2]), None, shape, None, None, None, facts, (_NO_PLACE,),
        path=path, handle=ImageHandle(path),
    )  # fmt: skip


def _kind(frames: int) -> Kind:
    return "image" if frames == 1 else "cine"


def _opened(path: Path) -> Any:
    """An open Pillow image; only the header has been read."""
    from PIL import Image

    try:
        with python_warnings.catch_warnings():
            python_warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            return Image.open(path, formats=_FORMATS)
    except Image.DecompressionBombError as error:
        raise InputRefused(f"{path.name} claims to be larger than any picture.", "Check where it came from.") from error
    except (OSError, SyntaxError, ValueError) as error:
        raise _unreadable(path) from error


def _unreadable(path: Path) -> InputRefused:
    return InputRefused(f"{path.name} is not a readable PNG, JPEG, TIFF or BMP picture.", _DAMAGED_HINT)


def _refuse_huge(path: Path, image: Any) -> None:
    columns, rows = image.size
    pixels = columns * rows * _frame_count(image)
    if pixels > _MOST_PIXELS:
        raise InputRefused(f"{path.name} has {columns} x {rows} pixels.", "Reduce or crop it first.")
    if pixels > _LARGE_PICTURE and pixels > _HIGHEST_RATIO * path.stat().st_size:
        raise InputRefused(f"{path.name} is too small for {columns} x {rows} pixels.", _DAMAGED_HINT)
    refuse_if_memory_short(path, pixels * 8)


def _is_turned(image: Any) -> bool:
    """Whether EXIF swaps rows and columns; a PNG's is only looked for before its pixels, which are not decoded here."""
    if image.format == "PNG" and "exif" not in image.info:
        return False
    return image.getexif().get(0x0112) in _TURNED


def _frame_count(image: Any) -> int:
    return int(getattr(image, "n_frames", 1))


def _verify_checksums(path: Path) -> None:
    """PNG chunks carry checksums, which decoding alone does not compare."""
    try:
        with _opened(path) as image:
            _refuse_huge(path, image)
            if image.format == "PNG":
                image.verify()
    except InputRefused:
        raise
    except Exception as error:
        raise InputRefused(f"{path.name} is damaged: a checksum does not match.", _DAMAGED_HINT) from error


def _decode(path: Path) -> list[NDArray[Any]]:
    """All pages as (rows, cols) or (rows, cols, 3)."""
    from PIL import ImageOps

    pages = []
    try:
        with _opened(path) as image:
            for number in range(_frame_count(image)):
                image.seek(number)
                pages.append(_page(path, ImageOps.exif_transpose(image)))
    except InputRefused:
        raise
    except Exception as error:
        raise InputRefused(f"{path.name} is cut short or damaged.", _DAMAGED_HINT) from error
    if any(page.shape[:2] != pages[0].shape[:2] for page in pages):
        raise InputRefused(f"{path.name} has pages of different sizes.", "Save each page as its own picture.")
    return pages


def _page(path: Path, image: Any) -> NDArray[Any]:
    if image.mode in _GREY_MODES:
        grey = np.array(image.convert("L") if image.mode == "1" else image)
        return _native(grey, _GREY_MODES[image.mode])
    if image.mode in ("LA", "La"):
        return np.array(image.getchannel(0))
    if image.mode in ("RGB", "RGBA", "RGBa", "RGBX", "P", "PA", "CMYK", "YCbCr", "LAB", "HSV"):
        return _grey_if_equal(np.array(image.convert("RGB")))
    raise InputRefused(f"{path.name} stores pixels as {image.mode}, which is not supported.", "Save it as PNG.")


def _native(grey: NDArray[Any], dtype: Any) -> NDArray[Any]:
    return grey if grey.dtype == dtype else grey.astype(dtype)


def _grey_if_equal(rgb: NDArray[Any]) -> NDArray[Any]:
    """A grey picture stored with three equal channels is a grey picture; no value changes."""
    equal = np.array_equal(rgb[..., 0], rgb[..., 1]) and np.array_equal(rgb[..., 0], rgb[..., 2])
    return np.ascontiguousarray(rgb[..., 0]) if equal else rgb


def _as_volume(pages: list[NDArray[Any]]) -> NDArray[Any]:
    """(rows, cols[, 3]) pages to array[i = column, j = row, k = page[, 3]]."""
    if any(page.ndim == 3 for page in pages):
        stack = np.stack([page if page.ndim == 3 else np.repeat(page[..., None], 3, -1) for page in pages])
        return stack.transpose(2, 1, 0, 3)
    return np.stack(pages).transpose(2, 1, 0)
