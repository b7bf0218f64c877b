"""NIfTI: place, values, and nothing damaged passes."""

from __future__ import annotations

import gzip
import struct
import zlib
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from files_oracle import AFFINES, SHAPE, error, field, oblique

from medviewer.core.errors import Cancelled, InputRefused
from medviewer.core.geometry import flip_ras_lps
from medviewer.core.progress import Progress, silent
from medviewer.core.volume import Fact, Volume
from medviewer.io import nifti


def write(path: Path, array: Any, affine: Any, qform: int = 1, sform: int = 1, second: bool = False) -> Path:
    """By nibabel, from an affine to LPS."""
    image = (nibabel.Nifti2Image if second else nibabel.Nifti1Image)(array, flip_ras_lps(affine))
    image.set_qform(flip_ras_lps(affine), code=qform)
    image.set_sform(flip_ras_lps(affine), code=sform)
    nibabel.save(image, path)
    return path


def read(path: Path) -> Volume:
    result = nifti.scan(path, silent())
    assert result.refused == ()
    return nifti.load(result.entries[0], silent())


def reason(path: Path) -> str:
    """Why a file is refused, by the header scan or by loading."""
    result = nifti.scan(path, silent())
    if result.refused:
        return result.refused[0].reason
    with pytest.raises(InputRefused) as caught:
        nifti.load(result.entries[0], silent())
    return str(caught.value)


@pytest.mark.parametrize("name", AFFINES)
@pytest.mark.parametrize("codes", [(1, 1), (1, 0), (0, 2)])
def test_every_voxel_is_at_its_place(tmp_path: Path, name: str, codes: tuple[int, int]) -> None:
    affine = AFFINES[name]
    found = read(write(tmp_path / "a.nii.gz", field(SHAPE, affine), affine, *codes))
    np.testing.assert_allclose(found.affine, affine, atol=1e-4)
    assert error(found) < 1e-2
    assert found.warnings == ()
    assert found.facts["orientation"].value == ("sform" if codes[1] else "qform")


def test_it_agrees_with_nibabel_and_simpleitk(tmp_path: Path) -> None:
    import SimpleITK as sitk

    path = write(tmp_path / "a.nii.gz", field(SHAPE, oblique()), oblique())
    found, other = read(path), sitk.ReadImage(str(path))
    np.testing.assert_array_equal(found.array, sitk.GetArrayFromImage(other).T)
    for index in ((0, 0, 0), (8, 7, 6), (3, 0, 5)):
        np.testing.assert_allclose(
            found.affine @ (*index, 1), (*other.TransformIndexToPhysicalPoint(index), 1), atol=1e-3
        )
    np.testing.assert_array_equal(found.array, np.asarray(nibabel.load(path).dataobj))


@pytest.mark.parametrize("dtype", ["u1", "i1", "i2", "u2", "i4", "u4", "f4", "f8", ">i2", ">f4"])
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_types_and_byte_orders_are_kept(tmp_path: Path, dtype: str, suffix: str) -> None:
    values = np.arange(2 * 3 * 4).reshape(2, 3, 4).astype(dtype)
    header = nibabel.Nifti1Header(endianness=">" if dtype.startswith(">") else "<")
    header.set_data_dtype(dtype)
    nibabel.save(nibabel.Nifti1Image(values, np.eye(4), header), tmp_path / f"a{suffix}")
    found = read(tmp_path / f"a{suffix}")
    np.testing.assert_array_equal(found.array, values)
    assert found.array.dtype == np.dtype(dtype).newbyteorder("=")
    assert found.array.flags.f_contiguous


def test_nifti_2_and_pairs(tmp_path: Path) -> None:
    second = read(write(tmp_path / "two.nii.gz", field(SHAPE, oblique()), oblique(), second=True))
    assert error(second) < 1e-2
    nibabel.save(nibabel.Nifti1Pair(field(SHAPE, oblique()), flip_ras_lps(oblique())), tmp_path / "pair.img")
    pair = read(tmp_path / "pair.hdr")
    assert error(pair) < 1e-2
    (tmp_path / "pair.img").unlink()
    assert "no image file" in reason(tmp_path / "pair.hdr")


