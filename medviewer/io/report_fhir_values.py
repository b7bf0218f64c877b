"""Values as FHIR R4 holds them: texts without control characters, dates, codes, ids. No resource is in here."""

from __future__ import annotations

import re
import uuid
from datetime import date
from typing import Any

from medviewer.core.errors import OutputNotWritten
from medviewer.core.report.document import Report
from medviewer.io.dicom_seg_terms import Code
from medviewer.io.report_codes import OWN_SCHEME
from medviewer.io.report_dicom import harmless, moment_of

Resource = dict[str, Any]
LONGEST_TEXT = 1 << 20  # characters of a string (https://hl7.org/fhir/R4/datatypes.html#string)
LOINC, SNOMED = "http://loinc.org", "http://snomed.info/sct"
UCUM, DICOM = "http://unitsofmeasure.org", "http://dicom.nema.org/resources/ontology/DCM"
HL7 = "http://terminology.hl7.org/CodeSystem/"
_SYSTEMS = {"SCT": SNOMED, "DCM": DICOM, "LN": LOINC, "UCUM": UCUM}  # IBSI has none that FHIR names
_SPACE = uuid.UUID("0b7d3c2e-4a55-5d5c-8f0e-7f2f6f6f1a11")
_DATE = re.compile(r"(\d{4})-?(\d{2})-?(\d{2})")
_UID = re.compile(r"(0|[1-9]\d*)(\.(0|[1-9]\d*))+")


def text(value: str) -> str:
    """Harmless lines. Raises OutputNotWritten for more than a FHIR string may hold."""
    told = harmless(value)
    if len(told) > LONGEST_TEXT:
        raise OutputNotWritten(
            "A text of the report is longer than FHIR allows (1,048,576 characters).",
            "Shorten it, or save another form.",
        )
    return told


def filled(**values: Any) -> Resource:
    """An element without its empty parts: FHIR allows no empty string, list or object. Zero and False stay. A name that
    ends in "_" is written without it ("type_", "class_")."""
    return {name.rstrip("_"): value for name, value in values.items() if value not in ("", None, [], {})}


def id_of(report: Report, *parts: str) -> str:
    """A UUID that is the same whenever the same part of the same version of a report is written."""
    return str(uuid.uuid5(_SPACE, "|".join((report.id, *parts))))


def reference(kind: str, id_: str, display: str = "") -> Resource:
    """A reference to another entry of the bundle (R4 2.36.4: by its full URL)."""
    return filled(reference=f"urn:uuid:{id_}", type=kind, display=display)


def date_of(value: str) -> str:
    """A DICOM or ISO date as FHIR has it; empty for what is no date."""
    found = _DATE.match(value.strip())
    try:
        return date(int(found[1]), int(found[2]), int(found[3])).isoformat() if found else ""
    except ValueError:
        return ""


def instant_of(value: str) -> str:
    """An ISO time as an instant in UTC; empty for what is none."""
    moment = moment_of(value)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ") if moment else ""


def oid_of(uid: str) -> str:
    """A DICOM UID as FHIR identifies by it ("urn:oid:1.2.3"); empty for what is none."""
    return f"urn:oid:{uid}" if _UID.fullmatch(uid) else ""


def coding(system: str, code: str, display: str = "") -> Resource:
    return filled(system=system, code=code, display=display)


def concept(code: Code | None, told: str = "") -> Resource:
    """A CodeableConcept of a code of the DICOM tables; codes of other schemes (our own, IBSI) stand as text only."""
    system = _SYSTEMS.get(code[1]) if code else None
    known = [coding(system, code[0], code[2])] if code and system and code[1] != OWN_SCHEME else []
    return filled(coding=known, text=text(told) or (text(code[2]) if code else ""))


def hl7_concept(name: str, code: str, display: str = "") -> Resource:
    """A CodeableConcept of an HL7 code system."""
    return {"coding": [coding(HL7 + name, code, display)]}
