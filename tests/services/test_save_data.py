"""Saving: the format by the ending, nothing half, nothing over a source, what is read back is what was saved."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pydicom
import pytest
from PIL import Image

from medviewer.core.errors import Cancelled, InputRefused, OutputNotWritten, WrongUsage
from medviewer.core.geometry import flip_ras_lps
from medviewer.core.progress import Progress
from medviewer.core.provenance import Provenance
from medviewer.core.segmentation import Segment
from medviewer.core.volume import Volume
from medviewer.io import dicom_series
from medviewer.services import open_data, save_data
from tests.safety.small_drive import largest_file

pytestmark = pytest.mark.filterwarnings("ignore")  # pydicom warns of odd inputs
SHAPE = (20, 18, 16)
AFFINE = np.array([[1.2, 0.3, 0, -20], [-0.35, 1.4, 0, 10], [0, 0, 2.5, 30], [0, 0, 0, 1.0]])
AFFINE[:3, 1] = np.cross([0, 0, 1.0], AFFINE[:3, 0]) * 1.1
VOLUME_FORMATS = ["m.nii.gz", "m.nii", "m.seg.nrrd", "m.dcm", "m.stl", "m.ply"]
MASK_FORMATS = VOLUME_FORMATS[:4]


@pytest.fixture
def scan(tmp_path: Path) -> Volume:
    """A CT in NIfTI, opened."""
    (tmp_path / "in").mkdir()
    values = np.random.default_rng(1).integers(-1000, 1000, SHAPE).astype(np.int16)
    nibabel.save(nibabel.Nifti1Image(values, flip_ras_lps(AFFINE)), tmp_path / "in" / "ct.nii.gz")
    return open_data.open_volume(tmp_path / "in" / "ct.nii.gz", modality="CT")


@pytest.fixture
def picture(tmp_path: Path) -> Volume:
    """A PNG, opened."""
    Image.fromarray(np.arange(200, dtype=np.uint8).reshape(10, 20)).save(tmp_path / "x.png")
    return open_data.open_volume(tmp_path / "x.png")


def block(scan: Volume, i: slice, j: slice, k: slice, name: str, **changes: Any) -> Segment:
    mask = np.zeros(scan.shape, np.bool_)
    mask[i, j, k] = True
    return Segment(name, mask, **changes)


def three(scan: Volume) -> list[Segment]:
    """Two that overlap and an empty one."""
    made = Provenance(model_id="tiny", model_version="1", prompt="left kidney", weights_sha256="ab" * 32)
    return [
        block(scan, slice(3, 10), slice(4, 9), slice(2, 8), "Left kidney", term_id="kidney", side="left").changed(
            provenance=made
        ),
        block(scan, slice(8, 14), slice(6, 12), slice(5, 9), "Spleen", term_id="spleen", color=(1, 200, 3)),
        block(scan, slice(0), slice(0), slice(0), "Aorta", term_id="aorta"),
    ]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def hashes(folder: Path) -> dict[str, str]:
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("file", MASK_FORMATS)
def test_saved_masks_are_read_back(tmp_path: Path, scan: Volume, file: str) -> None:
    made = three(scan)
    report = save_data.save_segments(tmp_path / file, scan, made)
    assert report.path == tmp_path / file
    back = save_data.read_mask(tmp_path / file, scan)
    assert [segment.name for segment in back] == [segment.name for segment in made]
    expected = [segment.mask for segment in made]
    if file.endswith((".nii", ".nii.gz")):
        expected[0] = expected[0] & ~expected[1]
    for segment, mask in zip(back, expected, strict=True):
        np.testing.assert_array_equal(segment.mask, mask)


def test_a_label_map_keeps_the_later_and_says_so(tmp_path: Path, scan: Volume) -> None:
    report = save_data.save_segments(tmp_path / "m.nii.gz", scan, three(scan))
    shared = 2 * 3 * 3
    assert any(f"overlap in {shared} voxels" in warning for warning in report.warnings)
    labels = np.asanyarray(nibabel.load(tmp_path / "m.nii.gz").dataobj)
    assert labels[8, 6, 5] == 2
    for file in ("m.seg.nrrd", "m.dcm"):
        assert not any("overlap" in w for w in save_data.save_segments(tmp_path / file, scan, three(scan)).warnings)


def test_the_sidecar_names_the_labels(tmp_path: Path, scan: Volume) -> None:
    report = save_data.save_segments(tmp_path / "liver.case.nii.gz", scan, three(scan))
    assert report.extra_paths == (tmp_path / "liver.case.json",)
    document = json.loads((tmp_path / "liver.case.json").read_text())
    assert [(line["label"], line["name"]) for line in document["labels"]] == [
        (1, "Left kidney"), (2, "Spleen"), (3, "Aorta"),
    ]  # fmt: skip
    assert document["labels"][0]["code"] == {"scheme": "SCT", "value": "64033007", "meaning": "Kidney"}
    assert document["labels"][0]["provenance"]["prompt"] == "left kidney"
    assert "not verified by a clinician" in document["notice"]


def test_incomplete_and_below_threshold_reach_the_files(tmp_path: Path, scan: Volume) -> None:
    tagged = Provenance(model_id="tiny", tags=("below threshold",))
    made = [three(scan)[0].changed(cut_edges=("upper", "left"), provenance=tagged)]
    report = save_data.save_segments(tmp_path / "m.nii.gz", scan, made)
    assert "Left kidney is incomplete: cut at the upper and left edge of the scan." in report.warnings
    assert "Left kidney was drawn below the model's threshold." in report.warnings
    line = json.loads((tmp_path / "m.json").read_text())["labels"][0]
    assert line["cut_edges"] == ["upper", "left"]
    assert line["provenance"]["tags"] == ["below threshold"]
    save_data.save_segments(tmp_path / "m.dcm", scan, made)
    text = pydicom.dcmread(tmp_path / "m.dcm").SegmentSequence[0].SegmentDescription
    assert "incomplete: cut at the upper, left edge" in text
    assert "below threshold" in text


def test_a_dicom_source_is_written_beside_the_seg(tmp_path: Path, scan: Volume) -> None:
    report = save_data.save_segments(tmp_path / "m.dcm", scan, three(scan))
    assert report.extra_paths == (tmp_path / "m_source",)
    entries = dicom_series.scan(tmp_path / "m_source").entries
    source = dicom_series.load(entries[0])
    np.testing.assert_allclose(source.affine, scan.affine, atol=1e-3)
    np.testing.assert_array_equal(source.array, scan.array)
    segmentation = pydicom.dcmread(tmp_path / "m.dcm")
    referenced = segmentation.ReferencedSeriesSequence[0]
    assert referenced.SeriesInstanceUID == source.source.series_uid
    assert {str(i.ReferencedSOPInstanceUID) for i in referenced.ReferencedInstanceSequence} == set(
        source.source.instance_uids
    )
    assert segmentation.FrameOfReferenceUID == pydicom.dcmread(source.source.files[0]).FrameOfReferenceUID
    for mask, segment in zip(save_data.read_mask(tmp_path / "m.dcm", source), three(scan), strict=True):
        np.testing.assert_array_equal(mask.mask, segment.mask)


def test_codes_of_the_terminology_reach_the_seg(tmp_path: Path, scan: Volume) -> None:
    save_data.save_segments(tmp_path / "m.dcm", scan, three(scan))
    kidney = pydicom.dcmread(tmp_path / "m.dcm").SegmentSequence[0]
    coded = kidney.SegmentedPropertyTypeCodeSequence[0]
    assert (coded.CodeValue, coded.CodingSchemeDesignator) == ("64033007", "SCT")
    assert coded.SegmentedPropertyTypeModifierCodeSequence[0].CodeValue == "7771000"
    assert list(kidney.RecommendedDisplayCIELabValue)


def test_a_foreign_source_folder_is_not_replaced(tmp_path: Path, scan: Volume) -> None:
    (tmp_path / "m_source").mkdir()
    (tmp_path / "m_source" / "thesis.txt").write_text("precious")
    with pytest.raises(OutputNotWritten, match="holds other files"):
        save_data.save_segments(tmp_path / "m.dcm", scan, three(scan))
    assert (tmp_path / "m_source" / "thesis.txt").read_text() == "precious"
    assert not (tmp_path / "m.dcm").exists()


def test_saving_twice_replaces_both(tmp_path: Path, scan: Volume) -> None:
    save_data.save_segments(tmp_path / "m.dcm", scan, three(scan))
    save_data.save_segments(tmp_path / "m.dcm", scan, three(scan)[:1])
    assert len(pydicom.dcmread(tmp_path / "m.dcm").SegmentSequence) == 1
    source = open_data.open_volume(tmp_path / "m_source")
    assert save_data.read_mask(tmp_path / "m.dcm", source)[0].mask.sum() == three(scan)[0].mask.sum()


@pytest.mark.parametrize("file", ["m.stl", "m.ply"])
def test_several_surfaces_are_also_single_files(tmp_path: Path, scan: Volume, file: str) -> None:
    report = save_data.save_segments(tmp_path / file, scan, three(scan))
    suffix = Path(file).suffix
    assert [path.name for path in report.extra_paths] == [
        f"m_1_left_kidney{suffix}", f"m_2_spleen{suffix}", f"m_3_aorta{suffix}",
    ]  # fmt: skip
    assert save_data.save_segments(tmp_path / f"one{suffix}", scan, three(scan)[:1]).extra_paths == ()


def test_png_masks_of_a_picture(tmp_path: Path, picture: Volume) -> None:
    made = [block(picture, slice(3, 6), slice(2, 4), slice(0, 1), "Lung")]
    save_data.save_segments(tmp_path / "m.png", picture, made)
    saved = np.asarray(Image.open(tmp_path / "m.png"))
    assert saved.shape == (10, 20)
    assert set(np.unique(saved)) == {0, 255}
    assert (saved[2:4, 3:6] == 255).all()
    assert saved.sum() == 6 * 255
    np.testing.assert_array_equal(save_data.read_mask(tmp_path / "m.png", picture)[0].mask, made[0].mask)
    report = save_data.save_segments(tmp_path / "two.png", picture, made * 2)
    assert len(report.extra_paths) == 2
    empty = block(picture, slice(0), slice(0), slice(0), "Nothing")
    save_data.save_segments(tmp_path / "e.png", picture, [empty])
    assert np.asarray(Image.open(tmp_path / "e.png")).sum() == 0


@pytest.mark.parametrize("file", VOLUME_FORMATS)
def test_formats_that_need_a_place_are_refused_for_pictures(tmp_path: Path, picture: Volume, file: str) -> None:
    made = [block(picture, slice(3, 6), slice(2, 4), slice(0, 1), "Lung")]
    with pytest.raises(OutputNotWritten, match="position of the image") as caught:
        save_data.save_segments(tmp_path / file, picture, made)
    assert ".png" in caught.value.hint
    assert not (tmp_path / file).exists()


def test_png_is_refused_for_volumes(tmp_path: Path, scan: Volume) -> None:
    with pytest.raises(OutputNotWritten, match="volume"):
        save_data.save_segments(tmp_path / "m.png", scan, three(scan))


@pytest.mark.parametrize("file", ["m", "m.doc", ".nii.gz", "m.nii.gz.txt"])
def test_unknown_endings_are_wrong_usage(tmp_path: Path, scan: Volume, file: str) -> None:
    with pytest.raises(WrongUsage) as caught:
        save_data.save_segments(tmp_path / file, scan, three(scan))
    assert ".seg.nrrd" in caught.value.hint


def test_a_source_is_never_written(tmp_path: Path, scan: Volume) -> None:
    before = hashes(tmp_path / "in")
    (tmp_path / "link.nii.gz").symlink_to(tmp_path / "in" / "ct.nii.gz")
    for name in ("in/ct.nii.gz", "in/../in/ct.nii.gz", "link.nii.gz"):
        target = tmp_path / name
        with pytest.raises(OutputNotWritten, match="the scan itself"):
            save_data.save_segments(target, scan, three(scan))
        with pytest.raises(OutputNotWritten, match="the scan itself"):
            save_data.save_volume_nifti(target, scan)
    assert hashes(tmp_path / "in") == before


def test_a_mask_of_another_scan_is_refused(tmp_path: Path, scan: Volume) -> None:
    other = Segment("a", np.zeros((2, 3, 4), np.bool_))
    with pytest.raises(OutputNotWritten, match="another scan"):
        save_data.save_segments(tmp_path / "m.nii.gz", scan, [other])


@pytest.mark.parametrize("file", VOLUME_FORMATS)
def test_a_full_disk_leaves_the_old_file_and_no_rest(tmp_path: Path, scan: Volume, file: str) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / file).write_bytes(b"old")
    noisy = [Segment(f"s{n}", np.random.default_rng(n).random(scan.shape) > 0.5) for n in range(3)]
    with pytest.raises(OutputNotWritten, match="no space is left"), largest_file(700):
        save_data.save_segments(out / file, scan, noisy)
    assert (out / file).read_bytes() == b"old"
    assert names(out) == [file]


@pytest.mark.parametrize("file", [*VOLUME_FORMATS])
def test_a_missing_folder_is_one_sentence(tmp_path: Path, scan: Volume, file: str) -> None:
    with pytest.raises(OutputNotWritten, match="does not exist") as caught:
        save_data.save_segments(tmp_path / "missing" / file, scan, three(scan))
    assert caught.value.hint


@pytest.mark.parametrize("file", MASK_FORMATS)
def test_what_does_not_read_back_equal_is_not_saved(
    tmp_path: Path, scan: Volume, file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A drive that changes a byte: the user is told, the old file stays."""
    (tmp_path / "out").mkdir()
    target = tmp_path / "out" / file
    target.write_bytes(b"old")
    suffix = save_data._suffix(target)
    writer = __import__(save_data._WRITERS[suffix], fromlist=["write"])
    original = writer.write

    def spoiled(path: Path, volume: Volume, segments: Any, *rest: Any) -> None:
        moved = [s.changed(mask=np.roll(s.mask, 1, axis=0)) for s in segments]
        original(path, volume, moved, *rest)

    monkeypatch.setattr(writer, "write", spoiled)
    with pytest.raises(OutputNotWritten, match="reading it back"):
        save_data.save_segments(target, scan, three(scan))
    assert target.read_bytes() == b"old"
    assert names(tmp_path / "out") == [file]


