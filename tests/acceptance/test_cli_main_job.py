"""The main job from the command line with the model that ships, on real CT, MR, X-ray and ultrasound.

What is found depends on the weights and is measured elsewhere; here it is checked that what is written and told is
right for whatever was found.
"""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import nibabel
import nibabel.affines
import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.data import get_testdata_file

from medviewer.core.geometry import RAS_FROM_LPS
from medviewer.services.open_data import open_volume
from medviewer.services.save_data import read_mask

CT = Path("ct3d") / "totalsegmentator" / "example_ct.nii.gz"
J2K = Path("dicom") / "ct_j2k_totalseg_20"
FIELDS = ["prompt", "answer", "found", "presence", "volume_ml", "area_mm2", "label", "seconds"]
ROW_FIELDS = ["row", "scan", "prompt", "out", "answer", "found", "presence", "volume_ml", "seconds", "error",
              "model", "licence"]


def prompted(*prompts: str) -> list[str]:
    return [text for prompt in prompts for text in ("--prompt", prompt)]


@pytest.fixture
def part_of_ct(shared_data: Path, tmp_path: Path) -> Path:
    """The 24 uppermost slices of the real CT, which hold liver and spleen, cut at the upper edge."""
    image = nibabel.load(shared_data / CT)
    path = tmp_path / "part_ct.nii.gz"
    nibabel.save(image.slicer[:, :, -24:], path)
    return path


def test_info_of_a_nifti(run: Any, shared_data: Path) -> None:
    ran = run("info", shared_data / CT, "--json")
    assert (ran.status, list(ran.document)) == (0, ["volumes", "refused"])
    (volume,) = ran.document["volumes"]
    image = nibabel.load(shared_data / CT)
    assert list(volume) == [
        "id", "modality", "shape_xyz", "spacing_mm", "affine_lps", "units", "facts", "warnings",
    ]  # fmt: skip
    assert volume["shape_xyz"] == list(image.shape)
    np.testing.assert_allclose(volume["affine_lps"], RAS_FROM_LPS @ image.affine, atol=1e-4)
    assert (volume["modality"], volume["units"]) == ("CT", "HU")
    assert volume["facts"]["modality"]["origin"] == "estimated"
    assert any("estimated" in warning for warning in volume["warnings"])


@pytest.mark.slow
def test_a_real_ct_to_a_label_map(program: Any, shared_data: Path, tmp_path: Path) -> None:
    out = tmp_path / "masks.nii.gz"
    prompts = ["liver", "left liver", "kidney, right", "Niere links", "no effusion", "zorgle", "hepatic parenchyma"]
    ran = program("segment", shared_data / CT, *prompted(*prompts), "--out", out, "--json")
    assert ran.status == 0, ran.err
    document = ran.document
    assert list(document) == [
        "scan", "series", "out", "model", "model_version", "licence", "device", "results", "warnings",
    ]
    results = document["results"]
    assert [list(result) for result in results] == [FIELDS] * 7
    assert [result["prompt"] for result in results] == prompts
    assert [result["label"] for result in results] == [1, 2, 3, 4, 5, 6, 7]
    assert [result["answer"] for result in results[4:6]] == ["negation is not supported", "not trained for this term"]
    scan, written = nibabel.load(shared_data / CT), nibabel.load(out)
    assert written.shape == scan.shape
    np.testing.assert_allclose(written.affine, scan.affine, atol=1e-4)
    labels = np.asarray(written.dataobj)
    check_labels(results, labels, abs(np.linalg.det(scan.affine[:3, :3])) / 1000)
    named = json.loads((tmp_path / "masks.json").read_text())["labels"]
    assert [line["label"] for line in named] == [1, 2, 3, 4, 5, 6, 7]
    told = document["warnings"]
    assert len(told) == len(set(told))
    assert any("metal" in warning for warning in told)
    assert any("Liver has no side" in warning for warning in told)


