"""A report as a FHIR bundle of type collection: R4 (4.0.1); every field that is used is the same in R4B.

One DiagnosticReport with the report as text, an Observation for each number and each sentence, a Media with the picture
for each key image, Patient, ImagingStudy, Devices (program and models), Provenance with the hash of the weights, and
the Practitioner who signed, if someone did. Until then the status is preliminary. What a program wrote carries the
label of the HL7 guide "AI Transparency on FHIR" (http://hl7.org/fhir/uv/aitransparency). A typed name is no electronic
signature, so there is no Signature.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import Any

from medviewer.core.errors import OutputNotWritten
from medviewer.core.report.document import Report, Status
from medviewer.core.report.words import Words
from medviewer.core.volume import Volume
from medviewer.io import report_text
from medviewer.io.atomic import write_bytes_atomic
from medviewer.io.label_sidecar import TermMap
from medviewer.io.report_dicom import signature_of
from medviewer.io.report_fhir_check import defects
from medviewer.io.report_fhir_context import Context
from medviewer.io.report_fhir_media import attachment, links, media
from medviewer.io.report_fhir_parts import (
    devices,
    imaging_study,
    model_id,
    numbers,
    patient,
    practitioner,
    sentences,
)
from medviewer.io.report_fhir_values import (
    LOINC,
    Resource,
    coding,
    date_of,
    filled,
    hl7_concept,
    instant_of,
    reference,
    text,
)
from medviewer.io.report_layout import is_verified, title_text
from medviewer.io.report_sr_groups import models_of

STATUSES: dict[Status, str] = {  # https://hl7.org/fhir/R4/valueset-diagnostic-report-status.html
    "draft": "preliminary", "preliminary": "preliminary", "final": "final", "addendum": "appended",
    "corrected": "corrected",
}  # fmt: skip


def write(
    path: Path, report: Report, words: Words, source: Volume | None = None, *, terms: TermMap | None = None,
    pdf: bytes = b"",
) -> None:  # fmt: skip
    """Write the bundle atomically; what is written is read back equal and has no defect (`report_fhir_check`). Any
    thread.

    `source`: the scan, for the series. `terms`: the terminology's codes by term id. `pdf`: the report's PDF, which then
    stands beside the text. Raises OutputNotWritten.
    """
    path = Path(path)
    made = bundle(report, words, source, terms=terms, pdf=pdf)
    try:
        data = json.dumps(made, ensure_ascii=False, indent=1, allow_nan=False).encode("utf-8")
    except ValueError as error:  # a number that is none, half of a character
        raise OutputNotWritten(
            "The report was not written: it holds a number or a character that no file can hold.",
            "Remove the measurement or the character, then save again.",
        ) from error
    found = json.loads(data)
    wrong = ["other content"] if found != made else defects(found, report)
    if wrong:
        raise OutputNotWritten(
            f"{path.name} was not written: in what was read back, {wrong[0]}.",
            "This is a defect of the program: save another form meanwhile, and report it.",
        )
    write_bytes_atomic(path, data)


def bundle(
    report: Report, words: Words, source: Volume | None = None, *, terms: TermMap | None = None, pdf: bytes = b""
) -> Resource:
    """The bundle as plain data; the DiagnosticReport comes first. Raises OutputNotWritten for a status that needs a
    signature and has none, and for a text that FHIR cannot hold."""
    context = Context(report, words, terms or {}, source)
    observations = [*numbers(context), *sentences(context)]
    others = [patient(context), practitioner(context), imaging_study(context), *devices(context), *observations]
    others += media(context)
    entries = [_diagnostic_report(context, observations, pdf), *others, _provenance(context, observations)]
    return {
        "resourceType": "Bundle",
        "id": context.id("bundle"),
        "type": "collection",
        "timestamp": _moment(report),
        "entry": [{"fullUrl": f"urn:uuid:{one['id']}", "resource": one} for one in entries if one is not None],
    }


def _moment(report: Report) -> str:
    """When the report reached its status; the present for one that does not say."""
    signature = signature_of(report)
    known = instant_of(signature.when) if signature else instant_of(report.created)
    return known or datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _diagnostic_report(context: Context, observations: Iterable[Resource], pdf: bytes) -> Resource:
    report, words = context.report, context.words
    impression = [text(f.text) for f in report.impression if f.state != "rejected"]
    signer = practitioner(context)
    return filled(
        resourceType="DiagnosticReport",
        id=context.id("report"),
        meta={"versionId": str(report.version), **context.meta},
        language=report.language,
        text=_narrative(context),
        identifier=[{"system": "urn:ietf:rfc:3986", "value": f"urn:uuid:{context.id('identifier')}"}],
        status=STATUSES[report.status],
        category=[hl7_concept("v2-0074", "RAD", "Radiology")],
        code={
            "coding": [coding(LOINC, "18748-4", "Diagnostic imaging study")],
            "text": text(title_text(report, words)),
        },
        subject=context.subject,
        effectiveDateTime=date_of(report.identity.study_date),
        issued=_moment(report),
        resultsInterpreter=[reference("Practitioner", signer["id"])] if signer else [],
        result=[reference("Observation", one["id"]) for one in observations],
        imagingStudy=[context.study] if context.study else [],
        media=links(context),
        conclusion=text("\n".join(impression)),
        presentedForm=_forms(context, pdf),
    )


def _forms(context: Context, pdf: bytes) -> list[Resource]:
    """The whole report as text, and as PDF where it is given."""
    plain = report_text.render(context.report, context.words).encode("utf-8")
    held = [("text/plain;charset=utf-8", plain)] + ([("application/pdf", pdf)] if pdf else [])
    return [_attachment(context, kind, data) for kind, data in held]


def _attachment(context: Context, kind: str, data: bytes) -> Resource:
    title = title_text(context.report, context.words)
    told = title if is_verified(context.report) else f"{title} ({context.words.phrase('unverified')})"
    more = {"language": context.report.language, "creation": _moment(context.report)}
    return attachment(kind, data, text(told)) | more


def _narrative(context: Context) -> Resource:
    """The same text for people, escaped, without links (XHTML of R4 2.4)."""
    lines = report_text.render(context.report, context.words).splitlines()
    body = "".join(f"<p>{escape(text(line))}</p>" for line in lines if text(line))
    language = context.report.language
    div = f'<div xmlns="http://www.w3.org/1999/xhtml" lang="{language}" xml:lang="{language}">{body}</div>'
    return {"status": "generated", "div": div}


def _provenance(context: Context, observations: Iterable[Resource]) -> Resource:
    """Program, models with the hash of their weights, the version before, and who signed."""
    report, signer = context.report, practitioner(context)
    made = [reference("DiagnosticReport", context.id("report"))]
    return filled(
        resourceType="Provenance",
        id=context.id("provenance"),
        target=made + [reference("Observation", one["id"]) for one in observations],
        recorded=_moment(report),
        reason=[{"text": _typed(context)}] if signer else [],
        activity=hl7_concept("v3-DataOperation", "CREATE", "create"),
        agent=_agents(context, signer),
        entity=_entities(context),
    )


def _typed(context: Context) -> str:
    """That the name of who signed was typed."""
    return "; ".join(
        context.words.phrase("signed", status=context.words.named("statuses", s.status), name=text(s.name), when=s.when)
        for s in context.report.signatures
    )


def _agents(context: Context, signer: Resource | None) -> list[Resource]:
    found = [_agent("assembler", "Assembler", reference("Device", context.id("program")))]
    for model in models_of(context.report):
        found.append(_agent("author", "Author", reference("Device", model_id(context, model), text(model.model_text))))
    if signer:
        found.append(_agent("verifier", "Verifier", reference("Practitioner", signer["id"])))
    return found


def _agent(kind: str, display: str, who: Resource) -> Resource:
    return {"type": hl7_concept("provenance-participant-type", kind, display), "who": who}


def _entities(context: Context) -> list[Resource]:
    found = [{"role": "source", "what": context.study}] if context.study else []
    for model in models_of(context.report):
        if text(model.weights_sha256):
            weights = {"type": {"text": "SHA-256 of the weights"}, "value": text(model.weights_sha256)}
            what: dict[str, Any] = {"identifier": weights, "display": text(model.model_line)}
            found.append({"role": "source", "what": what})
    if context.report.previous:
        before = {"type": {"text": "medviewer report"}, "value": text(context.report.previous)}
        found.append({"role": "revision", "what": {"identifier": before}})
    return found
