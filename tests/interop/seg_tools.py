"""Tools of others that judge a DICOM SEG: dicom3tools, dcmqi, highdicom. Each answers in plain numbers."""

from __future__ import annotations

import shutil
import subprocess
import sys
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from medviewer.core.segmentation import Segment
from medviewer.core.volume import Volume

DCMQI = Path(sys.executable).with_name("segimage2itkimage")
_ALLOWED_MM = 1e-4


@dataclass(frozen=True)
class Verdict:
    """What a validator said, without the lines that only tell which object it looked at."""

    errors: tuple[str, ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class Compared:
    """Voxels that a foreign reader gave back, against those that were saved, and how far it puts them."""

    equal: int
    total: int
    affine_error: float  # mm, or parts of one for directions

    @property
    def exact(self) -> bool:
        return self.equal == self.total and self.affine_error <= _ALLOWED_MM


def need(tool: str) -> str:
    """Path of a Debian tool; the test is skipped with its name where it is absent."""
    found = shutil.which(tool)
    if found is None:
        pytest.skip(f"{tool} (Debian package dicom3tools, dcmtk or orthanc) is not installed")
    return found


def dciodvfy(path: Path) -> Verdict:
    """One object against its IOD."""
    return _verdict([need("dciodvfy"), str(path)])


def dcentvfy(paths: Sequence[Path]) -> Verdict:
    """Patient, study, series and frame of reference of several objects against each other."""
    return _verdict([need("dcentvfy"), *map(str, paths)])


def dcmqi(path: Path, scan: Volume, segments: Sequence[Segment], folder: Path) -> Compared:
    """Every segment by `segimage2itkimage`, put back by the place that it states (it crops to the segments)."""
    import SimpleITK as sitk

    if not DCMQI.is_file():
        pytest.skip("dcmqi (PyPI) is not installed")
    folder.mkdir()
    command = [str(DCMQI), "--inputDICOM", str(path), "--outputDirectory", str(folder), "-p", "s", "-t", "nrrd"]
    done = subprocess.run(command, capture_output=True, timeout=300)
    assert done.returncode == 0, done.stderr[-500:] + done.stdout[-500:]
    equal, error = 0, 0.0
    for number, segment in enumerate(segments, start=1):
        file = folder / f"s-{number}.nrrd"
        mask = np.zeros(scan.shape, np.bool_)
        if file.is_file():
            image = sitk.ReadImage(str(file))
            array = sitk.GetArrayFromImage(image).T > 0
            error = max(error, _place(mask, array, _affine_of(image), scan))
        equal += int(np.count_nonzero(mask == segment.mask))
    return Compared(equal, len(segments) * int(np.prod(scan.shape)), error)


def highdicom(path: Path, scan: Volume, segments: Sequence[Segment]) -> Compared:
    """Every segment by highdicom: as a volume in space, or frame by frame for an image without a place."""
    import highdicom

    equal, error = 0, 0.0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        read = highdicom.seg.segread(path)
        part = read.get_volume(combine_segments=False) if scan.affine is not None else None
        for number, segment in enumerate(segments):
            mask = np.zeros(scan.shape, np.bool_)
            if part is None:
                mask[:] = read.pixel_array.reshape(-1, *read.pixel_array.shape[-2:])[number].T[..., None] > 0
            else:
                array = np.asarray(part.array)[..., number] > 0
                error = max(error, _place(mask, array, np.asarray(part.affine), scan))
            equal += int(np.count_nonzero(mask == segment.mask))
    return Compared(equal, len(segments) * int(np.prod(scan.shape)), error)


def ours(path: Path, scan: Volume, segments: Sequence[Segment]) -> Compared:
    """Every segment as the program reads it onto the scan."""
    from medviewer.services.read_masks import read_segments

    read = read_segments(path, scan)
    assert len(read) == len(segments)
    equal = sum(int(np.count_nonzero(a.mask == b.mask)) for a, b in zip(read, segments, strict=True))
    return Compared(equal, len(segments) * int(np.prod(scan.shape)), 0.0)


def _verdict(command: list[str]) -> Verdict:
    done = subprocess.run(command, capture_output=True, timeout=300)
    lines = (done.stdout + done.stderr).decode(errors="replace").splitlines()
    assert done.returncode >= 0, lines[-3:]
    return Verdict(
        tuple(line for line in lines if line.startswith("Error")),
        tuple(line for line in lines if line.startswith("Warning")),
    )


def _affine_of(image: object) -> NDArray[np.float64]:
    """LPS, as ITK has it."""
    affine = np.eye(4)
    direction = np.array(image.GetDirection()).reshape(3, 3)  # type: ignore[attr-defined]
    affine[:3, :3] = direction * np.array(image.GetSpacing())  # type: ignore[attr-defined]
    affine[:3, 3] = image.GetOrigin()  # type: ignore[attr-defined]
    return affine


def _place(mask: NDArray[np.bool_], part: NDArray[np.bool_], affine: NDArray[np.float64], scan: Volume) -> float:
    """Put `part` into `mask` where `affine` says it lies; returns the largest deviation from the scan's own grid.

    The axes of `part` may be any permutation and reversal of the scan's.
    """
    assert scan.affine is not None
    if not part.any():
        return 0.0
    relative = np.linalg.inv(scan.affine) @ affine  # index of the part to index of the scan
    turn = np.rint(relative[:3, :3])
    single = [axis for axis in range(3) if part.shape[axis] == 1 and min(scan.shape) == 1]
    for axis in single:  # a lone slice has no step of its own
        turn[:, axis] = 0.0
    start = np.rint(relative[:3, 3])
    places = np.argwhere(part) @ turn.T + start
    places = places.astype(int)
    assert (places >= 0).all(), "voxels lie outside the scan"
    assert (places < scan.shape).all(), "voxels lie outside the scan"
    mask[tuple(places.T)] = True
    meant = scan.affine @ np.block([[turn, start[:, None]], [np.zeros((1, 3)), np.ones((1, 1))]])
    difference = np.abs(meant - affine)
    difference[:, single] = 0.0
    return float(difference.max())
