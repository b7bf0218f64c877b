"""Every mask format keeps every voxel at its place in the patient; read back by another library."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from files_oracle import AFFINES, SHAPE, field, oblique, places, segments, volume
from PIL import Image

from medviewer.core.errors import OutputNotWritten
from medviewer.core.geometry import flip_ras_lps
from medviewer.core.progress import silent
from medviewer.core.provenance import Provenance
from medviewer.core.segmentation import Segment
from medviewer.core.volume import Volume
from medviewer.io import label_sidecar, write_nifti, write_nrrd_seg, write_png
from medviewer.io.write_nrrd_seg import ReadSegment


def itk_labels(path: Path) -> tuple[Any, Any]:
    """(i, j, k) labels and affine to LPS, by SimpleITK."""
    import SimpleITK as sitk

    image = sitk.ReadImage(str(path))
    affine = np.eye(4)
    affine[:3, :3] = np.array(image.GetDirection()).reshape(3, 3) * image.GetSpacing()
    affine[:3, 3] = image.GetOrigin()
    return sitk.GetArrayFromImage(image).T, affine


@pytest.mark.parametrize("name", AFFINES)
def test_nifti_labels_are_at_their_place(tmp_path: Path, name: str) -> None:
    scan = volume(AFFINES[name])
    path = tmp_path / "m.nii.gz"
    write_nifti.write(path, scan, segments(scan), silent())
    write_nifti.verify(path, scan, segments(scan))
    labels, affine = itk_labels(path)
    expected = write_nifti.label_map(scan.shape, segments(scan))
    for label in (1, 2):
        np.testing.assert_allclose(
            places(labels == label, affine), places(expected == label, AFFINES[name]), atol=0.011
        )
    assert labels.dtype == np.uint8


def test_nifti_header_is_plain(tmp_path: Path) -> None:
    import nibabel

    scan = volume(oblique())
    write_nifti.write(tmp_path / "m.nii.gz", scan, segments(scan), silent())
    header = nibabel.load(tmp_path / "m.nii.gz").header
    assert int(header["qform_code"]) == int(header["sform_code"]) == 1
    np.testing.assert_allclose(header.get_qform(), flip_ras_lps(oblique()), atol=1e-3)
    np.testing.assert_allclose(header.get_sform(), flip_ras_lps(oblique()), atol=1e-3)
    assert header.get_xyzt_units()[0] == "mm"
    assert bytes(header["descrip"]).strip(b"\0") == b"medviewer, research use only"


def test_later_labels_win_and_256_need_16_bits(tmp_path: Path) -> None:
    scan = volume(oblique())
    labels = write_nifti.label_map(scan.shape, segments(scan))
    assert labels[4, 2, 2] == 2
    assert labels[1, 3, 2] == 1
    assert write_nifti.label_map(scan.shape, segments(scan)[2:] * 256).dtype == np.uint16


def test_a_sheared_scan_keeps_its_sform(tmp_path: Path) -> None:
    affine = oblique()
    affine[:3, 2] += affine[:3, 0] * 0.6
    scan = volume(affine)
    write_nifti.write(tmp_path / "m.nii.gz", scan, segments(scan), silent())
    write_nifti.verify(tmp_path / "m.nii.gz", scan, segments(scan))


@pytest.mark.parametrize("dtype", ["u1", "i2", "u2", "i4", "f4", "f8", "i8", "b1", "f2"])
def test_scans_are_written_as_they_are(tmp_path: Path, dtype: str) -> None:
    import nibabel

    array = np.asfortranarray(np.abs(np.rint(field(SHAPE, oblique()))) % 100).astype(dtype)
    scan = volume(oblique(), array=array)
    write_nifti.write_volume(tmp_path / "v.nii.gz", scan, silent())
    write_nifti.verify_volume(tmp_path / "v.nii.gz", scan)
    np.testing.assert_array_equal(np.asanyarray(nibabel.load(tmp_path / "v.nii.gz").dataobj), array)


def test_colour_scans_are_written(tmp_path: Path) -> None:
    rgb = np.random.default_rng(1).integers(0, 255, (4, 5, 6, 3), np.uint8)
    scan = volume(oblique(), array=rgb)
    write_nifti.write_volume(tmp_path / "v.nii.gz", scan, silent())
    write_nifti.verify_volume(tmp_path / "v.nii.gz", scan)


def changed_voxel(scan: Volume) -> list[Segment]:
    """The same segments with one voxel more: what a reader must notice."""
    first, *rest = segments(scan)
    mask = first.mask.copy()
    mask[0, 0, 0] = True
    return [first.changed(mask=mask), *rest]


@pytest.mark.parametrize(("writer", "file"), [(write_nifti, "m.nii.gz"), (write_nrrd_seg, "m.seg.nrrd")])
def test_a_difference_is_noticed(tmp_path: Path, writer: Any, file: str) -> None:
    scan = volume(oblique())
    path = tmp_path / file
    writer.write(path, scan, changed_voxel(scan), silent())
    with pytest.raises(OutputNotWritten, match="voxels"):
        writer.verify(path, scan, segments(scan))
    moved = scan.with_changes(affine=oblique() + np.diag([0, 0, 0, 0.0]) + np.eye(4, k=3) * 0.01)
    writer.write(path, moved, segments(scan), silent())
    with pytest.raises(OutputNotWritten, match="positions"):
        writer.verify(path, scan, segments(scan))


@pytest.mark.parametrize("name", AFFINES)
def test_seg_nrrd_keeps_overlap_and_place(tmp_path: Path, name: str) -> None:
    scan = volume(AFFINES[name])
    path = tmp_path / "m.seg.nrrd"
    write_nrrd_seg.write(path, scan, segments(scan), silent())
    write_nrrd_seg.verify(path, scan, segments(scan))
    found, affine = write_nrrd_seg.read(path)
    np.testing.assert_allclose(affine, AFFINES[name], atol=1e-6)
    for read, segment in zip(found, segments(scan), strict=True):
        np.testing.assert_array_equal(read.mask, segment.mask)
        assert (read.name, read.color, read.term_id, read.side) == (
            segment.name, segment.color, segment.term_id, segment.side,
        )  # fmt: skip


def test_seg_nrrd_is_read_by_itk_and_pynrrd(tmp_path: Path) -> None:
    import nrrd
    import SimpleITK as sitk

    scan = volume(oblique())
    alone = segments(scan)[1:]  # no overlap: one layer, three axes
    write_nrrd_seg.write(tmp_path / "m.seg.nrrd", scan, alone, silent())
    labels, affine = itk_labels(tmp_path / "m.seg.nrrd")
    np.testing.assert_array_equal(labels == 1, alone[0].mask)
    np.testing.assert_allclose(affine, oblique(), atol=1e-5)
    write_nrrd_seg.write(tmp_path / "m.seg.nrrd", scan, segments(scan), silent())
    header = nrrd.read_header(str(tmp_path / "m.seg.nrrd"))
    assert header["kinds"] == ["list", "domain", "domain", "domain"]
    assert [header[f"Segment{n}_Layer"] for n in range(3)] == ["0", "1", "0"]
    assert header["Segment0_Extent"] == "1 5 2 6 1 3"
    assert header["Segment2_Extent"] == "0 -1 0 -1 0 -1"
    assert header["Segment0_LabelValue"] == "1"
    assert sitk.ReadImage(str(tmp_path / "m.seg.nrrd")).GetSize() == SHAPE


class Code:
    """A coded concept."""

    def __init__(self, value: str, meaning: str) -> None:
        self.value, self.scheme, self.meaning = value, "SCT", meaning


class Term:
    """A term of the terminology."""

    snomed = Code("64033007", "Kidney")
    category = Code("123037004", "Anatomical structure")


def test_seg_nrrd_carries_codes_and_provenance(tmp_path: Path) -> None:
    scan = volume(oblique())
    provenance = Provenance(model_id="tiny", prompt="left\nkidney", tags=("below threshold",))
    made = [segments(scan)[0].changed(cut_edges=("upper",), provenance=provenance)]
    write_nrrd_seg.write(tmp_path / "m.seg.nrrd", scan, made, silent(), {"kidney": Term()})
    text = (tmp_path / "m.seg.nrrd").read_bytes().partition(b"\n\n")[0].decode()
    assert "~SCT^123037004^Anatomical structure~SCT^64033007^Kidney~" in text
    assert "medviewer.incomplete:cut at the upper edge|medviewer.tag:below threshold|" in text
    provenance = next(line for line in text.splitlines() if line.startswith("medviewer_Provenance")).split(":=")[1]
    assert json.loads(provenance)[0]["model_id"] == "tiny"


def test_names_cannot_break_the_header(tmp_path: Path) -> None:
    scan = volume(oblique())
    nasty = [segments(scan)[0].changed(name="a\n\nb|c:=d\r%s <img>")]
    write_nrrd_seg.write(tmp_path / "m.seg.nrrd", scan, nasty, silent())
    write_nrrd_seg.verify(tmp_path / "m.seg.nrrd", scan, nasty)
    found: list[ReadSegment] = write_nrrd_seg.read(tmp_path / "m.seg.nrrd")[0]
    assert [read.name for read in found] == ["a b/c:=d %s <img>"]


def write_sidecar(path: Path, scan: Volume, made: list[Segment], terms: Any, warnings: list[str]) -> Path:
    """The finished sidecar of a label map."""
    document = label_sidecar.make_document(path, scan, made, terms, warnings, "00")
    label_sidecar.write_document(label_sidecar.sidecar_path(path), document)
    return label_sidecar.sidecar_path(path)


def test_sidecar_says_what_each_label_is(tmp_path: Path) -> None:
    scan = volume(oblique())
    made = segments(scan)
    made[0] = made[0].changed(cut_edges=("upper",), presence=0.98, provenance=Provenance(model_id="tiny"))
    path = write_sidecar(tmp_path / "m.nii.gz", scan, made, {"kidney": Term()}, ["a warning"])
    assert path == tmp_path / "m.json"
    lines = json.loads(path.read_text())["labels"]
    assert [line["label"] for line in lines] == [1, 2, 3]
    assert lines[0]["code"] == {"scheme": "SCT", "value": "64033007", "meaning": "Kidney"}
    assert lines[0]["volume_ml"] is None  # incomplete
    assert lines[1]["volume_ml"] == pytest.approx(made[1].mask.sum() * 0.7 * 1.9 * 4.3 / 1000, abs=1e-3)
    assert lines[2]["voxels"] == 0
    assert lines[0]["provenance"]["model_id"] == "tiny"
    assert label_sidecar.read_labels(tmp_path / "m.nii.gz")[1].name == "Milz (müde)"
    assert label_sidecar.is_label_map(tmp_path / "m.nii.gz")
    assert not label_sidecar.is_label_map(tmp_path / "m.nii")


def test_sidecar_holds_no_patient_data(tmp_path: Path) -> None:
    from medviewer.core.volume import Patient

    patient = Patient("Canary^Name", "CANARY-ID", "19010203", "F", "19991231")
    scan = volume(oblique(), patient=patient, title="CANARY-TITLE")
    write_sidecar(tmp_path / "m.nii.gz", scan, segments(scan), {}, [])
    write_nifti.write(tmp_path / "m.nii", scan, segments(scan), silent())
    write_nrrd_seg.write(tmp_path / "m.seg.nrrd", scan, segments(scan), silent())
    for path in tmp_path.iterdir():
        assert b"anary" not in path.read_bytes().lower(), path.name
        assert b"1901" not in path.read_bytes(), path.name


def test_a_foreign_json_is_no_sidecar(tmp_path: Path) -> None:
    (tmp_path / "m.json").write_text('{"labels": 3}')
    assert label_sidecar.read_labels(tmp_path / "m.nii.gz") == []


def image_2d(**changes: Any) -> Volume:
    return Volume(np.zeros((9, 5, 1), np.uint8, order="F"), None, kind="image", title="x.png").with_changes(**changes)


def test_png_mask_has_the_image_size_and_0_or_255(tmp_path: Path) -> None:
    mask = np.zeros((9, 5, 1), np.bool_)
    mask[7, 1, 0] = True  # column 7, row 1
    write_png.write(tmp_path / "m.png", image_2d(), [Segment("a", mask)], silent())
    write_png.verify(tmp_path / "m.png", image_2d(), [Segment("a", mask)])
    picture = np.asarray(Image.open(tmp_path / "m.png"))
    assert picture.shape == (5, 9)
    assert picture[1, 7] == 255
    assert picture.sum() == 255
    with pytest.raises(OutputNotWritten):
        write_png.verify(tmp_path / "m.png", image_2d(), [Segment("a", ~mask)])


def test_png_of_a_loop_takes_the_frame_of_the_mask(tmp_path: Path) -> None:
    loop = Volume(np.zeros((9, 5, 4), np.uint8, order="F"), None, kind="cine")
    mask = np.zeros((9, 5, 4), np.bool_)
    mask[7, 1, 2] = True
    assert write_png.mask_picture(loop, [Segment("a", mask)])[1, 7] == 255
    both = mask.copy()
    both[0, 0, 1] = True
    with pytest.raises(OutputNotWritten, match="one frame"):
        write_png.mask_picture(loop, [Segment("a", both)])
