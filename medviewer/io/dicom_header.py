"""One DICOM file's header, read without its pixels: our own element walk first, pydicom for whatever is irregular."""

from __future__ import annotations

import os
import stat
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from medviewer.core.plain_text import one_line, readable_name
from medviewer.io.decode_pool import WorkerFailed, ask_about
from medviewer.io.dicom_parser import UNDEFINED, CutShort, Elements, Irregular, NeedMore, Overfull, Walker
from medviewer.io.dicom_tags import KEYWORDS, WANTED, decode

IMPLICIT_LE, EXPLICIT_LE = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1"
DEFLATED_LE, EXPLICIT_BE = "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.2"
NATIVE_SYNTAXES = frozenset((IMPLICIT_LE, EXPLICIT_LE, DEFLATED_LE, EXPLICIT_BE))
_COPY = "Copy it again from its source."
_FIRST_READ, _LONGEST_HEADER = 16 << 10, 64 << 20


class NotReadable(Exception):
    """Why a file is no usable DICOM file: one sentence with a hint. `other_kind`: it was never a DICOM file."""

    def __init__(self, reason: str, other_kind: bool = False) -> None:
        super().__init__(reason)
        self.other_kind = other_kind


@dataclass(slots=True)
class Header:
    """The wanted elements of one file. `get("Rows")` gives a value, or None where absent, empty or malformed.

    `pixel_offset` is where the value of the pixel data begins (in the inflated data set of a deflated file),
    `pixel_length` its length in bytes, None if encapsulated, `pixel_words` tells that its VR is OW.
    `notes` tell of oddities that were read past.
    """

    path: Path
    size: int
    transfer_syntax: str
    raw: dict[int, bytes]
    pixel_offset: int | None = None
    pixel_length: int | None = None
    float_pixels: bool = False
    notes: tuple[str, ...] = ()
    pixel_words: bool = False
    _values: dict[str, Any] = field(default_factory=dict)

    def get(self, keyword: str) -> Any:
        """The decoded value of a wanted element, by keyword."""
        try:
            return self._values[keyword]
        except KeyError:
            pass
        tag = KEYWORDS[keyword]
        raw = self.raw.get(tag)
        value = None
        if raw is not None:
            encodings = () if keyword == "SpecificCharacterSet" else self.get("SpecificCharacterSet") or ()
            value = decode(tag, raw, self.transfer_syntax == EXPLICIT_BE, encodings)
        self._values[keyword] = value
        return value

    def has(self, keyword: str) -> bool:
        """Is there anything in the element, readable or not?"""
        return bool(self.raw.get(KEYWORDS[keyword], b"").strip(b" \0")) or self._values.get(keyword) is not None

    @property
    def encapsulated(self) -> bool:
        return self.pixel_offset is not None and self.pixel_length is None


def read_header(path: Path) -> Header:
    """The header of one file. Raises `NotReadable`; never reads pixels, never follows anything but a regular file."""
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0))
    except OSError as error:
        raise NotReadable(f"{path.name} cannot be opened ({error.strerror}). Check its permissions.") from None
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise NotReadable(f"{path.name} is not an ordinary file.", other_kind=True)
        if status.st_size == 0:
            raise NotReadable(f"{path.name} is empty (0 bytes). {_COPY}")
        return _read_open(path, descriptor, status.st_size)
    except OSError as error:
        raise NotReadable(f"{path.name} cannot be read ({error.strerror}). Check the drive.") from None
    finally:
        os.close(descriptor)


def _read_open(path: Path, descriptor: int, size: int) -> Header:
    length = min(_FIRST_READ, size)
    buffer = os.read(descriptor, length)
    _require_dicom(path, buffer)
    while True:
        try:
            return _parse(path, buffer, size)
        except NeedMore:
            if len(buffer) >= min(size, _LONGEST_HEADER):
                return _read_with_pydicom(path, size)
            buffer += os.read(descriptor, max(len(buffer) * 3, 1 << 20))
        except CutShort:
            raise NotReadable(f"{path.name} is cut short. {_COPY}") from None
        except Overfull:
            raise NotReadable(f"{path.name} has more elements than any image needs. Export it again.") from None
        except Irregular:
            if DEFLATED_LE.encode() in buffer[:_FIRST_READ]:  # pydicom would inflate it all
                raise NotReadable(f"{path.name} is damaged or cut short. {_COPY}") from None
            return _read_with_pydicom(path, size)


def _require_dicom(path: Path, buffer: bytes) -> None:
    if buffer[128:132] != b"DICM" and not _is_bare(buffer):
        raise NotReadable(f"{path.name} is not a DICOM file. Check how it was exported.", other_kind=True)


def _is_bare(buffer: bytes) -> bool:
    """Is this a data set without preamble? Judged by its first element."""
    if len(buffer) < 16 or buffer[0:2] not in (b"\x02\x00", b"\x08\x00") or buffer[3] != 0:
        return False
    explicit = buffer[4:6].isalpha() and buffer[4:6].isupper()
    length = int.from_bytes(buffer[4:8], "little")
    return explicit or length < 1024


def _parse(path: Path, buffer: bytes, size: int) -> Header:
    notes: tuple[str, ...] = ()
    has_preamble = buffer[128:132] == b"DICM"
    start = 132 if has_preamble else 0
    meta, syntax = Elements(end=start), None
    if buffer[start : start + 2] == b"\x02\x00":
        meta = Walker(buffer, True, False).walk(start, size, stop_group=2)
        syntax = meta.raw.get(0x00020010, b"").decode("ascii", "replace").strip(" \0") or None
    if not has_preamble:
        notes += ("the file has no DICOM preamble",)
    if syntax is None:
        syntax, note = _guess_syntax(buffer, meta.end)
        notes += (note,)
    if syntax == DEFLATED_LE:
        return _parse_deflated(path, buffer, size, meta.end)
    walker = Walker(buffer, syntax != IMPLICIT_LE, syntax == EXPLICIT_BE)
    found = walker.walk(meta.end, size)
    found.raw.update(meta.raw)
    return _header(path, size, syntax, found, notes)


