"""Header strings made to be taken for something else: markup, paths, formulas, formats, control characters."""

from __future__ import annotations

import warnings
from pathlib import Path

import pydicom

from tests.safety.planted import PlantedSeries

NASTY: dict[str, str] = {
    "markup": "<img src=file:///etc/passwd><b>bold</b>",
    "link": '<a href="file:///etc/passwd">click</a>',
    "path": "../../../tmp/escaped",
    "absolute path": "/tmp/escaped",
    "nul": "before\0after",
    "new line": "first\nsecond\r\nthird",
    "direction": "abc\u202egnp.exe\u2066x\u200f",
    "terminal": "\x1b]0;title\x07\x1b[31mred\x1b[2J",
    "format": "%n%s%x{0}{name}%(name)s",
    "formula": "=cmd|'/C calc'!A0",
    "ampersand": "Tom & Jerry && &amp; &lt;",
    "long": "L" * 65_000,
    "tab": "one\ttwo",
    "marks": "a" + "\u0301" * 500,
}
KEYWORDS = ("PatientName", "PatientID", "StudyDescription", "SeriesDescription", "BodyPartExamined", "ProtocolName",
            "Manufacturer", "SequenceName", "PatientBirthDate", "StudyDate")  # fmt: skip
DANGEROUS = ("\0", "\r", "\t", "\x1b", "\x07", "\u202e", "\u2066", "\u200f")


def write(folder: Path, text: str, slices: int = 3, keywords: tuple[str, ...] = KEYWORDS) -> Path:
    """A series whose texts are all `text`, in UTF-8."""
    for path in PlantedSeries(slices=slices).write(folder):
        dataset = pydicom.dcmread(path)
        dataset.SpecificCharacterSet = "ISO_IR 192"
        for keyword in keywords:
            tag = pydicom.datadict.tag_for_keyword(keyword)
            kind = pydicom.datadict.dictionary_VR(tag)
            value = text.encode("ascii", "ignore").decode() if kind in ("DA", "CS") else text
            dataset[tag] = pydicom.DataElement(tag, kind, value, validation_mode=pydicom.config.IGNORE)
        with warnings.catch_warnings(action="ignore"):
            dataset.save_as(path)
    return folder