def check_labels(results: list[dict[str, Any]], labels: Any, voxel_ml: float) -> None:
    """`liver` is asked for three times, the first two lose all voxels to the last."""
    assert [result["found"] for result in (results[0], results[1], results[6])] == [results[0]["found"]] * 3
    for result in results:
        assert result["found"] == (result["answer"] == "found")
        assert result["presence"] is None or 0 <= result["presence"] <= 1
        assert result["area_mm2"] is None
        assert result["seconds"] >= 0
        count = int((labels == result["label"]).sum())
        if not result["found"] or result["label"] in (1, 2):
            assert count == 0
        if not result["found"]:
            assert result["volume_ml"] is None
    last = labels == 7
    assert last.any() == results[6]["found"]
    if last[:, :, -1].any():
        assert results[6]["volume_ml"] is None  # cut by the upper edge
    elif last.any() and results[6]["volume_ml"] is not None:
        assert results[6]["volume_ml"] == pytest.approx(last.sum() * voxel_ml, rel=1e-3)


def test_a_dicom_ct_without_uids_to_a_segmentation_of_its_copy(program: Any, shared_data: Path, tmp_path: Path) -> None:
    out = tmp_path / "masks.dcm"
    ran = program("segment", shared_data / J2K, *prompted("liver", "Leber", "zorgle"), "--out", out, "--json")
    assert ran.status == 0, ran.err
    assert not any("overlap" in warning for warning in ran.document["warnings"])
    volume = open_volume(shared_data / J2K)
    assert ran.document["series"] == volume.id
    dataset = pydicom.dcmread(out)
    copy = {pydicom.dcmread(path).SeriesInstanceUID for path in (tmp_path / "masks_source").iterdir()}
    assert {item.SeriesInstanceUID for item in dataset.ReferencedSeriesSequence} == copy
    assert [item.SegmentNumber for item in dataset.SegmentSequence] == [1, 2, 3]
    assert {item.SegmentAlgorithmType for item in dataset.SegmentSequence} == {"AUTOMATIC"}
    assert dataset.SegmentSequence[0].SegmentedPropertyTypeCodeSequence[0].CodeValue == "10200004"  # SNOMED CT: liver
    first, second, empty = read_mask(out, volume)
    assert np.array_equal(first.mask, second.mask)
    assert first.mask.any() == ran.document["results"][0]["found"]
    assert not empty.mask.any()


def test_a_segmentation_of_a_dicom_series_refers_to_it(run: Any, shared_data: Path, tmp_path: Path) -> None:
    series = shared_data / "dicom" / "mr_pd_papaya_20"
    out = tmp_path / "masks.dcm"
    assert run("segment", series, "--prompt", "brain", "--out", out, "--json").status == 0
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("masks")] == ["masks.dcm"]
    source = pydicom.dcmread(min(series.iterdir()), stop_before_pixels=True)
    dataset = pydicom.dcmread(out)
    assert [item.SeriesInstanceUID for item in dataset.ReferencedSeriesSequence] == [source.SeriesInstanceUID]
    assert dataset.StudyInstanceUID == source.StudyInstanceUID


def test_overlapping_prompts_are_both_kept_in_seg_nrrd(run: Any, part_of_ct: Path, tmp_path: Path) -> None:
    out = tmp_path / "masks.seg.nrrd"
    ran = run("segment", part_of_ct, *prompted("liver", "Leber"), "--out", out, "--json")
    assert ran.status == 0, ran.err
    first, second = read_mask(out, open_volume(part_of_ct))
    assert np.array_equal(first.mask, second.mask)
    assert first.mask.any() == ran.document["results"][0]["found"]