def _guess_syntax(buffer: bytes, at: int) -> tuple[str, str]:
    explicit = buffer[at + 4 : at + 6].isalpha() and buffer[at + 4 : at + 6].isupper()
    name = "explicit" if explicit else "implicit"
    return EXPLICIT_LE if explicit else IMPLICIT_LE, f"no transfer syntax recorded, read as {name} VR little endian"


def _parse_deflated(path: Path, buffer: bytes, size: int, start: int) -> Header:
    """Inflate only as much as the header needs; a bomb therefore costs at most `_LONGEST_HEADER` bytes."""
    if len(buffer) < min(size, 4 << 20):
        raise NeedMore
    inflater, inflated = zlib.decompressobj(-zlib.MAX_WBITS), b""
    pending, budget = buffer[start:], 1 << 20
    while True:
        try:
            inflated += inflater.decompress(pending, budget)
            pending = inflater.unconsumed_tail
            total = len(inflated) if inflater.eof or not pending else _LONGEST_HEADER * 64
            found = Walker(inflated, True, False).walk(0, total)
            return _header(path, 0, DEFLATED_LE, found, ())
        except NeedMore:
            if len(inflated) >= _LONGEST_HEADER or not pending:
                read = f"{len(inflated) / 1e6:.0f} MB"
                raise NotReadable(f"{path.name} has no readable header in its first {read}.") from None
            budget = len(inflated) * 3
        except (Irregular, CutShort, zlib.error):
            raise NotReadable(f"{path.name} is damaged or cut short. {_COPY}") from None


def _header(path: Path, size: int, syntax: str, found: Elements, notes: tuple[str, ...]) -> Header:
    if found.repeated:
        notes += ("an element is recorded twice; the last one was used",)
    return Header(
        path, size, syntax, found.raw, found.pixel_offset, _length(found), found.float_pixels, notes, found.pixel_words
    )


def _length(found: Elements) -> int | None:
    return None if found.pixel_length == UNDEFINED else found.pixel_length


def _read_with_pydicom(path: Path, size: int) -> Header:
    """The fallback of record for irregular element streams, in a decode worker. Raises `NotReadable`."""
    try:
        found = ask_about("header", path)[0]
    except WorkerFailed as error:
        if error.kind == "RecursionError":
            raise NotReadable(f"{path.name} is nested too deeply to be read. Export it again.") from None
        if error.kind == "NotReadable":
            raise NotReadable(error.reason) from None
        raise NotReadable(f"{path.name} is damaged ({error.kind or error.reason}). {_COPY}") from None
    values = {keyword: tuple(v) if isinstance(v, list) else v for keyword, v in found["values"].items()}
    if values.get("SOPClassUID") is None and values.get("Rows") is None:
        raise NotReadable(f"{path.name} is not a readable DICOM file. {_COPY}")
    notes = ("the file is irregular; pydicom read its header",)
    return Header(
        path, size, found["syntax"], {}, found["offset"], found["length"], False, notes, found["words"], values
    )


def header_task(path: Path) -> tuple[dict[str, Any], bytes]:
    """In the worker: the wanted elements as pydicom reads them, and where the pixel data lies."""
    import warnings

    import pydicom

    with warnings.catch_warnings(), path.open("rb") as file:
        warnings.simplefilter("ignore")
        dataset = pydicom.dcmread(file, force=True, stop_before_pixels=True, specific_tags=list(WANTED))
        values = {keyword: _plain(dataset, keyword) for keyword in KEYWORDS if keyword in dataset}
        syntax = str(dataset.file_meta.get("TransferSyntaxUID") or IMPLICIT_LE)
        if syntax == DEFLATED_LE:
            raise NotReadable(f"{path.name} is damaged or cut short. {_COPY}")
        pixels = _pixels_here(file.read(12), dataset.original_encoding, file.tell())
    found = {"values": values, "syntax": syntax, "offset": pixels.pixel_offset, "words": pixels.pixel_words}
    return found | {"length": _length(pixels)}, b""


def _pixels_here(head: bytes, encoding: tuple[Any, Any], end: int) -> Elements:
    """The pixel data element whose first bytes are `head` (ending at file offset `end`), if it is one."""
    if len(head) < 12:
        return Elements()
    for explicit in (not encoding[0], bool(encoding[0])):  # some files mix the two
        try:
            found = Walker(head, explicit, encoding[1] is False).walk(0, 1 << 62)
        except (Irregular, CutShort, NeedMore):
            continue
        if found.pixel_offset is not None:
            found.pixel_offset += end - len(head)
            return found
    return Elements()


def _plain(dataset: Any, keyword: str) -> Any:
    """pydicom's value as plain Python types."""
    kind = WANTED[KEYWORDS[keyword]][1]
    if kind == "present":
        return True
    value = dataset.get(keyword)
    if value is None or value == "":
        return None
    if kind in ("codes", "floats", "fd"):
        many = value if isinstance(value, (list, tuple)) or hasattr(value, "append") else [value]
        return tuple(float(v) if kind != "codes" else str(v) for v in many)
    if kind == "name":
        return readable_name(one_line(str(value)))
    return float(value) if kind == "float" else int(value) if kind in ("int", "us") else one_line(str(value))


def deflated_start(data: bytes) -> int:
    """Where the deflated data set begins: after the file meta information."""
    return Walker(data, True, False).walk(132, len(data), stop_group=2).end
