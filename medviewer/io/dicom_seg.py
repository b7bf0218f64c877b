"""Masks as DICOM SEG (BINARY) through highdicom, referring to the DICOM series that the volume came from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medviewer.core.errors import InputRefused, OutputNotWritten, UserError
from medviewer.core.geometry import lps_to_voxel, spacing_of, voxel_to_lps
from medviewer.core.progress import Progress
from medviewer.core.segmentation import Segment
from medviewer.core.volume import Volume
from medviewer.io.dicom_seg_lint import lint
from medviewer.io.dicom_seg_read import read_masks_of
from medviewer.io.dicom_seg_sources import complete, frames_used, only_frames, source_headers
from medviewer.io.dicom_seg_terms import content_description, describe, mark_of, note_of, program_version
from medviewer.io.dicom_seg_text import UTF_8, charset_for
from medviewer.io.label_sidecar import TermMap
from medviewer.io.quiet import quiet

__all__ = ["source_headers", "verify", "write"]

_LARGE_STACK = 1 << 28  # bytes
_EXACT_MM = 1e-4
_COPIES = 2.5  # of the frames in memory while they are written (measured: 1.7)


def write(
    path: Path, volume: Volume, segments: Sequence[Segment], progress: Progress, sources: Sequence[Any],
    terms: TermMap | None = None,
) -> None:  # fmt: skip
    """Write one SEG with a segment per mask (empty ones and overlaps kept) that refers to `sources`.

    `sources` are data sets without pixels: one per slice k, or one multi-frame. Frame of reference, study and
    patient are those of the sources. Raises OutputNotWritten where the sources allow no SEG.
    """
    progress.report(0.1, "Writing DICOM SEG")
    slices = _slices(volume, segments, sources)
    pixels = _pixels(volume, segments, slices)
    frames = frames_used(volume, sources)
    referred = [only_frames(sources[0], frames)] if frames else [sources[k] for k in slices]
    complete(referred[0])
    try:
        with quiet():
            segmentation = _segmentation(volume, segments, referred, pixels, terms or {})
            for item, segment in zip(segmentation.SegmentSequence, segments, strict=True):
                item.SegmentDescription = note_of(segment, volume)
            _set_grid(segmentation, volume)
            _set_frame_numbers(segmentation, frames)
            if volume.affine is None:
                segmentation.PatientOrientation = referred[0].get("PatientOrientation") or None
            segmentation.SpecificCharacterSet = charset_for(referred, segmentation)
            progress.report(0.9, "Writing DICOM SEG")
            segmentation.save_as(path)
    except (UserError, OSError):
        raise
    except Exception as error:
        raise OutputNotWritten(
            f"The source series allows no DICOM SEG ({error}).", "Save the masks as .seg.nrrd, .nii.gz or .png instead."
        ) from error


def verify(
    path: Path, volume: Volume, segments: Sequence[Segment], sources: Sequence[Any], terms: TermMap | None = None
) -> None:
    """Re-open with pydicom alone, place every frame by its own position, compare every mask; then the meaning: codes,
    patient, study, references, marks (`dicom_seg_lint`). Raises OutputNotWritten naming the first difference."""
    import pydicom

    dataset = pydicom.dcmread(path)
    try:
        found = read_masks_of(dataset, volume, sources)
    except InputRefused as error:
        raise _differs(path, "positions") from error
    if len(found) != len(segments):
        raise _differs(path, "segments")
    for read, segment in zip(found, segments, strict=True):
        if not np.array_equal(read.mask, segment.mask):
            raise _differs(path, f"voxels of {segment.name}")
    for defect in lint(dataset, volume, segments, sources, terms or {}):
        raise OutputNotWritten(
            f"{path.name} was not written: in what was read back, {defect}.",
            "This is a defect of the program: save as .seg.nrrd meanwhile, and report it.",
        )


def _segmentation(
    volume: Volume, segments: Sequence[Segment], referred: list[Any], pixels: NDArray[Any], terms: TermMap
) -> Any:
    import highdicom

    return highdicom.seg.Segmentation(
        source_images=referred,
        pixel_array=pixels,
        segmentation_type="BINARY",
        segment_descriptions=[describe(n, s, terms) for n, s in enumerate(segments, start=1)],
        series_instance_uid=highdicom.UID(),
        series_number=_series_number(referred[0]),
        sop_instance_uid=highdicom.UID(),
        instance_number=1,
        manufacturer="medviewer",
        manufacturer_model_name="medviewer",
        software_versions=program_version(),
        device_serial_number="0",  # a program has none, and the computer's own number is nobody's business
        content_label="SEGMENTATION",
        content_description=content_description(volume, segments),
        content_creator_name="medviewer^",
        series_description=mark_of(segments),
        specific_character_set=UTF_8,
        omit_empty_frames=bool(pixels.any()),
    )


def _set_grid(segmentation: Any, volume: Volume) -> None:
    """Slice distance and positions of the scan's own grid, where the files' differ from it by what is rounding: strict
    readers want one grid, and some scanners write the gap between slices where their distance belongs."""
    from pydicom.valuerep import format_number_as_ds

    if volume.affine is None or volume.shape[2] < 2:
        return
    for item in segmentation.SharedFunctionalGroupsSequence[0].get("PixelMeasuresSequence", []):
        item.SpacingBetweenSlices = format_number_as_ds(spacing_of(volume.affine)[2])
    for own in segmentation.PerFrameFunctionalGroupsSequence:
        plane = own.PlanePositionSequence[0]
        k = round(float(lps_to_voxel(volume.affine, np.array(plane.ImagePositionPatient, float))[2]))
        place = voxel_to_lps(volume.affine, (0, 0, k))
        if np.abs(np.array(plane.ImagePositionPatient, float) - place).max() > _EXACT_MM:
            plane.ImagePositionPatient = [format_number_as_ds(float(value)) for value in place]


def _set_frame_numbers(segmentation: Any, frames: Sequence[int]) -> None:
    """The file's own numbers of the frames of a multi-frame source, of which only these were handed over."""
    images = {  # frames of several segments share their items
        id(image): image
        for own in segmentation.PerFrameFunctionalGroupsSequence
        for derivation in own.get("DerivationImageSequence", [])
        for image in derivation.get("SourceImageSequence", [])
    }
    for image in images.values() if frames else ():
        image.ReferencedFrameNumber = frames[int(image.ReferencedFrameNumber) - 1]


