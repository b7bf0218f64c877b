"""What every resource of a report's FHIR bundle is made from, and the label that says a program took part."""

from __future__ import annotations

from dataclasses import dataclass

from medviewer.core.report.document import Report
from medviewer.core.report.words import Words
from medviewer.core.volume import Volume
from medviewer.io.label_sidecar import TermMap
from medviewer.io.report_fhir_values import Resource, coding, hl7_concept, id_of, oid_of, reference
from medviewer.io.report_layout import is_verified

AI_TAG = ("v3-ObservationValue", "AIAST", "Artificial Intelligence asserted")
SIGNED_TAG = "http://hl7.org/fhir/uv/aitransparency/CodeSystem/AddedProvenanceCS"
_OBSERVATION_STATUS = {"draft": "preliminary", "preliminary": "preliminary", "corrected": "corrected"}  # others: final


@dataclass(frozen=True)
class Context:
    """What every resource is made from."""

    report: Report
    words: Words
    terms: TermMap
    source: Volume | None = None

    def id(self, *parts: str) -> str:
        return id_of(self.report, *parts)

    @property
    def subject(self) -> Resource:
        return reference("Patient", self.id("patient"))

    @property
    def meta(self) -> Resource:
        """The label of the HL7 guide "AI Transparency on FHIR" (1.0.0-ballot, value set ProvenanceVS): asserted by an
        artificial intelligence (it counts algorithms among them), and once a person signed, by that person from it."""
        if is_verified(self.report):
            return {"security": [coding(SIGNED_TAG, "CLINAST_AIRPT", "Clinician Asserted from AI Reported")]}
        system, code, display = AI_TAG
        return {"security": [hl7_concept(system, code, display)["coding"][0]]}

    @property
    def status(self) -> str:
        return _OBSERVATION_STATUS.get(self.report.status, "final")

    @property
    def study(self) -> Resource | None:
        """A reference to the ImagingStudy; None where the scan has no study."""
        return reference("ImagingStudy", self.id("study")) if oid_of(self.report.identity.study_uid) else None
