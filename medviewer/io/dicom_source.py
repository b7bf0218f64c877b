"""A DICOM series of a scan that did not come as DICOM, written beside a DICOM SEG so that the SEG has a source.

Own UIDs, no patient name, the derivation stated. One single-frame file per slice: CT or MR Image Storage where the
modality is known, else Secondary Capture with a place in the patient.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medviewer.core.errors import OutputNotWritten
from medviewer.core.geometry import Affine, direction_letter, spacing_of, voxel_to_lps
from medviewer.core.progress import Progress
from medviewer.core.volume import Volume
from medviewer.io.dicom_seg_text import block

DERIVATION = "Converted by medviewer"
AFFINE_TOLERANCE_MM = 1e-3
_CT, _MR = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.4"
_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
_EXPLICIT_LE = "1.2.840.10008.1.2.1"
_PATIENT_AND_STUDY = (
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyInstanceUID", "StudyDate", "StudyTime",
    "StudyID", "AccessionNumber", "ReferringPhysicianName", "FrameOfReferenceUID",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class StoredValues:
    """Voxels as DICOM stores them: integers, and the rescale that gives the real values back."""

    array: NDArray[Any]
    slope: float
    intercept: float
    largest_error: float

    @property
    def rescaled(self) -> bool:
        return (self.slope, self.intercept) != (1.0, 0.0)


def write_series(folder: Path, volume: Volume, progress: Progress, like: Any = None) -> list[Any]:
    """Write one file per slice k into `folder`; returns the data sets in that order, without pixels.

    `like` is a pydicom data set whose patient, study and frame of reference are taken over (for volumes that were
    resampled from DICOM). Raises OutputNotWritten where DICOM cannot hold the geometry.
    """
    affine = _orthogonal(volume)
    stored = store_values(volume)
    common = _common(volume, stored, like)
    headers = []
    for k in range(volume.shape[2]):
        progress.report(k / volume.shape[2], "Writing the source series")
        dataset = _slice_dataset(volume, common, affine, stored, k)
        dataset.save_as(folder / f"{k + 1:04d}.dcm", enforce_file_format=True)
        del dataset.PixelData
        headers.append(dataset)
    return headers


def verify_series(folder: Path, volume: Volume) -> None:
    """Re-read every file by pydicom and compare position and values. Raises OutputNotWritten."""
    import pydicom

    files = sorted(folder.glob("*.dcm"))
    affine = _orthogonal(volume)
    stored = store_values(volume)
    if len(files) != volume.shape[2]:
        raise _differs(folder, "slices")
    for k, file in enumerate(files):
        dataset = pydicom.dcmread(file)
        if _corner_error(dataset, affine, volume.shape, k) > AFFINE_TOLERANCE_MM:
            raise _differs(folder, "positions")
        pixels = np.frombuffer(dataset.PixelData, stored.array.dtype, count=stored.array[:, :, k].size)
        if not np.array_equal(pixels.reshape(np.swapaxes(stored.array[:, :, k], 0, 1).shape), _rows(stored, k)):
            raise _differs(folder, "voxels")


def store_values(volume: Volume) -> StoredValues:
    """Integers of 8 or 16 bits for the voxels: as they are where they fit, else scaled with the error stated."""
    array = volume.array.astype(np.uint8) if volume.array.dtype == np.bool_ else volume.array
    if volume.is_color or (array.dtype == np.uint8 and _sop_class(volume) == _SECONDARY_CAPTURE):
        return StoredValues(array, 1.0, 0.0, 0.0)
    low, high = float(array.min()), float(array.max())
    whole = array.dtype.kind in "iu" or bool(np.all(array == np.rint(array)))
    if whole and low >= -32768 and high <= 32767:
        return StoredValues(array.astype("<i2"), 1.0, 0.0, 0.0)
    if whole and low >= 0 and high <= 65535:
        return StoredValues(array.astype("<u2"), 1.0, 0.0, 0.0)
    return _scaled(array, low, high)


def file_error(datasets: Sequence[Any], volume: Volume) -> float:
    """Largest distance in mm between where these single-frame files and where the volume put a slice corner."""
    if volume.affine is None or len(datasets) != volume.shape[2]:
        return float("inf")
    try:
        return max(_corner_error(dataset, volume.affine, volume.shape, k) for k, dataset in enumerate(datasets))
    except (AttributeError, TypeError, ValueError):
        return float("inf")


def _scaled(array: NDArray[Any], low: float, high: float) -> StoredValues:
    slope = float(_ds((high - low) / 65535 if high > low else 1.0))
    slope = slope if slope * 65535 >= high - low else float(_ds(slope * (1 + 1e-9)))
    intercept = float(_ds(low))
    levels = np.clip(np.rint((array.astype(np.float64) - intercept) / slope), 0, 65535).astype("<u2")
    return StoredValues(levels, slope, intercept, slope / 2)


def _orthogonal(volume: Volume) -> Affine:
    if volume.affine is None:
        raise OutputNotWritten(
            "DICOM SEG needs the position of the image in the patient, which this image does not have.",
            "Save the mask as .png instead.",
        )
    i, j = volume.affine[:3, 0], volume.affine[:3, 1]
    if abs(float(i @ j)) > 1e-4 * float(np.linalg.norm(i) * np.linalg.norm(j)):
        raise OutputNotWritten(
            "DICOM cannot hold this scan: its rows and columns are not at right angles.", "Save it as .nii.gz instead."
        )
    return volume.affine


def _corner_error(dataset: Any, affine: Affine, shape: tuple[int, int, int], k: int) -> float:
    """Largest distance in mm between the file's and the volume's place of the four corner pixels of slice k."""
    right, down = np.array(dataset.ImageOrientationPatient, float).reshape(2, 3)
    row_step, column_step = (float(value) for value in dataset.PixelSpacing)
    corners = np.array([[0, 0], [shape[0] - 1, 0], [0, shape[1] - 1], [shape[0] - 1, shape[1] - 1]], float)
    origin = np.array(dataset.ImagePositionPatient, float)
    own = origin + corners[:, :1] * right * column_step + corners[:, 1:] * down * row_step
    meant = voxel_to_lps(affine, np.column_stack([corners, np.full(4, k)]))
    return float(np.linalg.norm(own - meant, axis=1).max())


def _common(volume: Volume, stored: StoredValues, like: Any) -> Any:
    """The attributes that all slices share."""
    from pydicom.dataset import Dataset
    from pydicom.uid import generate_uid

    common = Dataset()
    common.SpecificCharacterSet = "ISO_IR 192"
    common.SOPClassUID = _sop_class(volume)
    _add_patient_and_study(common, volume, like)
    now = datetime.now(UTC)
    common.SeriesInstanceUID = generate_uid(prefix=None)
    common.Modality = volume.modality if common.SOPClassUID != _SECONDARY_CAPTURE else "OT"
    common.SeriesNumber = 1
    common.SeriesDescription = "Source of a segmentation, " + ("resampled" if volume.regularisation else "converted")
    common.SeriesDate, common.SeriesTime = now.strftime("%Y%m%d"), now.strftime("%H%M%S")
    common.ContentDate, common.ContentTime = common.SeriesDate, common.SeriesTime
    common.InstanceCreationDate, common.InstanceCreationTime = common.SeriesDate, common.SeriesTime
    common.Manufacturer = "medviewer"
    common.DerivationDescription = _derivation(volume, stored)
    common.PositionReferenceIndicator = ""
    common.PatientPosition = ""
    common.Laterality = ""  # whether the part is paired is not known; validators ask for it
    _add_pixel_format(common, volume, stored)
    _add_modality_attributes(common, volume, stored)
    return common


def _derivation(volume: Volume, stored: StoredValues) -> str:
    text = f"{DERIVATION} from {volume.source.format}; acquisition parameters are not known."
    if volume.regularisation is not None:
        text += f" {volume.regularisation.sentence}"
    if stored.largest_error:
        text += f" Values rounded by up to {stored.largest_error:.3g}."
    return block(text)


def _sop_class(volume: Volume) -> str:
    if volume.is_color:
        return _SECONDARY_CAPTURE
    return {"CT": _CT, "MR": _MR}.get(volume.modality or "", _SECONDARY_CAPTURE)


def _add_patient_and_study(common: Any, volume: Volume, like: Any) -> None:
    """Those of `like`; else nobody's, under an id made of the voxels, so that an archive keeps two scans apart."""
    from pydicom.uid import generate_uid

    for name in ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID",
                 "AccessionNumber", "ReferringPhysicianName"):  # fmt: skip
        setattr(common, name, "")
    common.PatientID = "" if like is not None else _stand_in_id(volume)
    common.StudyInstanceUID = generate_uid(prefix=None)
    common.FrameOfReferenceUID = generate_uid(prefix=None)
    if like is not None:
        from medviewer.io.dicom_seg_sources import complete

        complete(like)
        for name in _PATIENT_AND_STUDY:
            if like.get(name):
                common[name] = like[name]