def _slices(volume: Volume, segments: Sequence[Segment], sources: Sequence[Any]) -> list[int]:
    """The slices k that are handed to highdicom: all, or for large stacks those from the first to the last with a mask
    (the rest has no frame). Without gaps and at least two, for the slice spacing is taken from their positions."""
    everything = list(range(volume.shape[2]))
    if len(sources) == 1 or int(np.prod(volume.shape)) * len(segments) <= _LARGE_STACK:
        return everything
    used = np.flatnonzero(np.logical_or.reduce([segment.mask.any(axis=(0, 1)) for segment in segments]))
    first, last = (int(used[0]), int(used[-1])) if used.size else (0, 0)
    first = min(first, max(len(everything) - 2, 0))
    return everything[first : max(last, first + 1) + 1]


def _pixels(volume: Volume, segments: Sequence[Segment], slices: Sequence[int]) -> NDArray[Any]:
    """(frame, row, column) label map where nothing overlaps, else (frame, row, column, segment) of 0 and 1."""
    shape = (len(slices), volume.shape[1], volume.shape[0])
    overlap = _overlap(segments)
    size = (*shape, len(segments)) if overlap else shape
    _require_memory(int(np.prod(size)), len(segments))
    pixels = np.zeros(size, np.uint8 if overlap or len(segments) <= 255 else np.uint16)
    for n, segment in enumerate(segments):
        for frame, k in enumerate(slices):
            mask = segment.mask[:, :, k].T
            if overlap:
                pixels[frame, :, :, n] = mask
            else:
                pixels[frame][mask] = n + 1
    return pixels


def _require_memory(count: int, segments: int) -> None:
    """The array of all frames, and what the library makes of it, must fit."""
    import psutil

    if count * _COPIES > psutil.virtual_memory().available:
        raise OutputNotWritten(
            f"There is not enough memory to write {segments} segments that overlap as one DICOM SEG.",
            "Save them in several files, or as .seg.nrrd.",
        )


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
    return min(max(int(number), 0), 99_000) * 100 + 1 if number else 100


def _differs(path: Path, what: str) -> OutputNotWritten:
    return OutputNotWritten(
        f"{path.name} was not written: reading it back gave other {what} than were saved.",
        "Try another folder or drive; the old file, if there was one, is unchanged.",
    )