def test_a_surface_lies_where_the_mask_lies(run: Any, part_of_ct: Path, tmp_path: Path) -> None:
    for name in ("liver.stl", "liver.nii.gz"):
        ran = run("segment", part_of_ct, "--prompt", "liver", "--out", tmp_path / name, "--json")
        assert ran.status == 0, ran.err
    data = (tmp_path / "liver.stl").read_bytes()
    assert b"LPS" in data[:80]
    triangles = np.frombuffer(data[84:], np.dtype([("n", "<3f4"), ("v", "<9f4"), ("a", "<u2")]))
    mask = nibabel.load(tmp_path / "liver.nii.gz")
    voxels = np.argwhere(np.asarray(mask.dataobj))
    assert bool(len(triangles)) == bool(len(voxels)) == ran.document["results"][0]["found"]
    lps = nibabel.affines.apply_affine(RAS_FROM_LPS @ mask.affine, voxels)
    corners = triangles["v"].reshape(-1, 3)
    step = np.linalg.norm(mask.affine[:3, :3], axis=0)
    assert (np.abs(corners.min(axis=0) - lps.min(axis=0)) <= step).all()
    assert (np.abs(corners.max(axis=0) - lps.max(axis=0)) <= step).all()


def test_convert_keeps_voxels_and_place(run: Any, shared_data: Path, tmp_path: Path) -> None:
    out = tmp_path / "scan.nii.gz"
    assert run("convert", shared_data / J2K, out, "--json").status == 0
    volume, written = open_volume(shared_data / J2K), nibabel.load(out)
    assert volume.affine is not None
    np.testing.assert_allclose(RAS_FROM_LPS @ written.affine, volume.affine, atol=1e-3)
    assert np.array_equal(np.asarray(written.dataobj), volume.array)


def first_file(folder: Path) -> Path:
    return min(path for path in folder.rglob("*.png"))


def test_a_picture_of_something_else_has_no_known_side(run: Any, shared_data: Path, tmp_path: Path) -> None:
    picture = first_file(shared_data / "us" / "breast_busi" / "images")
    ran = run("segment", picture, *prompted("left breast tumour", "left kidney"), "--out", tmp_path / "m.png", "--json")
    assert ran.status == 0, ran.err
    assert not any(result["found"] for result in ran.document["results"])
    with Image.open(tmp_path / "m.png") as image:
        assert not np.asarray(image).any()


def test_the_side_of_a_chest_x_ray_is_assumed_and_told(run: Any, shared_data: Path, tmp_path: Path) -> None:
    picture = first_file(shared_data / "xray" / "jsrt_scr" / "images")
    asked = (*prompted("left lung", "right lung"), "--out", tmp_path / "lungs.png", "--json")
    stated = run("segment", picture, *asked, "--modality", "DX")
    assert [result["answer"] for result in stated.document["results"]] == ["found"] * 2
    assert any("side assumed" in warning for warning in stated.document["warnings"])
    left, right = (
        np.asarray(Image.open(tmp_path / f"lungs_{n}_{side}_lung.png")) for n, side in ((1, "left"), (2, "right"))
    )
    with Image.open(picture) as image:
        assert left.shape == right.shape == (image.height, image.width)
    assert np.nonzero(left)[1].mean() > np.nonzero(right)[1].mean()  # the patient's left is on the picture's right


@pytest.fixture
def jobs(shared_data: Path, part_of_ct: Path, tmp_path: Path) -> Path:
    """A table over CT, X-ray, ultrasound (picture and loop) and MR, with a bad row and a comma in a cell."""
    xray = first_file(shared_data / "xray" / "jsrt_scr" / "images")
    loop = get_testdata_file("examples_ybr_color.dcm")
    rows = [
        [part_of_ct.name, "kidney, right", "ct/kidney.nii.gz"],
        [str(xray), "lungs", "xray/lungs"],
        [str(tmp_path / "missing.nii.gz"), "liver", "missing.nii.gz"],
        [str(first_file(shared_data / "us" / "breast_busi" / "images")), "breast tumour", "us.png"],
        [str(first_file(shared_data / "mr" / "cardiac_acdc" / "images")), "left ventricle", "mr"],
        [str(loop), "breast tumour", "loop"],
        [part_of_ct.name, "spleen", "1.2.840.7"],
    ]
    table = tmp_path / "jobs.csv"
    with table.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["scan", "prompt", "out"], *rows])
    return table


