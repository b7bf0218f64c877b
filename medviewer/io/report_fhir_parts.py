"""The resources of a report's FHIR bundle besides the DiagnosticReport: who, what with, which images, which numbers."""

from __future__ import annotations

from medviewer.core.provenance import Provenance
from medviewer.core.report.document import Finding, Measurement, Section
from medviewer.core.report.wording import ABOVE, BELOW, SIDE_OF_RESULT, capital
from medviewer.io.dicom_seg_terms import program_version
from medviewer.io.report_codes import (
    cited,
    derivation_code,
    modality_code,
    quantity_code,
    structure_codes,
    unit_code,
)
from medviewer.io.report_dicom import MAKER, signature_of
from medviewer.io.report_fhir_context import Context
from medviewer.io.report_fhir_media import references_of
from medviewer.io.report_fhir_names import human_names
from medviewer.io.report_fhir_values import (
    DICOM,
    LOINC,
    UCUM,
    Resource,
    coding,
    concept,
    date_of,
    filled,
    hl7_concept,
    oid_of,
    reference,
    text,
)
from medviewer.io.report_sr_groups import models_of

_GENDERS = {"M": "male", "F": "female", "O": "other"}
_INTERPRETATIONS = {ABOVE: ("H", "High"), BELOW: ("L", "Low")}


def patient(context: Context) -> Resource:
    identity = context.report.identity
    return filled(
        resourceType="Patient",
        id=context.id("patient"),
        identifier=[{"value": text(identity.patient_id)}] if text(identity.patient_id) else [],
        name=human_names(text(identity.name)),
        gender=_GENDERS.get(identity.sex, "unknown") if identity.sex else "",
        birthDate=date_of(identity.birth_date),
    )


def practitioner(context: Context) -> Resource | None:
    """Who signed, by the typed name; None for a draft."""
    signature = signature_of(context.report)
    if signature is None:
        return None
    name = text(signature.name).replace("\n", " ")
    return {"resourceType": "Practitioner", "id": context.id("signer"), "name": [{"text": name}]}


def devices(context: Context) -> list[Resource]:
    """The program, and every model with its version and the SHA-256 of its weights."""
    program = filled(
        resourceType="Device",
        id=context.id("program"),
        status="active",
        deviceName=[{"name": MAKER, "type": "model-name"}],
        version=[{"value": program_version()}],
    )
    return [program, *(_model(context, model) for model in models_of(context.report))]


def _model(context: Context, model: Provenance) -> Resource:
    versions = [filled(value=text(model.model_version))] if text(model.model_version) else []
    if text(model.weights_sha256):
        versions.append({"type": {"text": "SHA-256 of the weights"}, "value": text(model.weights_sha256)})
    licence = text(model.licence) or context.words.phrase("licence_unknown")
    return filled(
        resourceType="Device",
        id=model_id(context, model),
        status="active",
        deviceName=[{"name": text(model.model_text), "type": "model-name"}],
        type={"text": "Artificial intelligence model"},
        version=versions,
        note=[{"text": f"{context.words.phrase('licence')}: {licence}"}],
    )


def model_id(context: Context, model: Provenance) -> str:
    """The id of the Device of a model."""
    return context.id("model", model.model_id, model.model_version, model.weights_sha256)


def imaging_study(context: Context) -> Resource | None:
    """The study that was looked at (None without a study UID), with the series where the scan is known."""
    identity = context.report.identity
    if context.study is None:
        return None
    identifiers: list[Resource] = [{"system": "urn:dicom:uid", "value": oid_of(identity.study_uid)}]
    if text(identity.accession):
        identifiers.append({"type": hl7_concept("v2-0203", "ACSN"), "value": text(identity.accession)})
    return filled(
        resourceType="ImagingStudy",
        id=context.id("study"),
        identifier=identifiers,
        status="available",
        subject=context.subject,
        started=date_of(identity.study_date),
        modality=[_modality(identity.modality)] if identity.modality else [],
        series=_series(context),
    )


def _modality(modality: str) -> Resource:
    value, _, meaning = modality_code(modality)
    return coding(DICOM, value, meaning)


def _series(context: Context) -> list[Resource]:
    source, identity = context.source, context.report.identity
    uid = source.source.series_uid if source is not None else None
    if source is None or not uid or not oid_of(uid):
        return []
    told = text(identity.series_description)
    count = len(set(source.source.instance_uids))
    return [filled(uid=uid, modality=_modality(identity.modality), description=told, numberOfInstances=count or None)]


# -- observations ----------------------------------------------------------------------------
def numbers(context: Context) -> list[Resource]:
    """An Observation for each number that a sentence rests on."""
    return [_number(context, measurement) for measurement in cited(context.report)]


