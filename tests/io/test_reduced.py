"""Reading reduced: what lies where, in every format, and what it says about itself."""

from __future__ import annotations

import gzip
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from dicom_factory import Series, field_at, oblique
from numpy.typing import NDArray

from medviewer.core.errors import Cancelled, InputRefused
from medviewer.core.progress import Progress, silent
from medviewer.core.regularisation import Irregularity
from medviewer.core.volume import Fact, SeriesEntry, Volume
from medviewer.io.footprint import reading_cost
from medviewer.io.reduced import block_means, coarse_affine, load_reduced, reduce_slabs
from medviewer.services import open_data

NOTICE = "Too large for the free memory: reduced."
AFFINE = np.array([[-1.5, 0.2, 0.0, 30.0], [0.1, 2.0, 0.0, -20.0], [0.0, 0.3, 3.0, 5.0], [0.0, 0.0, 0.0, 1.0]])  # RAS


def gradient(shape: tuple[int, int, int], dtype: Any = np.float32) -> NDArray[Any]:
    """3x + 5y + 7z in LPS at every voxel of the affine above."""
    ijk = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), -1)
    lps = (ijk @ AFFINE[:3, :3].T + AFFINE[:3, 3]) * [-1, -1, 1]
    return np.asarray(field_at(lps), dtype)


def largest_error(volume: Volume) -> float:
    """Largest difference between a voxel and the field at the place where the volume says it is."""
    assert volume.affine is not None
    ijk = np.stack(np.meshgrid(*map(np.arange, volume.shape), indexing="ij"), -1)
    lps = ijk @ volume.affine[:3, :3].T + volume.affine[:3, 3]
    return float(np.abs(volume.array - field_at(lps)).max())


def entry_of(path: Path) -> SeriesEntry:
    (entry,) = open_data.scan_path(path).entries
    return entry


def write(folder: Path, name: str, values: NDArray[Any]) -> Path:
    """A file of any format with the affine above."""
    path = folder / name
    if ".nii" in name or name.endswith(".hdr"):
        kind = nibabel.Nifti1Pair if name.endswith(".hdr") else nibabel.Nifti1Image
        image = kind(values, AFFINE)
        image.header.set_xyzt_units("mm")
        nibabel.save(image, path)
        return path
    import SimpleITK as sitk

    image = sitk.GetImageFromArray(np.ascontiguousarray(values.transpose()))
    lps = np.diag([-1.0, -1.0, 1.0]) @ AFFINE[:3]
    spacing = np.linalg.norm(lps[:, :3], axis=0)
    image.SetSpacing(spacing.tolist())
    image.SetOrigin(lps[:, 3].tolist())
    image.SetDirection((lps[:, :3] / spacing).ravel().tolist())
    sitk.WriteImage(image, str(path), "packed" in name)
    return path


