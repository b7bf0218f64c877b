"""PNG: masks of 2D images (0 and 255, same size), and pictures of views."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medviewer.core.errors import OutputNotWritten
from medviewer.core.progress import Progress
from medviewer.core.segmentation import Segment
from medviewer.core.volume import Volume
from medviewer.io.export_notes import licence_notes, notes_of


def write(path: Path, volume: Volume, segments: Sequence[Segment], progress: Progress) -> None:
    """Write where any of the segments is as 255 in an 8-bit PNG of the image's rows and columns."""
    progress.report(0.0, "Writing PNG")
    _save(path, mask_picture(volume, segments), [*notes_of(volume), *licence_notes(segments)])


def verify(path: Path, volume: Volume, segments: Sequence[Segment]) -> None:
    """Re-open and compare. Raises OutputNotWritten."""
    verify_picture(path, mask_picture(volume, segments))


def write_picture(path: Path, picture: NDArray[np.uint8], notes: Sequence[str] = ()) -> None:
    """Write a picture (rows, cols, 3) or (rows, cols); nothing but the pixels and `notes` goes into the file."""
    _save(path, picture, notes)


def verify_picture(path: Path, picture: NDArray[np.uint8]) -> None:
    """Re-open and compare every pixel. Raises OutputNotWritten."""
    from PIL import Image

    with Image.open(path) as image:
        read = np.asarray(image)
    if read.shape != picture.shape or not np.array_equal(read, picture):
        raise OutputNotWritten(
            f"{path.name} was not written: reading it back gave other pixels than were saved.",
            "Try another folder or drive.",
        )


def mask_picture(volume: Volume, segments: Sequence[Segment]) -> NDArray[np.uint8]:
    """The union of the masks, (rows, cols), 0 or 255. Cine: of the frame the segments belong to."""
    frame = _frame(volume, segments)
    union = np.zeros(volume.shape[:2], np.bool_)
    for segment in segments:
        union |= segment.mask[:, :, frame]
    return np.ascontiguousarray(union.T).astype(np.uint8) * np.uint8(255)


def _frame(volume: Volume, segments: Sequence[Segment]) -> int:
    if volume.kind == "volume" and volume.shape[2] > 1:
        raise OutputNotWritten("A PNG cannot hold the mask of a volume.", "Save it as .nii.gz, .seg.nrrd or .dcm.")
    if volume.kind != "cine" or volume.shape[2] == 1:
        return 0
    frames = {k for segment in segments for k in _frames_of(segment)}
    if len(frames) > 1:
        raise OutputNotWritten("A PNG holds one frame; these masks belong to several.", "Save each frame by itself.")
    return frames.pop() if frames else 0


def _frames_of(segment: Segment) -> list[int]:
    if segment.frame is not None:
        return [segment.frame]
    return [int(k) for k in np.flatnonzero(segment.mask.any(axis=(0, 1)))]


def _save(path: Path, picture: NDArray[Any], notes: Sequence[str]) -> None:
    from PIL import Image, PngImagePlugin

    text = PngImagePlugin.PngInfo()
    if notes:
        text.add_text("Comment", " ".join(notes))
    Image.fromarray(np.ascontiguousarray(picture)).save(path, format="PNG", pnginfo=text)
