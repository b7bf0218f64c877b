"""A scan whose grid was resampled says so in everything that is exported from it."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel
import nrrd
import numpy as np
import pytest
from files_oracle import oblique, segments, volume
from PIL import Image

from medviewer.core.regularisation import Irregularity, Regularisation
from medviewer.core.segmentation import Segment
from medviewer.core.volume import Volume
from medviewer.io import mesh_file
from medviewer.services import open_data, save_data

SENTENCE = "Resampled for a gantry tilt of 15.4°: the slices were\nput in their true place; 2 of them are filled in."
ONE_LINE = " ".join(SENTENCE.split())


@pytest.fixture
def scan() -> Volume:
    reasons = (Irregularity.TILT, Irregularity.GAP, Irregularity.SPACING, Irregularity.SHEAR, Irregularity.ROTATION)
    return volume(oblique(), regularisation=Regularisation(reasons, SENTENCE, (3, 4)))


def blob(scan: Volume) -> list[Segment]:
    mask = np.zeros(scan.shape, np.bool_)
    mask[2:7, 2:6, 2:5] = True
    return [Segment("Liver", mask)]


@pytest.mark.parametrize("name", ["m.nii.gz", "m.seg.nrrd", "m.stl", "m.ply"])
def test_the_user_is_told_when_saving(tmp_path: Path, scan: Volume, name: str) -> None:
    assert save_data.save_segments(tmp_path / name, scan, blob(scan)).warnings[0] == ONE_LINE
    regular = scan.with_changes(regularisation=None)
    assert ONE_LINE not in save_data.save_segments(tmp_path / name, regular, blob(scan)).warnings


def test_nifti_and_its_sidecar(tmp_path: Path, scan: Volume) -> None:
    save_data.save_segments(tmp_path / "m.nii.gz", scan, segments(scan))
    text = nibabel.load(tmp_path / "m.nii.gz").header["descrip"].tobytes().rstrip(b"\0")
    assert text.startswith(b"medviewer, research use only; resampled: gantry tilt, missing slices")
    assert len(text) <= 79
    document = json.loads((tmp_path / "m.json").read_text())
    assert document["notes"] == [ONE_LINE]
    assert document["warnings"][0] == ONE_LINE
    save_data.save_volume_nifti(tmp_path / "v.nii", scan)
    assert b"resampled: gantry tilt" in nibabel.load(tmp_path / "v.nii").header["descrip"].tobytes()


def test_a_nifti_that_was_resampled_says_so_when_it_is_opened(tmp_path: Path, scan: Volume) -> None:
    save_data.save_volume_nifti(tmp_path / "v.nii", scan)
    assert any("resampled" in warning for warning in open_data.open_volume(tmp_path / "v.nii").warnings)
    save_data.save_volume_nifti(tmp_path / "w.nii", scan.with_changes(regularisation=None))
    assert not any("resampled" in warning for warning in open_data.open_volume(tmp_path / "w.nii").warnings)


def test_nrrd(tmp_path: Path, scan: Volume) -> None:
    save_data.save_segments(tmp_path / "m.seg.nrrd", scan, segments(scan))
    assert f"medviewer_Note1:={ONE_LINE}\n".encode() in (tmp_path / "m.seg.nrrd").read_bytes()
    assert nrrd.read_header(str(tmp_path / "m.seg.nrrd"))["medviewer_Note1"].startswith("Resampled for a gantry tilt")


def test_surfaces(tmp_path: Path, scan: Volume) -> None:
    save_data.save_segments(tmp_path / "m.stl", scan, blob(scan))
    header = (tmp_path / "m.stl").read_bytes()[:80]
    assert header.rstrip() == mesh_file.STL_HEADER_RESAMPLED
    assert b"SPACE=LPS" in header
    assert b"resampled scan" in header
    save_data.save_segments(tmp_path / "m.ply", scan, blob(scan))
    lines = (tmp_path / "m.ply").read_bytes().split(b"end_header")[0].split(b"\n")
    assert f"comment {ONE_LINE}".encode("ascii", "replace") in lines


def test_pictures(tmp_path: Path, scan: Volume) -> None:
    report = save_data.save_view_png(tmp_path / "v.png", np.zeros((4, 5, 3), np.uint8), scan)
    assert report.warnings == (ONE_LINE,)
    assert ONE_LINE in Image.open(tmp_path / "v.png").info["Comment"]
    thin = volume(oblique(), (9, 8, 1), regularisation=scan.regularisation)
    mask = np.ones(thin.shape, np.bool_)
    save_data.save_segments(tmp_path / "m.png", thin, [Segment("Liver", mask)])
    assert ONE_LINE in Image.open(tmp_path / "m.png").info["Comment"]
    save_data.save_view_png(tmp_path / "w.png", np.zeros((4, 5, 3), np.uint8), scan.with_changes(regularisation=None))
    assert Image.open(tmp_path / "w.png").info == {}