def test_the_scan_is_converted_exactly(tmp_path: Path, scan: Volume) -> None:
    report = save_data.save_volume_nifti(tmp_path / "v.nii.gz", scan)
    again = open_data.open_volume(report.path)
    np.testing.assert_array_equal(again.array, scan.array)
    np.testing.assert_allclose(again.affine, scan.affine, atol=1e-4)
    with pytest.raises(WrongUsage):
        save_data.save_volume_nifti(tmp_path / "v.nrrd", scan)


def test_a_picture_is_not_converted_to_nifti(tmp_path: Path, picture: Volume) -> None:
    with pytest.raises(OutputNotWritten, match="position"):
        save_data.save_volume_nifti(tmp_path / "v.nii.gz", picture)


def test_view_pictures(tmp_path: Path) -> None:
    pixels = np.random.default_rng(1).integers(0, 255, (30, 40, 3), np.uint8)
    save_data.save_view_png(tmp_path / "v.png", pixels)
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "v.png")), pixels)
    assert Image.open(tmp_path / "v.png").info == {}
    with pytest.raises(WrongUsage):
        save_data.save_view_png(tmp_path / "v.jpg", pixels)


def test_a_mask_on_another_grid_is_resampled_in_space(tmp_path: Path, scan: Volume) -> None:
    """The same block in a flipped, finer label map lands on the same place."""
    assert scan.affine is not None
    fine = np.zeros((40, 36, 32), np.uint8)
    fine[6:20, 8:18, 4:16] = 1
    half = np.diag([0.5, 0.5, 0.5, 1.0])
    half[:3, 3] = -0.25
    affine = scan.affine @ half
    flipped = affine @ np.array([[-1, 0, 0, 39], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]])
    nibabel.save(nibabel.Nifti1Image(fine[::-1], flip_ras_lps(flipped)), tmp_path / "m.nii.gz")
    (found,) = save_data.read_mask(tmp_path / "m.nii.gz", scan)
    np.testing.assert_array_equal(found.mask, three(scan)[0].mask)
    assert "resampled" in found.provenance.edits[-1]


