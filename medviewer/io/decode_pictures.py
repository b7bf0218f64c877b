"""Picture files through Pillow: PNG, JPEG, TIFF, BMP, GIF. Runs in the decode worker only: a native codec may crash."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medviewer.core.errors import InputRefused

_FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "GIF")
_TURNED = {5, 6, 7, 8}  # EXIF orientations that swap rows and columns
_GREY_MODES = {"1": np.uint8, "L": np.uint8, "I;16": np.uint16, "I;16L": np.uint16, "I;16B": np.uint16,
               "I": np.int32, "F": np.float32}  # fmt: skip
_DAMAGED_HINT = "Copy or export the picture again."


def picture_task(path: Path, verify: bool) -> tuple[dict[str, Any], bytes]:
    """What the header says, see `_Picture`; `verify` also compares the checksums of a PNG."""
    with _opened(path) as image:
        columns, rows = image.size[::-1] if _is_turned(image) else image.size
        pages = _frame_count(image)
        held = columns * rows * pages * _pixel_bytes(image.mode)
        if verify and image.format == "PNG":
            _verify(path, image)
    return {"picture": {"columns": columns, "rows": rows, "pages": pages, "bytes": held}}, b""


def _verify(path: Path, image: Any) -> None:
    """PNG chunks carry checksums, which decoding alone does not compare."""
    try:
        image.verify()
    except Exception as error:
        raise InputRefused(f"{path.name} is damaged: a checksum does not match.", _DAMAGED_HINT) from error


def pages_task(path: Path, first: int, count: int) -> tuple[dict[str, Any], memoryview | bytes]:
    """Pages `first` to `first + count`, one after the other."""
    pages = _decode(path, first, count)
    described = {"pages": [(page.shape, page.dtype.str) for page in pages]}
    flat = [np.ascontiguousarray(page).reshape(-1).view(np.uint8) for page in pages]
    joined: Any = flat[0] if len(flat) == 1 else np.concatenate(flat)
    return described, memoryview(joined)


def _opened(path: Path) -> Any:
    """An open Pillow image; only the header has been read."""
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            return Image.open(path, formats=_FORMATS)
    except Image.DecompressionBombError as error:
        raise InputRefused(f"{path.name} claims to be larger than any picture.", "Check where it came from.") from error
    except (OSError, SyntaxError, ValueError) as error:
        raise InputRefused(f"{path.name} is not a readable PNG, JPEG, TIFF or BMP picture.", _DAMAGED_HINT) from error


def _pixel_bytes(mode: str) -> int:
    if mode in _GREY_MODES:
        return int(np.dtype(_GREY_MODES[mode]).itemsize)
    return 1 if mode in ("LA", "La") else 3


def _is_turned(image: Any) -> bool:
    """Whether EXIF swaps rows and columns; a PNG's is only looked for before its pixels, which are not decoded here."""
    if image.format == "PNG" and "exif" not in image.info:
        return False
    return image.getexif().get(0x0112) in _TURNED


def _frame_count(image: Any) -> int:
    return int(getattr(image, "n_frames", 1))


def _decode(path: Path, first: int, count: int) -> list[NDArray[Any]]:
    """Pages as (rows, cols) or (rows, cols, 3)."""
    from PIL import ImageOps

    pages = []
    try:
        with _opened(path) as image:
            for number in range(first, first + count):
                image.seek(number)
                pages.append(_page(path, ImageOps.exif_transpose(image)))
    except (InputRefused, MemoryError):
        raise
    except Exception as error:
        raise InputRefused(f"{path.name} is cut short or damaged.", _DAMAGED_HINT) from error
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
