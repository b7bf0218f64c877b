"""The geometry policy on the series of `tests/peers/series.py`: right, refused by name, or resampled and said so.

`python -m tests.peers.report` prints the same series read by four other programs.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(REPOSITORY), str(REPOSITORY / "tests" / "io")]

import pydicom  # noqa: E402
from dicom_factory import field_at  # noqa: E402

from medviewer.core.geometry import lps_to_voxel, voxel_to_lps  # noqa: E402
from medviewer.core.regularisation import Irregularity  # noqa: E402
from medviewer.core.volume import Volume  # noqa: E402
from medviewer.io.dicom_corners import corner_error  # noqa: E402
from medviewer.services.open_data import load, scan_path  # noqa: E402
from tests.peers.readers import PEERS  # noqa: E402
from tests.peers.report import available, run_reader, table  # noqa: E402
from tests.peers.series import CASES, TIME_STEP, write_all  # noqa: E402

HALF = 0.5 + 1e-3  # HU: the pixels hold whole numbers; the rest is float32
EXACT = {
    "normal": 1,
    "reversed InstanceNumber": 1,
    "oblique 25°/10°": 1,
    "sagittal": 1,
    "rescale slope per slice": 1,
    "signed": 1,
    "duplicate slice": 1,
    "duplicate file": 1,
    "mixed orientation": 2,
    "localizer inside": 2,
    "4D (2 time points)": 2,
    "MONOCHROME1": 1,
    "1 slice": 1,
    "2 slices": 1,
}
TILT, GAP, SPACING, SHEAR = Irregularity.TILT, Irregularity.GAP, Irregularity.SPACING, Irregularity.SHEAR
RESAMPLED: dict[str, tuple[tuple[Irregularity, ...], str]] = {
    "gantry tilt, (0018,1120) recorded": ((TILT,), "a gantry tilt of 15.4°"),
    "gantry tilt, not recorded": ((TILT,), "a gantry tilt of 15.4°"),
    "pixel data cut short": ((GAP,), "1 missing slice: slice 6 of 12 is interpolated"),
    "missing slice": ((GAP,), "1 missing slice: slice 6 of 12 is interpolated"),
    "two spacings (3, 5 mm)": ((SPACING,), "uneven slice distances (3.00 to 5.00 mm)"),
    "rows not at right angles": ((SHEAR,), "rows and columns at 74.9° instead of 90°"),
}
REFUSED = {
    "no position, no orientation": "do not state where they lie in the patient",
    "zero PixelSpacing": "states a pixel spacing of 0 x 0 mm",
    "position 1e400": "no finite number",
    "two patients, one series UID": "2 different patients",
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """All series, written once."""
    return write_all(tmp_path_factory.mktemp("series"))


def test_every_case_has_its_expectation() -> None:
    assert {*EXACT, *RESAMPLED, *REFUSED} == {case.name for case in CASES}


def places(volume: Volume) -> np.ndarray[Any, Any]:
    index = np.stack(np.meshgrid(*(np.arange(n) for n in volume.shape), indexing="ij"), axis=-1)
    assert volume.affine is not None
    return voxel_to_lps(volume.affine, index)


def worst(volume: Volume, inside: np.ndarray[Any, Any], shift: float = 0.0) -> float:
    error = np.abs(volume.array.astype(np.float64) - field_at(places(volume)) - shift)
    return float(error[inside].max())


@pytest.mark.parametrize("name", EXACT)
def test_read_as_it_is(folders: dict[str, Path], name: str) -> None:
    catalogue = scan_path(folders[name])
    assert len(catalogue.entries) == EXACT[name]
    assert not catalogue.refused
    titles = [entry.title for entry in catalogue.entries]
    assert len(set(titles)) == len(titles)  # the user sees what is different
    for index, entry in enumerate(catalogue.entries):
        volume = load(entry)
        assert volume.regularisation is None
        shift = TIME_STEP * index if name.startswith("4D") else 0.0
        assert worst(volume, np.ones(volume.shape, bool), shift) <= HALF
        assert corner_error(entry) <= 1e-3
        assert volume.inverted == (name == "MONOCHROME1")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("mixed orientation", ["axial", "coronal"]),
        ("localizer inside", ["localizer"]),
        ("4D (2 time points)", ["time point 1", "time point 2"]),
    ],
)
def test_titles_say_why_a_series_was_split(folders: dict[str, Path], name: str, words: list[str]) -> None:
    titles = " ".join(entry.title for entry in scan_path(folders[name]).entries)
    assert all(word in titles for word in words), titles


@pytest.mark.parametrize("name", RESAMPLED)
def test_resampled_and_said_so(folders: dict[str, Path], name: str) -> None:
    (entry,) = scan_path(folders[name]).entries
    volume = load(entry)
    reasons, words = RESAMPLED[name]
    assert volume.regularisation is not None
    assert volume.regularisation.reasons == reasons
    assert words in volume.regularisation.sentence
    assert entry.warnings[0] == volume.warnings[0] == volume.regularisation.sentence
    assert volume.shape == entry.shape_xyz
    inside = covered(folders[name], places(volume))
    assert worst(volume, inside) <= HALF
    assert corner_error(entry) <= 1e-3
    outside = volume.regularisation.outside
    if outside is None:
        assert inside.all()
    else:
        assert set(np.unique(volume.array[~inside])) == {outside}
    assert volume.source.instance_uids == volume.source.frame_numbers == volume.source.instance_numbers == ()
    assert set(volume.source.files) == set(readable(folders[name]))


def readable(folder: Path) -> list[Path]:
    """The files whose pixels are all there."""
    size = max(path.stat().st_size for path in folder.iterdir())
    return [path for path in sorted(folder.iterdir()) if path.stat().st_size > size - 100]


def covered(folder: Path, lps: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Which places lie in, or between, the pixels of acquired slices: from the files, by no code of the program."""
    headers = [pydicom.dcmread(path, stop_before_pixels=True) for path in readable(folder)]
    turned = np.array(headers[0].ImageOrientationPatient, float)
    matrix = np.column_stack([turned[:3], turned[3:], np.cross(turned[:3], turned[3:])])
    spacing = np.array([headers[0].PixelSpacing[1], headers[0].PixelSpacing[0], 1.0], float)
    positions = np.array([header.ImagePositionPatient for header in headers], float)
    last = np.array([headers[0].Columns - 1, headers[0].Rows - 1])
    depth = positions @ matrix[:, 2] / (matrix[:, 2] @ matrix[:, 2])
    reached = np.zeros((len(headers), *lps.shape[:-1]), bool)
    along = np.zeros_like(reached, float)
    for index in np.argsort(depth):
        pixel = (lps - positions[index]) @ np.linalg.inv(matrix).T / spacing
        reached[index] = ((pixel[..., :2] > -1e-6) & (pixel[..., :2] < last + 1e-6)).all(axis=-1)
        along[index] = pixel[..., 2]
    return neighbours_reach(reached, along)


