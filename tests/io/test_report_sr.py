"""DICOM SR of a report: the scan's study, the report's numbers and sentences, and nothing that nobody signed."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from report_dicom_kit import (
    DEFAULT,
    IDS,
    NOW,
    code,
    dciodvfy_errors,
    items,
    measured,
    named,
    report_on,
    scan_in,
    segment,
    segments,
    signed,
    sr_written,
    texts,
    with_pictures,
    words_of,
)
from report_kit import model_sentence, with_sentence

from medviewer.core.errors import OutputNotWritten
from medviewer.core.report import signing
from medviewer.core.report.audit import Reviewed
from medviewer.core.report.document import Finding, Mark, Signature
from medviewer.core.volume import Volume
from medviewer.io import report_sr
from medviewer.services.save_data import save_segments

pytestmark = pytest.mark.filterwarnings("ignore")  # pydicom and highdicom warn of the odd sources made here


# -- study, numbers, sentences -------------------------------------------------------------
def test_it_lands_in_the_patient_and_the_study_of_the_scan(scan: Volume, tmp_path: Path) -> None:
    found, source = sr_written(report_on(scan), scan, tmp_path), pydicom.dcmread(scan.source.files[0])
    for name in ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyInstanceUID", "StudyDate"):
        assert found[name].value == source[name].value
    assert found.SeriesInstanceUID != source.SeriesInstanceUID
    assert found.SOPClassUID == "1.2.840.10008.5.1.4.1.1.88.34"
    evidence = found.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence[0]
    assert evidence.SeriesInstanceUID == source.SeriesInstanceUID
    assert {i.ReferencedSOPInstanceUID for i in evidence.ReferencedSOPSequence} == set(scan.source.instance_uids)


def test_every_number_has_its_unit_its_method_and_its_structure(scan: Volume, tmp_path: Path) -> None:
    found = sr_written(report_on(scan), scan, tmp_path)
    groups = {named(g, "Tracking Identifier")[0].TextValue: g for g in named(found, "Measurement Group")}
    assert set(groups) == {f"medviewer {IDS[name]}" for name in ("liver", "left kidney", "right kidney")}
    left, liver = groups[f"medviewer {IDS['left kidney']}"], groups[f"medviewer {IDS['liver']}"]
    site = named(left, "Finding Site")[0]
    assert code(site.ConceptCodeSequence[0]) == ("64033007", "SCT")
    assert code(named(site, "Laterality")[0].ConceptCodeSequence[0]) == ("7771000", "SCT")
    length = named(left, "Length")[0]
    assert length.MeasuredValueSequence[0].FloatingPointValue == 108.53
    assert code(length.MeasuredValueSequence[0].MeasurementUnitsCodeSequence[0]) == ("mm", "UCUM")
    assert code(named(length, "Measurement Method")[0].ConceptCodeSequence[0])[0] == "pole_to_pole_surface"
    assert named(length, "Normal Range description")[0].TextValue == "97-108 mm"
    density = named(liver, "Attenuation Coefficient")[0]
    assert code(density.MeasuredValueSequence[0].MeasurementUnitsCodeSequence[0]) == ("[hnsf'U]", "UCUM")
    assert named(density, "Derivation")[0].ConceptCodeSequence[0].CodeMeaning == "Mean"


def test_highdicom_reads_the_groups_back(scan: Volume, tmp_path: Path) -> None:
    import highdicom

    sr_written(with_pictures(report_on(scan), scan), scan, tmp_path)
    content = highdicom.sr.srread(tmp_path / "report.dcm").content
    groups = content.get_image_measurement_groups()
    values = sorted(m.value for group in groups for m in group.get_measurements())
    assert values == [51.25, 96.4, 108.53, 150.2, 1450.4]


@pytest.mark.parametrize("language", ["en", "de"])
def test_every_sentence_is_there_in_its_language(scan: Volume, tmp_path: Path, language: Any) -> None:
    report = with_sentence(report_on(scan, language), model_sentence("Größe α ≥ 3 cm²."))
    found = sr_written(report, scan, tmp_path)
    told = "\n".join(texts(found))
    assert all(finding.text in told for finding in report.findings)
    assert report.technique in told
    spoken = named(found, "Language of Content Item and Descendants")[0].ConceptCodeSequence[0]
    assert code(spoken) == (language, "RFC5646")


@pytest.mark.parametrize("masks", [False, True], ids=["images", "segments"])
def test_every_sentence_names_the_groups_that_it_rests_on(scan: Volume, tmp_path: Path, masks: bool) -> None:
    if masks:
        save_segments(tmp_path / "masks.dcm", scan, segments())
    report = signed(report_on(scan), "preliminary", "final").report
    found = sr_written(report, scan, tmp_path, segmentation=tmp_path / "masks.dcm" if masks else None)
    groups = {named(g, "Tracking Unique Identifier")[0].UID: g for g in named(found, "Measurement Group")}
    told = {item.TextValue: item for item in named(found, "Qualitative Evaluations")[0].ContentSequence}
    measured_ = [f for f in report.findings if f.origin == "measured" and f.evidence]
    assert len(measured_) >= 3
    for finding in measured_:
        (item,) = [one for text, one in told.items() if text.startswith(finding.text)]
        links = item.ContentSequence
        assert {one.RelationshipType for one in links} == {"INFERRED FROM"}
        ids = {e.segment_id for e in finding.evidence}
        assert {named(groups[one.UID], "Tracking Identifier")[0].TextValue for one in links} == {
            f"medviewer {id_}" for id_ in ids if id_
        }
    impression = next(item for text, item in told.items() if text.startswith("Measured."))
    own = next(item for text, item in told.items() if text.startswith(report.findings[0].text))
    assert [one.UID for one in impression.ContentSequence] == [one.UID for one in own.ContentSequence]
    assert all("ContentSequence" not in item for text, item in told.items() if "by hand" in text or "Research" in text)
    assert dciodvfy_errors(tmp_path / "report.dcm") == []


def test_key_images_are_referred_to_with_their_captions(scan: Volume, tmp_path: Path) -> None:
    report = with_pictures(report_on(scan), scan)
    found = sr_written(report, scan, tmp_path)
    (caption,) = named(found, "Key Images")  # the view across the slices is no image of the scan
    assert caption.TextValue == "Image 1: Left kidney, axial"
    images = named(found, "Of Interest")
    own = next(t for t in items(found) if str(t.get("TextValue")).startswith(report.findings[0].text))
    assert [any(item is one for one in own.ContentSequence) for item in images] == [True, False]
    assert {one.ReferencedSOPSequence[0].ReferencedSOPInstanceUID for one in images} == {scan.source.instance_uids[11]}
    assert dciodvfy_errors(tmp_path / "report.dcm") == []
    stranger = tuple(replace(image, instance_uid="1.2.3") for image in report.key_images)
    assert named(sr_written(report.with_changes(key_images=stranger), scan, tmp_path), "Of Interest") == []


def test_a_rejected_sentence_and_its_number_are_left_out_and_marks_are_shown(scan: Volume, tmp_path: Path) -> None:
    report = report_on(scan)
    first = report.findings[0]
    number = next(m for m in report.measurements if m.id == first.evidence[0].measurement_id)
    rejected = signing.reject(Reviewed(report), first.id, NOW).report
    marked = model_sentence("Right liver.", id="m9", marks=(Mark("laterality", "There is no side."),))
    found = sr_written(with_sentence(rejected, marked), scan, tmp_path)
    told = "\n".join(texts(found))
    assert first.text not in told
    assert "CHECK: There is no side." in told
    values = [i.MeasuredValueSequence[0].FloatingPointValue for i in items(found) if i.ValueType == "NUM"]
    assert number.value not in values


def test_headings_without_a_mask_read_not_assessed_and_never_normal(scan: Volume, tmp_path: Path) -> None:
    """clinical.md 14."""
    told = texts(sr_written(report_on(scan), scan, tmp_path))
    assert sum(text == "Not assessed by the program." for text in told) >= 5
    assert not [text for text in told if re.search(r"\bnormal\b|unremarkable", text, re.IGNORECASE)]


def test_without_a_segmentation_numbers_name_their_image_or_their_points(scan: Volume, tmp_path: Path) -> None:
    found = sr_written(report_on(scan), scan, tmp_path)
    lengths = named(found, "Length")
    image = next(c for one in lengths for c in one.ContentSequence if c.ValueType == "IMAGE")
    assert image.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == scan.source.instance_uids[11]
    place = next(c for one in lengths for c in one.ContentSequence if c.ValueType == "SCOORD3D")
    assert np.allclose(place.GraphicData, [-5.0, -10.0, 70.0, 4.0, -8.0, 160.0])
    assert place.ReferencedFrameOfReferenceUID == pydicom.dcmread(scan.source.files[0]).FrameOfReferenceUID


def test_a_structure_without_a_code_keeps_its_number_and_its_name(scan: Volume, tmp_path: Path) -> None:
    odd = segment("hand_drawn_thing", id=IDS["nothing"])
    number = measured(odd, "volume", 7.5, "ml")
    report = report_on(scan)
    report = report.with_changes(measurements=(*report.measurements, number))
    extra = model_sentence("A thing.", evidence=(replace(report.findings[0].evidence[0], measurement_id=number.id),))
    found = sr_written(with_sentence(report, extra), scan, tmp_path)
    group = next(g for g in named(found, "Measurement Group") if IDS["nothing"] in texts(g)[0])
    assert named(group, "Finding") == []
    assert named(group, "Finding Site") == []
    assert named(group, "Volume")[0].MeasuredValueSequence[0].FloatingPointValue == 7.5
    assert "Hand drawn thing, volume" in named(group, "Equivalent Meaning of Concept Name")[0].TextValue


def test_a_report_without_any_number_is_written(scan: Volume, tmp_path: Path) -> None:
    found = sr_written(report_on(scan, measurements=(), segments=()), scan, tmp_path)
    assert named(found, "Imaging Measurements") == []
    assert len(named(found, "Qualitative Evaluations")) == 1


def test_the_model_its_version_and_its_weights_are_the_observing_device(scan: Volume, tmp_path: Path) -> None:
    found = sr_written(report_on(scan), scan, tmp_path)
    assert [one.TextValue for one in named(found, "Device Observer Model Name")] == ["default 3"]
    assert [one.TextValue for one in named(found, "Device Observer Serial Number")] == [f"sha256:{'ab' * 32}"]
    assert named(found, "Algorithm Version")[0].TextValue == "3"
    equipment = found.ContributingEquipmentSequence[0]
    assert equipment.SoftwareVersions == "3"
    assert "ab" * 32 in equipment.ContributionDescription
    assert "non-commercial research weights" in equipment.ContributionDescription


def test_of_several_models_none_is_said_to_have_drawn_everything(scan: Volume, tmp_path: Path) -> None:
    other = replace(DEFAULT, model_id="other", weights_sha256="cd" * 32)
    left, liver, right = segments()
    found = sr_written(report_on(scan, segments=(left.changed(provenance=other), liver, right)), scan, tmp_path)
    assert [one.TextValue for one in named(found, "Device Observer Model Name")] == ["medviewer"]
    assert {one.ManufacturerModelName for one in found.ContributingEquipmentSequence} == {"default 3", "other 3"}
    assert [hash_ in str(found.ContributingEquipmentSequence) for hash_ in ("ab" * 32, "cd" * 32)] == [True, True]
    assert named(found, "Algorithm Name") == []


# -- status --------------------------------------------------------------------------------
def test_a_draft_is_unverified_and_says_that_it_is_ai_assisted(scan: Volume, tmp_path: Path) -> None:
    """clinical.md 20 and 29."""
    found = sr_written(report_on(scan), scan, tmp_path)
    assert (found.VerificationFlag, found.PreliminaryFlag, found.CompletionFlag) == (
        "UNVERIFIED", "PRELIMINARY", "PARTIAL",
    )  # fmt: skip
    assert "VerifyingObserverSequence" not in found
    told = texts(found)
    assert "AI-assisted draft, not verified" in told
    assert "Research use only. Not for diagnosis or treatment decisions." in told
    assert found.SeriesDescription == "AI-assisted draft, not verified"
    assert named(found, "Person Observer Name") == []


def test_a_preliminary_report_is_complete_and_still_unverified(scan: Volume, tmp_path: Path) -> None:
    """clinical.md 20."""
    found = sr_written(signed(report_on(scan), "preliminary").report, scan, tmp_path)
    assert (found.VerificationFlag, found.PreliminaryFlag, found.CompletionFlag) == (
        "UNVERIFIED", "PRELIMINARY", "COMPLETE",
    )  # fmt: skip
    assert "VerifyingObserverSequence" not in found


def test_a_final_report_is_verified_by_the_person_who_signed_and_says_the_name_was_typed(
    scan: Volume, tmp_path: Path
) -> None:
    """clinical.md 20."""
    found = sr_written(signed(report_on(scan), "preliminary", "final").report, scan, tmp_path)
    assert (found.VerificationFlag, found.PreliminaryFlag, found.CompletionFlag) == ("VERIFIED", "FINAL", "COMPLETE")
    observer = found.VerifyingObserverSequence[0]
    assert str(observer.VerifyingObserverName) == "Dr. Example^"
    assert str(observer.VerificationDateTime) == "20260102100000+0000"
    told = texts(found)
    assert "Final: Dr. Example, 2026-01-02T10:00:00Z (name entered, not an electronic signature)." in told
    assert not [text for text in told if "not verified" in text]


def test_a_correction_names_the_version_before(scan: Volume, tmp_path: Path) -> None:
    """clinical.md 20."""
    work = signed(report_on(scan), "preliminary", "final")
    report_sr.write(tmp_path / "first.dcm", work.report, words_of("en"), scan)
    again = signing.reopen(work, NOW, "a mask was edited")
    line = again.report.identity.line
    corrected = signing.sign(again, "corrected", NOW, words_of("en"), identity_shown=line).report
    found = sr_written(corrected, scan, tmp_path, predecessor=tmp_path / "first.dcm")
    before = found.PredecessorDocumentsSequence[0].ReferencedSeriesSequence[0].ReferencedSOPSequence[0]
    first = pydicom.dcmread(tmp_path / "first.dcm")
    assert before.ReferencedSOPInstanceUID == first.SOPInstanceUID != found.SOPInstanceUID
    assert found.VerificationFlag == "VERIFIED"


def test_nothing_is_final_without_a_signature(scan: Volume, tmp_path: Path) -> None:
    """clinical.md 20."""
    report = report_on(scan).with_changes(status="final")
    with pytest.raises(OutputNotWritten, match="nobody signed"):
        sr_written(report, scan, tmp_path)
    other = report.with_changes(signatures=(Signature("Dr. A", "preliminary", NOW.when, ""),))
    with pytest.raises(OutputNotWritten, match="nobody signed"):
        sr_written(other, scan, tmp_path)
    undated = report.with_changes(signatures=(Signature("Dr. A", "final", "yesterday", ""),))
    with pytest.raises(OutputNotWritten, match="no readable time"):
        sr_written(undated, scan, tmp_path)
    assert list(tmp_path.iterdir()) == []


# -- references to a SEG -------------------------------------------------------------------
def test_groups_name_their_segments_of_the_segmentation(scan: Volume, tmp_path: Path) -> None:
    save_segments(tmp_path / "masks.dcm", scan, segments())
    seg = pydicom.dcmread(tmp_path / "masks.dcm")
    found = sr_written(report_on(scan), scan, tmp_path, segmentation=tmp_path / "masks.dcm")
    numbers = {str(item.TrackingUID): item.SegmentNumber for item in seg.SegmentSequence}
    groups = named(found, "Measurement Group")
    assert len(groups) == 3
    for group in groups:
        referred = named(group, "Referenced Segment")[0].ReferencedSOPSequence[0]
        assert referred.ReferencedSOPInstanceUID == seg.SOPInstanceUID
        assert referred.ReferencedSegmentNumber == numbers[named(group, "Tracking Unique Identifier")[0].UID]
    assert dciodvfy_errors(tmp_path / "report.dcm") == []


def test_a_segment_that_the_segmentation_lacks_keeps_its_images(scan: Volume, tmp_path: Path) -> None:
    save_segments(tmp_path / "masks.dcm", scan, segments()[1:])
    found = sr_written(report_on(scan), scan, tmp_path, segmentation=tmp_path / "masks.dcm")
    referred = [len(named(group, "Referenced Segment")) for group in named(found, "Measurement Group")]
    assert sorted(referred) == [0, 1, 1]


def test_masks_of_something_else_are_refused(scan: Volume, tmp_path: Path) -> None:
    save_segments(tmp_path / "masks.dcm", scan, [segment("liver", id=IDS["nothing"])])
    with pytest.raises(OutputNotWritten, match="none of the structures"):
        sr_written(report_on(scan), scan, tmp_path, segmentation=tmp_path / "masks.dcm")


def test_another_study_or_another_object_is_no_segmentation(scan: Volume, tmp_path: Path) -> None:
    other = scan_in(tmp_path)
    save_segments(tmp_path / "masks.dcm", other, segments())
    with pytest.raises(OutputNotWritten, match="another study"):
        sr_written(report_on(scan), scan, tmp_path, segmentation=tmp_path / "masks.dcm")
    for name in (scan.source.files[0], tmp_path / "missing.dcm", Path(__file__)):
        with pytest.raises(OutputNotWritten):
            sr_written(report_on(scan), scan, tmp_path, segmentation=name)
        with pytest.raises(OutputNotWritten):
            sr_written(report_on(scan), scan, tmp_path, predecessor=name)
    assert not (tmp_path / "report.dcm").exists()


def test_a_sentence_of_a_person_needs_no_evidence(scan: Volume, tmp_path: Path) -> None:
    own = Finding("Discussed by phone.", "liver", origin="human", state="accepted")
    told = texts(sr_written(with_sentence(report_on(scan), own), scan, tmp_path))
    assert "Discussed by phone. [written by a person]" in told