def _stand_in_id(volume: Volume) -> str:
    from hashlib import sha256

    digest = sha256(np.asfortranarray(volume.array).tobytes(order="F"))
    digest.update(repr(volume.affine).encode())
    return f"unknown-{digest.hexdigest()[:16]}"


def _add_pixel_format(common: Any, volume: Volume, stored: StoredValues) -> None:
    bits = 8 * stored.array.dtype.itemsize
    common.SamplesPerPixel = 3 if volume.is_color else 1
    common.PhotometricInterpretation = "RGB" if volume.is_color else "MONOCHROME2"
    if volume.is_color:
        common.PlanarConfiguration = 0
    common.Rows, common.Columns = volume.shape[1], volume.shape[0]
    common.BitsAllocated = common.BitsStored = bits
    common.HighBit = bits - 1
    common.PixelRepresentation = 1 if stored.array.dtype.kind == "i" else 0
    common.BurnedInAnnotation = "NO"


def _add_modality_attributes(common: Any, volume: Volume, stored: StoredValues) -> None:
    common.ImageType = ["DERIVED", "SECONDARY"]
    if common.SOPClassUID == _SECONDARY_CAPTURE:
        common.ConversionType = "WSD"
        common.PatientOrientation = [_direction(volume, axis) for axis in (0, 1)]
    if common.SOPClassUID == _CT:
        common.ImageType = ["DERIVED", "SECONDARY", "AXIAL"]
        common.KVP, common.AcquisitionNumber = None, None
    if common.SOPClassUID == _MR:
        common.ImageType = ["DERIVED", "SECONDARY", "OTHER"]
        common.ScanningSequence, common.SequenceVariant = "RM", "NONE"
        common.ScanOptions, common.MRAcquisitionType = "", ""
        common.RepetitionTime = common.EchoTime = common.EchoTrainLength = None
    if volume.is_color:
        return
    if common.SOPClassUID == _CT or stored.rescaled:
        common.RescaleSlope, common.RescaleIntercept = _ds(stored.slope), _ds(stored.intercept)
        common.RescaleType = "HU" if volume.units == "HU" else "US"
    if volume.window is not None:
        common.WindowWidth, common.WindowCenter = (_ds(value) for value in volume.window)


