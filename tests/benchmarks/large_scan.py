"""Writes large CT scans for measurements: the generated torso, its voxels repeated to the size of a real scan."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from medviewer.core.phantom import torso_phantom
from medviewer.core.volume import Volume

SIZE = (512, 512, 600)


def large_ct(size: tuple[int, int, int] = SIZE) -> Volume:
    """A CT of the torso with `size` voxels, 400 x 320 x 384 mm; fine structure is repeated, not invented."""
    small = (80, 64, 48)
    phantom = torso_phantom(0, shape=small, spacing=(5.0, 5.0, 8.0))
    picks = [(np.arange(n) * s) // n for n, s in zip(size, small, strict=True)]
    array = np.empty(size, np.int16, order="F")
    for k, source in enumerate(picks[2]):
        array[:, :, k] = phantom.volume.array[:, :, source][np.ix_(picks[0], picks[1])]
    affine = phantom.volume.affine
    assert affine is not None
    return phantom.volume.with_changes(
        array=array, affine=affine @ np.diag([*(s / n for n, s in zip(size, small, strict=True)), 1.0]), spacing_mm=None
    )


def write_nifti(path: Path, volume: Volume) -> Path:
    """Uncompressed NIfTI."""
    from medviewer.core.progress import silent
    from medviewer.io import write_nifti as writer

    writer.write_volume(path, volume, silent())
    return path


def write_dicom(folder: Path, volume: Volume) -> Path:
    """One file per slice, explicit little endian."""
    from medviewer.core.progress import silent
    from medviewer.io import dicom_source

    folder.mkdir(parents=True, exist_ok=True)
    dicom_source.write_series(folder, volume, silent(), None)
    return folder
