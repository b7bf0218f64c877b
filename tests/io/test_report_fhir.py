"""A report as a FHIR R4 bundle: its numbers and sentences, references that resolve, and no person who did not sign."""

from __future__ import annotations

import base64
import copy
import json
import re
from collections.abc import Callable, Iterator
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
    scan_in,
    segment,
    signed,
    term_map,
    words_of,
)
from report_kit import draft, full_report, model_sentence, with_sentence

from medviewer.core.errors import OutputNotWritten
from medviewer.core.report import signing
from medviewer.core.report.audit import Reviewed
from medviewer.core.report.document import Evidence, Identity, Mark, Report, Signature
from medviewer.core.volume import Volume
from medviewer.io import report_fhir, report_text
from medviewer.io.report_dicom import harmless
from medviewer.io.report_fhir_check import defects
from medviewer.io.report_fhir_values import date_of, filled, instant_of, oid_of

Found = dict[str, list[dict[str, Any]]]
STRINGS = re.compile(r"[ \r\n\t\S]+")  # https://hl7.org/fhir/R4/datatypes.html#string
IDS_OF_R4 = re.compile(r"[A-Za-z0-9\-.]{1,64}")


@pytest.fixture(scope="module")
def scan(tmp_path_factory: pytest.TempPathFactory) -> Volume:
    return scan_in(tmp_path_factory.mktemp("fhir"))


def written(report: Report, folder: Path, scan: Volume | None = None, **options: Any) -> dict[str, Any]:
    path = folder / "report.fhir.json"
    report_fhir.write(path, report, words_of(report.language), scan, terms=term_map(), **options)
    assert [p.name for p in folder.iterdir()] == [path.name]
    found: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return found


def kinds(bundle: dict[str, Any]) -> Found:
    found: Found = {}
    for entry in bundle["entry"]:
        found.setdefault(entry["resource"]["resourceType"], []).append(entry["resource"])
    return found


def elements(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
        for one in value.values():
            yield from elements(one)
    elif isinstance(value, list):
        for one in value:
            yield from elements(one)


def strings(value: Any) -> Iterator[str]:
    for element in elements(value):
        yield from (one for one in element.values() if isinstance(one, str))
        yield from (one for some in element.values() if isinstance(some, list) for one in some if isinstance(one, str))


def labels(resource: dict[str, Any]) -> list[str]:
    return [one["code"] for one in resource.get("meta", {}).get("security", [])]


# -- structure -------------------------------------------------------------------------------
def test_it_is_a_collection_whose_references_all_resolve(scan: Volume, tmp_path: Path) -> None:
    bundle = written(signed(report_on(scan), "preliminary", "final").report, tmp_path, scan)
    assert (bundle["resourceType"], bundle["type"]) == ("Bundle", "collection")
    known = {entry["fullUrl"]: entry["resource"]["resourceType"] for entry in bundle["entry"]}
    assert len(known) == len(bundle["entry"])
    references = [one for one in elements(bundle) if "reference" in one]
    assert len(references) > 30
    assert all(known[one["reference"]] == one["type"] for one in references)
    assert all(IDS_OF_R4.fullmatch(one["resource"]["id"]) for one in bundle["entry"])
    assert {kind: len(found) for kind, found in kinds(bundle).items()} == {
        "DiagnosticReport": 1, "Patient": 1, "Practitioner": 1, "ImagingStudy": 1, "Device": 2, "Observation": 12,
        "Provenance": 1,
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


# -- checks ----------------------------------------------------------------------------------
def _of(bundle: dict[str, Any], kind: str) -> dict[str, Any]:
    return kinds(bundle)[kind][0]


def _value(bundle: dict[str, Any]) -> None:
    next(one for one in kinds(bundle)["Observation"] if "valueQuantity" in one)["valueQuantity"]["value"] += 1


def _unit(bundle: dict[str, Any]) -> None:
    next(one for one in kinds(bundle)["Observation"] if "valueQuantity" in one)["valueQuantity"]["code"] = "kg"


def _sentence(bundle: dict[str, Any]) -> None:
    next(one for one in kinds(bundle)["Observation"] if "valueString" in one)["valueString"] += "!"


SPOILERS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "value": _value,
    "unit": _unit,
    "sentence": _sentence,
    "status": lambda b: _of(b, "DiagnosticReport").update(status="ai-draft"),
    "observation": lambda b: _of(b, "Observation").pop("status"),
    "final": lambda b: _of(b, "DiagnosticReport").update(status="final"),
    "label": lambda b: _of(b, "DiagnosticReport").pop("meta"),
    "code": lambda b: _of(b, "DiagnosticReport").pop("code"),
    "reference": lambda b: _of(b, "Observation")["subject"].update(reference="urn:uuid:1"),
    "kind": lambda b: _of(b, "Observation")["subject"].update(type="Group"),
    "empty": lambda b: _of(b, "Patient").update(name=[]),
    "control": lambda b: _of(b, "Patient").update(gender="f\x01"),
    "twice": lambda b: b["entry"].append(b["entry"][0]),
    "agent": lambda b: _of(b, "Provenance").pop("agent"),
    "other": lambda b: _of(b, "Patient").update(resourceType="Person"),
    "person": lambda b: _of(b, "DiagnosticReport").update(resultsInterpreter=[{"display": "Dr. B"}]),
    "nothing": lambda b: b["entry"].pop(0),
    "type": lambda b: b.update(type="transaction"),
}


@pytest.mark.parametrize("name", SPOILERS)
def test_the_check_finds_every_defect(name: str) -> None:
    report = draft()
    bundle = report_fhir.bundle(report, words_of("en"), terms=term_map())
    assert defects(bundle, report) == []
    spoilt = copy.deepcopy(bundle)
    SPOILERS[name](spoilt)
    assert defects(spoilt, report) != []


def test_an_older_file_stays_where_the_check_finds_something(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "report.fhir.json").write_bytes(b"older")
    monkeypatch.setattr(report_fhir, "defects", lambda bundle, report: ["something is wrong"])
    with pytest.raises(OutputNotWritten, match="something is wrong"):
        written(full_report(), tmp_path)
    assert (tmp_path / "report.fhir.json").read_bytes() == b"older"
    assert [p.name for p in tmp_path.iterdir()] == ["report.fhir.json"]


def test_fhir_resources_takes_every_resource(scan: Volume, tmp_path: Path) -> None:
    """R4B: the resources that are used have the same fields in R4."""
    module = pytest.importorskip("fhir.resources.R4B.bundle", reason="fhir.resources (PyPI) is not installed")
    for report in (report_on(scan), report_on(scan, "de"), signed(report_on(scan), "preliminary", "final").report):
        bundle = written(report, tmp_path, scan)
        assert module.Bundle.model_validate(bundle).entry[0].resource.status == bundle["entry"][0]["resource"]["status"]
