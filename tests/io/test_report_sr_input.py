"""DICOM SR of odd scans and texts: refused in words, or written harmless and whole."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from dicom_factory import Series, enhanced, save
from report_dicom_kit import (
    DEFAULT,
    EVIL,
    HEBREW,
    IDS,
    LONG,
    code,
    dciodvfy_errors,
    items,
    measured,
    named,
    report_on,
    scan_in,
    segments,
    sr_written,
    texts,
    words_of,
)
from report_kit import model_sentence, with_sentence

from medviewer.core.errors import OutputNotWritten
from medviewer.core.report.document import Identity
from medviewer.core.segmentation import Segment
from medviewer.core.volume import Source, Volume
from medviewer.io import report_sr
from medviewer.io.report_dicom import harmless, moment_of, person_name
from medviewer.services.open_data import open_volume
from medviewer.services.save_data import save_segments

pytestmark = pytest.mark.filterwarnings("ignore")  # pydicom and highdicom warn of the odd sources made here


# -- refusals ------------------------------------------------------------------------------
def test_a_scan_that_is_no_dicom_is_refused_with_a_hint(scan: Volume, tmp_path: Path) -> None:
    png = scan.with_changes(source=Source("nifti", Path("scan.nii.gz")))
    with pytest.raises(OutputNotWritten, match="are no DICOM") as told:
        sr_written(report_on(scan), png, tmp_path)
    assert ".pdf" in told.value.hint


def test_without_a_study_of_its_own_it_goes_into_that_of_the_masks(tmp_path: Path) -> None:
    def edit(dataset: Any, k: int) -> None:
        dataset.StudyInstanceUID = dataset.SOPInstanceUID = dataset.PatientID = ""

    nameless = scan_in(tmp_path, edit)
    converted = nameless.with_changes(source=Source("nifti", Path("scan.nii.gz")))
    for number, scan in enumerate((nameless, converted)):
        masks = tmp_path / f"masks{number}.dcm"
        save_segments(masks, scan, segments())
        with pytest.raises(OutputNotWritten, match=r"UIDs|no DICOM"):
            sr_written(report_on(scan), scan, tmp_path)
        found, seg = sr_written(report_on(scan), scan, tmp_path, segmentation=masks), pydicom.dcmread(masks)
        assert (found.StudyInstanceUID, found.PatientID) == (seg.StudyInstanceUID, seg.PatientID)
        assert len(named(found, "Referenced Segment")) == 3
        assert dciodvfy_errors(tmp_path / "report.dcm") == []


def test_the_report_of_another_patient_is_refused(scan: Volume, tmp_path: Path) -> None:
    """clinical.md 10."""
    report = report_on(scan)
    for name in ("patient_id", "name", "birth_date", "study_uid"):
        with pytest.raises(OutputNotWritten, match="another patient or study"):
            sr_written(report.with_changes(identity=replace(report.identity, **{name: "9"})), scan, tmp_path)
    with pytest.raises(OutputNotWritten, match="another patient or study"):
        sr_written(report.with_changes(identity=Identity()), scan, tmp_path)


def test_a_scan_whose_files_are_gone_or_lack_their_uids_is_refused(tmp_path: Path) -> None:
    scan = scan_in(tmp_path)
    report = report_on(scan)
    spoilt = pydicom.dcmread(scan.source.files[5])
    whole = scan.source.files[5].read_bytes()
    del spoilt.StudyInstanceUID
    spoilt.save_as(scan.source.files[5])
    with pytest.raises(OutputNotWritten, match="UIDs"):
        sr_written(report, scan, tmp_path)
    scan.source.files[5].write_bytes(whole)
    scan.source.files[7].unlink()
    with pytest.raises(OutputNotWritten, match="can no longer be read"):
        sr_written(report, scan, tmp_path)


def test_the_scan_itself_is_never_written(scan: Volume) -> None:
    before = scan.source.files[0].read_bytes()
    with pytest.raises(OutputNotWritten, match="never written"):
        report_sr.write(scan.source.files[0], report_on(scan), words_of("en"), scan)
    assert scan.source.files[0].read_bytes() == before


def test_an_older_file_stays_where_reading_back_finds_a_difference(
    scan: Volume, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "report.dcm").write_bytes(b"older")
    monkeypatch.setattr(report_sr, "sentences", lambda report, words, instances: [])
    with pytest.raises(OutputNotWritten, match="text"):
        sr_written(report_on(scan), scan, tmp_path)
    assert (tmp_path / "report.dcm").read_bytes() == b"older"
    assert [p.name for p in tmp_path.iterdir()] == ["report.dcm"]


def test_a_multi_frame_scan_is_referred_to_by_its_frames(tmp_path: Path) -> None:
    save(enhanced(Series(slices=20, rows=20, columns=20)), tmp_path / "frames.dcm")
    scan = open_volume(tmp_path / "frames.dcm")
    found = sr_written(report_on(scan), scan, tmp_path)
    image = next(c for one in named(found, "Length") for c in one.ContentSequence if c.ValueType == "IMAGE")
    reference = image.ReferencedSOPSequence[0]
    assert (reference.ReferencedSOPInstanceUID, reference.ReferencedFrameNumber) == (scan.source.instance_uids[0], 12)
    assert dciodvfy_errors(tmp_path / "report.dcm") == []


def test_an_x_ray_without_a_place_in_the_patient_has_its_image_and_no_points(tmp_path: Path) -> None:
    def edit(dataset: Any, k: int) -> None:
        dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.1"
        dataset.Modality = "CR"
        for name in ("ImagePositionPatient", "ImageOrientationPatient", "FrameOfReferenceUID"):
            del dataset[name]

    Series(slices=1, rows=20, columns=20, edit=edit).write(tmp_path / "scan")
    scan = open_volume(tmp_path / "scan")
    assert scan.affine is None
    heart = Segment("heart", np.ones((20, 20, 1), bool), term_id="heart", id=IDS["liver"], provenance=DEFAULT)
    points = ((1.0, 2.0, 0.0), (9.0, 2.0, 0.0))
    number = measured(heart, "width_ratio", 0.45, "1", method="width_of_pixels", slice_index=0, points=points)
    report = report_on(scan, template="chest_xray", segments=(heart,), measurements=(number,))
    found = sr_written(report, scan, tmp_path)
    one = next(item for item in items(found) if item.ValueType == "NUM")
    assert code(one.ConceptNameCodeSequence[0]) == ("width_ratio", "99MEDVIEWER")
    assert [c.ValueType for c in one.ContentSequence if c.RelationshipType == "INFERRED FROM"] == ["IMAGE"]
    assert dciodvfy_errors(tmp_path / "report.dcm") == []


# -- bad input -----------------------------------------------------------------------------
@pytest.mark.parametrize("text", [EVIL, HEBREW, LONG, "\ud800 half", "a\r\nb\tc\\d"], ids=lambda text: text[:8])
def test_odd_sentences_are_written_harmless_and_whole(scan: Volume, tmp_path: Path, text: str) -> None:
    report = with_sentence(report_on(scan), model_sentence(text)).with_changes(indication=text)
    found = sr_written(report, scan, tmp_path)
    told = texts(found)
    assert sum(one.startswith(harmless(text)) for one in told) == 2
    assert not {char for one in told for char in one} & {*map(chr, range(9)), "\x0b", "\x1b", "\u202e", "\ud800"}
    assert dciodvfy_errors(tmp_path / "report.dcm") == []


NAMES = {
    "Müller^Jörg^^Dr.": "ISO_IR 100",
    "Müller-Lüdenscheidt^Åsa": "ISO_IR 192",
    "Иванов^Иван": "ISO_IR 144",
    "Yamada^Tarou=山田^太郎=やまだ^たろう": ["", "ISO 2022 IR 87"],
    "Doe\\Jane^X": "ISO_IR 100",
    "A" * 70 + "^B": "ISO_IR 100",
    "D\x07oe\x1b[2J^Ja\tne": "ISO_IR 100",
    "=cmd|' /C calc'!A0": "ISO_IR 100",
    "": "ISO_IR 100",
}


@pytest.mark.parametrize("name", NAMES, ids=lambda name: name[:8] or "empty")
def test_patients_keep_their_names_in_every_character_set(tmp_path: Path, name: str) -> None:
    def edit(dataset: Any, k: int) -> None:
        dataset.SpecificCharacterSet = NAMES[name]
        dataset.PatientName = name

    scan = scan_in(tmp_path, edit)
    found = sr_written(report_on(scan, "de"), scan, tmp_path)
    source = pydicom.dcmread(scan.source.files[0])
    assert str(found.PatientName) == str(source.PatientName)
    assert bool(name) == bool(str(found.PatientName))
    told = "\n".join(texts(found))
    assert "KI-gestützter Entwurf, nicht geprüft" in told
    assert "Nur für die Forschung" in told


def test_values_that_dicom_does_not_allow_do_not_keep_a_report_from_being_written(tmp_path: Path) -> None:
    def edit(dataset: Any, k: int) -> None:
        dataset.add_new("StudyTime", "TM", "10:11")
        dataset.add_new("AccessionNumber", "SH", "A" * 40)
        dataset.PatientSex = "W"
        del dataset.SeriesNumber

    scan = scan_in(tmp_path, edit)
    sr_written(report_on(scan), scan, tmp_path)
    assert dciodvfy_errors(tmp_path / "report.dcm") == []


def test_typed_names_become_names_that_dicom_allows() -> None:
    assert person_name("Dr. Example") == "Dr. Example^"
    assert person_name("Doe^Jane") == "Doe^Jane"
    assert person_name("a=b\\c\x00^d^e^f^g^h") == "a b/c^d^e^f^g h"
    assert len(person_name("ü" * 200).encode()) <= 64
    assert moment_of("2026-01-02T10:00:00") == moment_of("2026-01-02T11:00:00+01:00")
    assert moment_of("soon") is None
