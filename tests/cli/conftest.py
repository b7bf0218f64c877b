"""Runs the command line in this process, and makes small scans to run it on."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest

from tests.command_line import run

__all__ = ["run"]  # what the tests use

BONE = (slice(2, 5), slice(3, 6), slice(1, 3))


@pytest.fixture
def scan(tmp_path: Path) -> Path:
    """A CT of 12 x 13 x 9 voxels of 2 x 2 x 3 mm with a block of bone."""
    array = np.full((12, 13, 9), -1000, np.int16)
    array[1:7, 1:8] = 40
    array[BONE] = 900
    affine = np.diag([-2.0, -2.0, 3.0, 1.0])  # RAS: i to the left, j to the back, k to the head
    affine[:3, 3] = (10, 20, 30)
    path = tmp_path / "ct_scan.nii.gz"
    nibabel.save(nibabel.Nifti1Image(array, affine), path)
    return path


@pytest.fixture
def bone() -> tuple[slice, slice, slice]:
    """Where the bone of the sample scan is."""
    return BONE


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """A grey PNG of 12 columns and 7 rows: a 2D image without spacing."""
    from PIL import Image

    path = tmp_path / "picture.png"
    Image.fromarray(np.arange(84, dtype=np.uint8).reshape(7, 12) * 3).save(path)
    return path
