"""Reading DICOM SEG with pydicom alone: every frame is placed by its own position, not by its order.

Binary, fractional (half and more counts) and label map segmentations, native, deflated or compressed (decoded by the
worker process). A segmentation of another patient or frame of reference is refused, never laid over the scan.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from medviewer.core.errors import Cancelled, InputRefused, UserError
from medviewer.core.geometry import Affine, lps_to_voxel, spacing_of, voxel_to_lps
from medviewer.core.provenance import AlgorithmType, Provenance
from medviewer.core.volume import Volume
from medviewer.io.dicom_geometry import rounding_allowance
from medviewer.io.dicom_seg_pixels import SegPixels, background_of, pixels_of, read_dataset
from medviewer.io.dicom_seg_text import line
from medviewer.io.write_nrrd_seg import ReadSegment

SEG_CLASSES = ("1.2.840.10008.5.1.4.1.1.66.4",)
LABEL_MAP_CLASSES = ("1.2.840.10008.5.1.4.1.1.66.7",)
_SIDES = {"7771000": "left", "24028007": "right", "G-A101": "left", "G-A100": "right"}  # SCT, and retired SRT
_RETIRED = ("SRT", "SNM3", "99SDM")
_MOST_VOXELS = 1 << 31  # of the grid that a SEG's own positions span
_HINT = "Open the scan it was made from."


@dataclass(frozen=True, eq=False)
class SegFrame:
    """One frame: its place or referenced image. `segment` is None in a label map, whose pixels name the segments."""

    number: int  # 0-based
    segment: int | None
    pixels: SegPixels
    position: NDArray[np.float64] | None
    right: NDArray[np.float64] | None  # one column step in LPS mm
    down: NDArray[np.float64] | None  # one row step in LPS mm
    reference: tuple[str, int | None] | None  # SOP Instance UID and 1-based frame of the source

    def masks(self) -> Iterator[tuple[int, NDArray[np.bool_]]]:
        """(segment number, bool (i = column, j = row)) of the segments in this frame."""
        stored = self.pixels.frame(self.number).T
        if self.segment is not None:
            yield self.segment, stored if stored.dtype == np.bool_ else stored * 2 > self.pixels.largest
        else:
            for value in np.unique(stored):
                if int(value) not in self.pixels.background:
                    yield int(value), stored == value


def read_masks_of(dataset: Any, volume: Volume, sources: Sequence[Any] = ()) -> list[ReadSegment]:
    """The segments of a SEG on the grid of `volume`. Raises InputRefused where a frame lies on no slice of it, where
    the SEG belongs to another patient or frame of reference, and where it is damaged.

    `sources` (data sets in the order of k) resolve frames that carry only a reference to their image; with them the
    SEG is known to belong to the scan.
    """
    try:
        if not sources:
            _require_belonging(dataset, volume)
        return _read_masks(dataset, volume, [str(source.SOPInstanceUID) for source in sources])
    except (UserError, Cancelled):
        raise
    except Exception as error:  # pydicom raises whatever a damaged value makes it raise
        raise _damaged(error) from error


def _read_masks(dataset: Any, volume: Volume, uids: list[str]) -> list[ReadSegment]:
    frames = frames_of(dataset)
    slices = [_slice_of(frame, volume, uids) for frame in frames]
    segments = _segments(dataset, volume.shape)
    by_number = dict(segments)
    for frame, k in zip(frames, slices, strict=True):
        if (frame.pixels.columns, frame.pixels.rows) != volume.shape[:2]:
            raise _other_grid()
        for number, mask in frame.masks():
            if number not in by_number:
                raise InputRefused(
                    f"The segmentation has voxels of segment {number}, which it does not describe.", "Export it again."
                )
            by_number[number].mask[:, :, k] |= mask
    return [segment for _, segment in segments]


def frames_of(dataset: Any) -> list[SegFrame]:
    """All frames of a SEG, pixels not yet unpacked. Raises InputRefused for anything else and for damage."""
    kind = str(dataset.get("SOPClassUID"))
    if kind not in SEG_CLASSES + LABEL_MAP_CLASSES:
        raise InputRefused("This DICOM file is not a segmentation.", "Choose a DICOM SEG file.")
    try:
        pixels = pixels_of(dataset)
        shared = (dataset.get("SharedFunctionalGroupsSequence") or [None])[0]
        own = dataset.PerFrameFunctionalGroupsSequence
        if len(own) != pixels.count:
            raise ValueError("not as many descriptions as frames")
        label_map = kind in LABEL_MAP_CLASSES
        return [_frame(shared, own[number], number, pixels, label_map) for number in range(pixels.count)]
    except (UserError, Cancelled):
        raise
    except Exception as error:  # pydicom raises whatever a damaged value makes it raise
        raise _damaged(error) from error


def open_seg(path: Path) -> Any:
    """The data set of a SEG file. Raises InputRefused, also for what is no SEG and for a small file that unpacks to a
    huge one."""
    dataset = read_dataset(path)
    if str(dataset.get("SOPClassUID")) not in SEG_CLASSES + LABEL_MAP_CLASSES:
        raise InputRefused(f"{path.name} is no DICOM segmentation.", "Choose a DICOM SEG file.")
    return dataset


def seg_grid(frames: Sequence[SegFrame]) -> tuple[Affine, tuple[int, int, int]] | None:
    """The regular grid (affine to LPS mm, shape) that holds all frames, None where they have no places.

    Raises InputRefused where the positions span more than any scan.
    """
    placed = [frame for frame in frames if frame.position is not None]
    if not placed or len(placed) < len(frames):
        return None
    right, down, origin = placed[0].right, placed[0].down, placed[0].position
    if right is None or down is None or origin is None:
        return None
    normal = np.cross(right / np.linalg.norm(right), down / np.linalg.norm(down))
    heights = sorted({round(float((f.position - origin) @ normal), 3) for f in placed if f.position is not None})
    step = min(np.diff(heights)) if len(heights) > 1 else placed[0].pixels.thickness
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1], affine[:3, 2] = right, down, normal * step
    affine[:3, 3] = origin + normal * heights[0]
    columns, rows, count = placed[0].pixels.columns, placed[0].pixels.rows, (heights[-1] - heights[0]) / step + 1
    if not np.isfinite(affine).all() or columns * rows * count > _MOST_VOXELS:
        raise InputRefused("The positions in the segmentation span more than any scan.", _HINT)
    return affine, (columns, rows, round(count))


def _require_belonging(dataset: Any, volume: Volume) -> None:
    """Refuse another patient, and another frame of reference unless the SEG names this very series."""
    theirs, ours = (_plain(text) for text in (str(dataset.get("PatientID") or ""), volume.patient.id))
    if theirs and ours and theirs != ours:
        raise InputRefused("The segmentation belongs to another patient than this scan.", _HINT)
    named = volume.facts.get("frame_of_reference_uid")
    own, other = str(named.value or "") if named is not None else "", str(dataset.get("FrameOfReferenceUID") or "")
    if not own or not other or own == other:
        return
    series = {str(item.get("SeriesInstanceUID")) for item in dataset.get("ReferencedSeriesSequence") or []}
    if volume.source.series_uid not in series:
        raise InputRefused(
            "The segmentation was made in another frame of reference: its positions do not count in this scan.", _HINT
        )


def _plain(identifier: str) -> str:
    """An id without its formatting."""
    return "".join(c for c in identifier.casefold() if c.isascii() and c.isalnum())


def _segments(dataset: Any, shape: tuple[int, int, int]) -> list[tuple[int, ReadSegment]]:
    label_map = str(dataset.SOPClassUID) in LABEL_MAP_CLASSES
    notes: tuple[str, ...] = ()
    if dataset.get("SegmentationType") == "FRACTIONAL":
        notes = (f"fractions ({str(dataset.get('SegmentationFractionalType', '')).lower()}) of one half and more",)
    found = []
    for item in dataset.SegmentSequence:
        number = int(item.SegmentNumber)
        if label_map and number in background_of(dataset):
            continue
        mask = np.zeros(shape, np.bool_, order="F")
        name = line(str(item.get("SegmentLabel") or "")) or f"Segment {number}"
        read = ReadSegment(name, mask, _color(item), None, _side(item), notes, _code(item), _origin(item))
        found.append((number, read))
    if len(dict(found)) != len(found):
        raise ValueError("a segment number twice")
    return found


def _side(item: Any) -> str | None:
    types = item.get("SegmentedPropertyTypeCodeSequence")
    modifiers = types[0].get("SegmentedPropertyTypeModifierCodeSequence") if types else None
    return _SIDES.get(str(modifiers[0].get("CodeValue"))) if modifiers else None


def _code(item: Any) -> tuple[str, str] | None:
    """Scheme and value of what the segment is; a retired SNOMED RT code as its SNOMED CT successor."""
    from pydicom.sr._snomed_dict import mapping

    types = item.get("SegmentedPropertyTypeCodeSequence")
    if not types:
        return None
    scheme, value = str(types[0].get("CodingSchemeDesignator")), str(types[0].get("CodeValue"))
    successor = mapping["SRT"].get(value) if scheme in _RETIRED else None
    return ("SCT", successor) if successor else (scheme, value)


def _origin(item: Any) -> Provenance:
    """Who made the segment, as the file says."""
    stated = str(item.get("SegmentAlgorithmType"))
    kind: AlgorithmType = next((k for k in get_args(AlgorithmType) if k == stated), "SEMIAUTOMATIC")
    identification = (item.get("SegmentationAlgorithmIdentificationSequence") or [{}])[0]
    name = str(identification.get("AlgorithmName") or item.get("SegmentAlgorithmName") or "")
    version = line(str(identification.get("AlgorithmVersion") or ""))
    return Provenance(kind, line(name), version, licence=_licence(identification))


def _licence(identification: Any) -> str:
    """What our own writer says among the parameters of what the model's weights may be used for."""
    parts = str(identification.get("AlgorithmParameters") or "").split("; ")
    stated = next((part for part in parts if part.startswith("licence=")), "")
    return line(stated.removeprefix("licence="), 400) if stated else ""