def test_scaling_is_applied_and_integers_stay_integers(tmp_path: Path) -> None:
    stored = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    for slope, intercept, kind in ((2.5, -3.0, "f"), (1.0, -1024.0, "i"), (0.0, 5.0, "i"), (float("nan"), 0.0, "i")):
        path = raw_file(tmp_path / "a.nii", stored, {112: ("f", slope), 116: ("f", intercept)})
        found = read(path)
        scaled = stored * slope + intercept if slope > 0 else stored
        np.testing.assert_allclose(found.array, scaled)
        assert found.array.dtype.kind == kind
    found = read(raw_file(tmp_path / "a.nii", stored, {112: ("f", float("inf"))}))
    assert "scaling" in found.warnings[0]


def test_units_of_length_are_converted(tmp_path: Path) -> None:
    for code, factor in ((1, 1000.0), (2, 1.0), (3, 0.001)):
        path = write(tmp_path / "a.nii", field(SHAPE, oblique()), oblique())
        patch(path, {123: ("B", code)})
        np.testing.assert_allclose(read(path).affine[:3], oblique()[:3] * factor, rtol=1e-5)


def test_time_points_are_entries(tmp_path: Path) -> None:
    stack = np.stack([field(SHAPE, oblique()) + 1000 * t for t in range(3)], axis=-1)
    path = write(tmp_path / "cine.nii.gz", stack, oblique())
    entries = nifti.scan(path, silent()).entries
    assert [entry.id for entry in entries] == [f"cine.nii.gz#t{t:03d}" for t in range(3)]
    for t, entry in enumerate(entries):
        np.testing.assert_allclose(nifti.load(entry, silent()).array, stack[..., t])


def test_colour(tmp_path: Path) -> None:
    rgb = np.random.default_rng(1).integers(0, 255, (4, 5, 3, 3), np.uint8)
    records = np.ascontiguousarray(rgb).view([("R", "u1"), ("G", "u1"), ("B", "u1")])[..., 0]
    nibabel.save(nibabel.Nifti1Image(records, np.eye(4)), tmp_path / "c.nii.gz")
    found = read(tmp_path / "c.nii.gz")
    np.testing.assert_array_equal(found.array, rgb)


def test_voxels_without_a_number_are_announced(tmp_path: Path) -> None:
    values = field(SHAPE, oblique())
    values[0, 0, 0] = np.nan
    values[1, 0, 0] = np.inf
    found = read(write(tmp_path / "a.nii.gz", values, oblique()))
    assert np.isfinite(found.array).all()
    assert "2 voxels hold no number" in found.warnings[0]


def test_a_single_slice_is_an_image(tmp_path: Path) -> None:
    found = read(write(tmp_path / "a.nii.gz", field((9, 8, 1), oblique()), oblique()))
    assert found.kind == "image"
    assert found.affine is not None


def test_missing_orientation_is_said(tmp_path: Path) -> None:
    found = read(write(tmp_path / "a.nii", field(SHAPE, oblique()), oblique(), 0, 0))
    assert found.facts["orientation"] == Fact(None, "unknown")
    assert "does not record its orientation" in found.warnings[0]
    np.testing.assert_allclose(found.spacing_mm, (0.7, 1.9, 4.3), rtol=1e-5)


def test_two_positions_that_differ_are_said(tmp_path: Path) -> None:
    path = write(tmp_path / "a.nii", field(SHAPE, oblique()), oblique())
    patch(path, {268: ("f", 100.0)})  # qoffset_x
    found = read(path)
    assert "differ by up to" in found.warnings[0]
    np.testing.assert_allclose(found.affine, oblique(), atol=1e-4)


def patch(path: Path, changes: dict[int, tuple[str, float]]) -> Path:
    """Overwrite header fields of a little-endian .nii."""
    data = bytearray(path.read_bytes())
    for offset, (code, value) in changes.items():
        struct.pack_into("<" + code, data, offset, value)
    path.write_bytes(data)
    return path


def raw_file(path: Path, array: Any, changes: dict[int, tuple[str, float]]) -> Path:
    return patch(write(path, array, np.eye(4)), changes)


