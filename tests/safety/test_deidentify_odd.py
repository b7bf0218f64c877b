"""Elements that are not what they claim, and files that are built to break a parser: nothing is carried over."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from medviewer.services.deidentify import DeidentifyReport, deidentify
from tests.safety.planted import PlantedSeries, scan_tree

pytestmark = pytest.mark.filterwarnings("ignore:Invalid value for VR")  # the planted ones


@pytest.fixture
def series(tmp_path: Path) -> Path:
    PlantedSeries(slices=3).write(tmp_path / "in")
    return tmp_path / "in"


def run(source: Path) -> tuple[Path, DeidentifyReport]:
    out = source.parent / f"{source.name}-out"
    return out, deidentify([source], out)


def explicit(tag: int, vr: bytes, value: bytes) -> bytes:
    """The bytes of an element in explicit VR little endian, whatever its value."""
    if vr in (b"OB", b"OW", b"UN", b"SQ"):
        return struct.pack("<HH2sHI", tag >> 16, tag & 0xFFFF, vr, 0, len(value)) + value
    return struct.pack("<HH2sH", tag >> 16, tag & 0xFFFF, vr, len(value)) + value


NAME = b"Qzvarnholt"
ITEM = struct.pack("<HHI", 0xFFFE, 0xE000, 18)
ODD_ELEMENTS = {
    "twice": explicit(0x00104000, b"LT", NAME),
    "number that is a name": explicit(0x00181314, b"DS", NAME),
    "integer that is an id": explicit(0x00200012, b"IS", b"PID7731904X "),
    "bytes of a number": explicit(0x00189073, b"FD", NAME + b"123456"),
    "colour profile": explicit(0x00282000, b"OB", NAME),
    "look-up table": explicit(0x00283006, b"OW", NAME),
    "16-bit letters": explicit(0x00180015, b"CS", NAME.decode().encode("utf-16-le")),
    "SOP class": explicit(0x00081140, b"SQ", ITEM + explicit(0x00081150, b"UI", NAME)),
    "sequence written as UN": explicit(0x00081111, b"UN", ITEM + struct.pack("<HHI", 0x10, 0x10, 10) + NAME),
    "unknown VR": explicit(0x00180015, b"1A", NAME),
    "command group": explicit(0x00000010, b"LO", NAME),
    "directory group": explicit(0x00041500, b"CS", NAME),
}


@pytest.mark.parametrize("kind", ODD_ELEMENTS)
def test_odd_elements_carry_nothing_over(tmp_path: Path, kind: str) -> None:
    PlantedSeries(slices=1).write(tmp_path / "in")
    (path,) = (tmp_path / "in").iterdir()
    data = path.read_bytes()
    at = data.index(struct.pack("<HH", 0x0020, 0x000D))
    path.write_bytes(data[:at] + ODD_ELEMENTS[kind] + data[at:] + b"behind the end: " + NAME)
    out, report = run(tmp_path / "in")
    assert report.files == 1
    assert scan_tree(out).places == {}


def test_a_file_that_is_nested_too_deeply_is_named(series: Path) -> None:
    data = (series / "im000.dcm").read_bytes()
    at = data.index(struct.pack("<HH", 0x0020, 0x000D))
    start = struct.pack("<HH2sHIHHI", 0x0008, 0x1140, b"SQ", 0, 0xFFFFFFFF, 0xFFFE, 0xE000, 0xFFFFFFFF)
    end = struct.pack("<HHIHHI", 0xFFFE, 0xE00D, 0, 0xFFFE, 0xE0DD, 0)
    (series / "deep.dcm").write_bytes(data[:at] + start * 20_000 + end * 20_000 + data[at:])
    _, report = run(series)
    assert [(item.path.name, item.kind) for item in report.not_copied] == [("deep.dcm", "unreadable")]
