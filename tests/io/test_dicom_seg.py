"""DICOM SEG and the source series: conformant, at its place, overlap and empty segments kept, patient untouched."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from files_oracle import AFFINES, error, field, oblique, places, segments, volume
from pydicom.uid import generate_uid

from medviewer.core.errors import OutputNotWritten
from medviewer.core.progress import silent
from medviewer.core.provenance import Provenance
from medviewer.core.segmentation import Segment
from medviewer.core.volume import Source, Volume
from medviewer.io import dicom_seg, dicom_series, dicom_source
from medviewer.io.dicom_seg_read import read_masks_of

pytestmark = pytest.mark.filterwarnings("ignore")  # pydicom and highdicom warn of the odd inputs made here


def errors_of(path: Path) -> list[str]:
    """What dciodvfy, the reference validator, calls an error."""
    if shutil.which("dciodvfy") is None:
        pytest.skip("dciodvfy (Debian package dicom3tools) is not installed")
    done = subprocess.run(["dciodvfy", str(path)], capture_output=True)
    text = (done.stdout + done.stderr).decode(errors="replace")
    assert "SOP Class" in text or done.returncode == 0 or "Error" in text
    return [line for line in text.splitlines() if line.startswith("Error")]


def as_dicom(folder: Path, made: Volume, **attributes: Any) -> Volume:
    """The volume written as a DICOM series of a named patient and opened as one."""
    folder.mkdir(exist_ok=True)
    for file in folder.glob("*.dcm"):
        file.unlink()
    dicom_source.write_series(folder, made, silent())
    for file in folder.glob("*.dcm"):
        dataset = pydicom.dcmread(file)
        dataset.PatientName, dataset.PatientID = "Müller^Eva", "P-1"
        dataset.StudyDate, dataset.StudyID, dataset.SeriesNumber = "20200102", "S", 3
        for name, value in attributes.items():
            setattr(dataset, name, value)
        dataset.save_as(file)
    entries = dicom_series.scan(folder, silent()).entries
    assert len(entries) == 1
    return dicom_series.load(entries[0], silent())


def save(path: Path, scan: Volume, made: list[Segment]) -> Any:
    """As the service does: the scan's own files as sources, verified."""
    sources = dicom_seg.source_headers(scan, silent())
    assert sources is not None
    dicom_seg.write(path, scan, made, silent(), sources)
    dicom_seg.verify(path, scan, made, sources)
    return pydicom.dcmread(path)


@pytest.mark.parametrize("name", AFFINES)
def test_the_source_series_has_the_scans_geometry_and_values(tmp_path: Path, name: str) -> None:
    made = volume(AFFINES[name])
    dicom_source.write_series(tmp_path, made, silent())
    dicom_source.verify_series(tmp_path, made)
    entries = dicom_series.scan(tmp_path, silent()).entries
    found = dicom_series.load(entries[0], silent())
    assert error(found) <= 0.51  # stored as whole HU
    ours, theirs = places(np.ones(made.shape, np.bool_), made.affine), places(
        np.ones(found.shape, np.bool_), found.affine
    )  # fmt: skip
    np.testing.assert_allclose(theirs, ours, atol=0.011)


@pytest.mark.parametrize("modality", ["CT", "MR", None, "PT"])
def test_the_source_series_is_conformant_and_anonymous(tmp_path: Path, modality: str | None) -> None:
    made = volume(oblique(), modality=modality, units="HU" if modality == "CT" else None)
    dicom_source.write_series(tmp_path, made, silent())
    for file in sorted(tmp_path.glob("*.dcm"))[:2]:
        assert errors_of(file) == []
        dataset = pydicom.dcmread(file)
        assert dataset.PatientName == ""
        assert dataset.PatientID.startswith("unknown-")
        assert dataset.DerivationDescription.startswith("Converted by medviewer from nifti")
        assert dataset.ImageType[0] == "DERIVED"
        for value in (*dataset.ImagePositionPatient, *dataset.ImageOrientationPatient, *dataset.PixelSpacing):
            assert len(str(value)) <= 16


