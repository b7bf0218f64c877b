"""Real series of five vendors equal the NIfTI conversions that came with them, in world coordinates."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from medviewer.core.geometry import flip_ras_lps, lps_to_voxel, voxel_to_lps
from medviewer.core.volume import Volume
from medviewer.io import dicom_series

SERIES = (
    "ge/anatomical/001",
    "ge/anatomical/001_implicit",
    "ge/anatomical/001_single_slice",
    "generic/anatomical/001",
    "generic/anatomical/001_implicit",
    "generic/anatomical/002_non_isotropic",
    "hitachi/anatomical/001",
    "hitachi/anatomical/001_implicit",
    "philips/anatomical/001",
    "philips/anatomical/001_implicit",
    "philips_enhanced/anatomical/001",
    "philips_enhanced/anatomical/001_implicit",
    "siemens/anatomical/001",
    "siemens/anatomical/001_implicit",
    "siemens_multiframe/anatomical/001",
)


def open_only(path: Path) -> Volume:
    result = dicom_series.scan(path)
    assert len(result.entries) == 1, result
    return dicom_series.load(result.entries[0])


def same_place(volume: Volume, truth: nib.Nifti1Image) -> tuple[float, np.ndarray]:  # type: ignore[type-arg]
    """(largest distance in mm between our corner voxels and the truth's, the truth's values on our grid)."""
    values = np.asarray(truth.dataobj).reshape(truth.shape[:3])
    affine = flip_ras_lps(truth.affine)
    index = np.stack(np.meshgrid(*(np.arange(n) for n in volume.shape), indexing="ij"), axis=-1)
    assert volume.affine is not None
    world = voxel_to_lps(volume.affine, index)
    there = np.rint(lps_to_voxel(affine, world)).astype(int)
    distance = np.linalg.norm(voxel_to_lps(affine, there) - world, axis=-1).max()
    return float(distance), values[there[..., 0], there[..., 1], there[..., 2]]


@pytest.mark.parametrize("name", SERIES)
def test_equals_its_ground_truth(shared_data: Path, name: str) -> None:
    root = shared_data / "dicom" / "dicom2nifti" / "tests" / "data"
    truth = nib.load(root / f"{name}_ground_truth.nii.gz")
    volume = open_only(root / name)
    assert sorted(volume.shape) == sorted(truth.shape[:3])
    distance, expected = same_place(volume, truth)
    assert distance < 2e-3
    np.testing.assert_allclose(volume.array, expected, rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize("name", ["ct_j2k_totalseg_20", "mr_pd_papaya_20"])
def test_without_its_middle_slices_it_says_so_and_the_rest_stays_right(
    shared_data: Path, tmp_path: Path, name: str
) -> None:
    """As Slicer's test of its readers: the last slice must stay where it was, and what was acquired is not touched."""
    whole = open_only(shared_data / "dicom" / name)
    middle = whole.shape[2] // 2
    gone = set(whole.source.files[middle - 1 : middle + 2])
    for file in set(whole.source.files) - gone:
        (tmp_path / file.name).symlink_to(file.resolve())
    volume = open_only(tmp_path)
    assert volume.regularisation is not None
    assert volume.regularisation.interpolated == (middle - 1, middle, middle + 1)
    assert volume.shape == whole.shape
    np.testing.assert_allclose(volume.affine, whole.affine, atol=5e-3)  # positions of the MR are rounded to 0.1 mm
    kept = [k for k in range(whole.shape[2]) if k not in volume.regularisation.interpolated]
    np.testing.assert_array_equal(volume.array[:, :, kept], whole.array[:, :, kept])
    filled = volume.array[:, :, middle]
    between = np.sort([whole.array[:, :, middle - 2], whole.array[:, :, middle + 2]], axis=0)
    assert ((filled >= between[0] - 1) & (filled <= between[1] + 1)).all()


def test_jpeg_2000_ct_lies_on_its_label_grid(shared_data: Path) -> None:
    folder = shared_data / "ct3d" / "totalsegmentator"
    image, label = (folder / f"example_ct_dicom{end}.nii.gz" for end in ("", "_label"))
    volume = open_only(shared_data / "dicom" / "ct_j2k_totalseg_20")
    truth = nib.load(image if image.is_file() else label)
    distance, expected = same_place(volume, truth)
    assert distance < 2e-3
    assert volume.units == "HU"
    if image.is_file():
        np.testing.assert_array_equal(volume.array, expected)
