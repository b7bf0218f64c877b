"""A report as a FHIR R4 bundle: its numbers and sentences, references that resolve, and no person who did not sign."""

from __future__ import annotations

import base64
import re
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from report_dicom_kit import (
    EVIL,
    HEBREW,
    IDS,
    LONG,
    NOW,
    measured,
    report_on,
    segment,
    signed,
    with_pictures,
    words_of,
)
from report_fhir_kit import elements, kinds, labels, strings, written
from report_kit import full_report, model_sentence, with_sentence

from medviewer.core.errors import OutputNotWritten
from medviewer.core.report import signing
from medviewer.core.report.audit import Reviewed
from medviewer.core.report.document import Evidence, Identity, KeyImage, Mark, Signature
from medviewer.core.volume import Volume
from medviewer.io import report_text
from medviewer.io.report_dicom import harmless
from medviewer.io.report_fhir_names import human_names
from medviewer.io.report_fhir_values import date_of, filled, instant_of, oid_of

STRINGS = re.compile(r"[ \r\n\t\S]+")  # https://hl7.org/fhir/R4/datatypes.html#string
IDS_OF_R4 = re.compile(r"[A-Za-z0-9\-.]{1,64}")


# -- structure -------------------------------------------------------------------------------
def test_it_is_a_collection_whose_references_all_resolve(scan: Volume, tmp_path: Path) -> None:
    report = signed(with_pictures(report_on(scan), scan), "preliminary", "final").report
    bundle = written(report, tmp_path, scan)
    assert (bundle["resourceType"], bundle["type"]) == ("Bundle", "collection")
    known = {entry["fullUrl"]: entry["resource"]["resourceType"] for entry in bundle["entry"]}
    assert len(known) == len(bundle["entry"])
    references = [one for one in elements(bundle) if "reference" in one]
    assert len(references) > 30
    assert all(known[one["reference"]] == one["type"] for one in references)
    assert all(IDS_OF_R4.fullmatch(one["resource"]["id"]) for one in bundle["entry"])
    assert {kind: len(found) for kind, found in kinds(bundle).items()} == {
        "DiagnosticReport": 1, "Patient": 1, "Practitioner": 1, "ImagingStudy": 1, "Device": 2, "Provenance": 1,
        "Observation": 5 + len(report.findings), "Media": 2,
    }  # fmt: skip


def test_every_number_is_an_observation_with_its_unit_in_ucum(scan: Volume, tmp_path: Path) -> None:
    found = kinds(written(report_on(scan), tmp_path, scan))["Observation"]
    values = {(v["value"], v["unit"], v["code"]) for one in found if (v := one.get("valueQuantity"))}
    assert values == {
        (108.53, "mm", "mm"), (150.2, "ml", "ml"), (96.4, "mm", "mm"), (1450.4, "ml", "ml"), (51.25, "HU", "[hnsf'U]"),
    }  # fmt: skip
    assert all(one["valueQuantity"]["system"] == "http://unitsofmeasure.org" for one in found if "valueQuantity" in one)
    length = next(one for one in found if one.get("valueQuantity", {}).get("value") == 108.53)
    assert length["code"]["coding"] == [{"system": "http://snomed.info/sct", "code": "410668003", "display": "Length"}]
    assert length["bodySite"] == {
        "coding": [{"system": "http://snomed.info/sct", "code": "64033007", "display": "Kidney"}],
        "text": "Kidney, left",
    }
    assert "pole to pole" in length["method"]["text"]
    assert length["referenceRange"] == [{"text": "97-108 mm"}]
    assert length["interpretation"][0]["coding"][0]["code"] == "H"


def test_nothing_is_called_high_or_low_without_its_range(scan: Volume, tmp_path: Path) -> None:
    """clinical.md 17."""
    report = report_on(scan)
    bare = tuple(replace(m, range_text="") for m in report.measurements)
    found = kinds(written(report.with_changes(measurements=bare), tmp_path, scan))["Observation"]
    assert not [one for one in found if "interpretation" in one or "referenceRange" in one]


@pytest.mark.parametrize("language", ["en", "de"])
def test_every_sentence_points_at_the_numbers_it_rests_on(scan: Volume, tmp_path: Path, language: Any) -> None:
    report = report_on(scan, language)
    bundle = written(report, tmp_path, scan)
    by_url = {entry["fullUrl"]: entry["resource"] for entry in bundle["entry"]}
    told = [one for one in kinds(bundle)["Observation"] if "valueString" in one]
    assert [one["valueString"] for one in told] == [finding.text for finding in report.findings]
    for one, finding in zip(told, report.findings, strict=True):
        numbers = {by_url[r["reference"]]["valueQuantity"]["value"] for r in one.get("derivedFrom", [])}
        ids = {e.measurement_id for e in finding.evidence}
        assert numbers == {m.value for m in report.measurements if m.id in ids}


