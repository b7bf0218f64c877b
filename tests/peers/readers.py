"""The peers, each as one function from a folder to volumes: array (i, j, k) and its affine to LPS mm.

    python -m tests.peers.readers PEER OUT FOLDER...

A child process of the report: one `.npz` per folder in OUT with the volumes, or a `.txt` with the refusal. Every peer
is run the way its documentation shows, and judged by its own statement of where the voxels lie.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Found = list[tuple[NDArray[Any], NDArray[np.float64]]]
RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


def with_medviewer(folder: Path) -> Found:
    """Every entry the program offers; voxels that it says no slice covers are NaN."""
    from medviewer.services.open_data import load, nothing_readable, scan_path

    catalogue = scan_path(folder)
    if not catalogue.entries:
        raise RuntimeError(str(nothing_readable(folder, catalogue.refused)))
    found: Found = []
    for entry in catalogue.entries:
        volume = load(entry)
        if volume.affine is None:
            continue
        array = volume.array.astype(np.float64)
        if volume.regularisation is not None and volume.regularisation.outside is not None:
            array[volume.array == np.float32(volume.regularisation.outside)] = np.nan
        found.append((array, volume.affine))
    if not found:
        raise RuntimeError("shown as pictures without a place: " + " ".join(catalogue.entries[0].warnings))
    return found


def with_simpleitk(folder: Path) -> Found:
    """ImageSeriesReader on the file names that GDCM gives for each series."""
    import SimpleITK as sitk

    found: Found = []
    for series in sitk.ImageSeriesReader.GetGDCMSeriesIDs(str(folder)):
        reader = sitk.ImageSeriesReader()
        reader.SetFileNames(sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder), series))
        image = reader.Execute()
        affine = np.eye(4)
        affine[:3, :3] = np.array(image.GetDirection()).reshape(3, 3) * np.array(image.GetSpacing())
        affine[:3, 3] = image.GetOrigin()
        found.append((sitk.GetArrayFromImage(image).transpose(2, 1, 0), affine))
    return found


def with_dicom2nifti(folder: Path) -> Found:
    """dicom_series_to_nifti without reorientation."""
    import dicom2nifti

    with tempfile.TemporaryDirectory() as out:
        path = Path(out) / "volume.nii"
        dicom2nifti.dicom_series_to_nifti(folder, path, reorient_nifti=False)
        return _from_nifti([path])


def with_dcm2niix(folder: Path) -> Found:
    """Plain conversion; a return code other than 0 is passed on with the volumes it left."""
    with tempfile.TemporaryDirectory() as out:
        command = ["dcm2niix", "-z", "n", "-b", "n", "-f", "%s_%d_%t_%p", "-o", out, str(folder)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        paths = sorted(Path(out).glob("*.nii"))
        if not paths:
            raise RuntimeError(f"rc={done.returncode} no volume written")
        return _from_nifti(paths)


def _from_nifti(paths: list[Path]) -> Found:
    import nibabel as nib

    found: Found = []
    for path in paths:
        image = nib.load(path)
        values, affine = np.asarray(image.dataobj), RAS @ image.affine
        values = values.reshape(*values.shape[:3], -1)
        found += [(values[..., time], affine) for time in range(values.shape[3])]
    return found


def with_highdicom(folder: Path) -> Found:
    """get_volume_from_series; axes are (slice, row, column)."""
    import highdicom
    import pydicom

    volume = highdicom.get_volume_from_series([pydicom.dcmread(path) for path in sorted(folder.glob("*.dcm"))])
    return [(np.asarray(volume.array), np.asarray(volume.affine, float))]


PEERS: dict[str, Callable[[Path], Found]] = {
    "medviewer": with_medviewer,
    "SimpleITK": with_simpleitk,
    "dicom2nifti": with_dicom2nifti,
    "dcm2niix": with_dcm2niix,
    "highdicom": with_highdicom,
}


def main() -> None:
    warnings.simplefilter("ignore")
    read, out = PEERS[sys.argv[1]], Path(sys.argv[2])
    for folder in map(Path, sys.argv[3:]):
        try:
            volumes = read(folder)
            parts: dict[str, Any] = {}
            for index, (array, affine) in enumerate(volumes):
                parts |= {f"array{index}": array, f"affine{index}": affine}
            np.savez(out / f"{folder.name}.npz", **parts)
        except Exception as error:
            name = "" if type(error) is RuntimeError and sys.argv[1] == "medviewer" else f"{type(error).__name__}: "
            lines = [line.strip() for line in str(error).splitlines() if line.strip()]
            (out / f"{folder.name}.txt").write_text(name + (lines[-1] if lines else ""))


if __name__ == "__main__":
    main()