@pytest.mark.parametrize(
    "values",
    [
        lambda f: f.astype(np.float32) / 7,
        lambda f: f.astype(np.float64) * 1000,
        lambda f: (f * 1000).astype(np.int32),
        lambda f: np.abs(f).astype(np.uint8),
        lambda f: (np.abs(f) * 50).astype(np.uint16),
        lambda f: np.zeros_like(f),
    ],
)
def test_values_survive_to_the_stated_error(tmp_path: Path, values: Any) -> None:
    array = np.asfortranarray(values(field((9, 8, 7), oblique())))
    made = volume(oblique(), array=array, modality="MR", units=None)
    stored = dicom_source.store_values(made)
    dicom_source.write_series(tmp_path, made, silent())
    dicom_source.verify_series(tmp_path, made)
    assert errors_of(tmp_path / "0001.dcm") == []
    for k in range(7):
        dataset = pydicom.dcmread(tmp_path / f"{k + 1:04d}.dcm")
        real = dataset.pixel_array * float(dataset.get("RescaleSlope", 1)) + float(dataset.get("RescaleIntercept", 0))
        assert np.abs(real.T - array[:, :, k]).max() <= stored.largest_error * 1.001 + 1e-9


def test_colour_becomes_a_colour_series(tmp_path: Path) -> None:
    rgb = np.random.default_rng(1).integers(0, 255, (9, 8, 3, 3), np.uint8)
    dicom_source.write_series(tmp_path, volume(oblique(), array=rgb), silent())
    np.testing.assert_array_equal(pydicom.dcmread(tmp_path / "0002.dcm").pixel_array, rgb[:, :, 1].transpose(1, 0, 2))
    assert errors_of(tmp_path / "0001.dcm") == []


def test_what_dicom_cannot_hold_is_refused(tmp_path: Path) -> None:
    sheared = oblique()
    sheared[:3, 1] += sheared[:3, 0]
    with pytest.raises(OutputNotWritten, match="right angles"):
        dicom_source.write_series(tmp_path, volume(sheared), silent())


@pytest.mark.parametrize("name", AFFINES)
def test_segments_are_at_their_place_by_highdicom(tmp_path: Path, name: str) -> None:
    import highdicom

    scan = as_dicom(tmp_path / "ct", volume(AFFINES[name]))
    made = segments(scan)
    save(tmp_path / "s.dcm", scan, made)
    read = highdicom.seg.segread(tmp_path / "s.dcm")
    for number, segment in enumerate(made[:2], start=1):
        part = read.get_volume(segment_numbers=[number])
        mask = np.asarray(part.array)[..., 0] if part.array.ndim == 4 else np.asarray(part.array)
        np.testing.assert_allclose(places(mask > 0, part.affine), places(segment.mask, scan.affine), atol=0.011)


@pytest.mark.parametrize("overlap", [True, False])
def test_the_seg_is_conformant_and_refers_to_its_source(tmp_path: Path, overlap: bool) -> None:
    scan = as_dicom(tmp_path / "ct", volume(oblique()))
    provenance = Provenance("SEMIAUTOMATIC", "tiny", "1.2", "ab" * 32, "left kidney", edits=("brush",))
    made = segments(scan) if overlap else segments(scan)[:1]
    made[0] = made[0].changed(provenance=provenance, cut_edges=("upper",))
    dataset = save(tmp_path / "s.dcm", scan, made)
    assert errors_of(tmp_path / "s.dcm") == []
    source = pydicom.dcmread(scan.source.files[0])
    for attribute in ("FrameOfReferenceUID", "StudyInstanceUID", "PatientName", "PatientID", "StudyDate"):
        assert dataset[attribute].value == source[attribute].value, attribute
    assert dataset.SeriesDescription == "AI segmentation, not verified"
    assert dataset.SegmentationType == "BINARY"
    referenced = {
        str(item.ReferencedSOPInstanceUID) for item in dataset.ReferencedSeriesSequence[0].ReferencedInstanceSequence
    }
    assert referenced == set(scan.source.instance_uids)
    first = dataset.SegmentSequence[0]
    assert (first.SegmentAlgorithmType, first.SegmentAlgorithmName) == ("SEMIAUTOMATIC", "tiny")
    assert "incomplete: cut at the upper edge" in first.SegmentDescription
    modifier = first.SegmentedPropertyTypeCodeSequence[0].SegmentedPropertyTypeModifierCodeSequence[0]
    assert (modifier.CodeValue, modifier.CodingSchemeDesignator) == ("7771000", "SCT")
    identification = first.SegmentationAlgorithmIdentificationSequence[0]
    assert (identification.AlgorithmName, identification.AlgorithmVersion) == ("tiny", "1.2")
    assert "ab" * 32 in identification.AlgorithmParameters