def test_an_impression_points_at_the_findings_it_rests_on(scan: Volume, tmp_path: Path) -> None:
    report = signed(report_on(scan), "preliminary", "final").report
    bundle = written(report, tmp_path, scan)
    by_url = {entry["fullUrl"]: entry["resource"] for entry in bundle["entry"]}
    one = next(o for o in kinds(bundle)["Observation"] if o.get("valueString") == "Measured.")
    sources = [by_url[r["reference"]] for r in one["derivedFrom"]]
    assert report.findings[0].text in [source.get("valueString") for source in sources]
    assert kinds(bundle)["DiagnosticReport"][0]["conclusion"] == "Measured."


def test_rejected_sentences_are_left_out_and_marks_are_shown(scan: Volume, tmp_path: Path) -> None:
    report = report_on(scan)
    first = report.findings[0]
    rejected = signing.reject(Reviewed(report), first.id, NOW).report
    marked = model_sentence("Right liver.", id="m9", marks=(Mark("laterality", "There is no side."),))
    found = kinds(written(with_sentence(rejected, marked), tmp_path, scan))["Observation"]
    assert first.text not in [one.get("valueString") for one in found]
    notes = next(one["note"] for one in found if one.get("valueString") == "Right liver.")
    assert {"text": "CHECK: There is no side."} in notes


def test_the_whole_report_stands_beside_it_as_text(scan: Volume, tmp_path: Path) -> None:
    report = report_on(scan, "de")
    found = kinds(written(report, tmp_path, scan, pdf=b"%PDF-1.4"))["DiagnosticReport"][0]
    plain, pdf = found["presentedForm"]
    assert base64.b64decode(plain["data"]).decode("utf-8") == report_text.render(report, words_of("de"))
    assert base64.b64decode(pdf["data"]) == b"%PDF-1.4"
    assert found["language"] == plain["language"] == "de"
    div = ElementTree.fromstring(found["text"]["div"])
    assert div.tag == "{http://www.w3.org/1999/xhtml}div"
    assert {child.tag for child in div} == {"{http://www.w3.org/1999/xhtml}p"}


def test_the_key_images_themselves_are_in_it(scan: Volume, tmp_path: Path) -> None:
    report = with_pictures(report_on(scan), scan)
    bundle = written(report, tmp_path, scan)
    found, by_url = kinds(bundle), {entry["fullUrl"]: entry["resource"] for entry in bundle["entry"]}
    told = found["DiagnosticReport"][0]["media"]
    assert [one["comment"] for one in told] == ["Image 1: Left kidney, axial", "Image 2: Left kidney, coronal"]
    media = [by_url[one["link"]["reference"]] for one in told]
    assert [base64.b64decode(one["content"]["data"]) for one in media] == [image.png for image in report.key_images]
    assert [(one["width"], one["height"]) for one in media] == [(60, 40), (30, 20)]
    assert {(one["status"], one["content"]["contentType"], *labels(one)) for one in media} == {
        ("completed", "image/png", "AIAST")
    }
    shown = {"type": {"text": "DICOM image shown"}, "system": "urn:dicom:uid"}
    assert media[0]["identifier"] == [{**shown, "value": f"urn:oid:{scan.source.instance_uids[11]}"}]
    assert "identifier" not in media[1]
    first = next(one for one in found["Observation"] if one.get("valueString") == report.findings[0].text)
    assert [r["type"] for r in first["derivedFrom"]][-2:] == ["Media", "Media"]


def test_a_key_image_that_is_no_picture_is_refused(scan: Volume, tmp_path: Path) -> None:
    report = report_on(scan).with_changes(key_images=(KeyImage(b"<svg onload=x>", "x"),))
    with pytest.raises(OutputNotWritten, match="no PNG"):
        written(report, tmp_path, scan)
    assert list(tmp_path.iterdir()) == []


# -- status and label ------------------------------------------------------------------------
def test_a_draft_is_preliminary_labelled_ai_and_names_no_person(scan: Volume, tmp_path: Path) -> None:
    """clinical.md 20 and 29."""
    found = kinds(written(report_on(scan), tmp_path, scan))
    report = found["DiagnosticReport"][0]
    assert report["status"] == "preliminary"
    assert labels(report) == ["AIAST"]
    assert "AI-assisted draft, not verified" in report["text"]["div"]
    assert "Research use only. Not for diagnosis or treatment decisions." in report["text"]["div"]
    assert "AI-assisted draft, not verified" in report["presentedForm"][0]["title"]
    assert "resultsInterpreter" not in report
    assert "Practitioner" not in found
    assert {one["status"] for one in found["Observation"]} == {"preliminary"}
    assert [agent["type"]["coding"][0]["code"] for agent in found["Provenance"][0]["agent"]] == ["assembler", "author"]


