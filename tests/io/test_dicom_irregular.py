"""Irregular series that are resampled: right at every place, and said so."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
from dicom_factory import AXIAL, CORONAL, SAGITTAL, Depth, Series, enhanced, field_at, oblique, placed, save, shear
from pydicom.dataset import Dataset

from medviewer.core.errors import Cancelled
from medviewer.core.geometry import voxel_to_lps
from medviewer.core.progress import Progress
from medviewer.core.regularisation import Irregularity
from medviewer.core.volume import Volume
from medviewer.io import dicom_resample, dicom_series
from medviewer.io.dicom_corners import corner_error


def load_only(folder: Path) -> Volume:
    result = dicom_series.scan(folder)
    assert len(result.entries) == 1, result
    (entry,) = result.entries
    volume = dicom_series.load(entry)
    assert volume.shape == entry.shape_xyz
    assert corner_error(entry) <= max(1e-3, entry.handle.deviation_mm * 1.001)
    return volume


def worst_inside(volume: Volume) -> float:
    """Largest error of the voxels that are not declared to be outside of the slices."""
    index = np.stack(np.meshgrid(*(np.arange(n) for n in volume.shape), indexing="ij"), axis=-1)
    assert volume.affine is not None
    assert volume.regularisation is not None
    error = np.abs(volume.array - field_at(voxel_to_lps(volume.affine, index)))
    outside = volume.regularisation.outside
    inside = np.ones(volume.shape, bool) if outside is None else volume.array != outside
    assert inside.mean() > 0.4
    return float(error[inside].max())


TILTS = (1.0, 15.0, -20.0, 30.0)


@pytest.mark.parametrize("degrees", TILTS)
@pytest.mark.parametrize("orientation", [AXIAL, CORONAL, SAGITTAL, oblique()])
def test_tilt_is_corrected(tmp_path: Path, degrees: float, orientation: tuple[float, ...]) -> None:
    step = 3.0 * np.tan(np.radians(degrees))
    placed(aside=lambda k: (0.0, k * step), orientation=orientation).write(tmp_path)
    volume = load_only(tmp_path)
    assert volume.regularisation is not None
    assert volume.regularisation.reasons == (Irregularity.TILT,)
    assert f"gantry tilt of {abs(degrees):.1f}°" in volume.warnings[0]
    assert volume.regularisation.interpolated == ()
    assert volume.regularisation.largest_shift_mm == pytest.approx(11 * abs(step), abs=0.01)
    assert worst_inside(volume) <= 0.502
    assert volume.array.T.flags.c_contiguous


def test_a_stack_of_mr_leans_and_has_no_gantry(tmp_path: Path) -> None:
    def magnetic(dataset: Dataset, k: int) -> None:
        dataset.Modality = "MR"

    Series(shear=shear(10.0), edit=magnetic).write(tmp_path)
    assert "slices that lean by 10.0°" in load_only(tmp_path).warnings[0]


def test_slices_shifted_to_all_sides(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    places = rng.uniform(-4.0, 4.0, (12, 2))
    placed(aside=lambda k: tuple(places[k])).write(tmp_path)
    volume = load_only(tmp_path)
    assert "shifted sideways by up to" in volume.warnings[0]
    assert worst_inside(volume) <= 0.502


@pytest.mark.parametrize(("gone", "slices"), [((5,), "slice 6 of 12 is"), ((4, 5), "slices 5-6 of 12 are")])
def test_missing_slices_are_filled_in(tmp_path: Path, gone: tuple[int, ...], slices: str) -> None:
    series = Series()
    paths = series.write(tmp_path)
    for k in gone:
        paths[k].unlink()
    volume = load_only(tmp_path)
    assert volume.regularisation is not None
    assert volume.regularisation.reasons == (Irregularity.GAP,)
    assert volume.regularisation.interpolated == gone
    assert f"{slices} interpolated" in volume.regularisation.sentence
    assert "slice0" not in volume.regularisation.sentence  # file names may hold a name and go into exports
    assert volume.regularisation.outside is None
    assert worst_inside(volume) <= 0.502
    for k in set(range(12)) - set(gone):  # what was acquired is not touched
        np.testing.assert_array_equal(volume.array[:, :, k].T, series.stored(k) + series.intercept)


def test_slices_missing_at_two_places_and_a_tilt(tmp_path: Path) -> None:
    paths = Series(shear=shear(12.0), slope=lambda k: 0.5 + 0.05 * k).write(tmp_path)
    for k in (3, 8):
        paths[k].unlink()
    volume = load_only(tmp_path)
    assert volume.regularisation is not None
    assert volume.regularisation.reasons == (Irregularity.TILT, Irregularity.GAP)
    assert volume.regularisation.interpolated == (3, 8)
    assert worst_inside(volume) <= 0.552  # slopes of up to 1.05 round to 0.525


@pytest.mark.parametrize(
    "depth",
    [
        lambda k: 3.0 * k + 0.1 * k * k,
        lambda k: 3.0 * min(k, 5) + 5.0 * max(k - 5, 0),
        lambda k: 3.0 * min(k, 5) + 6.0 * max(k - 5, 0),
        lambda k: float(np.cumsum([0, 2, 3, 2.5, 4, 3.3, 2.2, 2.8, 3.9, 2.1, 3, 2.6])[k]),
    ],
)
def test_uneven_distances_are_evened(tmp_path: Path, depth: Depth) -> None:
    series = placed(depth)
    series.write(tmp_path)
    volume = load_only(tmp_path)
    assert volume.regularisation is not None
    assert volume.regularisation.reasons == (Irregularity.SPACING,)
    assert "uneven slice distances" in volume.warnings[0]
    assert worst_inside(volume) <= 0.502
    ends = [voxel_to_lps(volume.affine, [0, 0, k]) for k in (0, volume.shape[2] - 1)]  # type: ignore[arg-type]
    np.testing.assert_allclose(ends, [series.position(0), series.position(11)], atol=1e-6)


@pytest.mark.parametrize("lean", [0.0, 8.0])
@pytest.mark.parametrize("cosine", [0.26, -0.4, 0.02])
def test_rows_not_at_right_angles(tmp_path: Path, cosine: float, lean: float) -> None:
    turned = (1.0, 0.0, 0.0, cosine, float(np.sqrt(1 - cosine**2)), 0.0)
    Series(orientation=turned, shear=shear(lean)).write(tmp_path)
    volume = load_only(tmp_path)
    assert volume.regularisation is not None
    assert Irregularity.SHEAR in volume.regularisation.reasons
    assert volume.affine is not None
    axes = volume.affine[:3, :3] / np.linalg.norm(volume.affine[:3, :3], axis=0)
    np.testing.assert_allclose(axes.T @ axes, np.eye(3), atol=1e-9)
    assert worst_inside(volume) <= 0.502


def test_enhanced_multi_frame_with_a_gap(tmp_path: Path) -> None:
    series = Series(shear=shear(5.0))
    save(enhanced(series, [0, 1, 2, 3, 5, 6, 7, 8, 9, 10, 11]), tmp_path / "enhanced.dcm")
    volume = load_only(tmp_path)
    assert volume.shape[2] == 12
    assert worst_inside(volume) <= 0.502
    assert volume.source.frame_numbers == ()


def test_padding_is_the_fill_and_does_not_bleed(tmp_path: Path) -> None:
    def pad(dataset: Dataset, k: int) -> None:
        dataset.add_new(0x00280120, "SS", -2000)
        pixels = np.frombuffer(dataset.PixelData, "<i2").reshape(20, 24).copy()
        pixels[:, :3] = -2000
        dataset.PixelData = pixels.tobytes()

    paths = Series(shear=shear(15.0), edit=pad).write(tmp_path)
    paths[4].unlink()
    volume = load_only(tmp_path)
    assert volume.regularisation is not None
    assert volume.regularisation.outside == -3024.0
    assert worst_inside(volume) <= 0.502
    assert set(np.unique(volume.array[:3])) == {-3024.0}


def test_colour_slices_with_a_gap(tmp_path: Path) -> None:
    def color(dataset: Dataset, k: int) -> None:
        dataset.SamplesPerPixel, dataset.PhotometricInterpretation, dataset.PlanarConfiguration = 3, "RGB", 0
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 8, 8, 7, 0
        dataset.PixelData = np.full((20, 24, 3), 10 * k, np.uint8).tobytes()

    paths = Series(edit=color).write(tmp_path)
    paths[5].unlink()
    volume = load_only(tmp_path)
    assert volume.array.dtype == np.uint8
    np.testing.assert_array_equal(volume.array[3, 3, :, 0], np.arange(12) * 10)


def test_single_planes_are_those_of_the_volume(tmp_path: Path) -> None:
    paths = Series(shear=shear(15.0)).write(tmp_path)
    paths[5].unlink()
    (entry,) = dicom_series.scan(tmp_path).entries
    entry = pickle.loads(pickle.dumps(entry))
    volume = dicom_series.load(entry)
    assert volume.regularisation is not None
    inside = volume.array != volume.regularisation.outside
    for k in range(12):
        plane = dicom_series.load_slice(entry, k)
        np.testing.assert_array_equal(plane[inside[:, :, k]], volume.array[:, :, k][inside[:, :, k]])
    assert dicom_series.load_thumbnail(entry).dtype == np.uint8


def test_slabs_do_not_show(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = Series(slices=40, shear=shear(15.0)).write(tmp_path)
    paths[16].unlink()
    whole = load_only(tmp_path).array
    monkeypatch.setattr(dicom_resample, "SLAB", 1)
    np.testing.assert_array_equal(load_only(tmp_path).array, whole)


def test_resampling_reports_and_can_be_cancelled(tmp_path: Path) -> None:
    Series(slices=40, shear=shear(15.0)).write(tmp_path)
    (entry,) = dicom_series.scan(tmp_path).entries
    told: list[float] = []
    dicom_series.load(entry, Progress(lambda share, text: told.append(share)))
    assert len(told) > 5
    assert max(told) <= 1.0
    with pytest.raises(Cancelled):
        dicom_series.load(entry, Progress(is_cancelled=lambda: True))


def test_noise_against_an_independent_interpolator(tmp_path: Path) -> None:
    """A tilt, two missing slices and skewed rows on noise: scipy's linear interpolation, pixel by pixel."""
    ndimage = pytest.importorskip("scipy.ndimage")
    rng = np.random.default_rng(2)
    noise = rng.integers(-900, 900, (12, 20, 24)).astype("<i2")
    turned = (1.0, 0.0, 0.0, 0.1, float(np.sqrt(0.99)), 0.0)
    series = Series(orientation=turned, shear=(0.7, -1.1, 0.0), intercept=0.0)
    series.stored = lambda k: noise[k]  # type: ignore[method-assign]
    paths = series.write(tmp_path)
    gone = (4, 5)
    for k in gone:
        paths[k].unlink()
    volume = load_only(tmp_path)
    assert volume.regularisation is not None
    axes = np.column_stack([np.array(turned[:3]) * 1.5, np.array(turned[3:]) * 2.0, [0, 0, 1]])
    planes = {}
    for k in set(range(12)) - set(gone):
        where = np.stack(np.meshgrid(*(np.arange(n) for n in volume.shape[:2]), [k], indexing="ij"), axis=-1)
        lps = voxel_to_lps(volume.affine, where)[:, :, 0]  # type: ignore[arg-type]
        i, j, off = np.moveaxis((lps - series.position(k)) @ np.linalg.inv(axes).T, -1, 0)
        assert np.abs(off).max() < 1e-6
        found = ndimage.map_coordinates(noise[k].astype(float), [j, i], order=1, mode="nearest")
        inside = (i > -1e-9) & (i < 23 + 1e-9) & (j > -1e-9) & (j < 19 + 1e-9)
        planes[k] = np.where(inside, found, np.nan)
    for index, k in enumerate(gone, start=1):
        planes[k] = planes[3] * (1 - index / 3) + planes[6] * index / 3
    expected = np.stack([planes[k] for k in range(12)], axis=-1)
    expected[np.isnan(expected)] = volume.regularisation.outside
    np.testing.assert_allclose(volume.array, expected, atol=1e-2)
