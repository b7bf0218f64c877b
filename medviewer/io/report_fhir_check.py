"""What must hold of a report's FHIR bundle and what general validators do not look for: references, codes, the numbers
and sentences of the report, no final report without a person."""

from __future__ import annotations

import base64
import math
from collections.abc import Iterator, Mapping
from typing import Any

from medviewer.core.report.document import Report
from medviewer.io.report_codes import cited, unit_code
from medviewer.io.report_fhir_parts import by_program, is_told
from medviewer.io.report_fhir_values import text

_NEEDED: Mapping[str, tuple[str, ...]] = {  # cardinality 1 in R4
    "DiagnosticReport": ("status", "code"),
    "Observation": ("status", "code"),
    "ImagingStudy": ("status", "subject"),
    "Provenance": ("target", "recorded", "agent"),
    "Patient": (),
    "Practitioner": ("name",),
    "Device": ("deviceName",),
    "Media": ("status", "content"),
}
_STATUSES: Mapping[str, tuple[str, ...]] = {
    "DiagnosticReport": ("preliminary", "final", "appended", "corrected"),
    "Observation": ("preliminary", "final", "corrected"),
    "ImagingStudy": ("available",),
    "Device": ("active",),
    "Media": ("completed",),
}
_LABELS = ("AIAST", "CLINAST_AIRPT")


def defects(bundle: Mapping[str, Any], report: Report) -> list[str]:
    """Everything that is wrong, as clauses that follow "in what was read back,"; empty if nothing is."""
    resources = [entry["resource"] for entry in bundle.get("entry", [])]
    found = [*_identities(bundle), *_references(bundle), *_empty(bundle, "the bundle")]
    for resource in resources:
        found += _resource(resource)
    return [*found, *_content(resources, report), *_signed(resources)]


def _identities(bundle: Mapping[str, Any]) -> Iterator[str]:
    if bundle.get("resourceType") != "Bundle" or bundle.get("type") != "collection":
        yield "this is no collection"
    urls = [entry.get("fullUrl") for entry in bundle["entry"]]
    if len(set(urls)) != len(urls):
        yield "two entries have one address"
    if any(entry["fullUrl"] != f"urn:uuid:{entry['resource'].get('id')}" for entry in bundle["entry"]):
        yield "an entry has another address than its id"


def _references(bundle: Mapping[str, Any]) -> Iterator[str]:
    """Every reference names an entry of the kind it says."""
    kinds = {entry["fullUrl"]: entry["resource"]["resourceType"] for entry in bundle["entry"]}
    for element in _elements(bundle):
        target = element.get("reference")
        if isinstance(target, str) and kinds.get(target) != element.get("type"):
            yield f"the reference {target} leads to no {element.get('type')}"


def _empty(value: Any, where: str) -> Iterator[str]:
    """FHIR holds no empty string, list or object, no control character and no number that is none."""
    if isinstance(value, Mapping):
        for name, one in value.items():
            yield from _empty(one, name)
    elif isinstance(value, list):
        for one in value:
            yield from _empty(one, where)
    elif isinstance(value, str) and any(ord(char) < 32 and char not in "\t\r\n" for char in value):
        yield f"{where} holds a control character"
    elif isinstance(value, float) and not math.isfinite(value):
        yield f"{where} is no number"
    if value in ("", [], {}, None) or (isinstance(value, str) and not value.strip()):
        yield f"{where} is empty"


def _resource(resource: Mapping[str, Any]) -> Iterator[str]:
    kind = str(resource.get("resourceType"))
    if kind not in _NEEDED:
        yield f"{kind} is no resource of a report"
        return
    for name in ("id", *_NEEDED[kind]):
        if name not in resource:
            yield f"{kind} has no {name}"
    if kind in _STATUSES and resource.get("status") not in _STATUSES[kind]:
        yield f"{kind} has the status {resource.get('status')}"
    if (kind in ("DiagnosticReport", "Media") or "valueQuantity" in resource) and not _labelled(resource):
        yield f"{kind} does not say that a program wrote it"


def _content(resources: list[Mapping[str, Any]], report: Report) -> Iterator[str]:
    """The numbers, units and sentences of the report, in its order."""
    observations = [one for one in resources if one["resourceType"] == "Observation"]
    values = [one["valueQuantity"] for one in observations if "valueQuantity" in one]
    if [(v["value"], v["code"]) for v in values] != [(m.value, unit_code(m)[0]) for m in cited(report)]:
        yield "the numbers are others"
    told = [(one["valueString"], _labelled(one)) for one in observations if "valueString" in one]
    if told != [(text(finding.text), by_program(finding)) for finding in report.findings if is_told(finding)]:
        yield "the sentences are others"
    pictures = [base64.b64decode(one["content"]["data"]) for one in resources if one["resourceType"] == "Media"]
    if pictures != [image.png for image in report.key_images]:
        yield "the key images are others"


def _labelled(resource: Mapping[str, Any]) -> bool:
    return any(one.get("code") in _LABELS for one in resource.get("meta", {}).get("security", []))


def _signed(resources: list[Mapping[str, Any]]) -> Iterator[str]:
    """No report of a person without the person, and no person in a draft."""
    report = next((one for one in resources if one["resourceType"] == "DiagnosticReport"), None)
    if report is None:
        yield "there is no DiagnosticReport"
        return
    people = [one for one in resources if one["resourceType"] == "Practitioner"]
    if report.get("status") != "preliminary" and (not people or not report.get("resultsInterpreter")):
        yield "the report is final and nobody signed it"
    if bool(people) != bool(report.get("resultsInterpreter")):
        yield "a person is named who did not sign"


def _elements(value: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(value, Mapping):
        yield value
        for one in value.values():
            yield from _elements(one)
    elif isinstance(value, list):
        for one in value:
            yield from _elements(one)
