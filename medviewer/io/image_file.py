"""Reader for PNG, JPEG, TIFF and BMP through Pillow: pixels without a place in the patient and without mm.

Pillow and its C codecs run in a decode worker (see decode_pictures); here the answers are checked and assembled.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medviewer.core.errors import InputRefused
from medviewer.core.progress import Progress
from medviewer.core.volume import Fact, Kind, Refused, ScanResult, SeriesEntry, Source, Volume
from medviewer.io.decode_pool import SECONDS, WorkerFailed, ask
from medviewer.io.voxel_stream import amount, refuse_if_memory_short

_MOST_BYTES = 2 << 30
_LARGE_BYTES, _HIGHEST_RATIO = 256 << 20, 50  # what a small file may claim; beyond it: pixel bytes per byte of the file
_BATCH_BYTES, _BYTES_PER_SECOND = 128 << 20, 2e7  # pages that are asked for together; the slowest decoding
_NO_PLACE = "A picture file records neither mm nor the patient's sides: lengths are in pixels, left and right unknown."
_DAMAGED_HINT = "Copy or export the picture again."


@dataclass(frozen=True)
class ImageHandle:
    """The picture file an entry means."""

    path: Path


@dataclass(frozen=True)
class _Picture:
    """What the header of a picture file says: pixels as `load` gives them, and bytes of all pages together."""

    columns: int
    rows: int
    pages: int
    bytes: int


def scan(path: Path, progress: Progress) -> ScanResult:
    """List a picture file from its header. Never raises for a bad file."""
    progress.check_cancelled()
    try:
        found = _picture(path)
        return ScanResult((_entry(path, (found.columns, found.rows, found.pages)),))
    except InputRefused as error:
        return ScanResult(refused=(Refused(path, str(error)),))


def load(entry: SeriesEntry, progress: Progress) -> Volume:
    """Decode the picture: array[i = column, j = row, k = page], grey or RGB. Raises InputRefused."""
    handle: ImageHandle = entry.handle
    progress.report(0.0, "Reading")
    found = _picture(handle.path, verify=True)
    step = max(1, found.pages * _BATCH_BYTES // max(found.bytes, 1))
    pages: list[NDArray[Any]] = []
    for first in range(0, found.pages, step):
        progress.report(first / found.pages, "Reading")
        pages += _pages(handle.path, found, first, min(step, found.pages - first))
    if any(page.shape[:2] != pages[0].shape[:2] for page in pages):
        raise InputRefused(f"{handle.path.name} has pages of different sizes.", "Save each page as its own picture.")
    array = _as_volume(pages)
    return Volume(
        array, None, None, None, _kind(array.shape[2]), facts=entry.facts, warnings=entry.warnings, id=entry.id,
        title=entry.title, source=Source("image", entry.path, (handle.path,)),
    )  # fmt: skip


def load_slice(entry: SeriesEntry) -> NDArray[Any]:
    """The picture (its middle page) as (i, j) or (i, j, 3), for thumbnails. Raises InputRefused."""
    path = entry.handle.path
    found = _picture(path, verify=True)
    (page,) = _pages(path, found, found.pages // 2, 1)
    return page.swapaxes(0, 1)


def _entry(path: Path, shape: tuple[int, int, int]) -> SeriesEntry:
    facts = {name: Fact(None, "unknown") for name in ("modality", "pixel_spacing", "orientation")}
    return SeriesEntry(
        path.name, "image", path.name, _kind(shape[2]), None, shape, None, None, None, facts, (_NO_PLACE,),
        path=path, handle=ImageHandle(path),
    )  # fmt: skip


def _kind(frames: int) -> Kind:
    return "image" if frames == 1 else "cine"


def _as_volume(pages: list[NDArray[Any]]) -> NDArray[Any]:
    """(rows, cols[, 3]) pages to array[i = column, j = row, k = page[, 3]]."""
    if len(pages) == 1:
        return np.expand_dims(pages[0].swapaxes(0, 1), 2)
    if any(page.ndim == 3 for page in pages):
        stack = np.stack([page if page.ndim == 3 else np.repeat(page[..., None], 3, -1) for page in pages])
        return stack.transpose(2, 1, 0, 3)
    return np.stack(pages).transpose(2, 1, 0)


def _picture(path: Path, verify: bool = False) -> _Picture:
    """The checked header; `verify` compares the checksums of a PNG. Raises InputRefused."""
    try:
        size = path.stat().st_size
        seconds = SECONDS + (size * 1e-7 if verify else 0.0)
        found = _Picture(**ask("picture", path, seconds, verify=verify)[0]["picture"])
    except (WorkerFailed, OSError) as error:
        raise _refusal(path, error) from None
    pages = f" on {found.pages} pages" if found.pages > 1 else ""
    if found.bytes > _MOST_BYTES:
        raise InputRefused(f"{path.name} has {found.columns} x {found.rows} pixels{pages}.", "Reduce or crop it first.")
    if found.bytes > max(_LARGE_BYTES, _HIGHEST_RATIO * size):
        raise InputRefused(
            f"{path.name} would unpack from {amount(size)} to {amount(found.bytes)}.",
            "Such a file is not a picture of a patient. Convert it by hand if you trust it.",
        )
    refuse_if_memory_short(path, 2 * found.bytes)
    return found


def _pages(path: Path, found: _Picture, first: int, count: int) -> list[NDArray[Any]]:
    """Decoded pages, (rows, cols) or (rows, cols, 3). Raises InputRefused."""
    most = 4 * found.columns * found.rows * count
    try:
        described, data = ask("pages", path, SECONDS + most / _BYTES_PER_SECOND, most, first=first, count=count)
    except WorkerFailed as error:
        raise _refusal(path, error) from None
    pages, at = [], 0
    for shape, dtype in described["pages"]:
        length = int(np.prod(shape))
        pages.append(np.frombuffer(data, np.dtype(dtype), length, at).reshape(shape))
        at += length * np.dtype(dtype).itemsize
    return pages


def _refusal(path: Path, error: WorkerFailed | OSError) -> InputRefused:
    if isinstance(error, OSError):
        return InputRefused(f"{path.name} cannot be read: {error.strerror}.", "Check its permissions.")
    if error.kind == "InputRefused":
        return InputRefused(error.reason, error.hint or _DAMAGED_HINT)
    return InputRefused(f"{path.name} could not be decoded: {error.reason}.", _DAMAGED_HINT)
