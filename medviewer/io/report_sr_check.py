"""A written DICOM SR against the report: read by pydicom alone, by another way than it was written."""

from __future__ import annotations

from collections.abc import Iterator
from math import isclose
from pathlib import Path
from typing import Any

from medviewer.core.provenance import Provenance
from medviewer.core.report.document import Report
from medviewer.core.report.words import Words
from medviewer.io.dicom_seg_text import block, line
from medviewer.io.label_sidecar import TermMap
from medviewer.io.report_codes import quantity_code, side_code, structure_codes, unit_code
from medviewer.io.report_dicom import MAKER, check_study, differs, harmless, person_name, signature_of
from medviewer.io.report_layout import is_verified
from medviewer.io.report_sr_groups import Group, Places, groups_of, models_of, texts_of
from medviewer.io.report_sr_text import Said, sentences

_STORAGE = "1.2.840.10008.5.1.4.1.1.88.34"
_QUALITATIVE, _GROUP, _TRACKING_UID, _SEGMENT = "C0034375", "125007", "112040", "121191"
_MODEL, _SERIAL = "121015", "121016"
_FINDING, _SITE, _LATERALITY, _LANGUAGE = "121071", "363698007", "272741003", "121049"
_DECIMAL = 1e-9  # of a number as text (DS) against the number itself


def verify(path: Path, report: Report, words: Words, terms: TermMap, places: Places) -> None:
    """Compare what the file says with the report. Raises OutputNotWritten naming the first difference."""
    import pydicom

    found = pydicom.dcmread(path)
    if str(found.get("SOPClassUID")) != _STORAGE:
        raise differs(path, "kind of object")
    check_study(path, found, places.headers[0])
    _check_status(path, found, report)
    if [_value(item) for item in _named(found, _LANGUAGE)] != [report.language]:
        raise differs(path, "language")
    _check_models(path, found, report)
    _check_texts(path, found, sentences(report, words, places.instances))
    _check_groups(path, found, report, words, terms, places)


def _check_texts(path: Path, found: Any, meant: list[Said]) -> None:
    """Texts in their order, and what each rests on: groups that are there, images of the scan."""
    told = [item for container in _named(found, _QUALITATIVE) for item in _of(container)]
    if [(_code(item.ConceptNameCodeSequence), item.TextValue) for item in told] != [(s.code[0], s.text) for s in meant]:
        raise differs(path, "text")
    links = [tuple(str(one.UID) for one in _of(item) if one.ValueType == "UIDREF") for item in told]
    groups = {_value(one) for group in _named(found, _GROUP) for one in _children(group, _TRACKING_UID)}
    if links != [one.structures for one in meant] or not groups.issuperset(uid for some in links for uid in some):
        raise differs(path, "evidence of a sentence")
    shown = [tuple(map(_instance, (one for one in _of(item) if one.ValueType == "IMAGE"))) for item in told]
    if shown != [one.images for one in meant]:
        raise differs(path, "key image")


def _check_status(path: Path, found: Any, report: Report) -> None:
    """VERIFIED only with its observer, and only where a person signed (PS3.3 C.17.2)."""
    signature = signature_of(report) if is_verified(report) else None
    flags = ("VERIFIED", "FINAL") if signature else ("UNVERIFIED", "PRELIMINARY")
    complete = "PARTIAL" if report.status == "draft" else "COMPLETE"
    if (found.get("VerificationFlag"), found.get("PreliminaryFlag"), found.get("CompletionFlag")) != (*flags, complete):
        raise differs(path, "status")
    observers = [str(item.VerifyingObserverName) for item in found.get("VerifyingObserverSequence") or []]
    if observers != ([person_name(signature.name)] if signature else []):
        raise differs(path, "observer")


def contribution(model: Provenance) -> str:
    """What the equipment of a model tells of it: the hash of its weights, and their terms."""
    return block(f"weights_sha256={model.weights_sha256}; licence={model.licence or 'not stated'}")