def neighbours_reach(reached: np.ndarray[Any, Any], along: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """A place counts where its slice reaches it, or both of the slices that it lies between."""
    on = (reached & (np.abs(along) < 1e-4)).any(axis=0)
    on_any = (np.abs(along) < 1e-4).any(axis=0)
    above = np.where(along >= 0, along, np.inf).argmin(axis=0)
    below = np.where(along <= 0, -along, np.inf).argmin(axis=0)
    both = np.take_along_axis(reached, above[None], 0)[0] & np.take_along_axis(reached, below[None], 0)[0]
    return np.where(on_any, on, both)


@pytest.mark.parametrize("name", REFUSED)
def test_refused_by_name(folders: dict[str, Path], name: str) -> None:
    catalogue = scan_path(folders[name])
    assert not [entry for entry in catalogue.entries if entry.affine_lps is not None]
    told = " ".join([item.reason for item in catalogue.refused] + [w for e in catalogue.entries for w in e.warnings])
    assert REFUSED[name] in told


def test_images_without_a_place_are_pictures_to_page_through(folders: dict[str, Path]) -> None:
    (entry,) = scan_path(folders["no position, no orientation"]).entries
    volume = load(entry)
    assert volume.kind == "cine"
    assert volume.affine is None
    assert volume.voxel_ml is None
    assert volume.spacing_mm == (1.5, 2.0, 0.0)
    assert volume.source.instance_numbers == tuple(range(1, 13))


def test_report_finds_no_wrong_volume_of_ours(folders: dict[str, Path]) -> None:
    results = {"medviewer": run_reader("medviewer", folders, 60.0)}
    assert [name for name, result in results["medviewer"].items() if result.wrong] == []
    assert table(results).splitlines()[-1].endswith("| 0 |")


@pytest.mark.parametrize("peer", ["SimpleITK", "highdicom"])
def test_report_judges_the_peers(folders: dict[str, Path], peer: str) -> None:
    """The report itself can fail: it sees a right volume, the merged patients and the inverted values of peers."""
    if not available(peer):
        pytest.skip(f"{peer} is not installed")
    some = {name: folders[name] for name in ("normal", "two patients, one series UID", "MONOCHROME1")}
    results = run_reader(peer, some, 60.0)
    assert [results[name].wrong for name in some] == [False, True, True]


REGULAR = (
    "normal",
    "reversed InstanceNumber",
    "oblique 25°/10°",
    "sagittal",
    "rescale slope per slice",
    "signed",
    "2 slices",
)


@pytest.mark.parametrize("peer", ["SimpleITK", "highdicom", "dcm2niix"])
def test_independent_readers_agree_on_regular_series(folders: dict[str, Path], peer: str) -> None:
    """The same voxels at the same places, to 0.0001 mm."""
    if not available(peer):
        pytest.skip(f"{peer} is not installed")
    for name in REGULAR:
        ((ours, affine),), ((theirs, other),) = PEERS["medviewer"](folders[name]), PEERS[peer](folders[name])
        index = np.stack(np.meshgrid(*(np.arange(n) for n in ours.shape), indexing="ij"), axis=-1)
        lps = voxel_to_lps(affine, index)
        there = lps_to_voxel(other, lps)
        whole = np.rint(there).astype(int)
        assert np.linalg.norm(voxel_to_lps(other, whole) - lps, axis=-1).max() <= 1e-4, name
        np.testing.assert_allclose(ours, theirs[tuple(np.moveaxis(whole, -1, 0))], atol=1e-3, err_msg=name)
