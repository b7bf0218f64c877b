"""Reading DICOM SEG with pydicom alone: every frame is placed by its own position, not by its order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medviewer.core.errors import InputRefused
from medviewer.core.geometry import Affine, lps_to_voxel, spacing_of
from medviewer.core.volume import Volume
from medviewer.io.dicom_geometry import rounding_allowance
from medviewer.io.write_nrrd_seg import ReadSegment

SEG_CLASSES = ("1.2.840.10008.5.1.4.1.1.66.4",)


@dataclass(frozen=True, eq=False)
class SegFrame:
    """One frame: its segment number, pixels bool (i = column, j = row), and place or referenced image."""

    segment: int
    pixels: NDArray[np.bool_]
    position: NDArray[np.float64] | None
    right: NDArray[np.float64] | None  # one column step in LPS mm
    down: NDArray[np.float64] | None  # one row step in LPS mm
    reference: tuple[str, int | None] | None  # SOP Instance UID and 1-based frame of the source


def read_masks_of(dataset: Any, volume: Volume, sources: Sequence[Any] = ()) -> list[ReadSegment]:
    """The segments of a SEG on the grid of `volume`. Raises InputRefused where a frame lies on no slice of it.

    `sources` (data sets in the order of k) resolve frames that carry only a reference to their image.
    """
    segments = _segments(dataset, volume.shape)
    by_number = dict(segments)
    uids = [str(source.SOPInstanceUID) for source in sources] or list(volume.source.instance_uids)
    for frame in frames_of(dataset):
        mask = by_number[frame.segment].mask
        k = _slice_of(frame, volume, uids)
        if frame.pixels.shape != mask.shape[:2]:
            raise _other_grid()
        mask[:, :, k] |= frame.pixels
    return [segment for _, segment in segments]


def frames_of(dataset: Any) -> list[SegFrame]:
    """All frames of a BINARY or FRACTIONAL (> 0.5) SEG."""
    if str(dataset.get("SOPClassUID")) not in SEG_CLASSES:
        raise InputRefused("This DICOM file is not a segmentation.", "Choose a DICOM SEG file.")
    pixels = _unpacked(dataset)
    shared = dataset.SharedFunctionalGroupsSequence[0]
    own = dataset.PerFrameFunctionalGroupsSequence
    return [_frame(shared, own[number], pixels[number]) for number in range(len(own))]


def open_seg(path: Path) -> Any:
    """The data set of a SEG file. Raises InputRefused."""
    import pydicom

    try:
        return pydicom.dcmread(path)
    except Exception as error:
        raise InputRefused(f"{path.name} is not a readable DICOM file.", "Choose a DICOM SEG file.") from error


def seg_grid(frames: Sequence[SegFrame]) -> tuple[Affine, tuple[int, int, int]] | None:
    """The regular grid (affine to LPS mm, shape) that holds all frames, None where they have no places."""
    placed = [frame for frame in frames if frame.position is not None]
    if not placed or len(placed) < len(frames):
        return None
    right, down, origin = placed[0].right, placed[0].down, placed[0].position
    if right is None or down is None or origin is None:
        return None
    normal = np.cross(right / np.linalg.norm(right), down / np.linalg.norm(down))
    heights = sorted({round(float((f.position - origin) @ normal), 3) for f in placed if f.position is not None})
    step = min(np.diff(heights)) if len(heights) > 1 else 1.0
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1], affine[:3, 2] = right, down, normal * step
    affine[:3, 3] = origin + normal * heights[0]
    count = round((heights[-1] - heights[0]) / step) + 1
    return affine, (*placed[0].pixels.shape, count)  # type: ignore[return-value]


def _segments(dataset: Any, shape: tuple[int, int, int]) -> list[tuple[int, ReadSegment]]:
    found = []
    for item in dataset.SegmentSequence:
        modifiers = item.SegmentedPropertyTypeCodeSequence[0].get("SegmentedPropertyTypeModifierCodeSequence", [])
        side = {"7771000": "left", "24028007": "right"}.get(str(modifiers[0].CodeValue)) if modifiers else None
        mask = np.zeros(shape, np.bool_, order="F")
        found.append((int(item.SegmentNumber), ReadSegment(str(item.SegmentLabel), mask, _color(item), None, side)))
    return found


def _color(item: Any) -> tuple[int, int, int]:
    from highdicom.color import CIELabColor

    values = item.get("RecommendedDisplayCIELabValue")
    if values is None or len(values) != 3:
        return 76, 194, 255
    red, green, blue = CIELabColor.from_dicom_value(tuple(int(v) for v in values)).to_rgb()
    return int(red), int(green), int(blue)


def _unpacked(dataset: Any) -> NDArray[np.bool_]:
    """(frame, row, column); BINARY frames are packed bit by bit without gaps, the lowest bit first."""
    frames, rows, columns = int(dataset.NumberOfFrames), int(dataset.Rows), int(dataset.Columns)
    count = frames * rows * columns
    if int(dataset.BitsAllocated) == 1 and not dataset.file_meta.TransferSyntaxUID.is_encapsulated:
        packed = np.frombuffer(dataset.PixelData, np.uint8)
        if packed.size * 8 < count:
            raise InputRefused("The DICOM SEG is cut short: its pixels are not complete.", "Copy the file again.")
        bits = np.unpackbits(packed, count=count, bitorder="little")
        return bits.reshape(frames, rows, columns).view(np.bool_)
    largest = int(dataset.get("MaximumFractionalValue", 1))
    return np.asarray(dataset.pixel_array.reshape(frames, rows, columns) * 2 > largest)


def _frame(shared: Any, own: Any, pixels: NDArray[np.bool_]) -> SegFrame:
    number = int(_group(shared, own, "SegmentIdentificationSequence").ReferencedSegmentNumber)
    position, right, down = None, None, None
    plane = _group(shared, own, "PlanePositionSequence")
    orientation = _group(shared, own, "PlaneOrientationSequence")
    measures = _group(shared, own, "PixelMeasuresSequence")
    if plane is not None and orientation is not None and measures is not None:
        position = np.array(plane.ImagePositionPatient, float)
        row_step, column_step = (float(value) for value in measures.PixelSpacing)
        right, down = np.array(orientation.ImageOrientationPatient, float).reshape(2, 3)
        right, down = right * column_step, down * row_step
    return SegFrame(number, pixels.T, position, right, down, _reference(shared, own))


def _group(shared: Any, own: Any, name: str) -> Any:
    for functional in (own, shared):
        if name in functional and len(functional[name].value):
            return functional[name].value[0]
    return None


def _reference(shared: Any, own: Any) -> tuple[str, int | None] | None:
    derivation = _group(shared, own, "DerivationImageSequence")
    if derivation is None or not derivation.get("SourceImageSequence"):
        return None
    source = derivation.SourceImageSequence[0]
    frame = source.get("ReferencedFrameNumber")
    if frame is not None and not isinstance(frame, int):
        frame = frame[0] if hasattr(frame, "__len__") and not isinstance(frame, str) else int(frame)
    return str(source.ReferencedSOPInstanceUID), int(frame) if frame is not None else None


def _slice_of(frame: SegFrame, volume: Volume, uids: Sequence[str]) -> int:
    if frame.position is not None and volume.affine is not None:
        return _slice_at(frame, volume.affine, volume.shape)
    if volume.shape[2] == 1:
        return 0
    if frame.reference is not None and frame.reference[0] in uids:
        return uids.index(frame.reference[0])
    raise _other_grid()


def _slice_at(frame: SegFrame, affine: Affine, shape: tuple[int, int, int]) -> int:
    """The slice k whose pixels lie where the frame's pixels lie, as exactly as the reader asks of slices."""
    if frame.position is None or frame.right is None or frame.down is None:
        raise _other_grid()
    columns, rows = frame.pixels.shape
    k = round(float(lps_to_voxel(affine, frame.position)[2]))
    far = frame.position + frame.right * (columns - 1) + frame.down * (rows - 1)
    corners = affine[:3, :3] @ np.array([[0, columns - 1], [0, rows - 1], [k, k]], float) + affine[:3, 3:]
    error = np.abs(corners.T - np.array([frame.position, far])).max()
    if error > rounding_allowance(spacing_of(affine)[2]) or not 0 <= k < shape[2]:
        raise _other_grid()
    return k


def _other_grid() -> InputRefused:
    return InputRefused("The segmentation lies on another grid than this scan.", "Open the scan it was made from.")