def _color(item: Any) -> tuple[int, int, int]:
    from highdicom.color import CIELabColor

    values = item.get("RecommendedDisplayCIELabValue")
    if values is None or not hasattr(values, "__len__") or len(values) != 3:
        return 76, 194, 255
    red, green, blue = CIELabColor.from_dicom_value(tuple(int(v) for v in values)).to_rgb()
    return int(red), int(green), int(blue)


def _frame(shared: Any, own: Any, number: int, pixels: SegPixels, label_map: bool) -> SegFrame:
    identification = group_of(shared, own, "SegmentIdentificationSequence")
    if identification is None and not label_map:
        raise ValueError("a frame of no segment")
    segment = None if label_map else int(identification.ReferencedSegmentNumber)
    position, right, down = None, None, None
    plane = group_of(shared, own, "PlanePositionSequence")
    orientation = group_of(shared, own, "PlaneOrientationSequence")
    measures = group_of(shared, own, "PixelMeasuresSequence")
    if plane is not None and orientation is not None and measures is not None:
        position = np.array(plane.ImagePositionPatient, float).reshape(3)
        row_step, column_step = (float(value) for value in measures.PixelSpacing)
        right, down = np.array(orientation.ImageOrientationPatient, float).reshape(2, 3)
        right, down = right * column_step, down * row_step
        if not np.isfinite([position, right, down]).all() or not right.any() or not down.any():
            raise ValueError("a position that is no number")
    return SegFrame(number, segment, pixels, position, right, down, _reference(shared, own))


