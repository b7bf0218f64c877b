"""One small whole file of every format, as bytes, with the place where its pixels begin."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "io"))

ROWS, COLUMNS = 48, 40
_SYNTAX = {"rle": "1.2.840.10008.1.2.5", "jpeg": "1.2.840.10008.1.2.4.50", "jpeg-lossless": "1.2.840.10008.1.2.4.70",
           "jpeg-ls": "1.2.840.10008.1.2.4.80", "jpeg2000": "1.2.840.10008.1.2.4.90",
           "htj2k": "1.2.840.10008.1.2.4.201"}  # fmt: skip
_VARIANTS = ("big-endian", "palette", "enhanced", "rle-colour", "jpeg-colour")
DICOM = ("native", "deflated", *_SYNTAX, *_VARIANTS)
OTHERS = ("nifti", "nifti.gz", "nrrd", "nrrd.gz", "metaimage", "metaimage.zlib", "png", "jpeg-file")
FORMATS = DICOM + OTHERS
_SUFFIX = {"nifti": ".nii", "nifti.gz": ".nii.gz", "nrrd": ".nrrd", "nrrd.gz": ".nrrd", "metaimage": ".mha",
           "metaimage.zlib": ".mha", "png": ".png", "jpeg-file": ".jpg"}  # fmt: skip


@dataclass(frozen=True)
class Original:
    """`data` with pixels from byte `pixels` on; `suffix` of its file name."""

    data: bytes
    pixels: int
    suffix: str


@cache
def original(name: str) -> Original:
    """The whole file of a format of `FORMATS`."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "whole" + _SUFFIX.get(name, ".dcm"))
        (_dicom if name in DICOM else _other)(name, path)
        data = path.read_bytes()
    return Original(data, _pixel_start(name, data), _SUFFIX.get(name, ".dcm"))


def picture(bits: int = 12) -> NDArray[Any]:
    """Smooth shapes and some noise, (rows, columns): what codecs are made for."""
    rng = np.random.default_rng(5)
    y, x = np.mgrid[:ROWS, :COLUMNS]
    smooth = 900 + 600 * np.sin(x / 7.0) * np.cos(y / 9.0) + 800 * (np.hypot(x - 20, y - 24) < 12)
    values = np.clip(smooth + rng.normal(0, 12, smooth.shape), 0, 4095)
    return values.astype(np.uint16) if bits > 8 else (values / 16).astype(np.uint8)


def _dicom(name: str, path: Path) -> None:
    if name in _VARIANTS:
        _variant(name, path)
        return
    from dicom_factory import Series, save
    from pydicom.uid import UID, DeflatedExplicitVRLittleEndian

    made = Series(slices=1, rows=ROWS, columns=COLUMNS, signed=False, origin=(0.0, 0.0, 300.0)).dataset(0)
    values = picture(8 if name == "jpeg" else 12)
    made.PixelData = values.tobytes()
    made.BitsAllocated, made.BitsStored = values.itemsize * 8, 8 if values.itemsize == 1 else 12
    made.HighBit = made.BitsStored - 1
    if name == "deflated":
        made.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    elif name != "native":
        _encapsulate(made, name, values)
        made.file_meta.TransferSyntaxUID = UID(_SYNTAX[name])
    save(made, path)


def _variant(name: str, path: Path) -> None:
    from dicom_factory import Series, enhanced, save
    from pydicom.uid import UID, ExplicitVRBigEndian

    syntax = ExplicitVRBigEndian if name == "big-endian" else "1.2.840.10008.1.2.1"
    series = Series(slices=3, rows=ROWS, columns=COLUMNS, signed=False, origin=(0.0, 0.0, 300.0), syntax=syntax)
    made = enhanced(series) if name == "enhanced" else series.dataset(0)
    if name == "palette":
        made.Modality, made.PhotometricInterpretation = "US", "PALETTE COLOR"
        for color in ("Red", "Green", "Blue"):
            setattr(made, f"{color}PaletteColorLookupTableDescriptor", [256, 0, 16])
            setattr(made, f"{color}PaletteColorLookupTableData", np.arange(0, 65536, 256, "<u2").tobytes())
        made.PixelData = picture(8).astype("<u2").tobytes()
    elif name.endswith("colour"):
        made.Modality, made.SamplesPerPixel, made.PlanarConfiguration = "US", 3, 0
        made.BitsAllocated, made.BitsStored, made.HighBit = 8, 8, 7
        made.PhotometricInterpretation = "RGB" if name == "rle-colour" else "YBR_FULL_422"
        made.NumberOfFrames = 2
        colour = np.stack([picture(8), picture(8)[::-1], picture(8)[:, ::-1]], axis=-1)
        frames = [colour, colour[::-1]]
        _store(made, [rle(f) if name == "rle-colour" else _jpeg(f) for f in frames])
        made.file_meta.TransferSyntaxUID = UID(_SYNTAX[name.removesuffix("-colour")])
    save(made, path)


