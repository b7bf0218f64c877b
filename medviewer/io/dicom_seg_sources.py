"""The data sets that a DICOM SEG refers to: the scan's own files, where they can be its source."""

from __future__ import annotations

import contextlib
import warnings as python_warnings
from collections.abc import Sequence
from typing import Any

from medviewer.core.errors import OutputNotWritten
from medviewer.core.geometry import spacing_of
from medviewer.core.progress import Progress
from medviewer.core.volume import Volume
from medviewer.io.dicom_geometry import rounding_allowance
from medviewer.io.dicom_source import file_error

_KEPT = ("PatientName", "PatientID", "StudyInstanceUID", "SOPInstanceUID", "SOPClassUID")  # whatever they look like
_NEEDED_TYPE_2 = (
    "PatientID", "PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID", "StudyDate",
    "StudyTime", "ReferringPhysicianName", "Manufacturer",
)  # fmt: skip
_STUDY_ID = 0x00200010
_SEXES = ("M", "F", "O")
_TEXT_FORMS = ("AS", "CS", "DA", "DS", "DT", "IS", "LO", "LT", "SH", "ST", "TM", "UI")


def source_headers(volume: Volume, progress: Progress) -> list[Any] | None:
    """The data sets (no pixels) of the volume's own DICOM files, or None where they cannot be a SEG's source.

    They can where the volume came from DICOM, its grid is that of the files (not resampled, not converted), and the
    files carry the UIDs that a reference needs, which careless anonymisation removes. Raises OutputNotWritten for a
    loop without a place in the patient.
    """
    import pydicom

    if volume.source.format != "dicom" or not volume.source.files or volume.regularisation is not None:
        return None
    headers = []
    for number, file in enumerate(volume.source.files):
        progress.report(number / len(volume.source.files), "Reading the source headers")
        headers.append(pydicom.dcmread(file, stop_before_pixels=True))
    complete(headers[0])
    return headers if _referable(headers, volume) and _same_grid(headers, volume) else None


def complete(header: Any) -> Any:
    """The header (changed in place) as a SEG may copy from it: type 2 attributes that it lacks are empty, values of the
    patient and the study that DICOM does not allow are gone, except those that tell who the patient is."""
    from pydicom.datadict import dictionary_VR

    for name in _NEEDED_TYPE_2:
        if name not in header:
            setattr(header, name, None)
    if header.get("PatientSex") and header.PatientSex not in _SEXES:
        header.PatientSex = None
    for tag in list(header.keys()):
        if (tag.group in (0x0008, 0x0010) or tag == _STUDY_ID) and not _valid(header, tag):
            header.add_new(tag, dictionary_VR(tag), None)
    return header


def _valid(header: Any, tag: Any) -> bool:
    from pydicom import config
    from pydicom.valuerep import validate_value

    with python_warnings.catch_warnings():
        python_warnings.simplefilter("ignore")
        try:
            element = header[tag]
            if element.keyword in _KEPT or element.VR not in _TEXT_FORMS or not element.value:
                return True
            for value in element.value if element.VM > 1 else [element.value]:
                validate_value(element.VR, str(getattr(value, "original_string", value)), config.RAISE)
        except (ValueError, TypeError, OverflowError, NotImplementedError):
            return False
    return True


def frames_used(volume: Volume, sources: Sequence[Any]) -> tuple[int, ...]:
    """The 1-based frames of the one multi-frame source in the order of k; empty where the sources are single frames."""
    if len(sources) != 1 or int(sources[0].get("NumberOfFrames") or 1) < 2 or volume.source.format != "dicom":
        return ()
    return volume.source.frame_numbers


def only_frames(header: Any, frames: Sequence[int]) -> Any:
    """The header of a multi-frame file as if it had these frames only: a file may hold several volumes (time points),
    and one SEG belongs to one."""
    from pydicom.dataset import Dataset

    part = Dataset()
    part.update(header)
    part.file_meta = header.file_meta
    part.NumberOfFrames = len(frames)
    part.PerFrameFunctionalGroupsSequence = [header.PerFrameFunctionalGroupsSequence[n - 1] for n in frames]
    return part


def _referable(headers: Sequence[Any], volume: Volume) -> bool:
    names = ["SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"]
    names += ["FrameOfReferenceUID"] if volume.affine is not None else []
    if not all(header.get(name) for header in headers for name in names):
        return False
    return len({header.get("FrameOfReferenceUID") for header in headers}) == 1


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
    for name in ("FrameOfReferenceUID", "PixelSpacing"):  # highdicom writes a spacing that it cannot read again
        with contextlib.suppress(AttributeError):
            delattr(headers[0], name)
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
