"""Masks as DICOM SEG (BINARY) through highdicom, referring to the DICOM series that the volume came from."""

from __future__ import annotations

import contextlib
import uuid
import warnings as python_warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medviewer.core.errors import OutputNotWritten, UserError
from medviewer.core.geometry import spacing_of
from medviewer.core.progress import Progress
from medviewer.core.segmentation import Segment
from medviewer.core.volume import Volume
from medviewer.io.dicom_geometry import rounding_allowance
from medviewer.io.dicom_seg_read import read_masks_of
from medviewer.io.dicom_seg_terms import describe, program_version
from medviewer.io.dicom_source import file_error
from medviewer.io.label_sidecar import TermMap

SERIES_DESCRIPTION = "AI segmentation, not verified"
_LARGE_STACK = 1 << 28  # bytes
_NEEDED_TYPE_2 = (
    "PatientID", "PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID", "StudyDate",
    "StudyTime", "ReferringPhysicianName",
)  # fmt: skip


def source_headers(volume: Volume, progress: Progress) -> list[Any] | None:
    """The data sets (no pixels) of the volume's own DICOM files, or None where they cannot be a SEG's source.

    They can where the volume came from DICOM, its grid is that of the files (not resampled, not converted), and the
    files carry the UIDs that a reference needs, which careless anonymisation removes. Raises OutputNotWritten for a
    loop without a place in the patient.
    """
    import pydicom

    if volume.source.format != "dicom" or not volume.source.files:
        return None
    headers = []
    for number, file in enumerate(volume.source.files):
        progress.report(number / len(volume.source.files), "Reading the source headers")
        headers.append(_complete(pydicom.dcmread(file, stop_before_pixels=True)))
    return headers if _referable(headers, volume) and _same_grid(headers, volume) else None


def write(
    path: Path, volume: Volume, segments: Sequence[Segment], progress: Progress, sources: Sequence[Any],
    terms: TermMap | None = None,
) -> None:  # fmt: skip
    """Write one SEG with a segment per mask (empty ones and overlaps kept) that refers to `sources`.

    `sources` are data sets without pixels: one per slice k, or one multi-frame. Frame of reference, study and
    patient are those of the sources. Raises OutputNotWritten where the sources allow no SEG.
    """
    import highdicom

    progress.report(0.1, "Writing DICOM SEG")
    slices = _slices(volume, segments, sources)
    pixels = _pixels(volume, segments, sources, slices)
    try:
        with _quiet():
            segmentation = highdicom.seg.Segmentation(
                source_images=list(sources) if len(sources) == 1 else [sources[k] for k in slices],
                pixel_array=pixels,
                segmentation_type="BINARY",
                segment_descriptions=[describe(n, s, terms or {}) for n, s in enumerate(segments, start=1)],
                series_instance_uid=highdicom.UID(),
                series_number=_series_number(sources[0]),
                sop_instance_uid=highdicom.UID(),
                instance_number=1,
                manufacturer="medviewer",
                manufacturer_model_name="medviewer",
                software_versions=program_version(),
                device_serial_number=str(uuid.getnode()),
                content_label="SEGMENTATION",
                content_description=SERIES_DESCRIPTION,
                content_creator_name="medviewer^",
                series_description=SERIES_DESCRIPTION,
                specific_character_set="ISO_IR 192",
                omit_empty_frames=True,
            )
            _add_notes(segmentation, segments)
            if volume.affine is None:
                segmentation.PatientOrientation = sources[0].get("PatientOrientation") or None
            progress.report(0.9, "Writing DICOM SEG")
            segmentation.save_as(path)
    except (UserError, OSError):
        raise
    except Exception as error:
        raise OutputNotWritten(
            f"The source series allows no DICOM SEG ({error}).", "Save the masks as .seg.nrrd, .nii.gz or .png instead."
        ) from error


def verify(path: Path, volume: Volume, segments: Sequence[Segment], sources: Sequence[Any]) -> None:
    """Re-open with pydicom alone, place every frame by its own position, compare every mask and reference."""
    import pydicom

    dataset = pydicom.dcmread(path)
    found = read_masks_of(dataset, volume, sources)
    if len(found) != len(segments):
        raise _differs(path, "segments")
    for read, segment in zip(found, segments, strict=True):
        if not np.array_equal(read.mask, segment.mask):
            raise _differs(path, f"voxels of {segment.name}")
    if dataset.get("FrameOfReferenceUID") != sources[0].get("FrameOfReferenceUID"):
        raise _differs(path, "frame of reference")
    if dataset.StudyInstanceUID != sources[0].StudyInstanceUID:
        raise _differs(path, "study")


def _referable(headers: Sequence[Any], volume: Volume) -> bool:
    names = ["SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"]
    names += ["FrameOfReferenceUID"] if volume.affine is not None else []
    return all(header.get(name) for header in headers for name in names)


def _complete(header: Any) -> Any:
    """Type 2 attributes that a source lacks are empty."""
    for name in _NEEDED_TYPE_2:
        if name not in header:
            setattr(header, name, None)
    return header


