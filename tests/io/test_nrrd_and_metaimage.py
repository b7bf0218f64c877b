"""NRRD and MetaImage: place, values, damaged and misleading files."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from files_oracle import AFFINES, SHAPE, error, field, oblique

from medviewer.core.errors import InputRefused
from medviewer.core.progress import silent
from medviewer.core.volume import Volume
from medviewer.io import metaimage, nrrd_file


def write_itk(path: Path, array: Any, affine: Any, packed: bool = False) -> Path:
    """By SimpleITK, whose physical space is LPS."""
    import SimpleITK as sitk

    image = sitk.GetImageFromArray(np.ascontiguousarray(array.T))
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    image.SetSpacing(spacing.tolist())
    image.SetDirection((affine[:3, :3] / spacing).ravel().tolist())
    image.SetOrigin(affine[:3, 3].tolist())
    sitk.WriteImage(image, str(path), packed)
    return path


def reader_of(path: Path) -> ModuleType:
    return nrrd_file if path.suffix in (".nrrd", ".nhdr") else metaimage


def read(path: Path) -> Volume:
    reader = reader_of(path)
    result = reader.scan(path, silent())
    assert result.refused == ()
    volume: Volume = reader.load(result.entries[0], silent())
    return volume


def reason(path: Path) -> str:
    reader = reader_of(path)
    result = reader.scan(path, silent())
    if result.refused:
        return str(result.refused[0].reason)
    with pytest.raises(InputRefused) as caught:
        reader.load(result.entries[0], silent())
    return str(caught.value)


@pytest.mark.parametrize("name", AFFINES)
@pytest.mark.parametrize("file", ["a.nrrd", "a.mha"])
def test_every_voxel_is_at_its_place(tmp_path: Path, name: str, file: str) -> None:
    affine = AFFINES[name]
    found = read(write_itk(tmp_path / file, field(SHAPE, affine), affine))
    np.testing.assert_allclose(found.affine, affine, atol=1e-5)
    assert error(found) < 1e-2
    assert found.warnings == ()


@pytest.mark.parametrize("file", ["a.nhdr", "a.mhd", "p.nrrd", "p.mha", "p.mhd", "p.nhdr"])
def test_detached_and_packed_files(tmp_path: Path, file: str) -> None:
    found = read(write_itk(tmp_path / file, field(SHAPE, oblique()), oblique(), packed=file.startswith("p")))
    assert error(found) < 1e-2
    assert len(found.source.files) == (2 if file.endswith("hd") or file.endswith("hdr") else 1)


@pytest.mark.parametrize("dtype", ["u1", "i1", "i2", "u2", "i4", "u4", "f4", "f8"])
@pytest.mark.parametrize("file", ["a.nrrd", "a.mha"])
def test_types_are_kept(tmp_path: Path, dtype: str, file: str) -> None:
    values = np.arange(24).reshape(2, 3, 4).astype(dtype)
    found = read(write_itk(tmp_path / file, values, oblique()))
    np.testing.assert_array_equal(found.array, values)
    assert found.array.dtype == np.dtype(dtype)


SPACES = [
    ("right-anterior-superior", (-1, -1)), ("left-anterior-superior", (1, -1)), ("RAS", (-1, -1)), ("LPS", (1, 1)),
]  # fmt: skip


@pytest.mark.parametrize(("space", "flips"), SPACES)
@pytest.mark.parametrize("encoding", ["raw", "gzip", "bzip2", "ascii"])
def test_nrrd_spaces_and_encodings(tmp_path: Path, space: str, flips: tuple[int, int], encoding: str) -> None:
    import nrrd

    flip = np.diag([*flips, 1.0])
    header = {
        "space": space, "kinds": ["domain"] * 3, "space directions": (flip @ oblique()[:3, :3]).T,
        "space origin": flip @ oblique()[:3, 3], "encoding": encoding,
    }  # fmt: skip
    nrrd.write(str(tmp_path / "a.nrrd"), field(SHAPE, oblique()), header)
    assert error(read(tmp_path / "a.nrrd")) < 1e-2


def test_nrrd_big_endian_and_micrometres(tmp_path: Path) -> None:
    import nrrd

    header = {
        "space": "LPS", "space directions": oblique()[:3, :3].T * 1000, "space origin": oblique()[:3, 3] * 1000,
        "space units": ["um"] * 3, "endian": "big", "encoding": "raw",
    }  # fmt: skip
    nrrd.write(str(tmp_path / "a.nrrd"), field(SHAPE, oblique()).astype(">f4"), header)
    assert error(read(tmp_path / "a.nrrd")) < 1e-2


@pytest.mark.parametrize("first", [True, False])
def test_nrrd_time_points_and_colour(tmp_path: Path, first: bool) -> None:
    import nrrd

    frames = np.stack([field(SHAPE, oblique()) + 1000 * t for t in range(3)])
    directions = [list(row) for row in oblique()[:3, :3].T]
    nothing = [np.nan] * 3
    header = {
        "space": "LPS", "space origin": oblique()[:3, 3], "encoding": "gzip",
        "kinds": ["list", *["domain"] * 3] if first else [*["domain"] * 3, "list"],
        "space directions": np.array([nothing, *directions] if first else [*directions, nothing]),
    }  # fmt: skip
    nrrd.write(str(tmp_path / "a.nrrd"), frames if first else np.moveaxis(frames, 0, -1), header)
    entries = nrrd_file.scan(tmp_path / "a.nrrd", silent()).entries
    assert len(entries) == 3
    for t, entry in enumerate(entries):
        np.testing.assert_allclose(nrrd_file.load(entry, silent()).array, frames[t])


def test_nrrd_without_orientation_says_so(tmp_path: Path) -> None:
    import nrrd

    nrrd.write(str(tmp_path / "a.nrrd"), field(SHAPE, oblique()), {"spacings": [1.0, 2.0, 3.0]})
    found = read(tmp_path / "a.nrrd")
    assert found.spacing_mm == (1.0, 2.0, 3.0)
    assert "does not record its orientation" in found.warnings[0]
    nrrd.write(str(tmp_path / "b.nrrd"), field(SHAPE, oblique())[:, :, 0], {"spacings": [0.1, 0.2]})
    flat = read(tmp_path / "b.nrrd")
    assert (flat.kind, flat.affine, flat.spacing_mm) == ("image", None, (0.1, 0.2, 0.0))


def test_colour_metaimage(tmp_path: Path) -> None:
    import SimpleITK as sitk

    rgb = np.random.default_rng(1).integers(0, 255, (3, 4, 5, 3), np.uint8)
    sitk.WriteImage(sitk.GetImageFromArray(rgb, isVector=True), str(tmp_path / "c.mha"))
    np.testing.assert_array_equal(read(tmp_path / "c.mha").array, rgb.transpose(2, 1, 0, 3))


@pytest.mark.parametrize("file", ["a.nrrd", "a.mha", "p.nrrd", "p.mha", "a.mhd"])
def test_truncation_is_found_at_every_place(tmp_path: Path, file: str) -> None:
    """ITK fills what is missing from a MetaImage with zeros."""
    values = np.random.default_rng(2).integers(-1000, 1000, (20, 20, 20)).astype(np.int16)
    path = write_itk(tmp_path / file, values, oblique(), packed=file.startswith("p"))
    data = path.with_suffix(".raw") if path.suffix == ".mhd" else path
    whole = data.read_bytes()
    for share in np.linspace(0.0, 0.999, 12):
        data.write_bytes(whole[: int(len(whole) * share)])
        assert reason(path)
    data.write_bytes(whole[:-1])
    assert "cut short" in reason(path)


@pytest.mark.parametrize("file", ["p.nrrd", "p.mha"])
def test_flipped_bits_in_packed_data_are_found(tmp_path: Path, file: str) -> None:
    values = np.random.default_rng(3).integers(-1000, 1000, (20, 20, 20)).astype(np.int16)
    path = write_itk(tmp_path / file, values, oblique(), packed=True)
    whole = path.read_bytes()
    for offset in np.linspace(len(whole) * 0.2, len(whole) - 12, 10).astype(int):
        damaged = bytearray(whole)
        damaged[offset] ^= 0x10
        path.write_bytes(damaged)
        assert reason(path)


@pytest.mark.parametrize("name", ["../secret.raw", "/etc/passwd", "LIST", "slice%03d.raw"])
@pytest.mark.parametrize("file", ["a.nhdr", "a.mhd"])
def test_data_outside_the_folder_is_refused(tmp_path: Path, name: str, file: str) -> None:
    folder = tmp_path / "inner"
    folder.mkdir()
    (tmp_path / "secret.raw").write_bytes(bytes(4 * 9 * 8 * 7))
    path = write_itk(folder / file, field(SHAPE, oblique()), oblique())
    lines = [
        line.split(":" if file.endswith("nhdr") else "=")[0] + (": " if file.endswith("nhdr") else " = ") + name
        if line.lower().startswith(("data file", "elementdatafile"))
        else line
        for line in path.read_text().splitlines()
    ]
    path.write_text("\n".join(lines) + "\n")
    assert "beside it" in reason(path)


@pytest.mark.parametrize(
    ("field_name", "value", "expected"),
    [
        ("DimSize", "9 8 0", "claims an image of size"),
        ("DimSize", "9 8", "claims an image of size"),
        ("DimSize", "90000 80000 70000", "cut short"),
        ("ElementType", "MET_BLOCK", "stores voxels as"),
        ("ElementSpacing", "0 1 1", "voxel size"),
        ("ElementSpacing", "nan 1 1", "voxel size"),
        ("ElementSpacing", "a 1 1", "letters"),
        ("TransformMatrix", "1 0 0 1 0 0 0 0 1", "position"),
        ("Offset", "nan 0 0", "position"),
    ],
)
def test_forged_metaimage_headers(tmp_path: Path, field_name: str, value: str, expected: str) -> None:
    path = write_itk(tmp_path / "a.mha", field(SHAPE, oblique()), oblique())
    head, _, data = path.read_bytes().partition(b"ElementDataFile")
    lines = [
        f"{field_name} = {value}" if line.startswith(field_name + " ") else line for line in head.decode().splitlines()
    ]
    path.write_bytes("\n".join(lines).encode() + b"\nElementDataFile" + data)
    assert expected in reason(path)


@pytest.mark.parametrize(
    ("field_name", "value", "expected"),
    [
        ("sizes", "9 8 0", "claims an image of size"),
        ("sizes", "90000 80000 70000", "cut short"),
        ("type", "block", "voxel type"),
        ("encoding", "hex", "packed as"),
        ("space directions", "(0,0,0) (0,1,0) (0,0,1)", "position"),
        ("space origin", "(nan,0,0)", "position"),
    ],
)
def test_forged_nrrd_headers(tmp_path: Path, field_name: str, value: str, expected: str) -> None:
    path = write_itk(tmp_path / "a.nrrd", field(SHAPE, oblique()), oblique())
    head, _, data = path.read_bytes().partition(b"\n\n")
    lines = [
        f"{field_name}: {value}" if line.startswith(field_name + ":") else line for line in head.decode().splitlines()
    ]
    path.write_bytes("\n".join(lines).encode() + b"\n\n" + data)
    assert expected in reason(path)


def test_garbage_is_refused(tmp_path: Path) -> None:
    for name in ("a.nrrd", "a.mha"):
        (tmp_path / name).write_bytes(b"NRRD0005\nkjhkjh \xff\xfe\n\n")
        assert reason(tmp_path / name)
        (tmp_path / name).write_bytes(b"")
        assert reason(tmp_path / name)