def _direction(volume: Volume, axis: int) -> str:
    """DICOM's letter (L R P A H F) of the direction in which rows or columns rise."""
    assert volume.affine is not None
    letter = direction_letter(volume.affine[:3, axis])
    return {"S": "H", "I": "F"}.get(letter, letter)


def _slice_dataset(volume: Volume, common: Any, affine: Affine, stored: StoredValues, k: int) -> Any:
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import UID, generate_uid

    dataset = Dataset()
    dataset.update(common)
    dataset.SOPInstanceUID = generate_uid(prefix=None)
    dataset.InstanceNumber = k + 1
    _add_plane(dataset, affine, k)
    pixels = _rows(stored, k).tobytes()
    dataset.add_new("PixelData", "OW" if stored.array.dtype.itemsize == 2 else "OB", pixels + b"\0" * (len(pixels) % 2))
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = UID(_EXPLICIT_LE)
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    return dataset


def _add_plane(dataset: Any, affine: Affine, k: int) -> None:
    column_step, row_step, slice_step = spacing_of(affine)
    right, down = affine[:3, 0] / column_step, affine[:3, 1] / row_step
    dataset.ImageOrientationPatient = [_ds(value) for value in (*right, *down)]
    dataset.ImagePositionPatient = [_ds(value) for value in voxel_to_lps(affine, (0, 0, k))]
    dataset.PixelSpacing = [_ds(row_step), _ds(column_step)]
    dataset.SliceThickness = _ds(slice_step)


def _rows(stored: StoredValues, k: int) -> NDArray[Any]:
    """Slice k as (rows, columns[, 3]), C order."""
    return np.ascontiguousarray(np.swapaxes(stored.array[:, :, k], 0, 1))


def _ds(value: float) -> str:
    """A DICOM decimal string: at most 16 characters, as exact as those allow."""
    from pydicom.valuerep import format_number_as_ds

    return str(format_number_as_ds(float(value)))


def _differs(folder: Path, what: str) -> OutputNotWritten:
    return OutputNotWritten(
        f"The source series {folder.name} was not written: reading it back gave other {what}.",
        "Try another folder or drive.",
    )
