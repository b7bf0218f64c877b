"""pydicom's own test files: each is shown, or refused in one sentence; none ends the program or hangs it."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import numpy as np
import pydicom
import pytest

from medviewer.core.errors import InputRefused
from medviewer.core.volume import SeriesEntry, Volume
from medviewer.io import dicom_series
from medviewer.io.dicom_header import read_header

CORPUS = Path(pydicom.__file__).parent / "data" / "test_files"
FILES = sorted(path for path in CORPUS.rglob("*") if path.is_file() and path.suffix not in (".gz", ".py", ".json"))
# What cannot be shown: not images, or images that are damaged on purpose
UNREADABLE = {"JPEG2000-embedded-sequence-delimiter.dcm", "MR_truncated.dcm", "ExplVR_BigEndNoMeta.dcm"}

pytestmark = pytest.mark.filterwarnings("ignore:Expected explicit VR")


def _is_image(path: Path) -> bool:
    try:
        dataset = pydicom.dcmread(path, force=True)
    except Exception:
        return False
    others = ("SEG", "RTDOSE")
    return "PixelData" in dataset and "Rows" in dataset and dataset.get("Modality") not in others


def _load_or_refusal(entry: SeriesEntry) -> Volume | InputRefused:
    try:
        return dicom_series.load(entry)
    except InputRefused as error:
        return error


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_file_is_shown_or_refused_by_name(path: Path, tmp_path: Path) -> None:
    copy = tmp_path / path.name
    shutil.copyfile(path, copy)
    start = time.perf_counter()
    result = dicom_series.scan(copy)
    shown = 0
    for entry in result.entries:
        volume = _load_or_refusal(entry)
        if isinstance(volume, InputRefused):
            assert path.name in volume.message
            assert volume.hint
            continue
        shown += 1
        assert volume.shape == entry.shape_xyz
        assert dicom_series.load_thumbnail(entry).dtype == np.uint8
    assert result.entries or result.refused
    assert all(len(item.reason) > 20 for item in result.refused)
    assert time.perf_counter() - start < 10
    if path.name not in UNREADABLE:
        assert bool(shown) == _is_image(path)


def test_dicomdir_of_the_corpus_reads_its_series() -> None:
    root = CORPUS / "dicomdirtests"
    if not (root / "DICOMDIR").is_file():
        pytest.skip("no DICOMDIR in this pydicom wheel")
    result = dicom_series.scan(root / "DICOMDIR")
    assert {entry.patient.id for entry in result.entries} == {"77654033", "98890234"}
    assert len({ref.path for entry in result.entries for ref in entry.handle.frames}) == 31  # all that it lists


CHARSETS = sorted((CORPUS.parent / "charset_files").glob("*.dcm"))


@pytest.mark.parametrize("path", CHARSETS, ids=lambda path: path.stem)
def test_names_in_every_character_set(path: Path) -> None:
    """All component groups of the name, as pydicom decodes them."""
    name = pydicom.dcmread(path).get("PatientName")
    groups = (g.split("^") for g in str(name or "").split("=") if g.strip("^ "))
    expected = " = ".join(", ".join(part.strip() for part in group if part.strip()) for group in groups)
    assert (read_header(path).get("PatientName") or "") == expected
