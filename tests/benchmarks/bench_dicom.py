"""Time from a folder of 300 uncompressed 512 x 512 CT slices to voxels: medviewer, SimpleITK, dcm2niix, in one run.

    python tests/benchmarks/bench_dicom.py [--slices 300] [--rounds 3]

Prints the median of the rounds after one warm-up (the files are in the page cache for all), taken in turns, and the
time to the first picture.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(REPOSITORY), str(REPOSITORY / "tests" / "io")]

from dicom_factory import Series, save  # noqa: E402

from medviewer.core.geometry import flip_ras_lps  # noqa: E402
from medviewer.io import dicom_series  # noqa: E402


def write_folder(folder: Path, slices: int) -> None:
    """A CT-like series with noise, so that nothing is trivially equal."""
    series = Series(slices=slices, rows=512, columns=512, spacing=(0.7, 0.7, 1.0))
    noise = np.random.default_rng(0).normal(0, 20, (512, 512))
    j, i = np.mgrid[:512, :512]
    body = np.where((i - 256) ** 2 + (j - 256) ** 2 < 200**2, 1064.0, 24.0)
    series.stored = lambda k: (body + np.roll(noise, k, 0)).astype("<i2")  # type: ignore[method-assign]
    folder.mkdir()
    for k in range(slices):
        save(series.dataset(k), folder / f"IM{k:04d}.dcm")


def with_medviewer(folder: Path) -> np.ndarray:  # type: ignore[type-arg]
    """Scan and load."""
    return dicom_series.load(dicom_series.scan(folder).entries[0]).array


def with_simpleitk(folder: Path) -> np.ndarray:  # type: ignore[type-arg]
    """GDCM series reader to a numpy array."""
    import SimpleITK as sitk

    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    return np.asarray(sitk.GetArrayFromImage(reader.Execute()))


def with_dcm2niix(folder: Path, out: Path) -> None:
    """Convert to an uncompressed NIfTI, as a user would, without the JSON sidecar."""
    out.mkdir(exist_ok=True)
    subprocess.run(
        ["dcm2niix", "-z", "n", "-b", "n", "-f", "bench", "-w", "1", "-o", out, folder], check=True, capture_output=True
    )


def first_picture(folder: Path) -> None:
    """What a user waits for: scan the folder, read the middle slice."""
    entry = dicom_series.scan(folder).entries[0]
    dicom_series.load_slice(entry, entry.shape_xyz[2] // 2)


def median_seconds(works: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Median wall times after one warm-up; the candidates take turns, so that other load hits all of them."""
    times: dict[str, list[float]] = {name: [] for name in works}
    for turn in range(rounds + 1):
        for name, work in works.items():
            start = time.perf_counter()
            work()
            if turn:
                times[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in times.items()}


def check_equal(folder: Path, out: Path) -> None:
    """The three must agree before their times are compared."""
    import nibabel as nib

    ours = dicom_series.load(dicom_series.scan(folder).entries[0])
    theirs = nib.load(next(out.glob("bench*.nii")))
    np.testing.assert_array_equal(with_simpleitk(folder).transpose(2, 1, 0), ours.array)
    np.testing.assert_array_equal(np.asarray(theirs.dataobj)[:, ::-1], ours.array)
    flipped = flip_ras_lps(theirs.affine)
    flipped[:3, 3] += flipped[:3, 1] * (ours.shape[1] - 1)
    flipped[:3, 1] *= -1
    np.testing.assert_allclose(flipped, ours.affine, atol=1e-4)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--slices", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder, out = Path(temporary) / "ct", Path(temporary) / "nifti"
        write_folder(folder, options.slices)
        works: dict[str, Callable[[], object]] = {
            "medviewer": lambda: with_medviewer(folder),
            "medviewer_scan": lambda: dicom_series.scan(folder),
            "first_picture": lambda: first_picture(folder),
            "simpleitk": lambda: with_simpleitk(folder),
        }
        if shutil.which("dcm2niix"):
            works["dcm2niix"] = lambda: with_dcm2niix(folder, out)
        result = median_seconds(works, options.rounds)
        if "dcm2niix" in works:
            check_equal(folder, out)
    result |= {
        f"{name}_over_medviewer": result[name] / result["medviewer"]
        for name in ("simpleitk", "dcm2niix")
        if name in result
    }
    print(json.dumps({name: round(value, 3) for name, value in result.items()}, indent=2))


if __name__ == "__main__":
    main()
