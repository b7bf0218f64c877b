"""What a DICOM entry remembers between the header scan and the loading of its pixels. Picklable, no pixels."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medviewer.core.errors import InputRefused
from medviewer.io.dicom_arrivals import Census
from medviewer.io.dicom_frames import Frame
from medviewer.io.dicom_header import DEFLATED_LE, EXPLICIT_BE, NATIVE_SYNTAXES, Header
from medviewer.io.dicom_resampling import Resampling
from medviewer.io.voxel_stream import amount

_PHOTOMETRIC = {
    1: ("MONOCHROME1", "MONOCHROME2", "PALETTE COLOR"),
    3: ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT"),
}
_COPY = "Copy it again from its source."
_MOST_FRAMES = 200_000
_LARGE_BYTES, _HIGHEST_RATIO = 128 << 20, 40  # what a small deflated file may claim, else bytes per byte of it


@dataclass(frozen=True, slots=True)
class PixelFormat:
    """How the pixels of a file are stored (Image Pixel module, PS3.3 C.7.6.3)."""

    rows: int
    columns: int
    samples: int
    bits_allocated: int
    bits_stored: int
    high_bit: int
    signed: bool
    photometric: str
    planar: int
    transfer_syntax: str
    words: bool = False  # VR OW; in big endian the bytes of 8-bit samples are then swapped in pairs

    @property
    def native(self) -> bool:
        return self.transfer_syntax in NATIVE_SYNTAXES

    @property
    def big_endian(self) -> bool:
        return self.transfer_syntax == EXPLICIT_BE

    @property
    def swapped_bytes(self) -> bool:
        return self.big_endian and self.words and self.bits_allocated == 8

    @property
    def color(self) -> bool:
        return self.samples > 1 or self.photometric == "PALETTE COLOR"

    @property
    def frame_bytes(self) -> int:
        """Bytes of one uncompressed frame; YBR_FULL_422 stores half of the chroma."""
        pixels = self.rows * self.columns
        if self.photometric == "YBR_FULL_422" and self.native:
            return pixels * 2 * (self.bits_allocated // 8)
        return pixels * self.samples * (self.bits_allocated // 8)


@dataclass(frozen=True, slots=True)
class FrameRef:
    """Where one frame's pixels are, and its rescale. `length` is None for encapsulated pixels."""

    path: Path
    index: int
    frames: int
    offset: int
    length: int | None
    slope: float
    intercept: float
    format: PixelFormat


@dataclass(frozen=True, eq=False)
class Handle:
    """The acquired frames of one entry in the order of k, and what `Volume` needs besides the entry's own fields.

    `places` (n, 11) is what every slice of a volume states about its own place (see `dicom_geometry.places_of`), None
    for pictures; `deviation_mm` is how far corners may lie beside the grid because the warnings say so. `plan` is there
    where the frames are resampled: then k counts the planes of its grid, not the frames.
    """

    frames: tuple[FrameRef, ...]
    series_uid: str | None
    instance_uids: tuple[str, ...]
    instance_numbers: tuple[int | None, ...]
    window: tuple[float, float] | None = None
    inverted: bool = False
    spacing_note: str = ""
    patient_orientation: tuple[str, str] | None = None
    frame_time_ms: float | None = None
    calibrated_regions: tuple[dict[str, float], ...] = ()
    places: NDArray[np.float64] | None = None
    deviation_mm: float = 0.0
    plan: Resampling | None = None
    padding: float | None = None  # of voxels that were not scanned, in rescaled values
    census: Census | None = None


