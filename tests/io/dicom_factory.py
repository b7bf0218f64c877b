"""Writes small synthetic DICOM series whose voxel value tells its place: value = 3x + 5y + 7z (LPS mm).

Any mistake of geometry shows as a wrong value at the claimed position. `Series` is a recipe; change single files
through its `edit` function, then `write` it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import (
    CTImageStorage,
    EnhancedCTImageStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    generate_uid,
)

GRADIENT = np.array([3.0, 5.0, 7.0])
Edit = Callable[[Dataset, int], None]
AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
CORONAL = (1.0, 0.0, 0.0, 0.0, 0.0, -1.0)
SAGITTAL = (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)


def field_at(lps: NDArray[np.float64]) -> NDArray[np.float64]:
    """The value that belongs at LPS positions (..., 3)."""
    return np.asarray(lps @ GRADIENT)


def oblique(degrees_x: float = 25.0, degrees_z: float = 10.0) -> tuple[float, ...]:
    """An orientation turned about x, then about z."""
    a, b = np.radians([degrees_x, degrees_z])
    about_x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    about_z = np.array([[np.cos(b), -np.sin(b), 0], [np.sin(b), np.cos(b), 0], [0, 0, 1]])
    turned = about_z @ about_x
    return tuple(float(v) for v in (*turned[:, 0], *turned[:, 1]))


@dataclass
class Series:
    """A series of `slices` images with regular geometry; `edit(dataset, k)` may spoil each before it is written."""

    slices: int = 12
    rows: int = 20
    columns: int = 24
    spacing: tuple[float, float, float] = (2.0, 1.5, 3.0)  # between rows, between columns, between slices
    orientation: tuple[float, ...] = AXIAL
    origin: tuple[float, float, float] = (-20.0, -30.0, 40.0)
    signed: bool = True
    slope: float | Callable[[int], float] = 1.0
    intercept: float = -1024.0
    syntax: str = ExplicitVRLittleEndian
    bits: int = 16
    shear: tuple[float, float, float] = (0.0, 0.0, 0.0)  # mm added to the position of each further slice
    reverse_numbers: bool = False
    edit: Edit | None = None
    study_uid: str = field(default_factory=generate_uid)
    series_uid: str = field(default_factory=generate_uid)
    frame_uid: str = field(default_factory=generate_uid)

    def position(self, k: int) -> NDArray[np.float64]:
        """ImagePositionPatient of slice k."""
        row, column = np.array(self.orientation[:3]), np.array(self.orientation[3:])
        step = np.cross(row, column) * self.spacing[2] + np.array(self.shear)
        return np.asarray(np.array(self.origin) + k * step)

    def values(self, k: int) -> NDArray[np.float64]:
        """What the pixels of slice k must show, (rows, columns)."""
        row, column = np.array(self.orientation[:3]), np.array(self.orientation[3:])
        j, i = np.mgrid[: self.rows, : self.columns]
        places = self.position(k) + i[..., None] * row * self.spacing[1] + j[..., None] * column * self.spacing[0]
        return field_at(places)

    def slope_of(self, k: int) -> float:
        """RescaleSlope of slice k."""
        return self.slope(k) if callable(self.slope) else self.slope

    def stored(self, k: int) -> NDArray[Any]:
        """The stored pixels of slice k."""
        raw = np.rint((self.values(k) - self.intercept) / self.slope_of(k))
        order = ">" if self.syntax == ExplicitVRBigEndian else "<"
        dtype = np.dtype(f"{order}{'i' if self.signed else 'u'}{self.bits // 8}")
        info = np.iinfo(dtype)
        if raw.min() < info.min or raw.max() > info.max:
            raise ValueError("the field does not fit into the pixels")
        return np.asarray(raw.astype(dtype))

    def dataset(self, k: int) -> FileDataset:
        """Slice k as a data set."""
        dataset = _common(self, CTImageStorage)
        dataset.ImagePositionPatient = [_ds(v) for v in self.position(k)]
        dataset.ImageOrientationPatient = [_ds(v) for v in self.orientation]
        dataset.PixelSpacing = list(self.spacing[:2])
        dataset.SliceThickness = self.spacing[2]
        dataset.RescaleSlope, dataset.RescaleIntercept = _ds(self.slope_of(k)), self.intercept
        dataset.RescaleType = "HU"
        dataset.InstanceNumber = self.slices - k if self.reverse_numbers else k + 1
        dataset.PixelData = self.stored(k).tobytes()
        return dataset

    def write(self, folder: Path) -> list[Path]:
        """Write all slices into the folder."""
        folder.mkdir(parents=True, exist_ok=True)
        paths = []
        for k in range(self.slices):
            dataset = self.dataset(k)
            if self.edit is not None:
                self.edit(dataset, k)
            paths.append(save(dataset, folder / f"slice{k:04d}.dcm"))
        return paths


def save(dataset: FileDataset, path: Path) -> Path:
    """Write a data set made here."""
    pydicom.dcmwrite(path, dataset, enforce_file_format=True)
    return path


def _ds(value: float) -> str:
    return pydicom.valuerep.format_number_as_ds(float(value))


def _common(series: Series, sop_class: str) -> FileDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = sop_class
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = pydicom.uid.UID(series.syntax)
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SOPClassUID, dataset.SOPInstanceUID = sop_class, meta.MediaStorageSOPInstanceUID
    dataset.PatientName, dataset.PatientID = "Synthetic^Anna", "S1"
    dataset.PatientBirthDate, dataset.PatientSex = "19700101", "F"
    dataset.Modality, dataset.Manufacturer = "CT", "medviewer"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = series.study_uid, series.series_uid
    dataset.FrameOfReferenceUID = series.frame_uid
    dataset.SeriesNumber, dataset.SeriesDescription = 3, "oracle"
    dataset.StudyDate = "20200102"
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    dataset.Rows, dataset.Columns = series.rows, series.columns
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = series.bits
    dataset.HighBit, dataset.PixelRepresentation = series.bits - 1, int(series.signed)
    return dataset


def enhanced(series: Series, order: list[int] | None = None) -> FileDataset:
    """The whole series as one Enhanced CT; `order` is the stored order of its frames."""
    order = list(range(series.slices)) if order is None else order
    dataset = _common(series, EnhancedCTImageStorage)
    dataset.NumberOfFrames = len(order)
    shared = Dataset()
    shared.PixelMeasuresSequence = [_item(PixelSpacing=list(series.spacing[:2]), SliceThickness=series.spacing[2])]
    shared.PlaneOrientationSequence = [_item(ImageOrientationPatient=[_ds(v) for v in series.orientation])]
    dataset.SharedFunctionalGroupsSequence = [shared]
    dataset.PerFrameFunctionalGroupsSequence = [_frame_group(series, k) for k in order]
    dataset.InstanceNumber = 1
    dataset.PixelData = b"".join(series.stored(k).tobytes() for k in order)
    return dataset


def _frame_group(series: Series, k: int) -> Dataset:
    group = Dataset()
    group.PlanePositionSequence = [_item(ImagePositionPatient=[_ds(v) for v in series.position(k)])]
    group.PixelValueTransformationSequence = [
        _item(RescaleSlope=_ds(series.slope_of(k)), RescaleIntercept=series.intercept, RescaleType="HU")
    ]
    return group


def _item(**values: Any) -> Dataset:
    item = Dataset()
    for keyword, value in values.items():
        setattr(item, keyword, value)
    return item


Depth = Callable[[int], float]


class Placed(Series):
    """Slices at any depth (mm along the normal), shifted by any (row, column) mm inside their plane."""

    depth: Depth = staticmethod(lambda k: 3.0 * k)
    aside: Callable[[int], tuple[float, float]] = staticmethod(lambda k: (0.0, 0.0))

    def position(self, k: int) -> NDArray[np.float64]:
        """ImagePositionPatient of slice k."""
        row, column = np.array(self.orientation[:3]), np.array(self.orientation[3:])
        u, v = self.aside(k)
        return np.asarray(self.origin + np.cross(row, column) * self.depth(k) + row * u + column * v)


def placed(depth: Depth | None = None, aside: Any = None, **recipe: Any) -> Placed:
    """A `Placed` series with these places."""
    series = Placed(**recipe)
    series.depth = depth or series.depth
    series.aside = aside or series.aside
    return series


def shear(degrees: float) -> tuple[float, float, float]:
    """The `Series.shear` of a gantry tilt, for slices 3 mm apart."""
    return (0.0, 3.0 * float(np.tan(np.radians(degrees))), 0.0)