def _number(context: Context, measurement: Measurement) -> Resource:
    words, unit = context.words, unit_code(measurement)
    _, site = structure_codes(measurement.term_id, context.terms)
    body = _name(context, measurement)
    quantity = words.named("quantities", measurement.quantity)
    value = filled(value=measurement.value, unit=text(measurement.unit) or unit[2], system=UCUM, code=unit[0])
    code = quantity_code(measurement, words, context.report.identity.modality)
    derived, notes = derivation_code(measurement), [words.translated(flag) for flag in measurement.flags]
    method = words.translated(measurement.method)
    return _observation(
        context,
        context.id("number", measurement.id),
        meta=context.meta,
        code=concept(code, f"{body}: {quantity}" if body else quantity),
        valueQuantity=value,
        interpretation=_interpretation(measurement),
        bodySite=concept(site, body) if site else None,
        method=concept(None, f"{derived[2]}; {method}" if derived else method),
        referenceRange=[{"text": text(measurement.range_text)}] if text(measurement.range_text) else [],
        note=[{"text": text(note)} for note in notes if text(note)],
        derivedFrom=[context.study] if context.study else [],
    )


def _name(context: Context, measurement: Measurement) -> str:
    """ "Left kidney" as far as the words go: the structure, and its side where the number is of one side."""
    if not measurement.term_id:
        return ""
    name = capital(context.words.named("structures", measurement.term_id))
    if not measurement.side or measurement.quantity in SIDE_OF_RESULT:
        return text(name)
    return text(f"{name}, {context.words.named('sides', measurement.side)}")


def _interpretation(measurement: Measurement) -> list[Resource]:
    """High or low against the range that is named beside it; nothing without a range."""
    found = [_INTERPRETATIONS[flag] for flag in measurement.flags if flag in _INTERPRETATIONS]
    if not measurement.range_text:
        return []
    return [hl7_concept("v3-ObservationInterpretation", *one) for one in found]


def sentences(context: Context) -> list[Resource]:
    """An Observation for each sentence that is not rejected, derived from the numbers it rests on."""
    report = context.report
    own = [(f, section) for section in report.sections for f in section.findings]
    found = [_sentence(context, f, "59776-5", _title(section)) for f, section in own if is_told(f)]
    impression = [f for f in report.impression if is_told(f)]
    title = context.words.phrase("impression")
    return found + [_sentence(context, finding, "19005-8", title) for finding in impression]


def is_told(finding: Finding) -> bool:
    """Whether a sentence is part of the bundle."""
    return finding.state != "rejected" and bool(text(finding.text))


def _title(section: Section) -> str:
    return text(section.title) or section.key


def _sentence(context: Context, finding: Finding, loinc: str, title: str) -> Resource:
    known = {m.id for m in cited(context.report)}
    ids = dict.fromkeys(e.measurement_id for e in finding.evidence if e.measurement_id in known)
    linked = [reference("Observation", context.id("sentence", one)) for one in _linked(context, finding)]
    rests_on = [*(reference("Observation", context.id("number", id_)) for id_ in ids), *linked]
    images = references_of(context, finding)
    return _observation(
        context,
        context.id("sentence", finding.id),
        meta=context.meta if by_program(finding) else None,
        code={"coding": [coding(LOINC, loinc)], "text": title},
        valueString=text(finding.text),
        note=[{"text": note} for note in _notes(context, finding) if note],
        derivedFrom=[*(rests_on or ([context.study] if context.study and finding.evidence else [])), *images],
    )


def by_program(finding: Finding) -> bool:
    """Whether a program wrote the sentence, or a person out of what a program had written."""
    return finding.origin != "human" or bool(finding.model)


def _linked(context: Context, finding: Finding) -> list[str]:
    """The findings that a sentence of the impression rests on, as far as they are in the bundle."""
    kept = {f.id for section in context.report.sections for f in section.findings if is_told(f)}
    return [id_ for id_ in dict.fromkeys(finding.linked) if id_ in kept and id_ != finding.id]


def _notes(context: Context, finding: Finding) -> list[str]:
    """Where the sentence comes from, its state, and what a guard found wrong."""
    words = context.words
    model = text(finding.model) or words.phrase("model")
    told = [words.tables["states"][finding.origin].replace("{model}", model), words.named("states", finding.state)]
    told += [words.phrase("changed")] if finding.changed else []
    told += [words.phrase("check_mark", reason=text(mark.reason)) for mark in finding.marks]
    return [text(note) for note in told]


def _observation(context: Context, id_: str, **fields: object) -> Resource:
    return filled(
        resourceType="Observation",
        id=id_,
        status=context.status,
        category=[hl7_concept("observation-category", "imaging", "Imaging")],
        subject=context.subject,
        effectiveDateTime=date_of(context.report.identity.study_date),
        device=_device(context),
        **fields,
    )


def _device(context: Context) -> Resource:
    """The model where there is one alone; else the program, for a report does not tell which model drew a segment."""
    models = models_of(context.report)
    return reference("Device", model_id(context, models[0]) if len(models) == 1 else context.id("program"))