def test_masks_that_do_not_belong_are_refused(tmp_path: Path, scan: Volume, picture: Volume) -> None:
    far = np.array(scan.affine)
    far[:3, 3] += 5000
    nibabel.save(nibabel.Nifti1Image(np.ones(SHAPE, np.uint8), flip_ras_lps(far)), tmp_path / "far.nii.gz")
    nibabel.save(nibabel.Nifti1Image(np.random.rand(*SHAPE), flip_ras_lps(AFFINE)), tmp_path / "float.nii.gz")
    Image.fromarray(np.zeros((5, 5), np.uint8)).save(tmp_path / "small.png")
    (tmp_path / "a.txt").write_text("x")
    for file, volume in (("far.nii.gz", scan), ("float.nii.gz", scan), ("small.png", picture), ("a.txt", scan)):
        with pytest.raises(InputRefused):
            save_data.read_mask(tmp_path / file, volume)
    with pytest.raises(InputRefused):
        save_data.read_mask(tmp_path / "missing.nii.gz", scan)


def test_label_maps_without_a_sidecar_are_read(tmp_path: Path, scan: Volume) -> None:
    labels = np.zeros(SHAPE, np.float32)
    labels[2:4], labels[7:9] = 3, 7
    nibabel.save(nibabel.Nifti1Image(labels, flip_ras_lps(AFFINE)), tmp_path / "organs.nii.gz")
    found = save_data.read_mask(tmp_path / "organs.nii.gz", scan)
    assert [segment.name for segment in found] == ["organs 3", "organs 7"]
    np.testing.assert_array_equal(found[0].mask, labels == 3)