FILES = ["a.nii", "a.nii.gz", "a.hdr", "a.nrrd", "packed.nrrd", "a.nhdr", "a.mha", "packed.mha", "a.mhd", "packed.mhd"]


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("factors", [(2, 2, 2), (3, 1, 2), (1, 1, 4), (2, 3, 5)])
def test_every_format_keeps_its_place(tmp_path: Path, name: str, factors: tuple[int, int, int]) -> None:
    path = write(tmp_path, name, gradient((13, 12, 11)))
    volume = load_reduced(entry_of(path), factors, NOTICE, silent())
    assert volume.shape == tuple(n // f for n, f in zip((13, 12, 11), factors, strict=True))
    assert largest_error(volume) < 0.01
    assert volume.warnings[0] == NOTICE
    assert volume.regularisation is not None
    assert volume.regularisation.reasons == (Irregularity.MEMORY,)
    assert volume.regularisation.sentence == NOTICE
    assert volume.source.path == path


@pytest.mark.parametrize("name", FILES)
def test_factors_of_one_are_the_scan_itself(tmp_path: Path, name: str) -> None:
    rng = np.random.default_rng(0)
    path = write(tmp_path, name, rng.integers(-1000, 3000, (13, 12, 11)).astype(np.int16))
    entry = entry_of(path)
    whole, same = open_data.load(entry), load_reduced(entry, (1, 1, 1), NOTICE, silent())
    np.testing.assert_array_equal(same.array, whole.array)
    np.testing.assert_allclose(same.affine, whole.affine)
    assert same.array.dtype == whole.array.dtype


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.int32, np.float32, np.float64, ">i2", ">f4"])
def test_means_of_every_type(tmp_path: Path, dtype: Any) -> None:
    values = np.random.default_rng(0).integers(0, 200, (8, 8, 8)).astype(dtype)
    path = tmp_path / "a.nii"
    image = nibabel.Nifti1Image(values, AFFINE)
    image.header.set_data_dtype(dtype)
    nibabel.save(image, path)
    volume = load_reduced(entry_of(path), (2, 2, 2), NOTICE, silent())
    blocks = values.astype(np.float64).reshape(4, 2, 4, 2, 4, 2).mean(axis=(1, 3, 5))
    np.testing.assert_allclose(volume.array, blocks, atol=0.51 if values.dtype.kind in "iu" else 1e-3)
    assert volume.array.dtype.kind == ("f" if values.dtype.kind == "f" else values.dtype.kind)


def test_extremes_do_not_wrap() -> None:
    for dtype in (np.int16, np.uint16, np.int32, np.uint8):
        for value in (np.iinfo(dtype).min, np.iinfo(dtype).max):
            slab = np.full((8, 8, 8), value, dtype)
            assert (block_means(slab, (8, 8, 8)) == value).all()


def test_scaling_is_applied_to_the_means(tmp_path: Path) -> None:
    stored = np.random.default_rng(0).integers(0, 1000, (8, 8, 8)).astype(np.int16)
    image = nibabel.Nifti1Image(stored, AFFINE)
    image.header.set_slope_inter(0.25, -50)
    nibabel.save(image, tmp_path / "a.nii")
    raw = (tmp_path / "a.nii").read_bytes()
    body = raw[: len(raw) - stored.nbytes] + stored.tobytes(order="F")  # nibabel would rescale the values
    header = bytearray(body)
    header[112:120] = np.array([0.25, -50], "<f4").tobytes()
    (tmp_path / "a.nii").write_bytes(bytes(header))
    entry = entry_of(tmp_path / "a.nii")
    volume = load_reduced(entry, (2, 2, 2), NOTICE, silent())
    wanted = open_data.load(entry).array.reshape(4, 2, 4, 2, 4, 2).mean(axis=(1, 3, 5))
    np.testing.assert_allclose(volume.array, wanted, atol=0.13)


def test_time_points_are_not_mixed(tmp_path: Path) -> None:
    frames = np.stack([np.full((8, 8, 8), value, np.int16) for value in (10, 20, 30)], -1)
    for name in ("t.nii", "t.nii.gz"):
        nibabel.save(nibabel.Nifti1Image(frames, AFFINE), tmp_path / name)
        entries = open_data.scan_path(tmp_path / name).entries
        means = [load_reduced(entry, (2, 2, 2), NOTICE, silent()).array for entry in entries]
        assert [set(mean.ravel()) for mean in means] == [{10}, {20}, {30}]


@pytest.mark.parametrize("orientation", [(1.0, 0.0, 0.0, 0.0, 1.0, 0.0), oblique()])
def test_dicom_keeps_its_place(tmp_path: Path, orientation: tuple[float, ...]) -> None:
    Series(slices=13, rows=20, columns=24, orientation=orientation).write(tmp_path / "d")
    entry = entry_of(tmp_path / "d")
    volume = load_reduced(entry, (2, 2, 3), NOTICE, silent())
    assert volume.shape == (12, 10, 4)
    assert largest_error(volume) <= 0.75  # pixels are rounded when they are stored, means once more
    assert (volume.source.instance_uids, volume.source.instance_numbers) == ((), ())
    assert len(volume.source.files) == 13
    assert volume.warnings[0] == NOTICE
    assert volume.units == "HU"