FORGED: dict[str, tuple[dict[int, tuple[str, float]], str]] = {
    "dims 32767 cubed": ({42: ("h", 32767), 44: ("h", 32767), 46: ("h", 32767)}, "cut short"),
    "dim 0": ({42: ("h", 0)}, "claims an image of size"),
    "negative dim": ({44: ("h", -4)}, "claims an image of size"),
    "99 dimensions": ({40: ("h", 99)}, "claims 99 dimensions"),
    "unknown datatype": ({70: ("h", 9999)}, "voxel type 9999"),
    "complex": ({70: ("h", 32)}, "voxel type 32"),
    "bitpix": ({72: ("h", 8)}, "contradicts itself"),
    "vox_offset negative": ({108: ("f", -8.0)}, "begin at byte"),
    "vox_offset nan": ({108: ("f", float("nan"))}, "begin at byte"),
    "vox_offset huge": ({108: ("f", 1e30)}, "begin at byte"),
    "vox_offset past the end": ({108: ("f", 1e6)}, "cut short"),
    "sform nan": ({280: ("f", float("nan"))}, "sform"),
    "sform inf": ({292: ("f", float("inf"))}, "sform"),
    "sform singular": ({280: ("f", 0.0), 296: ("f", 0.0), 312: ("f", 0.0)}, "sform"),
    "pixdim 0 with qform only": ({254: ("h", 0), 80: ("f", 0.0)}, "voxel size"),
    "pixdim nan without forms": ({252: ("h", 0), 254: ("h", 0), 84: ("f", float("nan"))}, "voxel size"),
    "pixdim negative without forms": ({252: ("h", 0), 254: ("h", 0), 84: ("f", -1.0)}, "voxel size"),
    "quaternion nan": ({254: ("h", 0), 256: ("f", float("nan"))}, "qform"),
    "Analyze": ({344: ("I", 0)}, "Analyze 7.5"),
    "5D": ({40: ("h", 5), 48: ("h", 1), 50: ("h", 3)}, "5 dimensions"),
    "no dimensions": ({40: ("h", 0)}, "claims 0 dimensions"),
    "-3 dimensions": ({40: ("h", -3)}, "claims -3 dimensions"),
    "one voxel too many": ({42: ("h", 4)}, "cut short"),
    "binary voxels": ({70: ("h", 1), 72: ("h", 1)}, "voxel type 1"),
    "128-bit floats": ({70: ("h", 1536), 72: ("h", 128)}, "voxel type 1536"),
    "bitpix 0": ({72: ("h", 0)}, "contradicts itself"),
    "vox_offset inside the header": ({108: ("f", 100.0)}, "begin at byte"),
    "vox_offset between two bytes": ({108: ("f", 352.5)}, "begin at byte"),
    "sform of 1e30": ({280: ("f", 1e30)}, "sform"),
    "sform far away": ({292: ("f", 1e30)}, "sform"),
    "sform with two equal axes": (
        {280: ("f", 1.0), 284: ("f", 1.0), 296: ("f", 0.0), 300: ("f", 0.0), 312: ("f", 0.0), 316: ("f", 0.0)},
        "sform",
    ),
    "quaternion too long": ({254: ("h", 0), 256: ("f", 9.0)}, "qform"),
    "qoffset inf with qform only": ({254: ("h", 0), 268: ("f", float("inf"))}, "qform"),
    "pixdim inf with qform only": ({254: ("h", 0), 88: ("f", float("inf"))}, "voxel size"),
    "wrong magic": ({344: ("I", 0x2B6E)}, "Analyze"),
    "header size 0": ({0: ("i", 0)}, "not a NIfTI"),
}


@pytest.mark.parametrize("name", FORGED)
def test_forged_headers_are_refused(tmp_path: Path, name: str) -> None:
    changes, expected = FORGED[name]
    path = raw_file(tmp_path / "a.nii", np.arange(60, dtype=np.int16).reshape(3, 4, 5), changes)
    said = reason(path)
    assert expected in said
    assert "a.nii" in said


def test_nifti_2_cannot_claim_more_than_memory_can_count(tmp_path: Path) -> None:
    """Its dimensions are 64-bit numbers: their product must not wrap around."""
    nibabel.save(nibabel.Nifti2Image(np.zeros((3, 4, 5), np.int16), np.eye(4)), tmp_path / "a.nii")
    data = bytearray((tmp_path / "a.nii").read_bytes())
    struct.pack_into("<3q", data, 24, 1 << 62, 4, 1 << 40)
    (tmp_path / "a.nii").write_bytes(data)
    assert "cut short" in reason(tmp_path / "a.nii")
    (tmp_path / "a.nii.gz").write_bytes(gzip.compress(data))
    assert "too small" in reason(tmp_path / "a.nii.gz")


