"""The one image type: a volume, a single image, or a cine loop, with its place in the patient."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from medviewer.core.geometry import Affine, spacing_of
from medviewer.core.regularisation import Regularisation

Kind = Literal["volume", "image", "cine"]
Origin = Literal["DICOM", "file header", "series text", "file name", "estimated", "user", "unknown"]


@dataclass(frozen=True)
class Fact:
    """One acquisition fact and where it came from. A fact that is not known has value None, origin "unknown"."""

    value: str | float | int | None
    origin: Origin = "DICOM"


@dataclass(frozen=True)
class Source:
    """Where a volume was read from. Files are never written."""

    format: str  # "dicom", "nifti", "nrrd", "metaimage", "image", "generated"
    path: Path  # what the user opened
    files: tuple[Path, ...] = ()  # DICOM: one per slice in the order of k (multi-frame: one file)
    series_uid: str | None = None
    instance_uids: tuple[str, ...] = ()  # DICOM: SOP Instance UIDs in the order of k
    frame_numbers: tuple[int, ...] = ()  # DICOM multi-frame: 1-based frame of each k
    instance_numbers: tuple[int | None, ...] = ()  # InstanceNumber of each k, as the PACS shows it


@dataclass(frozen=True)
class Patient:
    """The identity line. Empty strings where the source has none."""

    name: str = ""
    id: str = ""
    birth_date: str = ""
    sex: str = ""
    study_date: str = ""


@dataclass(frozen=True)
class SeriesEntry:
    """One readable series or file, found by a header scan; no pixels loaded yet.

    `shape_xyz` are the voxel counts along (i, j, k); `affine_lps` maps voxel (i, j, k) to LPS mm, None if
    unknown. `id` is stable between runs (SeriesInstanceUID, with a suffix where one series was split; for
    other formats the file name). `handle` belongs to the reader that made the entry and is picklable.
    """

    id: str
    format: str
    title: str
    kind: Kind
    modality: str | None
    shape_xyz: tuple[int, int, int]
    spacing_mm: tuple[float, float, float] | None
    affine_lps: Affine | None
    units: str | None
    facts: Mapping[str, Fact] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    patient: Patient = Patient()
    path: Path = Path()
    handle: Any = None


@dataclass(frozen=True)
class Refused:
    """A path that was not read, and the reason in one sentence with a hint."""

    path: Path
    reason: str


@dataclass(frozen=True)
class ScanResult:
    """What a reader found at a path."""

    entries: tuple[SeriesEntry, ...] = ()
    refused: tuple[Refused, ...] = ()


@dataclass(frozen=True, eq=False)
class Volume:
    """A scan, never changed in place (the array is read-only).

    array
        indexed [i, j, k]; for kind "image" k has length 1; for kind "cine" k is the frame (time, no place
        in space). Colour has a fourth axis of 3 (RGB, uint8) and is kept for display; models use `luminance`.
        Prefer Fortran order (i fastest): it is what VTK, DICOM and NIfTI use, so nothing is copied.
    affine
        4x4, voxel (i, j, k) to LPS mm, or None where the geometry is unknown (PNG, ultrasound without calibration:
        see `spacing_mm`). For "image" and "cine" an affine exists only when the source places the image in the patient.
    spacing_mm
        mm per voxel step (i, j, k), or None if unknown: then only pixels may be reported. For 2D images with a
        pixel spacing but no place in the patient: (step of i, step of j, 0.0). `spacing_note` says e.g. "at the
        detector".
    patient_orientation
        For 2D images without affine: DICOM PatientOrientation (direction of rising i, direction of rising j), for
        instance ("L", "F"); None if not recorded.
    window
        (width, centre) as stored in the source, or None.
    """

    array: NDArray[Any]
    affine: Affine | None
    modality: str | None = None
    units: str | None = None  # "HU" only where it is truly HU
    kind: Kind = "volume"
    spacing_mm: tuple[float, float, float] | None = None
    spacing_note: str = ""
    facts: Mapping[str, Fact] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    id: str = ""
    title: str = ""
    patient: Patient = Patient()
    source: Source = Source("generated", Path())
    patient_orientation: tuple[str, str] | None = None
    window: tuple[float, float] | None = None
    inverted: bool = False  # MONOCHROME1: shown inverted, stored values untouched
    frame_time_ms: float | None = None
    calibrated_regions: tuple[Mapping[str, float], ...] = ()  # US: x0 y0 x1 y1 (pixels), dx dy (mm)
    regularisation: Regularisation | None = None  # the grid was resampled from irregular slices

    def __post_init__(self) -> None:
        if self.array.ndim not in (3, 4) or (self.array.ndim == 4 and self.array.shape[3] != 3):
            raise ValueError(f"array must be (i, j, k) or (i, j, k, 3), not {self.array.shape}")
        self.array.flags.writeable = False
        if self.affine is not None:
            affine = np.array(self.affine, float)
            if affine.shape != (4, 4) or not np.isfinite(affine).all():
                raise ValueError("affine must be a finite 4x4 matrix")
            if abs(np.linalg.det(affine[:3, :3])) < 1e-12:
                raise ValueError("affine must be invertible")
            object.__setattr__(self, "affine", affine)
            if self.spacing_mm is None:
                object.__setattr__(self, "spacing_mm", spacing_of(affine))

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxel counts along (i, j, k), without the colour axis."""
        i, j, k = self.array.shape[:3]
        return i, j, k

    @property
    def orientation_recorded(self) -> bool:
        """Whether the source says how the axes lie in the patient. False for an affine made of a voxel size alone: then
        left and right are unknown, and views show no letters."""
        fact = self.facts.get("orientation")
        return self.affine is not None and (fact is None or fact.value is not None)

    @property
    def is_color(self) -> bool:
        return self.array.ndim == 4

    @property
    def voxel_ml(self) -> float | None:
        """Millilitres of one voxel; None unless there are several slices with a place in space."""
        if self.affine is None or self.kind != "volume" or min(self.shape) == 1:
            return None
        return float(abs(np.linalg.det(self.affine[:3, :3]))) / 1000.0

    @property
    def pixel_area_mm2(self) -> float | None:
        """Square mm of one pixel of a 2D image or a single slice; None if its spacing is unknown."""
        if self.spacing_mm is None or (self.kind == "volume" and min(self.shape) > 1):
            return None
        across = self.shape.index(1) if self.kind == "volume" else 2
        first, second = (step for axis, step in enumerate(self.spacing_mm) if axis != across)
        return float(first * second)

    @property
    def padding_value(self) -> float | None:
        """The value of voxels that were never scanned (DICOM Pixel Padding Value, rescaled); None if not recorded. They
        take no part in windows and statistics."""
        fact = self.facts.get("pixel_padding_value")
        return float(fact.value) if fact is not None and isinstance(fact.value, (int, float)) else None

    def luminance(self) -> NDArray[Any]:
        """Scalar array (i, j, k): the array itself, or ITU-R BT.601 luma of a colour image (float32)."""
        if not self.is_color:
            return self.array
        return np.asarray(self.array @ np.array([0.299, 0.587, 0.114], np.float32), np.float32)

    def with_changes(self, **changes: Any) -> Volume:
        """A copy with some fields replaced; the voxels are shared."""
        return replace(self, **changes)