def test_every_dicom_export_is_conformant(tmp_path: Path, scan: Volume) -> None:
    if shutil.which("dciodvfy") is None:
        pytest.skip("dciodvfy (Debian package dicom3tools) is not installed")
    save_data.save_segments(tmp_path / "m.dcm", scan, three(scan))
    for path in (tmp_path / "m.dcm", *sorted((tmp_path / "m_source").iterdir())[:3]):
        done = subprocess.run(["dciodvfy", str(path)], capture_output=True)
        text = (done.stdout + done.stderr).decode(errors="replace")
        assert [line for line in text.splitlines() if line.startswith("Error")] == []


@pytest.mark.parametrize("path", ["dicom/ct_j2k_totalseg_20", "dicom/dicom2nifti/tests/data/siemens/anatomical/001"])
def test_real_dicom_round_trip(tmp_path: Path, shared_data: Path, path: str) -> None:
    scan = open_data.open_volume(shared_data / path)
    made = [block(scan, slice(30, 90), slice(40, 80), slice(1, 3), "Liver", term_id="liver")]
    for file in MASK_FORMATS:
        save_data.save_segments(tmp_path / file, scan, made)
        np.testing.assert_array_equal(save_data.read_mask(tmp_path / file, scan)[0].mask, made[0].mask)


def test_many_overlaps_are_summed_up(tmp_path: Path, scan: Volume) -> None:
    report = save_data.save_segments(tmp_path / "m.nii.gz", scan, three(scan)[:1] * 5)
    assert len(report.warnings) == 5
    assert "7 more pairs overlap" in report.warnings[3]


@pytest.mark.parametrize("file", VOLUME_FORMATS)
def test_a_cancelled_save_leaves_nothing(tmp_path: Path, scan: Volume, file: str) -> None:
    (tmp_path / "out").mkdir()
    calls: list[float] = []
    count = Progress(lambda share, text: calls.append(share))
    save_data.save_segments(tmp_path / file, scan, three(scan), count)
    for stop in {1, len(calls) // 2, len(calls) - 1}:
        heard: list[float] = []
        progress = Progress(lambda share, text, heard=heard: heard.append(share), lambda h=heard, n=stop: len(h) >= n)
        with pytest.raises(Cancelled):
            save_data.save_segments(tmp_path / "out" / file, scan, three(scan), progress)
    assert [name for name in names(tmp_path / "out") if name.startswith(".")] == []
    if not file.endswith((".stl", ".ply")):  # surfaces are several files, each whole
        assert names(tmp_path / "out") == []
