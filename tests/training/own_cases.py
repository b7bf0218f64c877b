"""Small data sets of a user's own cases, whose voxels tell their place in the patient."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from medviewer.core.geometry import flip_ras_lps, voxel_to_lps

# Voxel axes i, j, k along these directions of the patient (LPS), as scanners and programs store volumes.
ORIENTATIONS = {
    "LPS": np.eye(3),
    "RAS": np.diag([-1.0, -1.0, 1.0]),
    "LAI": np.diag([1.0, -1.0, -1.0]),
    "coronal": np.array([[1.0, 0, 0], [0, 0, 1.0], [0, -1.0, 0]]).T,
    "sagittal": np.array([[0, 1.0, 0], [0, 0, -1.0], [1.0, 0, 0]]).T,
    "oblique": np.array([[0.96, 0.28, 0], [-0.28, 0.96, 0], [0, 0, 1.0]]).T,
}
SHAPE = (11, 9, 7)
SPACING = (2.0, 1.5, 3.0)


def affine_of(name: str = "LPS") -> NDArray[np.float64]:
    """Voxel to LPS mm, the middle voxel at (10, -20, 30)."""
    affine = np.eye(4)
    affine[:3, :3] = ORIENTATIONS[name] * np.array(SPACING)
    affine[:3, 3] = np.array([10.0, -20.0, 30.0]) - affine[:3, :3] @ ((np.array(SHAPE) - 1) / 2)
    return affine


def places(affine: NDArray[np.float64], shape: tuple[int, ...] = SHAPE) -> NDArray[np.float64]:
    """LPS mm of every voxel, (i, j, k, 3)."""
    return voxel_to_lps(affine, np.stack(np.indices(shape), axis=-1))


def coded(affine: NDArray[np.float64], seed: int = 0) -> NDArray[np.int16]:
    """A volume whose value is its place: 3 x + 5 y + 7 z (LPS mm), plus the seed."""
    return np.asarray(np.rint(places(affine) @ np.array([3.0, 5.0, 7.0]) + seed), np.int16)


def blob(affine: NDArray[np.float64], centre: tuple[float, float, float] = (14.0, -22.0, 33.0)) -> NDArray[np.bool_]:
    """A box about a place in the patient that lies on one side of the middle along every axis."""
    return np.asarray((np.abs(places(affine) - np.array(centre)) < 4.0).all(axis=-1))


def save_nifti(path: Path, array: NDArray[np.generic], affine: NDArray[np.float64]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(np.asarray(array), flip_ras_lps(affine), dtype=array.dtype), path)
    return path


def save_picture(path: Path, array: NDArray[np.generic]) -> Path:
    """(rows, cols) or (rows, cols, 3)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)
    return path


def picture(seed: int, shape: tuple[int, ...] = (12, 16)) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def square(shape: tuple[int, int] = (12, 16), value: int = 255) -> NDArray[np.uint8]:
    mask = np.zeros(shape, np.uint8)
    mask[3:8, 5:11] = value
    return mask


def pictures(folder: Path, count: int = 4, empty: tuple[int, ...] = ()) -> Path:
    """Pictures with black and white masks; those of `empty` show nothing."""
    for number in range(count):
        save_picture(folder / "images" / f"p{number}.png", picture(number))
        save_picture(folder / "masks" / f"p{number}.png", square(value=0 if number in empty else 255))
    return folder


def describe(folder: Path, **document: object) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "dataset.json").write_text(json.dumps(document))
    return folder