@pytest.mark.parametrize("slope", [float("nan"), float("inf"), 0.0])
def test_a_scaling_that_is_no_number_is_none(tmp_path: Path, slope: float) -> None:
    path = raw_file(tmp_path / "a.nii", np.arange(60, dtype=np.int16).reshape(3, 4, 5), {112: ("f", slope)})
    found = read(path)
    assert int(found.array.max()) == 59
    assert any("scaling" in warning for warning in found.warnings) == np.isinf(slope)


def test_a_stream_that_goes_on_behind_the_image_is_refused(tmp_path: Path) -> None:
    path = raw_file(tmp_path / "a.nii", np.zeros((3, 4, 5), np.int16), {})
    (tmp_path / "a.nii.gz").write_bytes(gzip.compress(path.read_bytes() + bytes(1000)))
    assert read(tmp_path / "a.nii.gz").shape == (3, 4, 5)  # some writers pad
    (tmp_path / "a.nii.gz").write_bytes(gzip.compress(path.read_bytes() + bytes(20 << 20), 1))
    (entry,) = nifti.scan(tmp_path / "a.nii.gz", silent()).entries
    with pytest.raises(InputRefused, match="much more data"):
        nifti.load(entry, silent())


def test_a_forged_gz_is_refused_before_memory_is_taken(tmp_path: Path) -> None:
    path = raw_file(tmp_path / "a.nii", np.zeros((3, 4, 5), np.int16), FORGED["dims 32767 cubed"][0])
    (tmp_path / "a.nii.gz").write_bytes(gzip.compress(path.read_bytes()))
    assert "too small" in reason(tmp_path / "a.nii.gz")


def test_truncation_is_found_at_every_place(tmp_path: Path) -> None:
    values = np.random.default_rng(2).integers(-1000, 1000, (20, 20, 20)).astype(np.int16)
    for suffix in (".nii", ".nii.gz"):
        whole = write(tmp_path / f"w{suffix}", values, oblique()).read_bytes()
        for share in np.linspace(0.0, 0.999, 20):
            cut = tmp_path / f"cut{suffix}"
            cut.write_bytes(whole[: int(len(whole) * share)])
            assert reason(cut)
        cut.write_bytes(whole[:-1])
        assert "cut short" in reason(cut)


def test_flipped_bits_in_packed_data_are_found(tmp_path: Path) -> None:
    values = np.random.default_rng(3).integers(-1000, 1000, (20, 20, 20)).astype(np.int16)
    whole = write(tmp_path / "w.nii.gz", values, oblique()).read_bytes()
    for offset in np.linspace(400, len(whole) - 5, 20).astype(int):
        damaged = bytearray(whole)
        damaged[offset] ^= 0x10
        (tmp_path / "d.nii.gz").write_bytes(damaged)
        result = nifti.scan(tmp_path / "d.nii.gz", silent())
        if result.entries:
            with pytest.raises(InputRefused):
                nifti.load(result.entries[0], silent())


def test_several_gzip_members_and_padding_are_read(tmp_path: Path) -> None:
    whole = write(tmp_path / "w.nii", field(SHAPE, oblique()), oblique()).read_bytes()
    packed = gzip.compress(whole[:1000]) + gzip.compress(whole[1000:]) + b"\0" * 7
    (tmp_path / "m.nii.gz").write_bytes(packed)
    assert error(read(tmp_path / "m.nii.gz")) < 1e-2


def test_a_file_is_not_mixed_up_with_its_neighbour(tmp_path: Path) -> None:
    write(tmp_path / "case.nii", np.full(SHAPE, 1.0, np.float32), oblique())
    write(tmp_path / "case.nii.gz", np.full(SHAPE, 2.0, np.float32), oblique())
    assert float(read(tmp_path / "case.nii.gz").array.max()) == 2.0
    assert float(read(tmp_path / "case.nii").array.max()) == 1.0


