"""Every DICOM series at hand is listed, told apart and drawn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def listed(run: Any, shared_data: Path) -> Any:
    """What `info` says of the whole folder of sets."""
    ran = run("info", shared_data / "dicom", "--json")
    assert ran.status == 0, ran.err
    return ran.document


def test_every_series_is_listed_with_its_own_id(listed: Any) -> None:
    dicom = [volume for volume in listed["volumes"] if volume["facts"].get("series_description") or volume["modality"]]
    ids = [volume["id"] for volume in listed["volumes"]]
    assert len(ids) == len(set(ids))
    assert len(dicom) >= 20
    for volume in dicom:
        assert volume["modality"] in ("CT", "MR")
        assert np.asarray(volume["affine_lps"]).shape == (4, 4)
        assert volume["units"] in ("HU", None)


def test_what_is_no_image_is_called_by_its_name(listed: Any) -> None:
    reasons = {Path(item["path"]).name: item["reason"] for item in listed["refused"]}
    assert "DICOM Segmentation" in reasons["label.seg"]
    assert "DICOM Structured Report" in reasons["sr.dcm"]
    assert "text file" in reasons["LICENSE"]


@pytest.mark.parametrize(
    "name",
    ["ct_lidc_0140_slice.dcm", "ct_j2k_totalseg_20", "mr_pd_papaya_20", "dcmqi/segmentations/ct-3slice",
     "dicom2nifti/tests/data/ge/anatomical/001", "dicom2nifti/tests/data/philips_enhanced/anatomical/001",
     "dicom2nifti/tests/data/siemens_multiframe/anatomical/001", "dicom2nifti/tests/data/hitachi/anatomical/001"],
)  # fmt: skip
def test_a_picture_of_each_kind(run: Any, shared_data: Path, tmp_path: Path, name: str) -> None:
    ran = run("screenshot", shared_data / "dicom" / name, "--out", tmp_path / "view.png", "--json")
    assert ran.status == 0, ran.err
    with Image.open(tmp_path / "view.png") as picture:
        grey = np.asarray(picture.convert("L"), float)
    assert grey[grey.shape[0] // 4 : -grey.shape[0] // 4, grey.shape[1] // 4 : -grey.shape[1] // 4].std() > 10


def test_masks_of_another_program_lie_on_the_organ(run: Any, shared_data: Path, tmp_path: Path) -> None:
    folder = shared_data / "dicom" / "dcmqi" / "segmentations"
    asked = ("--mask", folder / "liver_seg.nrrd", "--out", tmp_path / "view.png")
    assert run("screenshot", folder / "ct-3slice", *asked).status == 0
    red, _, blue = np.moveaxis(np.asarray(Image.open(tmp_path / "view.png").convert("RGB"), int), 2, 0)
    outline = np.argwhere(blue > red + 60)
    assert len(outline) > 500
    assert outline[:, 1].mean() < 0.45 * red.shape[1]  # the patient's right
