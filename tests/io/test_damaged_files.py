"""Random damage to small files of every format: refused with a reason or read, never another error."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from files_oracle import SHAPE, field, oblique
from PIL import Image

from medviewer.core.errors import InputRefused
from medviewer.core.geometry import flip_ras_lps
from medviewer.services import open_data

FILES = [
    "a.nii", "a.nii.gz", "two.nii", "a.nrrd", "z.nrrd", "a.mha", "z.mha", "a.png", "a.tif", "a.jpg", "a.bmp", "a.gif",
]  # fmt: skip
MUTANTS = 120


def make(path: Path) -> bytes:
    values = field(SHAPE, oblique()).astype(np.int16)
    if ".nii" in path.name:
        kind = nibabel.Nifti2Image if path.name.startswith("two") else nibabel.Nifti1Image
        nibabel.save(kind(values, flip_ras_lps(oblique())), path)
    elif path.suffix in (".nrrd", ".mha"):
        import SimpleITK as sitk

        sitk.WriteImage(sitk.GetImageFromArray(values.T), str(path), path.name.startswith("z"))
    else:
        Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 30, 3), np.uint8)).save(path)
    return path.read_bytes()


def damaged(whole: bytes, rng: Any) -> bytes:
    """One to five bytes changed, mostly in the header; one in five also cut short."""
    data = bytearray(whole)
    for _ in range(rng.integers(1, 6)):
        data[rng.integers(0, min(len(data), 600) if rng.random() < 0.7 else len(data))] = rng.integers(0, 256)
    return bytes(data[: rng.integers(0, len(data))] if rng.random() < 0.2 else data)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", FILES)
def test_damage_is_refused_or_harmless(tmp_path: Path, name: str) -> None:
    whole = make(tmp_path / name)
    rng = np.random.default_rng(7)
    refused = 0
    for _ in range(MUTANTS):
        (tmp_path / name).write_bytes(damaged(whole, rng))
        refused += is_refused(tmp_path / name)
    assert 0 < refused <= MUTANTS


def is_refused(path: Path) -> bool:
    """Any other error than InputRefused fails the test."""
    try:
        found = open_data.scan_path(path)
        for entry in found.entries[:1]:
            open_data.thumbnail(entry)
            open_data.load(entry)
    except InputRefused as error:
        return bool(error.message)
    return not found.entries