def _jpeg(colour: NDArray[Any]) -> bytes:
    import imagecodecs

    return bytes(imagecodecs.jpeg8_encode(np.ascontiguousarray(colour), level=90))


def rle(values: NDArray[Any]) -> bytes:
    """One frame, (rows, columns) of 16 bits or (rows, columns, 3) of 8, as pydicom's own encoder packs it."""
    from pydicom.pixels.encoders.base import EncodeRunner
    from pydicom.pixels.encoders.native import _encode_frame
    from pydicom.uid import RLELossless

    runner, colour = EncodeRunner(RLELossless), values.ndim == 3
    runner.set_options(
        rows=ROWS, columns=COLUMNS, samples_per_pixel=3 if colour else 1, bits_allocated=8 * values.itemsize,
        bits_stored=8 if colour else 12, pixel_representation=0, number_of_frames=1, planar_configuration=0,
        photometric_interpretation="RGB" if colour else "MONOCHROME2",
    )  # fmt: skip
    return bytes(_encode_frame(np.ascontiguousarray(values).tobytes(), runner))


def _encapsulate(made: Any, name: str, values: NDArray[Any]) -> None:
    import imagecodecs

    encoders: dict[str, Callable[[], Any]] = {
        "rle": lambda: rle(values),
        "jpeg": lambda: imagecodecs.jpeg8_encode(values, level=90),
        "jpeg-lossless": lambda: imagecodecs.jpeg8_encode(values, lossless=True, predictor=1, bitspersample=12),
        "jpeg-ls": lambda: imagecodecs.jpegls_encode(values),
        "jpeg2000": lambda: imagecodecs.jpeg2k_encode(values, codecformat="j2k", reversible=True, level=0),
        "htj2k": lambda: imagecodecs.htj2k_encode(values),
    }
    _store(made, [bytes(encoders[name]())])


def _store(made: Any, frames: list[bytes]) -> None:
    from pydicom.encaps import encapsulate

    made.PixelData = encapsulate(frames)
    made["PixelData"].VR, made["PixelData"].is_undefined_length = "OB", True


def _other(name: str, path: Path) -> None:
    values = np.stack([picture().T, picture()[::-1].T], axis=-1).astype(np.int16)  # (i, j, k)
    if name.startswith("nifti"):
        import nibabel

        nibabel.save(nibabel.Nifti1Image(values, np.diag([-1.5, -2.0, 3.0, 1.0])), path)
    elif name in ("png", "jpeg-file"):
        from PIL import Image

        Image.fromarray(picture(8)).save(path)
    else:
        import SimpleITK as sitk

        sitk.WriteImage(sitk.GetImageFromArray(values.T), str(path), "." in name)


def _pixel_start(name: str, data: bytes) -> int:
    if name == "deflated":
        from medviewer.io.dicom_header import deflated_start

        return deflated_start(data)
    if name in DICOM:
        tag = b"\x7f\xe0\x00\x10" if name == "big-endian" else b"\xe0\x7f\x10\x00"
        plain = name in ("native", "big-endian", "palette", "enhanced")
        return data.index(tag) + (12 if plain else 12 + 12 + 8)  # behind the offset table
    if name == "png":
        return data.index(b"IDAT") + 4
    if name == "jpeg-file":
        return data.index(b"\xff\xda")
    if name.startswith("nrrd"):
        return data.index(b"\n\n") + 2
    if name.startswith("metaimage"):
        return data.index(b"LOCAL\n") + 6
    return 352 if name == "nifti" else 10
