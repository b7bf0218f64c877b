"""The check of a written FHIR bundle finds every planted defect, and a validator of others none."""

from __future__ import annotations

import base64
import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from report_dicom_kit import (
    report_on,
    signed,
    term_map,
    with_pictures,
    words_of,
)
from report_fhir_kit import kinds, written
from report_kit import full_report

from medviewer.core.errors import OutputNotWritten
from medviewer.core.volume import Volume
from medviewer.io import report_fhir
from medviewer.io.report_fhir_check import defects


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
    "picture": lambda b: _of(b, "Media")["content"].update(data=base64.b64encode(b"other").decode()),
    "lost picture": lambda b: b["entry"].remove(next(e for e in b["entry"] if e["resource"] == _of(b, "Media"))),
    "media": lambda b: _of(b, "Media").pop("status"),
}


@pytest.mark.parametrize("name", SPOILERS)
def test_the_check_finds_every_defect(name: str) -> None:
    report = full_report()
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
    pictures = with_pictures(report_on(scan), scan)
    named = pictures.with_changes(identity=replace(pictures.identity, name="Yamada^Tarou=山田^太郎"))
    for report in (pictures, named, report_on(scan, "de"), signed(pictures, "preliminary", "final").report):
        bundle = written(report, tmp_path, scan)
        assert module.Bundle.model_validate(bundle).entry[0].resource.status == bundle["entry"][0]["resource"]["status"]
