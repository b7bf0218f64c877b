"""DICOM SEG by the tools of others: conformant, consistent with its source, every voxel at its place."""

from __future__ import annotations

from pathlib import Path

import pydicom
import pytest
import seg_tools
from seg_cases import CASES, Case
from seg_judged import write

from medviewer.services.open_data import open_volume

pytestmark = pytest.mark.filterwarnings("ignore")  # pydicom and highdicom warn of the odd inputs made here
# What a DICOMDIR would need and a scan without DICOM, or with values that DICOM does not allow, cannot tell.
_KNOWN_WARNINGS = (
    "needed to build DICOMDIR", "Retired Person Name form", "is empty (zero length) in one instance",
    "present in one instance but not the other",
)  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_others_read_what_was_saved(case: Case, tmp_path: Path) -> None:
    written = write(case, tmp_path)
    alone, together = seg_tools.dciodvfy(written.seg), seg_tools.dcentvfy([written.seg, *written.sources])
    assert alone.errors == ()
    assert together.errors == ()
    said = [w for w in (*alone.warnings, *together.warnings) if not any(known in w for known in _KNOWN_WARNINGS)]
    assert said == []
    for reader, found in written.foreign(tmp_path / "dcmqi").items():
        assert found.equal == found.total, reader
        assert found.affine_error <= 1e-4, reader


def test_a_copy_of_the_source_is_conformant_too(tmp_path: Path) -> None:
    for case in (case for case in CASES if case.resampled or case.name == "NIfTI"):
        folder = tmp_path / case.name
        folder.mkdir()
        written = write(case, folder)
        verdicts = [seg_tools.dciodvfy(file) for file in written.sources[:2]]
        assert [verdict.errors for verdict in verdicts] == [(), ()]
        said = [warning for verdict in verdicts for warning in verdict.warnings]
        unknown = ("DICOMDIR", "<Laterality>", "<Rescale Type>", "Retired Person Name form")
        assert [warning for warning in said if not any(what in warning for what in unknown)] == []
        assert len(written.sources) == written.scan.shape[2]


@pytest.mark.parametrize("case", [case for case in CASES if case.resampled], ids=lambda case: case.name)
def test_a_resampled_scan_says_so_everywhere(case: Case, tmp_path: Path) -> None:
    written = write(case, tmp_path)
    assert written.scan.regularisation is not None
    note = written.scan.regularisation.sentence
    seg, copy = pydicom.dcmread(written.seg), pydicom.dcmread(written.sources[0])
    assert "resampled" in seg.ContentDescription
    assert all(note in item.SegmentDescription for item in seg.SegmentSequence)
    assert note in copy.DerivationDescription
    assert copy.ImageType[0] == "DERIVED"
    original = pydicom.dcmread(written.scan.source.files[0])
    for name in ("PatientID", "StudyInstanceUID", "FrameOfReferenceUID"):
        assert seg[name].value == copy[name].value == original[name].value
    assert copy.SeriesInstanceUID != original.SeriesInstanceUID


@pytest.mark.parametrize(
    ("folder", "allowed_mm"),
    [
        ("dcmqi/segmentations/ct-3slice", 1e-4),
        ("dcmqi/segmentations/24x38x3/multiframe", 1e-4),
        ("mr_pd_papaya_20", 5e-3),  # its slices drift by 0.003 mm each, and it states their gap as their distance
    ],
)
def test_real_scans(shared_data: Path, tmp_path: Path, folder: str, allowed_mm: float) -> None:
    case = Case(folder, lambda _: open_volume(shared_data / "dicom" / folder))
    written = write(case, tmp_path)
    errors = [e for e in seg_tools.dciodvfy(written.seg).errors if "Illegal root for UID" not in e]  # the scanner's
    assert errors == []
    assert seg_tools.dcentvfy([written.seg, *written.sources]).errors == ()
    for reader, found in written.foreign(tmp_path / "dcmqi").items():
        assert found.equal == found.total, reader
        assert found.affine_error <= allowed_mm, reader
