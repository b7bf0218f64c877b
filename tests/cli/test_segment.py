"""`segment` end to end: what is written, told and refused. The example plugin answers, so no model is needed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

from medviewer.cli.options import read_box, read_points
from medviewer.core.errors import WrongUsage

FIELDS = ["prompt", "answer", "found", "presence", "volume_ml", "area_mm2", "label", "seconds"]


@pytest.fixture
def segment(run: Any) -> Any:
    def call(scan: Path, out: Path, *prompts: str, more: tuple[object, ...] = ()) -> Any:
        named = [text for prompt in prompts for text in ("--prompt", prompt)]
        return run("segment", scan, *named, "--out", out, "--plugin", "example_threshold", "--json", *more)

    return call


def test_found_and_not_found_are_labels_in_the_order_of_the_prompts(segment: Any, scan: Path, tmp_path: Path) -> None:
    out = tmp_path / "mask.nii.gz"
    ran = segment(scan, out, "liver", "bone")
    assert ran.status == 0
    assert list(ran.document) == [
        "scan", "series", "out", "model", "model_version", "licence", "device", "results", "warnings",
    ]
    liver, bone = ran.document["results"]
    assert list(bone) == FIELDS
    assert (liver["found"], liver["volume_ml"], liver["label"]) == (False, None, 1)
    assert (bone["answer"], bone["label"], bone["area_mm2"]) == ("found", 2, None)
    image = nibabel.load(out)
    labels = np.asarray(image.dataobj)
    assert set(np.unique(labels)) == {0, 2}
    assert np.array_equal(labels == 2, np.asarray(nibabel.load(scan).dataobj) == 900)
    assert bone["volume_ml"] == pytest.approx((labels == 2).sum() * 12 / 1000)
    np.testing.assert_allclose(image.affine, nibabel.load(scan).affine, atol=1e-5)


def test_an_empty_mask_is_written(segment: Any, scan: Path, tmp_path: Path) -> None:
    out = tmp_path / "mask.nii.gz"
    assert segment(scan, out, "liver").status == 0
    assert not np.asarray(nibabel.load(out).dataobj).any()


@pytest.mark.parametrize("name", ["m.seg.nrrd", "m.dcm", "m.stl", "m.ply", "m.nii"])
def test_every_format_is_written(segment: Any, scan: Path, tmp_path: Path, name: str) -> None:
    ran = segment(scan, tmp_path / name, "bone")
    assert ran.status == 0, ran.err
    assert (tmp_path / name).stat().st_size > 0


def test_overlapping_prompts_are_warned_of_in_nifti(segment: Any, scan: Path, tmp_path: Path, bone: Any) -> None:
    ran = segment(scan, tmp_path / "m.nii.gz", "bone", "Bone")
    assert any("overlap" in text for text in ran.document["warnings"])
    labels = np.asarray(nibabel.load(tmp_path / "m.nii.gz").dataobj)
    assert set(np.unique(labels)) == {0, 2}
    assert (labels == 2)[bone].all()
    both = segment(scan, tmp_path / "m.seg.nrrd", "bone", "Bone")
    assert not any("overlap" in text for text in both.document["warnings"])


@pytest.mark.parametrize(
    ("name", "status"), [("m.mha", 2), ("m", 2), ("no/folder/m.nii.gz", 5), ("ct_scan.nii.gz", 5)]
)
def test_an_output_that_cannot_be_is_refused(
    segment: Any, scan: Path, tmp_path: Path, name: str, status: int
) -> None:
    before = scan.read_bytes()
    assert segment(scan, tmp_path / name, "bone").status == status
    assert scan.read_bytes() == before


@pytest.mark.parametrize("prompt", ["", "   ", "x" * 10_000])
def test_an_impossible_prompt_is_wrong_usage(segment: Any, scan: Path, tmp_path: Path, prompt: str) -> None:
    out = tmp_path / "m.nii.gz"
    assert segment(scan, out, prompt).status == 2
    assert not out.exists()


def test_formats_that_need_geometry_are_refused_without(segment: Any, picture: Path, tmp_path: Path) -> None:
    ran = segment(picture, tmp_path / "m.nii.gz", "bone")
    assert (ran.status, ran.document["error"]["code"]) == (5, "output-not-written")
    assert segment(picture, tmp_path / "m.png", "bone").status == 0


@pytest.mark.parametrize(
    ("more", "status"),
    [
        (("--device", "tpu"), 2),
        (("--points", "1,2,+"), 2),
        (("--points", ""), 2),
        (("--box", "1,2,3"), 2),
        (("--box", "1,2,3,4,5,nan"), 2),
        (("--series", "nothing"), 3),
        (("--plugin", "nothing"), 1),
    ],
)
def test_options_are_checked(segment: Any, scan: Path, tmp_path: Path, more: tuple[str, ...], status: int) -> None:
    ran = segment(scan, tmp_path / "m.nii.gz", "bone", more=more)
    assert ran.status == status
    assert ran.document["error"]["hint"]


def test_clicks_belong_to_one_prompt(segment: Any, scan: Path, tmp_path: Path) -> None:
    more = ("--points", "1,2,3,+")
    assert segment(scan, tmp_path / "m.nii.gz", "bone", "liver", more=more).status == 2
    assert segment(scan, tmp_path / "m.nii.gz", "bone", more=more).status == 0


def test_an_unknown_model_is_named_with_the_fix(run: Any, scan: Path, tmp_path: Path) -> None:
    ran = run("segment", scan, "--prompt", "liver", "--model", "nothing", "--out", tmp_path / "m.nii.gz", "--json")
    assert (ran.status, ran.document["error"]["code"]) == (4, "model-missing")
    assert not (tmp_path / "m.nii.gz").exists()


def test_points_and_boxes_are_read() -> None:
    first, second = read_points("1.5,-2,3,+; 4,5,6,-")
    assert (first.position, first.positive) == ((1.5, -2.0, 3.0), True)
    assert (second.position, second.positive) == ((4.0, 5.0, 6.0), False)
    box = read_box("0,1,2,3,4,5")
    assert box is not None
    assert (box.corner0, box.corner1) == ((0, 1, 2), (3, 4, 5))
    for text in ("1,5;2", "1;2;3", "1,2,3", "a,b,c,+"):
        with pytest.raises(WrongUsage):
            read_points(text)


def test_lines_for_people(run: Any, scan: Path, tmp_path: Path) -> None:
    out = tmp_path / "m.nii.gz"
    ran = run("segment", scan, "--prompt", "bone", "--out", out, "--plugin", "example_threshold")
    assert ran.status == 0
    assert re.search(r"^1  bone: found, 0\.2 ml$", ran.out, re.MULTILINE)
    assert f"Saved {out}" in ran.out
