"""A report's PDF inside DICOM: the same bytes, the scan's study, and verified only when a person signed."""

from __future__ import annotations

import io
import subprocess
from pathlib import Path
from typing import Any

import pydicom
import pypdf
import pytest
from report_dicom_kit import EVIL, HEBREW, LONG, dciodvfy_errors, need, report_on, scan_in, signed, words_of
from report_kit import model_sentence, with_sentence

from medviewer.core.errors import OutputNotWritten
from medviewer.core.report.document import Report
from medviewer.core.volume import Source, Volume
from medviewer.io import report_encapsulated, report_pdf

pytestmark = pytest.mark.filterwarnings("ignore")  # pydicom warns of the odd sources made here


def written(report: Report, scan: Volume, folder: Path) -> Any:
    path = folder / "report.dcm"
    report_encapsulated.write(path, report, words_of(report.language), scan)
    assert [p.name for p in folder.glob("*report*")] == [path.name]
    return pydicom.dcmread(path)


def pdf_of(found: Any) -> bytes:
    return bytes(found.EncapsulatedDocument)[: found.EncapsulatedDocumentLength]


@pytest.mark.parametrize("more", [b"", b"%"], ids=["even or odd", "the other"])
def test_the_pdf_is_there_byte_for_byte_at_an_even_length(
    scan: Volume, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: bytes
) -> None:
    data = report_pdf.render(report_on(scan), words_of("en")) + more
    monkeypatch.setattr(report_pdf, "render", lambda report, words: data)
    found = written(report_on(scan), scan, tmp_path)
    assert pdf_of(found) == data
    assert found.EncapsulatedDocumentLength == len(data)
    assert len(found.EncapsulatedDocument) % 2 == 0
    assert found.MIMETypeOfEncapsulatedDocument == "application/pdf"


def test_it_lands_in_the_patient_and_the_study_of_the_scan(scan: Volume, tmp_path: Path) -> None:
    found, source = written(report_on(scan), scan, tmp_path), pydicom.dcmread(scan.source.files[0])
    for name in ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyInstanceUID", "StudyDate"):
        assert found[name].value == source[name].value
    assert found.SeriesInstanceUID != source.SeriesInstanceUID
    assert found.Modality == "DOC"
    assert found.SOPClassUID == "1.2.840.10008.5.1.4.1.1.104.1"
    assert {i.ReferencedSOPInstanceUID for i in found.SourceInstanceSequence} == set(scan.source.instance_uids)


def test_a_draft_is_unverified_and_its_title_says_so(scan: Volume, tmp_path: Path) -> None:
    """clinical.md 20 and 29."""
    found = written(report_on(scan), scan, tmp_path)
    assert found.VerificationFlag == "UNVERIFIED"
    assert "AI-assisted draft, not verified" in found.DocumentTitle
    assert found.SeriesDescription == "AI-assisted draft, not verified"
    text = "".join(page.extract_text() for page in pypdf.PdfReader(io.BytesIO(pdf_of(found))).pages)
    assert "AI-assisted draft, not verified" in text
    assert "Research use only" in text


def test_only_a_final_report_is_verified(scan: Volume, tmp_path: Path) -> None:
    """clinical.md 20."""
    assert written(signed(report_on(scan), "preliminary").report, scan, tmp_path).VerificationFlag == "UNVERIFIED"
    found = written(signed(report_on(scan), "preliminary", "final").report, scan, tmp_path)
    assert found.VerificationFlag == "VERIFIED"
    assert "not verified" not in found.DocumentTitle + found.SeriesDescription
    with pytest.raises(OutputNotWritten, match="nobody signed"):
        written(report_on(scan).with_changes(status="final"), scan, tmp_path)
    assert pydicom.dcmread(tmp_path / "report.dcm").SOPInstanceUID == found.SOPInstanceUID


def test_the_pages_that_name_the_patient_are_declared(scan: Volume, tmp_path: Path) -> None:
    """clinical.md 25: burned-in identity is known before anything is passed on."""
    found = written(report_on(scan), scan, tmp_path)
    assert found.BurnedInAnnotation == "YES"
    assert found.ConceptNameCodeSequence[0].CodeValue == "18748-4"


@pytest.mark.parametrize(
    "name", ["Müller^Jörg", "Doe\\Jane^X", "Yamada^Tarou=山田^太郎", ""], ids=["ü", "two", "jp", "no"]
)
def test_patients_keep_their_names(tmp_path: Path, name: str) -> None:
    def edit(dataset: Any, k: int) -> None:
        dataset.SpecificCharacterSet = ["", "ISO 2022 IR 87"] if "=" in name else "ISO_IR 100"
        dataset.PatientName = name

    scan = scan_in(tmp_path, edit)
    found, source = written(report_on(scan, "de"), scan, tmp_path), pydicom.dcmread(scan.source.files[0])
    assert str(found.PatientName) == str(source.PatientName)
    assert bool(name) == bool(str(found.PatientName))
    assert "KI-gestützter Entwurf, nicht geprüft" in found.DocumentTitle


@pytest.mark.parametrize("text", [EVIL, HEBREW, LONG], ids=["evil", "hebrew", "long"])
def test_odd_texts_do_no_harm(scan: Volume, tmp_path: Path, text: str) -> None:
    report = with_sentence(report_on(scan), model_sentence(text))
    report = report.with_changes(facts={**report.facts, "examination": text})
    found = written(report, scan, tmp_path)
    assert len(found.DocumentTitle.encode()) <= 1024
    assert not set(found.DocumentTitle) & {"\x00", "\x1b", "\u202e"}
    assert dciodvfy_errors(tmp_path / "report.dcm") == []


def test_a_scan_that_is_no_dicom_and_another_patient_are_refused(scan: Volume, tmp_path: Path) -> None:
    report = report_on(scan)
    with pytest.raises(OutputNotWritten, match="are no DICOM"):
        written(report, scan.with_changes(source=Source("image", Path("a.png"))), tmp_path)
    with pytest.raises(OutputNotWritten, match="another patient"):
        written(report, scan_in(tmp_path), tmp_path)
    with pytest.raises(OutputNotWritten, match="never written"):
        report_encapsulated.write(scan.source.files[0], report, words_of("en"), scan)
    assert not (tmp_path / "report.dcm").exists()


def test_an_older_file_stays_where_another_pdf_is_read_back(
    scan: Volume, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut(dataset: Any, pdf: bytes) -> None:
        original(dataset, pdf[:-2])

    original = report_encapsulated._set_file
    monkeypatch.setattr(report_encapsulated, "_set_file", cut)
    (tmp_path / "report.dcm").write_bytes(b"older")
    with pytest.raises(OutputNotWritten, match="another PDF"):
        written(report_on(scan), scan, tmp_path)
    assert (tmp_path / "report.dcm").read_bytes() == b"older"
    assert [p.name for p in tmp_path.iterdir()] == ["report.dcm"]


def test_dciodvfy_and_qpdf_find_no_error(scan: Volume, tmp_path: Path) -> None:
    for report in (report_on(scan, "de"), signed(report_on(scan), "preliminary", "final").report):
        found = written(report, scan, tmp_path)
        assert dciodvfy_errors(tmp_path / "report.dcm") == []
        (tmp_path / "inside.pdf").write_bytes(pdf_of(found))
        done = subprocess.run([need("qpdf", "qpdf"), "--check", str(tmp_path / "inside.pdf")], capture_output=True)
        assert done.returncode == 0, done.stderr