def _check_models(path: Path, found: Any, report: Report) -> None:
    """Every model with its version and the hash of its weights; one alone is the observing device, too."""
    models = models_of(report)
    told = [
        (item.ManufacturerModelName, item.ContributionDescription)
        for item in found.get("ContributingEquipmentSequence") or []
    ]
    if told != [(line(model.model_text), contribution(model)) for model in models]:
        raise differs(path, "model")
    alone = models[0] if len(models) == 1 else None
    serials = [f"sha256:{harmless(alone.weights_sha256)}"] if alone and alone.weights_sha256 else []
    names = [harmless(alone.model_text) if alone else MAKER]
    if [[str(i.TextValue) for i in _named(found, name)] for name in (_MODEL, _SERIAL)] != [names, serials]:
        raise differs(path, "model")


def _check_groups(path: Path, found: Any, report: Report, words: Words, terms: TermMap, places: Places) -> None:
    groups = groups_of(report)
    written = list(_named(found, _GROUP))
    if len(written) != len(groups):
        raise differs(path, "number of structures")
    for item, group in zip(written, groups, strict=True):
        _check_group(path, item, group, terms, places)
        _check_numbers(path, item, group, report, words)


def _check_group(path: Path, item: Any, group: Group, terms: TermMap, places: Places) -> None:
    if [_value(one) for one in _children(item, _TRACKING_UID)] != [group.tracking_uid]:
        raise differs(path, "structure")
    codes = [_value(one) for name in (_FINDING, _SITE) for one in _children(item, name)]
    if codes != [code[0] for code in structure_codes(group.term_id, terms) if code]:
        raise differs(path, "code of a structure")
    side, has_site = side_code(group.side), structure_codes(group.term_id, terms)[1] is not None
    sides = [_value(one) for site in _children(item, _SITE) for one in _children(site, _LATERALITY)]
    if sides != ([side[0]] if side and has_site else []):
        raise differs(path, "side")
    number = places.segments.get(group.tracking_uid)
    segments = [one.ReferencedSOPSequence[0].ReferencedSegmentNumber for one in _children(item, _SEGMENT)]
    if segments != ([number] if number is not None else []):
        raise differs(path, "reference to a segment")


def _check_numbers(path: Path, item: Any, group: Group, report: Report, words: Words) -> None:
    numbers = [one for one in _of(item) if one.ValueType == "NUM"]
    if len(numbers) != len(group.measurements):
        raise differs(path, "number of measurements")
    for one, measurement in zip(numbers, group.measurements, strict=True):
        measured = one.MeasuredValueSequence[0]
        meant = measurement.value if measurement.value is not None else 0.0
        if measured.FloatingPointValue != meant or not isclose(float(measured.NumericValue), meant, rel_tol=_DECIMAL):
            raise differs(path, "number")
        if _code(measured.MeasurementUnitsCodeSequence) != unit_code(measurement)[0]:
            raise differs(path, "unit")
        if _code(one.ConceptNameCodeSequence) != quantity_code(measurement, words, report.identity.modality)[0]:
            raise differs(path, "quantity")
        beside = [child.TextValue for child in _of(one) if child.ValueType == "TEXT"]
        if beside != [text for _, text, _ in texts_of(measurement, words)]:
            raise differs(path, "method or range")


# -- walking the tree ------------------------------------------------------------------------
def _of(item: Any) -> list[Any]:
    return list(item.get("ContentSequence") or [])


def _children(item: Any, value: str) -> Iterator[Any]:
    return (
        one for one in _of(item) if "ConceptNameCodeSequence" in one and _code(one.ConceptNameCodeSequence) == value
    )


def _named(item: Any, value: str) -> Iterator[Any]:
    """Every content item of the tree with this concept, in order."""
    for one in _of(item):
        if "ConceptNameCodeSequence" in one and _code(one.ConceptNameCodeSequence) == value:
            yield one
        yield from _named(one, value)


def _code(sequence: Any) -> str:
    return str(sequence[0].get("CodeValue") or sequence[0].get("LongCodeValue"))


def _instance(item: Any) -> str:
    return str(item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID)


def _value(item: Any) -> str:
    if item.ValueType == "CODE":
        return _code(item.ConceptCodeSequence)
    return str(item.get("UID") or item.get("TextValue"))