def test_padding_stays_padding() -> None:
    slab = np.zeros((4, 4, 2), np.int16)
    slab[0, 0, 0] = -2000
    means = block_means(slab, (2, 2, 2), -2000.0)
    assert means.tolist() == [[-2000, 0], [0, 0]]


def test_a_later_slab_may_need_a_wider_type() -> None:
    slabs = [np.ones((2, 2, 1), np.int16), np.full((2, 2, 1), 1e6, np.float32)]
    out = reduce_slabs(iter(slabs), (2, 2, 2), (2, 2, 1))
    assert out.tolist() == [[[1.0, 1e6]]]


def test_the_middle_of_the_first_block() -> None:
    affine = np.diag([2.0, 2.0, 3.0, 1.0])
    affine[:3, 3] = (10, 20, 30)
    coarse = coarse_affine(affine, (2, 4, 1))
    np.testing.assert_allclose(coarse, [[4, 0, 0, 11], [0, 8, 0, 23], [0, 0, 3, 30], [0, 0, 0, 1]])


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz", "packed.nrrd", "packed.mha"])
def test_damage_is_noticed_also_behind_the_last_block(tmp_path: Path, name: str) -> None:
    path = write(tmp_path, name, np.random.default_rng(0).integers(0, 999, (16, 16, 17)).astype(np.int16))
    entry = entry_of(path)
    good = path.read_bytes()
    cuts = [good[: len(good) // 2]] if name == "a.nii" else [good[: len(good) // 2], good[:-3]]
    for data in cuts:
        path.write_bytes(data)
        with pytest.raises(InputRefused, match=r"cut short|damaged|complete"):
            load_reduced(entry, (2, 2, 2), NOTICE, silent())
    if name == "a.nii.gz":
        whole = gzip.decompress(good)
        packed = bytearray(gzip.compress(whole, mtime=0))
        packed[-8] ^= 1  # the checksum
        path.write_bytes(bytes(packed))
        with pytest.raises(InputRefused, match="damaged"):
            load_reduced(entry, (2, 2, 2), NOTICE, silent())


def test_label_maps_and_colour_are_not_averaged(tmp_path: Path) -> None:
    entry = entry_of(write(tmp_path, "a.nii", gradient((8, 8, 8))))
    labels = replace(entry, facts=dict(entry.facts) | {"content": Fact("label map", "file header")})
    assert not reading_cost(labels).reducible
    with pytest.raises(InputRefused, match="label map"):
        load_reduced(labels, (2, 2, 2), NOTICE, silent())


def test_it_can_be_cancelled(tmp_path: Path) -> None:
    entry = entry_of(write(tmp_path, "a.nii", gradient((8, 8, 8))))
    with pytest.raises(Cancelled):
        load_reduced(entry, (2, 2, 2), NOTICE, Progress(is_cancelled=lambda: True))


@pytest.mark.parametrize("name", [*FILES, "d"])
def test_the_cost_of_reading_is_known_beforehand(tmp_path: Path, name: str) -> None:
    """Never less than what numpy is asked for while the scan is read."""
    import tracemalloc

    if name == "d":
        path = tmp_path / "d"
        Series(slices=40, rows=128, columns=128).write(path)
    else:
        path = write(tmp_path, name, np.zeros((128, 128, 40), np.int16))
    entry = entry_of(path)
    cost = reading_cost(entry)
    open_data.load(entry)  # imports
    tracemalloc.start()
    volume = open_data.load(entry)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert volume.array.nbytes <= cost.held
    assert peak <= cost.peak + 8_000_000  # chunks, headers
