"""PNG, JPEG, TIFF, BMP: pixels as they are, no invented millimetres."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from medviewer.core.errors import InputRefused
from medviewer.core.progress import silent
from medviewer.core.volume import Fact, Volume
from medviewer.io import image_file

GREY = np.arange(12 * 20, dtype=np.uint8).reshape(12, 20)  # 12 rows, 20 columns
RGB = np.random.default_rng(1).integers(0, 255, (12, 20, 3), np.uint8)


def save(path: Path, pixels: Any, **options: Any) -> Path:
    Image.fromarray(pixels).save(path, **options)
    return path


def read(path: Path) -> Volume:
    result = image_file.scan(path, silent())
    assert result.refused == ()
    volume = image_file.load(result.entries[0], silent())
    assert result.entries[0].shape_xyz == volume.shape
    return volume


@pytest.mark.parametrize("suffix", [".png", ".tif", ".bmp", ".gif"])
def test_grey_pixels_are_columns_then_rows(tmp_path: Path, suffix: str) -> None:
    found = read(save(tmp_path / f"a{suffix}", GREY))
    np.testing.assert_array_equal(found.array[:, :, 0], GREY.T)
    assert found.shape == (20, 12, 1)
    assert (found.kind, found.affine, found.spacing_mm, found.modality) == ("image", None, None, None)
    assert found.facts["modality"] == Fact(None, "unknown")


def test_jpeg_is_near(tmp_path: Path) -> None:
    found = read(save(tmp_path / "a.jpg", GREY, quality=95))
    assert np.abs(found.array[:, :, 0].astype(int) - GREY.T).mean() < 3


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_sixteen_bits_are_kept(tmp_path: Path, suffix: str) -> None:
    pixels = (GREY.astype(np.uint16) * 257)[::-1]
    found = read(save(tmp_path / f"a{suffix}", pixels))
    assert found.array.dtype == np.uint16
    np.testing.assert_array_equal(found.array[:, :, 0], pixels.T)


def test_colour_stays_and_grey_stored_as_colour_is_grey(tmp_path: Path) -> None:
    np.testing.assert_array_equal(read(save(tmp_path / "c.png", RGB)).array[:, :, 0], RGB.transpose(1, 0, 2))
    alpha = np.dstack([RGB, np.full(RGB.shape[:2], 255, np.uint8)])
    np.testing.assert_array_equal(read(save(tmp_path / "a.png", alpha)).array[:, :, 0], RGB.transpose(1, 0, 2))
    grey = read(save(tmp_path / "g.png", np.dstack([GREY] * 3)))
    assert not grey.is_color
    np.testing.assert_array_equal(grey.array[:, :, 0], GREY.T)


def test_palette_and_one_bit(tmp_path: Path) -> None:
    Image.fromarray(RGB).quantize(8).save(tmp_path / "p.png")
    expected = np.asarray(Image.open(tmp_path / "p.png").convert("RGB"))
    np.testing.assert_array_equal(read(tmp_path / "p.png").array[:, :, 0], expected.transpose(1, 0, 2))
    Image.fromarray(GREY > 100).save(tmp_path / "b.png")
    np.testing.assert_array_equal(read(tmp_path / "b.png").array[:, :, 0] > 0, (GREY > 100).T)


def test_a_camera_turned_by_a_quarter_is_turned_back(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # stored turned; the picture is to be turned clockwise
    found = read(save(tmp_path / "a.png", GREY, exif=exif))
    np.testing.assert_array_equal(found.array[:, :, 0].T, np.rot90(GREY, -1))


def test_dpi_is_no_pixel_spacing(tmp_path: Path) -> None:
    assert read(save(tmp_path / "a.png", GREY, dpi=(300, 300))).spacing_mm is None


def test_pages_are_frames(tmp_path: Path) -> None:
    first, second = Image.fromarray(GREY), Image.fromarray(GREY[::-1])
    first.save(tmp_path / "a.tif", save_all=True, append_images=[second])
    found = read(tmp_path / "a.tif")
    assert found.kind == "cine"
    np.testing.assert_array_equal(found.array[:, :, 1], GREY[::-1].T)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".bmp"])
def test_truncation_is_found(tmp_path: Path, suffix: str) -> None:
    noise = np.random.default_rng(2).integers(0, 255, (64, 64), np.uint8)
    whole = save(tmp_path / f"w{suffix}", noise).read_bytes()
    for share in (0.0, 0.1, 0.5, 0.9):
        (tmp_path / f"a{suffix}").write_bytes(whole[: int(len(whole) * share)])
        result = image_file.scan(tmp_path / f"a{suffix}", silent())
        if result.entries:
            with pytest.raises(InputRefused):
                image_file.load(result.entries[0], silent())
        else:
            assert f"a{suffix}" in result.refused[0].reason


def test_flipped_bits_in_png_are_found(tmp_path: Path) -> None:
    noise = np.random.default_rng(2).integers(0, 255, (64, 64), np.uint8)
    whole = save(tmp_path / "w.png", noise).read_bytes()
    for offset in np.linspace(60, len(whole) - 20, 15).astype(int):
        damaged = bytearray(whole)
        damaged[offset] ^= 0x08
        (tmp_path / "d.png").write_bytes(damaged)
        entries = image_file.scan(tmp_path / "d.png", silent()).entries
        assert not entries or _refused(entries[0])


def _refused(entry: Any) -> bool:
    try:
        image_file.load(entry, silent())
    except InputRefused:
        return True
    return False


def test_a_decompression_bomb_is_refused(tmp_path: Path) -> None:
    import struct
    import zlib

    path = save(tmp_path / "a.png", GREY)
    data = bytearray(path.read_bytes())
    data[16:24] = struct.pack(">II", 60000, 60000)
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    path.write_bytes(data)
    reason = image_file.scan(path, silent()).refused[0].reason
    assert "60000" in reason or "larger than any" in reason