def test_a_bomb_is_refused(tmp_path: Path) -> None:
    sizes = {42: ("h", 32000), 44: ("h", 32000), 46: ("h", 4)}
    path = raw_file(tmp_path / "a.nii", np.zeros((3, 4, 5), np.int16), sizes)
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    start = packer.compress(path.read_bytes()[:352]) + packer.flush(zlib.Z_FULL_FLUSH)
    zeros = packer.compress(bytes(1 << 24)) + packer.flush(zlib.Z_FULL_FLUSH)
    (tmp_path / "bomb.nii.gz").write_bytes(start + zeros * 500)
    assert "would unpack" in reason(tmp_path / "bomb.nii.gz")


def ct_like(rng: np.random.Generator) -> Any:
    """Air, lung, soft tissue and a little bone."""
    values = rng.normal(-1000, 15, (30, 30, 30))
    values[8:22, 8:22] = rng.normal(40, 20, (14, 14, 30))
    values[14:16, 14:16] = 700
    return values.astype(np.int16)


def test_modality_is_estimated_from_hu_and_said(tmp_path: Path) -> None:
    found = read(write(tmp_path / "case_0001.nii.gz", ct_like(np.random.default_rng(4)), oblique()))
    assert (found.modality, found.units) == ("CT", "HU")
    assert found.facts["modality"] == Fact("CT", "estimated")
    assert "estimated from the intensities" in found.warnings[0]


@pytest.mark.parametrize(
    ("name", "modality", "origin", "weighting"),
    [
        ("sub-01_T1w.nii.gz", "MR", "file name", "T1"),
        ("p_Flair.nii.gz", "MR", "file name", "FLAIR"),
        ("sub-01_task-rest_bold.nii.gz", "MR", "file name", "BOLD"),
        ("case.nii.gz", None, "unknown", None),
        ("ct.nii.gz", "CT", "file name", None),
        ("case_label.nii.gz", None, "unknown", None),
    ],
)
def test_modality_from_the_name(
    tmp_path: Path, name: str, modality: str | None, origin: str, weighting: str | None
) -> None:
    found = read(write(tmp_path / name, np.arange(8000, dtype=np.int16).reshape(20, 20, 20), oblique()))
    assert (found.modality, found.units) == (modality, None)
    assert found.facts["modality"].origin == origin
    assert (found.facts["weighting"].value if "weighting" in found.facts else None) == weighting


def test_shared_scans_get_their_modality(shared_data: Path) -> None:
    for path in sorted((shared_data / "ct3d").glob("*/*.nii.gz")):
        found = read(path)
        assert (found.modality, found.units) == ((None, None) if "label" in path.name else ("CT", "HU")), path.name
    for path in sorted((shared_data / "mr3d" / "brats2013").glob("*.nii.gz")):
        assert read(path).modality == (None if "label" in path.name else "MR"), path.name


def test_shared_scans_equal_nibabel(shared_data: Path) -> None:
    paths = [*sorted((shared_data / "ct3d").glob("*/*.nii.gz")), *sorted((shared_data / "mr3d").glob("*/*.nii.gz"))]
    assert len(paths) > 20
    for path in paths:
        found, other = read(path), nibabel.load(path)
        np.testing.assert_array_equal(found.array, np.asanyarray(other.dataobj), err_msg=path.name)
        np.testing.assert_allclose(found.affine, flip_ras_lps(other.affine), atol=1e-5)


def test_without_orientation_no_side_is_told(tmp_path: Path) -> None:
    from medviewer.core.laterality import keep_side

    found = read(write(tmp_path / "a.nii", field(SHAPE, oblique()), oblique(), 0, 0))
    assert not found.orientation_recorded
    side = keep_side(np.ones(found.shape, np.bool_), found, "left")
    assert not side.known
    assert not side.mask.any()
    assert read(write(tmp_path / "b.nii", field(SHAPE, oblique()), oblique())).orientation_recorded


def test_a_cancel_while_listing_is_no_refusal(tmp_path: Path) -> None:
    path = write(tmp_path / "scan.nii.gz", np.zeros(SHAPE, np.int16), np.eye(4))
    with pytest.raises(Cancelled):
        nifti.scan(path, Progress(is_cancelled=lambda: True))