def test_a_sentence_that_a_person_wrote_is_not_labelled_ai(scan: Volume, tmp_path: Path) -> None:
    found = kinds(written(report_on(scan), tmp_path, scan))["Observation"]
    marks = {one["valueString"]: labels(one) for one in found if "valueString" in one}
    assert marks["Written by hand: 3 < 5 & so on."] == []
    assert [label for text, label in marks.items() if "by hand" not in text] == [["AIAST"]] * (len(marks) - 1)


def test_each_status_of_a_report_has_its_own_in_fhir(scan: Volume, tmp_path: Path) -> None:
    """clinical.md 20: preliminary, final, appended, corrected."""
    words = words_of("en")
    final = signed(report_on(scan), "preliminary", "final")
    again = signing.reopen(final, NOW, "a mask was edited")
    line = again.report.identity.line
    added = signing.add_sentence(again, "liver", "Added.", NOW)
    reports = {
        "preliminary": signed(report_on(scan), "preliminary").report,
        "final": final.report,
        "appended": signing.sign(added, "addendum", NOW, words, identity_shown=line).report,
        "corrected": signing.sign(again, "corrected", NOW, words, identity_shown=line).report,
    }
    observed = {"appended": "final"}
    for status, report in reports.items():
        found = kinds(written(report, tmp_path, scan))
        assert found["DiagnosticReport"][0]["status"] == status
        assert {one["status"] for one in found["Observation"]} == {observed.get(status, status)}
        assert [one["name"] for one in found["Practitioner"]] == [[{"text": "Dr. Example"}]]
        agents = [agent["type"]["coding"][0]["code"] for agent in found["Provenance"][0]["agent"]]
        assert agents == ["assembler", "author", "verifier"]
        typed = "name entered, not an electronic signature"
        assert typed in found["Provenance"][0]["reason"][0]["text"]
        assert labels(found["DiagnosticReport"][0]) == ["AIAST" if status == "preliminary" else "CLINAST_AIRPT"]
    assert found["DiagnosticReport"][0]["issued"] == "2026-01-02T10:00:00Z"
    assert [e["what"]["identifier"]["value"] for e in found["Provenance"][0]["entity"] if e["role"] == "revision"] == [
        final.report.id
    ]


def test_nothing_is_final_without_a_signature(scan: Volume, tmp_path: Path) -> None:
    """clinical.md 20."""
    report = report_on(scan).with_changes(status="final")
    for signatures in ((), (Signature("Dr. A", "preliminary", NOW.when, ""),), (Signature(" ", "final", "", ""),)):
        with pytest.raises(OutputNotWritten, match="nobody signed"):
            written(report.with_changes(signatures=signatures), tmp_path, scan)
    assert list(tmp_path.iterdir()) == []


def test_the_model_and_the_hash_of_its_weights_are_in_device_and_provenance(scan: Volume, tmp_path: Path) -> None:
    found = kinds(written(report_on(scan), tmp_path, scan))
    model = next(one for one in found["Device"] if one["deviceName"][0]["name"] == "default 3")
    assert [version["value"] for version in model["version"]] == ["3", "ab" * 32]
    assert "non-commercial research weights" in model["note"][0]["text"]
    entities = [e["what"].get("identifier", {}).get("value") for e in found["Provenance"][0]["entity"]]
    assert "ab" * 32 in entities


def test_patient_and_study_are_those_of_the_scan(scan: Volume, tmp_path: Path) -> None:
    found = kinds(written(report_on(scan), tmp_path, scan))
    patient, study = found["Patient"][0], found["ImagingStudy"][0]
    assert patient["identifier"] == [{"value": "S1"}]
    assert patient["name"] == [{"text": "Synthetic, Anna", "family": "Synthetic", "given": ["Anna"]}]
    assert (patient["gender"], patient["birthDate"]) == ("female", "1970-01-01")
    uid = scan.facts["study_instance_uid"].value
    assert study["identifier"][0] == {"system": "urn:dicom:uid", "value": f"urn:oid:{uid}"}
    assert (study["series"][0]["uid"], study["series"][0]["numberOfInstances"]) == (scan.source.series_uid, 20)
    assert study["modality"][0]["code"] == "CT"


# -- bad input -------------------------------------------------------------------------------
def test_a_scan_without_dicom_and_without_a_name_is_written(tmp_path: Path) -> None:
    report = full_report().with_changes(identity=Identity(modality="CT"), created="", provenance=())
    found = kinds(written(report, tmp_path))
    assert "ImagingStudy" not in found
    assert set(found["Patient"][0]) == {"resourceType", "id"}
    assert [one["deviceName"][0]["name"] for one in found["Device"]] == ["medviewer"]


