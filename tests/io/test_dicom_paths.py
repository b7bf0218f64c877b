"""What the path is: one file of a series, a DICOMDIR; and the files stay as they were."""

from __future__ import annotations

from pathlib import Path

import pydicom
import pytest
from dicom_factory import Series, save
from pydicom.dataset import Dataset, FileDataset

from medviewer.core.volume import ScanResult
from medviewer.io import dicom_series

pytestmark = pytest.mark.filterwarnings("ignore:Invalid value for VR")  # written here on purpose


def reasons(result: ScanResult) -> str:
    return " ".join(item.reason for item in result.refused)


def test_single_file_offers_its_series_and_says_so(tmp_path: Path) -> None:
    paths = Series(slices=6).write(tmp_path)
    Series(slices=3).write(tmp_path / "other")
    entry = dicom_series.scan(paths[2]).entries[0]
    assert entry.shape_xyz[2] == 6
    assert any("one of 6 files" in warning for warning in entry.warnings)


def test_single_file_of_a_broken_series_is_shown_alone(tmp_path: Path) -> None:
    def other_person(dataset: Dataset, k: int) -> None:
        dataset.PatientID = f"S{k // 3}"

    paths = Series(slices=6, edit=other_person).write(tmp_path)
    result = dicom_series.scan(paths[1])
    assert [entry.shape_xyz[2] for entry in result.entries] == [1]
    assert any("2 different patients" in warning for warning in result.entries[0].warnings)


def test_sources_are_not_changed(tmp_path: Path) -> None:
    paths = Series(slices=4).write(tmp_path)
    before = [(path.read_bytes(), path.stat().st_mtime_ns) for path in paths]
    dicom_series.load(dicom_series.scan(tmp_path).entries[0])
    assert [(path.read_bytes(), path.stat().st_mtime_ns) for path in paths] == before
    assert sorted(tmp_path.iterdir()) == paths


def _dicomdir(folder: Path, references: list[list[str]]) -> Path:
    records = []
    for reference in references:
        record = Dataset()
        record.DirectoryRecordType, record.ReferencedFileID = "IMAGE", reference
        records.append(record)
    meta = pydicom.dataset.FileMetaDataset()
    meta.MediaStorageSOPClassUID = pydicom.uid.MediaStorageDirectoryStorage
    meta.MediaStorageSOPInstanceUID, meta.TransferSyntaxUID = (
        pydicom.uid.generate_uid(),
        pydicom.uid.ExplicitVRLittleEndian,
    )
    dataset = FileDataset("", {}, file_meta=meta, preamble=bytes(128))
    dataset.DirectoryRecordSequence = records
    return save(dataset, folder / "DICOMDIR")


def test_dicomdir(tmp_path: Path) -> None:
    Series(slices=3).write(tmp_path / "disc" / "CT")
    path = _dicomdir(tmp_path / "disc", [["CT", f"slice{k:04d}.dcm"] for k in range(3)] + [["CT", "LOST"]])
    result = dicom_series.scan(path)
    assert [entry.shape_xyz[2] for entry in result.entries] == [3]
    assert "CT/LOST is listed in DICOMDIR but missing" in reasons(result)


@pytest.mark.parametrize(
    "reference", [["..", "secret.dcm"], ["/etc/passwd"], ["..\\secret.dcm"], ["link", "secret.dcm"]]
)
def test_dicomdir_cannot_leave_its_folder(tmp_path: Path, reference: list[str]) -> None:
    disc = tmp_path / "disc"
    disc.mkdir()
    save(Series(slices=1).dataset(0), tmp_path / "secret.dcm")
    (disc / "link").symlink_to(tmp_path, target_is_directory=True)
    if any("\\" in part for part in reference):
        reference = reference[0].split("\\")
    result = dicom_series.scan(_dicomdir(disc, [reference]))
    assert not result.entries
    assert "outside its folder" in reasons(result)