def test_names_survive_in_utf_8(tmp_path: Path) -> None:
    scan = as_dicom(tmp_path / "ct", volume(oblique()), SpecificCharacterSet="ISO_IR 100")
    dataset = save(tmp_path / "s.dcm", scan, segments(scan))
    assert dataset.SegmentSequence[1].SegmentLabel == "Milz (müde)"
    assert str(dataset.PatientName) == "Müller^Eva"


def test_only_empty_segments_are_written_too(tmp_path: Path) -> None:
    scan = as_dicom(tmp_path / "ct", volume(oblique()))
    made = [segments(scan)[2], segments(scan)[2].changed(name="Liver", id="")]
    dataset = save(tmp_path / "s.dcm", scan, made)
    assert errors_of(tmp_path / "s.dcm") == []
    assert [item.SegmentLabel for item in dataset.SegmentSequence] == ["Aorta", "Liver"]
    assert "empty: not found by the model" in dataset.SegmentSequence[0].SegmentDescription
    assert not any(read.mask.any() for read in read_masks_of(dataset, scan))


def test_sixty_segments(tmp_path: Path) -> None:
    scan = as_dicom(tmp_path / "ct", volume(oblique()))
    rng = np.random.default_rng(1)
    made = [Segment(f"s{n}", rng.random(scan.shape) > 0.9) for n in range(60)]
    save(tmp_path / "s.dcm", scan, made)
    assert errors_of(tmp_path / "s.dcm") == []


def test_a_difference_is_noticed(tmp_path: Path) -> None:
    scan = as_dicom(tmp_path / "ct", volume(oblique()))
    made = segments(scan)
    save(tmp_path / "s.dcm", scan, made)
    sources = dicom_seg.source_headers(scan, silent())
    assert sources is not None
    with pytest.raises(OutputNotWritten, match="voxels"):
        dicom_seg.verify(tmp_path / "s.dcm", scan, [made[1], made[0], made[2]], sources)
    for source in sources:
        source.FrameOfReferenceUID = generate_uid()
    with pytest.raises(OutputNotWritten, match="frame of reference"):
        dicom_seg.verify(tmp_path / "s.dcm", scan, made, sources)


@pytest.mark.parametrize("order", [None, [3, 0, 2, 1, 5, 4]])
def test_an_enhanced_multi_frame_source(tmp_path: Path, order: list[int] | None) -> None:
    from dicom_factory import Series, enhanced
    from dicom_factory import save as save_dicom

    save_dicom(enhanced(Series(slices=6), order), tmp_path / "e.dcm")
    scan = dicom_series.load(dicom_series.scan(tmp_path / "e.dcm", silent()).entries[0], silent())
    made = segments(scan)
    dataset = save(tmp_path / "s.dcm", scan, made)
    assert errors_of(tmp_path / "s.dcm") == []
    assert len(scan.source.files) == 1
    frames = dataset.PerFrameFunctionalGroupsSequence
    assert "ReferencedFrameNumber" in frames[0].DerivationImageSequence[0].SourceImageSequence[0]


