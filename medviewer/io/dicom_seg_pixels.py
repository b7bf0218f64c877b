"""The stored frames of a DICOM SEG, unpacked one at a time; compressed ones are decoded by the worker process."""

from __future__ import annotations

import io
import warnings as python_warnings
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medviewer.core.errors import InputRefused
from medviewer.io.dicom_header import deflated_start, read_header
from medviewer.io.voxel_stream import amount

_DEFLATED = "1.2.840.10008.1.2.1.99"
_LABEL_MAP = "1.2.840.10008.5.1.4.1.1.66.7"
_MOST_INFLATED = 512 << 20  # bytes of a deflated file: 16,000 binary frames of 512 x 512
_MOST_FRAMES = 200_000
_ITEM, _FEW_ITEMS, _BYTES_PER_ITEM = b"\xfe\xff\x00\xe0", 20_000, 40  # items of real segmentations are larger
_COPY = "Copy it again from its source."


@dataclass(frozen=True, eq=False)
class SegPixels:
    """Size and stored bytes of all frames. `largest` is MaximumFractionalValue; `background` means nothing (label map);
    `thickness` is the distance between slices, 1.0 where it is not stated."""

    count: int
    rows: int
    columns: int
    bits: int
    largest: int
    background: frozenset[int]
    thickness: float
    data: bytes  # b"" where compressed
    path: Path | None = None
    offset: int = 0
    transfer_syntax: str = ""

    def frame(self, number: int) -> NDArray[Any]:
        """Frame `number` (0-based): (row, column), bool for one bit, else the stored values."""
        if self.path is not None:
            return self._decoded(number)
        size = self.rows * self.columns
        if self.bits == 1:  # packed bit by bit without gaps between frames, the lowest bit first
            first, bit = divmod(number * size, 8)
            part = np.frombuffer(self.data, np.uint8, count=-(-(bit + size) // 8), offset=first)
            bits = np.unpackbits(part, bitorder="little")[bit : bit + size]
            return bits.reshape(self.rows, self.columns).view(np.bool_)
        kind = np.dtype(f"<u{self.bits // 8}")
        values = np.frombuffer(self.data, kind, count=size, offset=number * size * kind.itemsize)
        return values.reshape(self.rows, self.columns)

    def _decoded(self, number: int) -> NDArray[Any]:
        from medviewer.io.decode_frames import decode
        from medviewer.io.dicom_handle import FrameRef, PixelFormat

        assert self.path is not None
        form = PixelFormat(
            self.rows, self.columns, 1, self.bits, self.bits, self.bits - 1, False, "MONOCHROME2", 0,
            self.transfer_syntax,
        )  # fmt: skip
        return decode(FrameRef(self.path, number, self.count, self.offset, None, 1.0, 0.0, form))


def read_dataset(path: Path) -> Any:
    """The data set of a DICOM file. Raises InputRefused, also for a deflated file that would unpack to a huge one."""
    import pydicom

    try:
        with python_warnings.catch_warnings():
            python_warnings.simplefilter("ignore")
            read_header(path)  # bounded, which pydicom's walk is not: 10 MB of empty elements would take it minutes
            meta = pydicom.filereader.read_file_meta_info(path)
            if str(meta.get("TransferSyntaxUID")) == _DEFLATED:
                unpacked = _inflated(path, meta)
                _refuse_many_items(path, unpacked.getvalue())
                return pydicom.dcmread(unpacked)
            _refuse_many_items(path, path.read_bytes())
            return pydicom.dcmread(path)
    except InputRefused:
        raise
    except (Exception, RecursionError) as error:
        raise InputRefused(f"{path.name} is not a readable DICOM file.", "Choose a DICOM SEG file.") from error


def _refuse_many_items(path: Path, data: bytes) -> None:
    if data.count(_ITEM) > max(_FEW_ITEMS, len(data) // _BYTES_PER_ITEM):
        raise InputRefused(f"{path.name} has more items than any segmentation.", "Export it again.")


def pixels_of(dataset: Any) -> SegPixels:
    """Checked against the bytes there are, before anything is allocated. Raises InputRefused, ValueError."""
    count, rows, columns = int(dataset.get("NumberOfFrames") or 1), int(dataset.Rows), int(dataset.Columns)
    bits = int(dataset.BitsAllocated)
    if min(count, rows, columns) < 1 or count > _MOST_FRAMES or bits not in (1, 8, 16):
        raise ValueError("an impossible size")
    largest = int(dataset.get("MaximumFractionalValue") or 1)
    shape = (count, rows, columns, bits, largest, background_of(dataset), _thickness(dataset))
    syntax = dataset.file_meta.TransferSyntaxUID
    if syntax.is_encapsulated:
        return SegPixels(*shape, b"", *_compressed(dataset, bits))
    if not syntax.is_little_endian:
        raise InputRefused("The DICOM SEG is stored in big-endian order, which is not read.", "Export it again.")
    data = bytes(dataset.PixelData)
    if len(data) * 8 < count * rows * columns * bits:
        raise InputRefused("The DICOM SEG is cut short: its pixels are not complete.", _COPY)
    return SegPixels(*shape, data)


def background_of(dataset: Any) -> frozenset[int]:
    """Values of a label map that are no segment: 0 and the padding value; none in other segmentations."""
    if str(dataset.get("SOPClassUID")) != _LABEL_MAP:
        return frozenset()
    padding = dataset.get("PixelPaddingValue")
    return frozenset({0} if padding is None else {0, int(padding)})


def _compressed(dataset: Any, bits: int) -> tuple[Path, int, str]:
    """Where the encapsulated frames are."""
    from medviewer.io.dicom_header import NotReadable, read_header

    if bits == 1:
        raise InputRefused("The DICOM SEG has compressed one-bit frames, which are not read.", "Export it again.")
    path = Path(dataset.filename)
    try:
        offset = read_header(path).pixel_offset
    except NotReadable as error:
        raise InputRefused(f"{error}", _COPY) from error
    if offset is None:
        raise ValueError("no pixels")
    return path, offset, str(dataset.file_meta.TransferSyntaxUID)


def _thickness(dataset: Any) -> float:
    shared = (dataset.get("SharedFunctionalGroupsSequence") or [None])[0]
    measures = shared.get("PixelMeasuresSequence") if shared is not None else None
    for name in ("SpacingBetweenSlices", "SliceThickness"):
        value = float(measures[0].get(name) or 0.0) if measures else 0.0
        if 0.0 < value < 1000.0:
            return value
    return 1.0


def _inflated(path: Path, meta: Any) -> io.BytesIO:
    """The file with its data set unpacked, as an explicit little endian file."""
    from pydicom.filewriter import write_file_meta_info
    from pydicom.uid import ExplicitVRLittleEndian

    data = path.read_bytes()
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    body = inflater.decompress(memoryview(data)[deflated_start(data) :], _MOST_INFLATED)
    if inflater.unconsumed_tail:
        raise InputRefused(
            f"{path.name} would unpack from {amount(len(data))} to more than {amount(_MOST_INFLATED)}.",
            "Export it uncompressed if you trust it.",
        )
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    file = io.BytesIO()
    file.write(b"\0" * 128 + b"DICM")
    write_file_meta_info(file, meta, enforce_standard=False)
    file.write(body)
    file.seek(0)
    return file