def pixel_format(header: Header) -> PixelFormat:
    """The pixel format of a file, checked. Raises `InputRefused`."""
    get, name = header.get, header.path.name
    rows, columns = get("Rows") or 0, get("Columns") or 0
    allocated = get("BitsAllocated") or 0
    stored = get("BitsStored") or allocated
    high = get("HighBit")
    high = stored - 1 if high is None else high
    samples = get("SamplesPerPixel") or 1
    if rows < 1 or columns < 1:
        raise InputRefused(f"{name} does not state the size of its image.", "Export it again.")
    if allocated not in (8, 16, 32) or not 1 <= stored <= allocated or not stored - 1 <= high < allocated:
        raise InputRefused(
            f"{name} states an impossible pixel format ({allocated} bits allocated, {stored} stored, high bit {high}).",
            "Export it again.",
        )
    photometric = (get("PhotometricInterpretation") or ("RGB" if samples == 3 else "MONOCHROME2")).upper()
    if photometric not in _PHOTOMETRIC.get(samples, ()) or (photometric == "YBR_FULL_422" and columns % 2):
        raise InputRefused(
            f"{name} has pixels of {samples} samples called {photometric}, which this program does not read.",
            "Export it as MONOCHROME2 or RGB.",
        )
    signed = bool(get("PixelRepresentation"))
    return PixelFormat(
        rows, columns, samples, allocated, stored, high, signed, photometric, get("PlanarConfiguration") or 0,
        header.transfer_syntax, header.pixel_words,
    )  # fmt: skip


def frame_ref(frame: Frame, pixels: PixelFormat) -> FrameRef:
    """Where the frame's pixels are. Raises `InputRefused` if the file does not hold them."""
    header = frame.header
    if not (math.isfinite(frame.slope) and math.isfinite(frame.intercept)) or frame.slope == 0.0:
        raise InputRefused(
            f"{header.path.name} states a rescale (slope, intercept) that is no usable number.", "Export it again."
        )
    count = max(1, header.get("NumberOfFrames") or 1)
    check_length(header, pixels, count)
    assert header.pixel_offset is not None
    return FrameRef(
        header.path, frame.index, count, header.pixel_offset, header.pixel_length, frame.slope, frame.intercept, pixels
    )


def check_length(header: Header, pixels: PixelFormat, count: int) -> None:
    """The header's claims against the length of the file, before anything is allocated. Raises `InputRefused`."""
    name = header.path.name
    if header.pixel_offset is None:
        raise InputRefused(f"{name} has no pixel data.", "Export it again with its images.")
    if header.encapsulated:
        _check_encapsulated(header, pixels, count, header.size - header.pixel_offset)
    else:
        _check_plain(header, pixels, pixels.frame_bytes * count)
    if count > _MOST_FRAMES:
        raise InputRefused(f"{name} claims {count} frames; at most {_MOST_FRAMES} are read.", "Split it first.")


def _check_encapsulated(header: Header, pixels: PixelFormat, count: int, held: int) -> None:
    name = header.path.name
    if pixels.native:
        raise InputRefused(f"{name} says it is uncompressed but is compressed.", "Export it again.")
    if 8 * count > held:  # each frame has at least the head of one fragment
        raise InputRefused(f"{name} claims {count} frames and cannot hold them.", _COPY)


def _check_plain(header: Header, pixels: PixelFormat, expected: int) -> None:
    name = header.path.name
    if not pixels.native:
        raise InputRefused(f"{name} says it is compressed but is not.", "Export it again.")
    if header.transfer_syntax == DEFLATED_LE:
        _check_deflated(header, expected)
    length, offset = header.pixel_length or 0, header.pixel_offset or 0
    held = length if not header.size else min(length, header.size - offset)
    if held < expected:
        raise InputRefused(f"{name} is cut short: it holds {held} of {expected} bytes of pixels.", _COPY)


def _check_deflated(header: Header, expected: int) -> None:
    size = header.path.stat().st_size
    if expected > max(_LARGE_BYTES, _HIGHEST_RATIO * size):
        raise InputRefused(
            f"{header.path.name} would unpack from {amount(size)} to {amount(expected)}.",
            "Such a file is not a scan. Export it uncompressed if you trust it.",
        )