def test_a_resampled_scan_is_no_source(tmp_path: Path) -> None:
    scan = as_dicom(tmp_path / "ct", volume(oblique()))
    assert dicom_seg.source_headers(scan, silent()) is not None
    moved = np.array(scan.affine)
    moved[0, 3] += 1.0
    assert dicom_seg.source_headers(scan.with_changes(affine=moved), silent()) is None
    assert dicom_seg.source_headers(scan.with_changes(source=Source("nifti", Path("x.nii"))), silent()) is None


@pytest.mark.parametrize("missing", ["SOPInstanceUID", "StudyInstanceUID", "FrameOfReferenceUID"])
def test_a_source_without_uids_is_no_source(tmp_path: Path, missing: str) -> None:
    scan = as_dicom(tmp_path / "ct", volume(oblique()))
    for file in scan.source.files:
        dataset = pydicom.dcmread(file)
        setattr(dataset, missing, "")
        dataset.save_as(file)
    assert dicom_seg.source_headers(scan, silent()) is None


def test_a_2d_dicom_image_without_a_place(tmp_path: Path) -> None:
    from pydicom.data import get_testdata_file

    path = get_testdata_file("examples_palette.dcm", download=False)
    if path is None:
        pytest.skip("pydicom's test files are not installed")
    scan = dicom_series.load(dicom_series.scan(Path(path), silent()).entries[0], silent())
    mask = np.zeros(scan.shape, np.bool_)
    mask[10:50, 20:40] = True
    save(tmp_path / "s.dcm", scan, [Segment("a", mask)])
    assert errors_of(tmp_path / "s.dcm") == []


def test_large_stacks_hold_the_slices_with_a_mask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dicom_seg, "_LARGE_STACK", 100)
    scan = as_dicom(tmp_path / "ct", volume(oblique()))
    dataset = save(tmp_path / "s.dcm", scan, segments(scan))
    assert errors_of(tmp_path / "s.dcm") == []
    assert len(dataset.ReferencedSeriesSequence[0].ReferencedInstanceSequence) == 5
    save(tmp_path / "e.dcm", scan, segments(scan)[2:])


@pytest.mark.parametrize("used", [(0, 4), (6,), (0,), (2, 3)])
def test_the_slice_spacing_of_a_large_stack_is_the_scans(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, used: tuple[int, ...]
) -> None:
    monkeypatch.setattr(dicom_seg, "_LARGE_STACK", 100)
    scan = as_dicom(tmp_path / "ct", volume(oblique()))
    mask = np.zeros(scan.shape, np.bool_)
    mask[2:5, 3:6, list(used)] = True
    dataset = save(tmp_path / "s.dcm", scan, [Segment("Far apart", mask)])
    measures = dataset.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    assert measures.SpacingBetweenSlices == pytest.approx(4.3, abs=1e-4)
    assert errors_of(tmp_path / "s.dcm") == []


def test_a_name_that_the_sources_charset_cannot_hold_makes_it_utf_8(tmp_path: Path) -> None:
    scan = as_dicom(tmp_path / "ct", volume(oblique()), SpecificCharacterSet="ISO_IR 100")
    assert save(tmp_path / "a.dcm", scan, segments(scan)).SpecificCharacterSet == "ISO_IR 100"
    made = [segments(scan)[0].changed(name="左腎")]
    dataset = save(tmp_path / "b.dcm", scan, made)
    assert dataset.SpecificCharacterSet == "ISO_IR 192"
    assert (dataset.SegmentSequence[0].SegmentLabel, str(dataset.PatientName)) == ("左腎", "Müller^Eva")


def test_no_number_of_the_computer_is_written(tmp_path: Path) -> None:
    import uuid

    scan = as_dicom(tmp_path / "ct", volume(oblique()))
    dataset = save(tmp_path / "s.dcm", scan, segments(scan))
    assert str(uuid.getnode()) not in str(dataset)


def test_what_does_not_fit_into_memory_is_refused_before_it_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from types import SimpleNamespace

    scan = as_dicom(tmp_path / "ct", volume(oblique()))
    monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(available=2000))
    with pytest.raises(OutputNotWritten, match="not enough memory"):
        save(tmp_path / "s.dcm", scan, segments(scan))