def group_of(shared: Any, own: Any, name: str) -> Any:
    """The first item of a functional group of a frame: its own, else the shared one, else None."""
    for functional in (own, shared):
        if functional is not None and name in functional and functional[name].value:
            return functional[name].value[0]
    return None


def _reference(shared: Any, own: Any) -> tuple[str, int | None] | None:
    derivation = group_of(shared, own, "DerivationImageSequence")
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
    known = list(uids) or list(volume.source.instance_uids)
    if frame.reference is None or frame.reference[0] not in known:
        raise InputRefused("The segmentation belongs to another image than this one.", "Open the image it was made on.")
    numbers = volume.source.frame_numbers
    if numbers and len(set(known)) == 1:  # one multi-frame file
        if frame.reference[1] is None and len(numbers) == 1:
            return 0
        if frame.reference[1] not in numbers:
            raise _other_grid()
        return numbers.index(frame.reference[1])
    return known.index(frame.reference[0])


def _slice_at(frame: SegFrame, affine: Affine, shape: tuple[int, int, int]) -> int:
    """The slice k whose pixels lie where the frame's pixels lie, as exactly as the reader asks of slices."""
    if frame.position is None or frame.right is None or frame.down is None:
        raise _other_grid()
    columns, rows = frame.pixels.columns, frame.pixels.rows
    height = float(lps_to_voxel(affine, frame.position)[2])
    k = round(height) if np.isfinite(height) and -1 < height < shape[2] else -1
    corners = np.array([[0, 0], [columns - 1, 0], [0, rows - 1]], float)  # two alone do not tell a transposed frame
    theirs = frame.position + corners[:, :1] * frame.right + corners[:, 1:] * frame.down
    meant = voxel_to_lps(affine, np.column_stack([corners, np.full(3, k)]))
    if not 0 <= k < shape[2] or np.abs(theirs - meant).max() > rounding_allowance(spacing_of(affine)[2]):
        raise _other_grid()
    return k


def _other_grid() -> InputRefused:
    return InputRefused("The segmentation lies on another grid than this scan.", _HINT)


def _damaged(error: Exception) -> InputRefused:
    return InputRefused(f"The DICOM SEG is damaged ({type(error).__name__}).", "Copy it again, or export it again.")