def test_a_batch_over_all_kinds_of_scans(program: Any, jobs: Path, part_of_ct: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    ran = program("batch", jobs, "--out", out, "--json")
    assert ran.status == 0, ran.err
    results = ran.document["results"]
    assert [list(result) for result in results] == [ROW_FIELDS] * 7
    assert [result["row"] for result in results] == [1, 2, 3, 4, 5, 6, 7]
    assert [bool(result["error"]) for result in results] == [False, False, True, False, False, False, False]
    assert results[0]["prompt"] == "kidney, right"
    names = ["ct/kidney.nii.gz", "xray/lungs.png", None, "us.png", "mr.png", "loop.png", "1.2.840.7.nii.gz"]
    for result, name in zip(results, names, strict=True):
        if name is not None:
            assert result["out"] == name
            check_mask(out / name, result, part_of_ct)
    again = program("batch", jobs, "--out", out, "--resume", "--json")
    assert again.status == 0, again.err
    assert again.document["results"] == results


def check_mask(path: Path, result: dict[str, Any], part_of_ct: Path) -> None:
    """Binary, of the scan's size, empty exactly where nothing was found."""
    if path.suffix == ".png":
        mask = np.asarray(Image.open(path))
        assert set(np.unique(mask)) <= {0, 255}
        assert result["volume_ml"] is None
        if Path(result["scan"]).suffix == ".png":
            with Image.open(result["scan"]) as image:
                assert mask.shape == (image.height, image.width)
    else:
        written, scan = nibabel.load(path), nibabel.load(part_of_ct)
        mask = np.asarray(written.dataobj)
        assert set(np.unique(mask)) <= {0, 1}
        assert mask.shape == scan.shape
        np.testing.assert_allclose(written.affine, scan.affine, atol=1e-4)
    assert mask.any() == result["found"]


@pytest.mark.parametrize(
    ("more", "status", "code"),
    [
        (("--out", "m.nii.gz", "--model", "nothing"), 4, "model-missing"),
        (("--out", "m.nii.gz", "--device", "tpu"), 2, "wrong-usage"),
        (("--out", "m.xyz"), 2, "wrong-usage"),
        (("--out", "m.png"), 5, "output-not-written"),
        (("--out", "no/such/folder/m.nii.gz"), 5, "output-not-written"),
        (("--out", "part_ct.nii.gz"), 5, "output-not-written"),
        (("--out", "m.nii.gz", "--series", "nothing"), 3, "input-refused"),
        (("--out", "m.nii.gz", "--points", "1e6,0,0,+"), 3, "input-refused"),
        (("--out", "m.nii.gz", "--box", "1,2,3"), 2, "wrong-usage"),
        ((), 2, "wrong-usage"),
    ],
)
def test_failures_are_one_json_document_and_a_status(
    run: Any, part_of_ct: Path, monkeypatch: pytest.MonkeyPatch, more: tuple[str, ...], status: int, code: str
) -> None:
    monkeypatch.chdir(part_of_ct.parent)
    before = part_of_ct.read_bytes()
    ran = run("segment", part_of_ct, "--prompt", "liver", *more, "--json")
    assert (ran.status, ran.error["code"]) == (status, code)
    assert [path.name for path in part_of_ct.parent.iterdir() if path.is_file()] == ["part_ct.nii.gz"]
    assert part_of_ct.read_bytes() == before


def test_a_device_that_is_not_there_is_told_with_the_fix(run: Any, part_of_ct: Path, tmp_path: Path) -> None:
    import torch

    device = "mps" if torch.cuda.is_available() else "cuda"
    out = tmp_path / "m.nii.gz"
    ran = run("segment", part_of_ct, "--prompt", "liver", "--device", device, "--out", out, "--json")
    assert (ran.status, ran.error["code"]) == (4, "model-missing")
    assert "--device" in ran.error["hint"]


def test_a_file_of_others_beside_the_output_is_not_replaced(run: Any, part_of_ct: Path, tmp_path: Path) -> None:
    other = tmp_path / "m.json"
    other.write_text('{"mine": 1}')
    ran = run("segment", part_of_ct, "--prompt", "liver", "--out", tmp_path / "m.nii.gz", "--json")
    assert (ran.status, ran.error["code"]) == (5, "output-not-written")
    assert other.read_text() == '{"mine": 1}'


@pytest.mark.parametrize("mirrored", [False, True])
def test_a_mirrored_scan_is_warned_of(run: Any, part_of_ct: Path, tmp_path: Path, mirrored: bool) -> None:
    image = nibabel.load(part_of_ct)
    affine = image.affine @ np.diag([-1.0, 1.0, 1.0, 1.0]) if mirrored else image.affine
    nibabel.save(nibabel.Nifti1Image(np.asarray(image.dataobj), affine), tmp_path / "scan_ct.nii.gz")
    ran = run("segment", tmp_path / "scan_ct.nii.gz", "--prompt", "liver", "--out", tmp_path / "m.nii.gz", "--json")
    assert ran.document["results"][0]["found"], "the model lost the liver of the sample CT"
    assert any("may be flipped" in warning for warning in ran.document["warnings"]) == mirrored


def test_a_frame_of_a_loop(run: Any, part_of_ct: Path, tmp_path: Path) -> None:
    loop, out = get_testdata_file("examples_ybr_color.dcm"), tmp_path / "m.png"
    asked = ("--prompt", "breast tumour", "--out", out, "--json")
    first = run("segment", loop, *asked)
    assert any("a loop of 30 frames; the first one" in warning for warning in first.document["warnings"])
    fifth = run("segment", loop, *asked, "--frame", 4)
    assert fifth.status == 0
    assert not any("first one" in warning for warning in fifth.document["warnings"])
    assert run("segment", loop, *asked, "--frame", 30).error["code"] == "wrong-usage"
    on_volume = run("segment", part_of_ct, "--prompt", "liver", "--out", tmp_path / "m.nii.gz", "--frame", 4, "--json")
    assert (on_volume.status, on_volume.error["code"]) == (2, "wrong-usage")


def test_a_single_slice_has_an_area_and_no_volume(run: Any, shared_data: Path, tmp_path: Path) -> None:
    image = nibabel.load(shared_data / CT)
    path = tmp_path / "slice_ct.nii.gz"
    nibabel.save(image.slicer[:, :, 100:101], path)
    ran = run("segment", path, *prompted("liver", "body"), "--out", tmp_path / "m.nii.gz", "--json")
    assert ran.status == 0, ran.err
    labels = np.asarray(nibabel.load(tmp_path / "m.nii.gz").dataobj)
    for result in ran.document["results"]:
        assert result["volume_ml"] is None
        if result["area_mm2"] is not None:
            assert result["area_mm2"] == pytest.approx((labels == result["label"]).sum() * 9.0, rel=1e-3)


def test_without_a_recorded_orientation_no_side_is_claimed(run: Any, part_of_ct: Path, tmp_path: Path) -> None:
    from medviewer.render.labels import place_text
    from medviewer.render.slice_view import SliceView

    image = nibabel.load(part_of_ct)
    image.set_sform(None, 0)
    image.set_qform(None, 0)
    nibabel.save(image, tmp_path / "scan_ct.nii.gz")
    asked = (*prompted("left kidney", "left lung"), "--out", tmp_path / "m.nii.gz", "--json")
    ran = run("segment", tmp_path / "scan_ct.nii.gz", *asked)
    assert ran.status == 0, ran.err
    assert not any(result["found"] for result in ran.document["results"])
    assert any("left and right are not known" in warning for warning in ran.document["warnings"])
    view = SliceView("axial")
    view.set_volume(open_volume(tmp_path / "scan_ct.nii.gz"))
    view.set_size(200, 200)
    assert view.letters() == {}
    assert view.volume is not None
    assert place_text(view.volume, view.pick_cursor()).startswith("voxel ")
