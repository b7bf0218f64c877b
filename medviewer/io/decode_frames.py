"""Compressed DICOM frames, decoded by a worker process. Safe from any thread."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medviewer.core.errors import InputRefused
from medviewer.core.progress import Progress
from medviewer.io.decode_codecs import unsupported
from medviewer.io.decode_pool import SECONDS, WorkerFailed, ask
from medviewer.io.dicom_handle import FrameRef
from medviewer.io.dicom_pixels import Then, in_parallel, stored_dtype
from medviewer.io.voxel_stream import amount

MEGAPIXEL_SECONDS, MOST_SECONDS = 1.0, 60.0
_LARGE_BYTES, _HIGHEST_RATIO = 512 << 20, 50  # what small files may claim, else bytes of pixels per byte of the files
_HINT = "Copy it again from its source, or export it uncompressed."


class Undecoded(InputRefused):
    """One frame could not be decoded; `path` is its file. The rest of the series may still make a volume."""

    path = Path()


def _undecoded(path: Path, reason: str) -> Undecoded:
    error = Undecoded(f"{path.name} could not be decoded: {reason}.", _HINT)
    error.path = path
    return error


def seconds_for(ref: FrameRef) -> float:
    """The time one frame may take: 4 s and another for each megapixel, a minute at most."""
    return min(MOST_SECONDS, SECONDS + MEGAPIXEL_SECONDS * ref.format.rows * ref.format.columns * 1e-6)


def decode(ref: FrameRef, seconds: float | None = None) -> NDArray[Any]:
    """One compressed frame: stored values (rows, columns), or RGB uint8 (rows, columns, 3). Raises `Undecoded`."""
    refusal = unsupported(ref.format.transfer_syntax, ref.path.name)
    if refusal is not None:
        raise refusal
    shape, dtype = _expected(ref)
    count = int(np.prod(shape)) * dtype.itemsize
    try:
        _, data = ask(
            "frame", ref.path, seconds_for(ref) if seconds is None else seconds, count,
            offset=ref.offset, index=ref.index, frames=ref.frames, pixels=asdict(ref.format),
        )  # fmt: skip
    except WorkerFailed as error:
        raise _undecoded(ref.path, error.reason) from None
    if len(data) != count:
        raise _undecoded(ref.path, "its image has another size than it says")
    return np.frombuffer(data, dtype).reshape(shape)


def _expected(ref: FrameRef) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Shape and type of a decoded frame; the worker's own word is not taken for it."""
    pixels = ref.format
    if pixels.samples > 1:
        return (pixels.rows, pixels.columns, 3), np.dtype(np.uint8)
    return (pixels.rows, pixels.columns), stored_dtype(pixels)


def decode_into(refs: Sequence[FrameRef], out: NDArray[Any], progress: Progress, then: Then) -> None:
    """All frames into `out` (n, rows, columns[, 3]), two at a time. Raises `InputRefused`, `Cancelled`."""
    _refuse_bomb(refs, out.nbytes)

    def fill(k: int) -> None:
        out[k] = decode(refs[k])
        then(k)

    in_parallel(fill, len(refs), progress, "Decoding slices")


def _refuse_bomb(refs: Sequence[FrameRef], claimed: int) -> None:
    """No scan packs like this; blank pictures do, but none so large. Raises `InputRefused`."""
    if claimed <= _LARGE_BYTES:
        return
    size = sum(path.stat().st_size for path in {ref.path for ref in refs})
    if claimed > _HIGHEST_RATIO * size:
        name = refs[0].path.name
        raise InputRefused(
            f"{name} would unpack from {amount(size)} to {amount(claimed)}.",
            "Such a file is not a scan. Export it uncompressed if you trust it.",
        )
