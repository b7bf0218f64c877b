"""The synthetic series of the geometry policy: every voxel's value tells its place, value = 3x + 5y + 7z (LPS mm).

A CT of 12 slices of 24 x 20 voxels, 1.5 x 2.0 x 3.0 mm, as it is and spoilt in every way that scanners, archives and
people spoil series. Any geometric mistake of a reader shows as a wrong value at the position that it claims.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "io"))

from dicom_factory import CORONAL, SAGITTAL, Series, field_at, oblique, save

TIME_STEP = 50.0  # added to the values of the second time point
TILT = (0.0, 3.0 * float(np.tan(np.radians(15.4))), 0.0)
Writer = Callable[[Path], None]


class TwoSpacings(Series):
    """3 mm up to slice 5, then 5 mm."""

    def position(self, k: int) -> NDArray[np.float64]:
        return np.array([-20.0, -30.0, 40.0 + 3.0 * min(k, 5) + 5.0 * max(k - 5, 0)])


class SecondTime(Series):
    """The same places a moment later."""

    def values(self, k: int) -> NDArray[np.float64]:
        return super().values(k) + TIME_STEP


@dataclass(frozen=True)
class Case:
    """One series: how it is written, and how many volumes a right reading gives (0: a refusal is right as well)."""

    name: str
    write: Writer


def _plain(**recipe: Any) -> Writer:
    def write(folder: Path) -> None:
        Series(**recipe).write(folder)

    return write


def _two_spacings(folder: Path) -> None:
    TwoSpacings().write(folder)


def _missing(folder: Path) -> None:
    Series().write(folder)[5].unlink()


def _duplicate(folder: Path) -> None:
    series = Series()
    series.write(folder)
    again = series.dataset(4)  # sent again under an instance UID of its own
    save(again, folder / "slice0012.dcm")


def _same_file(folder: Path) -> None:
    paths = Series().write(folder)
    shutil.copy(paths[4], folder / "slice0012.dcm")


def _mixed_orientation(folder: Path) -> None:
    first = Series(slices=6)
    paths = first.write(folder / "coronal")
    for k, path in enumerate(paths):
        path.rename(folder / f"a{k:04d}.dcm")
    (folder / "coronal").rmdir()
    same = {"study_uid": first.study_uid, "series_uid": first.series_uid, "frame_uid": first.frame_uid}
    other = Series(slices=6, orientation=CORONAL, **same)  # type: ignore[arg-type]
    for k in range(6):
        dataset = other.dataset(k)
        dataset.InstanceNumber = 7 + k
        save(dataset, folder / f"b{k:04d}.dcm")


def _localizer(folder: Path) -> None:
    series = Series()
    series.write(folder)
    same = {"study_uid": series.study_uid, "series_uid": series.series_uid, "frame_uid": series.frame_uid}
    scout = Series(slices=1, rows=30, columns=28, orientation=CORONAL, **same).dataset(0)  # type: ignore[arg-type]
    scout.ImageType, scout.InstanceNumber = ["ORIGINAL", "PRIMARY", "LOCALIZER"], 13
    save(scout, folder / "slice0012.dcm")


def _tilt_recorded(dataset: Dataset, k: int) -> None:
    dataset.GantryDetectorTilt = -15.4


def _no_place(dataset: Dataset, k: int) -> None:
    del dataset.ImagePositionPatient, dataset.ImageOrientationPatient


def _zero_spacing(dataset: Dataset, k: int) -> None:
    dataset.PixelSpacing = [0, 0]


def _second_patient(dataset: Dataset, k: int) -> None:
    if k >= 6:
        dataset.PatientID, dataset.PatientName, dataset.PatientBirthDate = "S2", "Other^Bob", "19550505"


def _monochrome1(dataset: Dataset, k: int) -> None:
    dataset.PhotometricInterpretation = "MONOCHROME1"


def _infinite(folder: Path) -> None:
    path = Series().write(folder)[3]
    data = path.read_bytes()
    at = data.index(b"\x20\x00\x32\x00DS") + 8
    length = int.from_bytes(data[at - 2 : at], "little")
    path.write_bytes(data[:at] + b"-20\\1e400\\3".ljust(length) + data[at + length :])


def _truncated(folder: Path) -> None:
    path = Series().write(folder)[5]
    path.write_bytes(path.read_bytes()[:-480])


def _four_dimensional(folder: Path) -> None:
    first = Series()
    same = {"study_uid": first.study_uid, "series_uid": first.series_uid, "frame_uid": first.frame_uid}
    for time, series in enumerate((first, SecondTime(**same))):  # type: ignore[arg-type]
        for k in range(series.slices):
            dataset = series.dataset(k)
            dataset.InstanceNumber, dataset.TemporalPositionIdentifier = 12 * time + k + 1, time + 1
            dataset.AcquisitionNumber, dataset.AcquisitionTime = time + 1, f"10{time:02d}00"
            save(dataset, folder / f"t{time}s{k:04d}.dcm")


CASES: tuple[Case, ...] = (
    Case("normal", _plain()),
    Case("reversed InstanceNumber", _plain(reverse_numbers=True)),
    Case("oblique 25°/10°", _plain(orientation=oblique())),
    Case("sagittal", _plain(orientation=SAGITTAL)),
    Case("rescale slope per slice", _plain(slope=lambda k: 0.5 + 0.05 * k)),
    Case("signed", _plain(signed=True, intercept=0.0)),
    Case("gantry tilt, (0018,1120) recorded", _plain(shear=TILT, edit=_tilt_recorded)),
    Case("gantry tilt, not recorded", _plain(shear=TILT)),
    Case("missing slice", _missing),
    Case("duplicate slice", _duplicate),
    Case("duplicate file", _same_file),
    Case("two spacings (3, 5 mm)", _two_spacings),
    Case("mixed orientation", _mixed_orientation),
    Case("localizer inside", _localizer),
    Case("no position, no orientation", _plain(edit=_no_place)),
    Case("rows not at right angles", _plain(orientation=(1.0, 0.0, 0.0, 0.26, float(np.sqrt(1 - 0.26**2)), 0.0))),
    Case("zero PixelSpacing", _plain(edit=_zero_spacing)),
    Case("position 1e400", _infinite),
    Case("pixel data cut short", _truncated),
    Case("two patients, one series UID", _plain(edit=_second_patient)),
    Case("4D (2 time points)", _four_dimensional),
    Case("MONOCHROME1", _plain(edit=_monochrome1)),
    Case("1 slice", _plain(slices=1)),
    Case("2 slices", _plain(slices=2)),
)


def write_all(folder: Path) -> dict[str, Path]:
    """Every case in a folder of its own, named by its number; {name: folder}."""
    found = {}
    for index, case in enumerate(CASES):
        found[case.name] = folder / f"{index:02d}"
        found[case.name].mkdir(parents=True)
        case.write(found[case.name])
    return found


def errors(array: NDArray[Any], affine: NDArray[np.float64]) -> NDArray[np.float64]:
    """|value - value that belongs there| of every voxel (i, j, k) at the place the affine (LPS) claims.

    A volume may be either time point; the one that fits is taken, for the volume as a whole.
    """
    index = np.stack(np.meshgrid(*(np.arange(n) for n in array.shape[:3]), indexing="ij"), axis=-1)
    expected = field_at(index @ affine[:3, :3].T + affine[:3, 3])
    found = [np.abs(array.astype(np.float64) - expected - shift) for shift in (0.0, TIME_STEP)]
    return min(found, key=lambda error: float(np.median(error)))
