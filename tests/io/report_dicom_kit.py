"""A synthetic DICOM scan with a measured, signed or bad report on it, for the tests of DICOM SR, PDF and FHIR."""

from __future__ import annotations

import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pydicom
import pytest
from dicom_factory import Edit, Series

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "core" / "report"))
from report_kit import DEFAULT, NOW, full_report, measured, png, segment, terms, words_of

from medviewer.core.report import signing
from medviewer.core.report.audit import Reviewed
from medviewer.core.report.checklist import identity_line
from medviewer.core.report.document import KeyImage, Language, Measurement, Report, Status
from medviewer.core.segmentation import Segment
from medviewer.core.terminology import Term
from medviewer.core.volume import Volume
from medviewer.io import report_sr
from medviewer.services.open_data import open_volume

EVIL = "<script>alert(1)</script>\x00\x1b[2J=cmd|' /C calc'!A0\u202e&amp;\\X2\\0041\\X0\\ ^~=%PDF"
HEBREW = "הכבד: נפח 1450 מ״ל"
LONG = "A finding of many words. " * 4000  # 100,000 characters
IDS = {name: uuid.uuid5(uuid.NAMESPACE_OID, name).hex for name in ("liver", "left kidney", "right kidney", "nothing")}


def scan_in(folder: Path, edit: Edit | None = None) -> Volume:
    """A CT of 20 x 20 x 20 voxels, written to and opened from a folder."""
    Series(slices=20, rows=20, columns=20, edit=edit).write(folder / "scan")
    return open_volume(folder / "scan")


def segments() -> tuple[Segment, ...]:
    return (
        segment("kidney", "left", 10, id=IDS["left kidney"]),
        segment("liver", id=IDS["liver"]),
        segment("kidney", "right", 1, id=IDS["right kidney"]),
    )


def measurements(*more: Measurement) -> tuple[Measurement, ...]:
    left, liver, right = segments()
    pole = {"method": "pole_to_pole_surface"}
    ends = ((-5.0, -10.0, 70.0), (4.0, -8.0, 160.0))
    return (
        measured(left, "length", 108.53, "mm", **pole, slice_index=11, flags=("above range",), range_text="97-108 mm"),
        measured(left, "volume", 150.2, "ml"),
        measured(right, "length", 96.4, "mm", **pole, points=ends, slice_index=3),
        measured(liver, "volume", 1450.4, "ml"),
        measured(liver, "parenchyma_mean", 51.25, "HU", method="mean_without_rim"),
        *more,
    )


def report_on(scan: Volume, language: Language = "en", *more: Measurement, **changes: Any) -> Report:
    """Liver and both kidneys, measured, with a sentence by hand."""
    values: dict[str, Any] = {"volume": scan, "segments": segments(), "measurements": measurements(*more)} | changes
    return full_report(language, **values)


def with_pictures(report: Report, scan: Volume) -> Report:
    """Two key images: the first sentence's own, through image 12 of the scan, and a view across the slices."""
    first = report.findings[0].id
    native = KeyImage(png(), "Left kidney, axial", (first,), scan.source.instance_uids[11])
    return report.with_changes(key_images=(native, KeyImage(png((30, 20)), "Left kidney, coronal", (first,))))


def signed(report: Report, *statuses: Status) -> Reviewed:
    """The report accepted, with an impression, and taken to each status by Dr. Example."""
    words = words_of(report.language)
    work = signing.accept_measured(Reviewed(report), NOW)
    work = signing.insert_impression(work, "Measured.", [work.report.findings[0].id], NOW)
    for status in statuses:
        work = signing.sign(work, status, NOW, words, identity_shown=identity_line(work.report, words))
    return work


@cache
def term_map() -> dict[str, Term]:
    return {term.id: term for term in terms()}


def need(tool: str, package: str) -> str:
    """Path of a Debian tool; the test is skipped with its name where it is absent."""
    found = shutil.which(tool)
    if found is None:
        pytest.skip(f"{tool} (Debian package {package}) is not installed")
    return found


def dciodvfy_errors(path: Path) -> list[str]:
    """What the reference validator calls an error."""
    done = subprocess.run([need("dciodvfy", "dicom3tools"), str(path)], capture_output=True, timeout=60)
    lines = (done.stdout + done.stderr).decode(errors="replace").splitlines()
    assert done.returncode >= 0, lines[-3:]
    return [line for line in lines if line.startswith("Error")]


def sr_written(report: Report, scan: Volume, folder: Path, **options: Any) -> Any:
    """The SR of a report, read by pydicom; nothing else is left in the folder."""
    path = folder / "report.dcm"
    report_sr.write(path, report, words_of(report.language), scan, terms=term_map(), **options)
    assert [p.name for p in folder.glob("*report*")] == [path.name]
    return pydicom.dcmread(path)


def items(node: Any) -> Iterator[Any]:
    for one in node.get("ContentSequence", []):
        yield one
        yield from items(one)


def named(node: Any, meaning: str) -> list[Any]:
    return [one for one in items(node) if one.ConceptNameCodeSequence[0].CodeMeaning == meaning]


def texts(node: Any) -> list[str]:
    return [one.TextValue for one in items(node) if one.ValueType == "TEXT"]


def code(one: Any) -> tuple[str, str]:
    return one.CodeValue if "CodeValue" in one else one.LongCodeValue, one.CodingSchemeDesignator


__all__ = [
    "DEFAULT", "EVIL", "HEBREW", "IDS", "LONG", "NOW", "code", "dciodvfy_errors", "items", "measured", "measurements",
    "named", "need", "report_on", "scan_in", "segment", "segments", "signed", "sr_written", "term_map", "texts",
    "with_pictures", "words_of",
]  # fmt: skip