def test_every_group_of_a_name_has_its_own_entry() -> None:
    """clinical.md 10: also the ideographs."""
    raw, shown = "Yamada^Tarou=山田^太郎=やまだ^たろう", "Yamada, Tarou = 山田, 太郎 = やまだ, たろう"
    for name in (raw, shown):
        found = human_names(name)
        assert [one["extension"][0]["valueCode"] for one in found] == ["ABC", "IDE", "SYL"]
        assert [(one["text"], one["family"], one["given"]) for one in found] == [
            ("Yamada, Tarou", "Yamada", ["Tarou"]),
            ("山田, 太郎", "山田", ["太郎"]),
            ("やまだ, たろう", "やまだ", ["たろう"]),
        ]
    assert human_names("Doe^Jane^Ann Mary^Dr.^MD") == [
        {"text": "Doe, Jane, Ann Mary, Dr., MD", "family": "Doe", "given": ["Jane", "Ann", "Mary"], "prefix": ["Dr."],
         "suffix": ["MD"]}
    ]  # fmt: skip
    assert human_names("=山田^太郎") == [{"text": "山田, 太郎", "family": "山田", "given": ["太郎"]}]
    assert human_names("Jane Doe") == [{"text": "Jane Doe"}]
    assert human_names("a=b=c=d") == [{"text": "a = b = c = d"}]
    assert human_names("^^=") == human_names("") == []


@pytest.mark.parametrize(
    "text", [EVIL, HEBREW, LONG, "\ud800 half", "\x00", "</div><script>"], ids=lambda text: text[:8]
)
def test_odd_texts_are_harmless_and_whole(scan: Volume, tmp_path: Path, text: str) -> None:
    identity = replace(report_on(scan).identity, name=text, patient_id=text, accession=text, sex=text, birth_date=text)
    report = with_sentence(report_on(scan), model_sentence(text, model=text)).with_changes(identity=identity)
    bundle = written(report, tmp_path, scan)
    assert all(STRINGS.fullmatch(one) for one in strings(bundle))
    assert not {char for one in strings(bundle) for char in one} & {*map(chr, range(9)), "\x1b", "\u202e", "\ud800"}
    told = [one.get("valueString") for one in kinds(bundle)["Observation"]]
    assert (harmless(text) in told) == bool(harmless(text))
    div = ElementTree.fromstring(kinds(bundle)["DiagnosticReport"][0]["text"]["div"])
    assert {child.tag for child in div.iter()} == {f"{{http://www.w3.org/1999/xhtml}}{tag}" for tag in ("div", "p")}
    assert "birthDate" not in kinds(bundle)["Patient"][0]


def test_a_text_longer_than_fhir_allows_is_refused(tmp_path: Path) -> None:
    report = with_sentence(full_report(), model_sentence("a" * ((1 << 20) + 1)))
    with pytest.raises(OutputNotWritten, match="longer than FHIR allows"):
        written(report, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_structure_without_a_code_keeps_its_number(scan: Volume, tmp_path: Path) -> None:
    number = measured(segment("hand_drawn_thing", id=IDS["nothing"]), "odd_quantity", 7.5, "furlongs")
    report = report_on(scan)
    sentence = model_sentence("A thing.", evidence=(Evidence("measurement", measurement_id=number.id),))
    report = with_sentence(report.with_changes(measurements=(*report.measurements, number)), sentence)
    found = kinds(written(report, tmp_path, scan))["Observation"]
    one = next(one for one in found if one.get("valueQuantity", {}).get("value") == 7.5)
    assert one["code"] == {"text": "Hand drawn thing: odd quantity"}
    assert "bodySite" not in one
    assert one["valueQuantity"]["code"] == "{furlongs}"


def test_numbers_that_are_none_are_left_out_as_everywhere(tmp_path: Path) -> None:
    report = full_report()
    bad = tuple(replace(m, value=float("nan")) for m in report.measurements)
    found = kinds(written(report.with_changes(measurements=bad), tmp_path))["Observation"]
    assert not [one for one in found if "valueQuantity" in one]


def test_small_values_are_what_fhir_allows() -> None:
    assert date_of("20260102") == date_of("2026-01-02") == "2026-01-02"
    assert [date_of(text) for text in ("20261302", "", "2026", "yesterday")] == [""] * 4
    assert instant_of("2026-01-02T11:00:00+01:00") == "2026-01-02T10:00:00Z"
    assert instant_of("now") == ""
    assert oid_of("1.2.840.1") == "urn:oid:1.2.840.1"
    assert [oid_of(text) for text in ("", "1..2", "01.2", "1.2 ", "a")] == [""] * 5
    assert filled(a=0, b="", c=[], d=None, e={}, f=False, g_=1) == {"a": 0, "f": False, "g": 1}