def _same_grid(headers: Sequence[Any], volume: Volume) -> bool:
    """Whether the slices lie where the volume puts them, as exactly as the reader asks of a regular grid."""
    if volume.affine is None:
        return _drop_frame_of_reference(headers, volume)
    allowed = rounding_allowance(spacing_of(volume.affine)[2])
    if len(headers) == 1 and int(headers[0].get("NumberOfFrames", 1)) > 1:
        return _frames_error(headers[0], volume) <= allowed
    return file_error(headers, volume) <= allowed


def _drop_frame_of_reference(headers: Sequence[Any], volume: Volume) -> bool:
    """A 2D image without a place in the patient is referred to by its pixels alone."""
    if len(headers) != 1 or int(headers[0].get("NumberOfFrames", 1)) != 1:
        raise OutputNotWritten(
            f"A DICOM SEG needs the position in the patient, which {volume.title or 'this loop'} does not have.",
            "Save the mask of one frame as .png instead.",
        )
    with contextlib.suppress(AttributeError):
        del headers[0].FrameOfReferenceUID
    return bool((headers[0].Columns, headers[0].Rows) == volume.shape[:2])


def _frames_error(header: Any, volume: Volume) -> float:
    """As `file_error`, for an enhanced multi-frame file whose frames the volume names by number."""
    from pydicom.dataset import Dataset

    if "PerFrameFunctionalGroupsSequence" not in header or "SharedFunctionalGroupsSequence" not in header:
        return float("inf")
    planes = []
    for number in volume.source.frame_numbers:
        plane = Dataset()
        own = header.PerFrameFunctionalGroupsSequence[number - 1]
        for functional in (header.SharedFunctionalGroupsSequence[0], own):
            for name in ("PlaneOrientationSequence", "PlanePositionSequence", "PixelMeasuresSequence"):
                if name in functional:
                    plane.update(functional[name].value[0])
        planes.append(plane)
    return file_error(planes, volume)


def _slices(volume: Volume, segments: Sequence[Segment], sources: Sequence[Any]) -> list[int]:
    """The slices k that are handed to highdicom: all, or for large stacks those with a mask (the rest has no frame)."""
    everything = list(range(volume.shape[2]))
    if len(sources) == 1 or int(np.prod(volume.shape)) * len(segments) <= _LARGE_STACK:
        return everything
    used = np.logical_or.reduce([segment.mask.any(axis=(0, 1)) for segment in segments])
    return [int(k) for k in np.flatnonzero(used)] or everything


def _pixels(
    volume: Volume, segments: Sequence[Segment], sources: Sequence[Any], slices: Sequence[int]
) -> NDArray[Any]:
    """(frame, row, column) label map where nothing overlaps, else (frame, row, column, segment) of 0 and 1."""
    frames = int(sources[0].get("NumberOfFrames", 1)) if len(sources) == 1 else len(slices)
    numbers = volume.source.frame_numbers if volume.source.format == "dicom" and len(sources) == 1 else ()
    place = [number - 1 for number in numbers] or list(range(len(slices)))
    shape = (frames, volume.shape[1], volume.shape[0])
    overlap = _overlap(segments)
    size = (*shape, len(segments)) if overlap else shape
    pixels = np.zeros(size, np.uint8 if overlap or len(segments) <= 255 else np.uint16)
    for n, segment in enumerate(segments):
        for frame, k in zip(place, slices, strict=True):
            mask = segment.mask[:, :, k].T
            if overlap:
                pixels[frame, :, :, n] = mask
            else:
                pixels[frame][mask] = n + 1
    return pixels


def _overlap(segments: Sequence[Segment]) -> bool:
    if len(segments) < 2:
        return False
    taken = segments[0].mask.copy(order="K")
    for segment in segments[1:]:
        if np.any(taken & segment.mask):
            return True
        taken |= segment.mask
    return False


def _series_number(source: Any) -> int:
    number = source.get("SeriesNumber")
    return min(int(number), 99_000) * 100 + 1 if number else 100


def _add_notes(segmentation: Any, segments: Sequence[Segment]) -> None:
    """What a reader must know of a segment, in its Segment Description."""
    for item, segment in zip(segmentation.SegmentSequence, segments, strict=True):
        notes = [SERIES_DESCRIPTION if segment.provenance.algorithm != "MANUAL" else "Drawn by hand"]
        notes += [f"incomplete: cut at the {', '.join(segment.cut_edges)} edge"] if segment.incomplete else []
        notes += list(segment.provenance.tags)
        if not segment.mask.any():
            notes.append("empty: not found by the model" if segment.provenance.algorithm != "MANUAL" else "empty")
        item.SegmentDescription = "; ".join(notes)[:1024]


@contextmanager
def _quiet() -> Iterator[None]:
    with python_warnings.catch_warnings():
        python_warnings.simplefilter("ignore")
        yield


def _differs(path: Path, what: str) -> OutputNotWritten:
    return OutputNotWritten(
        f"{path.name} was not written: reading it back gave other {what} than were saved.",
        "Try another folder or drive; the old file, if there was one, is unchanged.",
    )
