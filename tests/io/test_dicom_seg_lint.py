"""The semantic check of a DICOM SEG: silent on what the program writes, and catches each seeded defect."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pydicom
import pytest
from dicom_factory import Series, oblique
from files_oracle import segments
from pydicom.uid import generate_uid

from medviewer.core.errors import OutputNotWritten
from medviewer.core.progress import silent
from medviewer.core.provenance import Provenance
from medviewer.core.segmentation import Segment
from medviewer.core.volume import Volume
from medviewer.io import dicom_seg, dicom_series
from medviewer.io.dicom_seg_lint import lint
from medviewer.services.resources import terminology

pytestmark = pytest.mark.filterwarnings("ignore")
TERMS = {term.id: term for term in terminology()}


class Written:
    """A SEG on disk, its scan, masks and sources."""

    def __init__(self, folder: Path) -> None:
        Series(orientation=oblique()).write(folder / "ct")
        self.scan: Volume = dicom_series.load(dicom_series.scan(folder / "ct", silent()).entries[0], silent())
        found = Provenance("AUTOMATIC", "text-sam-s", "1.0.0", "ab" * 32, "left kidney")
        self.segments: list[Segment] = [s.changed(provenance=found) for s in segments(self.scan)]
        self.segments[1] = self.segments[1].changed(provenance=found.edited("brush"))
        sources = dicom_seg.source_headers(self.scan, silent())
        assert sources is not None
        self.sources = sources
        self.path = folder / "s.dcm"
        dicom_seg.write(self.path, self.scan, self.segments, silent(), self.sources, TERMS)

    def defects(self, dataset: Any, **changes: Any) -> list[str]:
        """What the check says of a data set."""
        values = {"volume": self.scan, "segments": self.segments, "sources": self.sources, "terms": TERMS} | changes
        return lint(dataset, values["volume"], values["segments"], values["sources"], values["terms"])


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Written:
    return Written(tmp_path_factory.mktemp("lint"))


def test_what_is_written_has_no_defect(written: Written) -> None:
    assert written.defects(pydicom.dcmread(written.path)) == []
    dicom_seg.verify(written.path, written.scan, written.segments, written.sources, TERMS)


def _first(ds: Any) -> Any:
    return ds.SegmentSequence[0]


def _measures(ds: Any) -> Any:
    return ds.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]


def _no_frame_of_reference(ds: Any) -> None:
    del ds.FrameOfReferenceUID


def _other_frame_of_reference(ds: Any) -> None:
    ds.FrameOfReferenceUID = generate_uid()


def _other_patient(ds: Any) -> None:
    ds.PatientID = "someone else"


def _no_patient(ds: Any) -> None:
    ds.PatientID = ""


def _other_study(ds: Any) -> None:
    ds.StudyInstanceUID = generate_uid()


def _bogus_code(ds: Any) -> None:
    item = _first(ds).SegmentedPropertyTypeCodeSequence[0]
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = "BOGUS", "99XX", "Bogus"


def _other_meaning(ds: Any) -> None:
    _first(ds).SegmentedPropertyTypeCodeSequence[0].CodeMeaning = "Liver"


def _other_side(ds: Any) -> None:
    item = _first(ds).SegmentedPropertyTypeCodeSequence[0].SegmentedPropertyTypeModifierCodeSequence[0]
    item.CodeValue, item.CodeMeaning = "24028007", "Right"


def _no_side(ds: Any) -> None:
    del _first(ds).SegmentedPropertyTypeCodeSequence[0].SegmentedPropertyTypeModifierCodeSequence


def _other_spacing(ds: Any) -> None:
    _measures(ds).PixelSpacing = [1.5, 2.0]


def _other_slice_spacing(ds: Any) -> None:
    _measures(ds).SpacingBetweenSlices = 3.5


def _mirrored(ds: Any) -> None:
    item = ds.SharedFunctionalGroupsSequence[0].PlaneOrientationSequence[0]
    item.ImageOrientationPatient = [-v for v in item.ImageOrientationPatient[:3]] + list(
        item.ImageOrientationPatient[3:]
    )


def _moved(ds: Any) -> None:
    item = ds.PerFrameFunctionalGroupsSequence[1].PlanePositionSequence[0]
    item.ImagePositionPatient = [v + 1.0 for v in item.ImagePositionPatient]


def _no_algorithm(ds: Any) -> None:
    del _first(ds).SegmentationAlgorithmIdentificationSequence


def _no_version(ds: Any) -> None:
    _first(ds).SegmentationAlgorithmIdentificationSequence[0].AlgorithmVersion = ""


def _called_manual(ds: Any) -> None:
    _first(ds).SegmentAlgorithmType = "MANUAL"


def _no_mark(ds: Any) -> None:
    ds.SeriesDescription = "Segmentation"


def _no_mark_of_segment(ds: Any) -> None:
    _first(ds).SegmentDescription = "kidney"


def _no_tracking(ds: Any) -> None:
    del _first(ds).TrackingUID


def _foreign_instance(ds: Any) -> None:
    ds.ReferencedSeriesSequence[0].ReferencedInstanceSequence[0].ReferencedSOPInstanceUID = generate_uid()


def _foreign_series(ds: Any) -> None:
    ds.ReferencedSeriesSequence[0].SeriesInstanceUID = generate_uid()


def _frame_of_another_image(ds: Any) -> None:
    frames = ds.PerFrameFunctionalGroupsSequence
    one, other = (frames[n].DerivationImageSequence[0].SourceImageSequence[0] for n in (0, 1))
    one.ReferencedSOPInstanceUID = other.ReferencedSOPInstanceUID


def _original(ds: Any) -> None:
    ds.ImageType = ["ORIGINAL", "PRIMARY"]


def _renamed(ds: Any) -> None:
    _first(ds).SegmentLabel = "Right kidney"


def _one_less(ds: Any) -> None:
    ds.SegmentSequence = ds.SegmentSequence[:2]


DEFECTS: tuple[Callable[[Any], None], ...] = (
    _no_frame_of_reference, _other_frame_of_reference, _other_patient, _no_patient, _other_study, _bogus_code,
    _other_meaning, _other_side, _no_side, _other_spacing, _other_slice_spacing, _mirrored, _moved, _no_algorithm,
    _no_version, _called_manual, _no_mark, _no_mark_of_segment, _no_tracking, _foreign_instance, _foreign_series,
    _frame_of_another_image, _original, _renamed, _one_less,
)  # fmt: skip


@pytest.mark.parametrize("seed", DEFECTS, ids=lambda seed: seed.__name__.strip("_"))
def test_a_seeded_defect_is_caught(written: Written, seed: Callable[[Any], None], tmp_path: Path) -> None:
    dataset = pydicom.dcmread(written.path)
    seed(dataset)
    dataset.save_as(tmp_path / "bad.dcm")
    again = pydicom.dcmread(tmp_path / "bad.dcm")
    assert written.defects(again) != []
    with pytest.raises(OutputNotWritten):
        dicom_seg.verify(tmp_path / "bad.dcm", written.scan, written.segments, written.sources, TERMS)


def test_another_frame_of_a_multi_frame_source_is_caught(tmp_path: Path) -> None:
    from dicom_factory import enhanced, save

    save(enhanced(Series(slices=4), [2, 0, 3, 1]), tmp_path / "e.dcm")
    scan = dicom_series.load(dicom_series.scan(tmp_path / "e.dcm", silent()).entries[0], silent())
    sources = dicom_seg.source_headers(scan, silent())
    assert sources is not None
    dicom_seg.write(tmp_path / "s.dcm", scan, segments(scan)[:1], silent(), sources, TERMS)
    dataset = pydicom.dcmread(tmp_path / "s.dcm")
    assert lint(dataset, scan, segments(scan)[:1], sources, TERMS) == []
    for own in dataset.PerFrameFunctionalGroupsSequence:
        image = own.DerivationImageSequence[0].SourceImageSequence[0]
        image.ReferencedFrameNumber = image.ReferencedFrameNumber % 4 + 1
    assert any("another frame" in defect for defect in lint(dataset, scan, segments(scan)[:1], sources, TERMS))


def test_a_mistyped_code_of_the_terminology_is_caught(written: Written) -> None:
    code = SimpleNamespace(value="64033006", scheme="SCT", meaning="Kidney")
    terms = {**TERMS, "kidney": SimpleNamespace(snomed=code, category=TERMS["kidney"].category)}
    dataset = pydicom.dcmread(written.path)
    dataset.SegmentSequence[0].SegmentedPropertyTypeCodeSequence[0].CodeValue = "64033006"
    assert any("in no table" in defect for defect in written.defects(dataset, terms=terms))


def test_every_code_of_the_terminology_is_known() -> None:
    from medviewer.io.dicom_seg_lint import _known

    for term in TERMS.values():
        for code in (term.snomed, term.category):
            assert code is None or _known((code.value, code.scheme, code.meaning)), term.id


def test_the_mark_of_a_resampled_scan_is_asked_for(written: Written) -> None:
    from medviewer.core.regularisation import Irregularity, Regularisation

    note = Regularisation((Irregularity.GAP,), "Resampled for 2 missing slices: filled in between neighbours.")
    resampled = written.scan.with_changes(regularisation=note)
    assert any("resampled" in defect for defect in written.defects(pydicom.dcmread(written.path), volume=resampled))


def test_the_validator_misses_most_of_them(written: Written, tmp_path: Path) -> None:
    """Why the check exists; the number is a fact of dciodvfy 20220618."""
    if shutil.which("dciodvfy") is None:
        pytest.skip("dciodvfy (Debian package dicom3tools) is not installed")
    caught = 0
    for number, seed in enumerate(DEFECTS):
        dataset = pydicom.dcmread(written.path)
        seed(dataset)
        dataset.save_as(tmp_path / f"{number}.dcm")
        said = subprocess.run(["dciodvfy", str(tmp_path / f"{number}.dcm")], capture_output=True)
        caught += b"Error" in said.stdout + said.stderr
    assert caught < len(DEFECTS) / 2


def test_masks_of_nobody_are_not_called_ai(tmp_path: Path, written: Written) -> None:
    drawn = [s.changed(provenance=Provenance("MANUAL")) for s in written.segments]
    dicom_seg.write(tmp_path / "hand.dcm", written.scan, drawn, silent(), written.sources, TERMS)
    dicom_seg.verify(tmp_path / "hand.dcm", written.scan, drawn, written.sources, TERMS)
    dataset = pydicom.dcmread(tmp_path / "hand.dcm")
    assert dataset.SeriesDescription == "Segmentation drawn by hand, not verified"
    assert "SegmentAlgorithmName" not in dataset.SegmentSequence[0]
    assert np.all([item.SegmentAlgorithmType == "MANUAL" for item in dataset.SegmentSequence])
