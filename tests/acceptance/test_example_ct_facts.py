"""Facts that must hold for one real CT: computed from its voxels and labels, never written by hand into the program."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import nibabel
import numpy as np
import pytest

from medviewer.core.geometry import position_text, voxel_to_lps
from medviewer.core.laterality import cut_edges
from medviewer.core.mask_facts import mask_facts, metal_warning
from medviewer.core.volume import Volume
from medviewer.services.open_data import open_volume

FOLDER = Path("ct3d") / "totalsegmentator"


@pytest.fixture(scope="module")
def volume(shared_data: Path) -> Volume:
    return open_volume(shared_data / FOLDER / "example_ct.nii.gz")


@pytest.fixture(scope="module")
def masks(shared_data: Path) -> dict[str, np.ndarray]:
    with open(shared_data / "manifest.csv", encoding="utf-8") as file:
        row = next(r for r in csv.DictReader(file) if r["path"].endswith("totalsegmentator/example_ct.nii.gz"))
    labels = np.asarray(nibabel.load(shared_data / row["label_path"]).dataobj)
    return {name: labels == int(value) for value, name in json.loads(row["labels"]).items()}


def test_no_contrast_phase_is_claimed(volume: Volume) -> None:
    said = " ".join([volume.title, *volume.warnings, *(str(f.value) for f in volume.facts.values())]).lower()
    for word in ("arterial", "portal", "venous", "contrast", "enhanced", "unenhanced"):
        assert word not in said


@pytest.mark.parametrize("name", ["liver", "spleen", "aorta"])
def test_cut_organs_are_incomplete_at_the_upper_edge(
    volume: Volume, masks: dict[str, np.ndarray], name: str
) -> None:
    edges = cut_edges(masks[name], volume)
    assert "upper" in edges
    assert mask_facts(volume, masks[name], cut=bool(edges)).volume_ml is None


def test_the_left_kidney_is_read_with_its_letters(volume: Volume, masks: dict[str, np.ndarray]) -> None:
    assert volume.affine is not None
    kidney = np.argwhere(masks["kidney left"])
    centre = voxel_to_lps(volume.affine, kidney.mean(axis=0))
    letters = position_text(centre).split()[::2][:3]
    assert letters[0] == "L"
    assert letters[1] in ("A", "P")
    assert letters[2] == "S"


def test_dense_foci_in_the_kidney_are_raised(volume: Volume, masks: dict[str, np.ndarray]) -> None:
    kidneys = masks["kidney left"] | masks["kidney right"]
    look = mask_facts(volume, kidneys).look_at
    assert look is not None
    assert look.extreme == pytest.approx(1288, abs=1)


def test_metal_in_the_left_hip_is_announced(volume: Volume) -> None:
    said = metal_warning(volume)
    assert said is not None
    assert "3382 HU" in said
    assert " L " in said
