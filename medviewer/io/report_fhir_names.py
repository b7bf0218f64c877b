"""A patient's name as FHIR has it: one HumanName for each group of a DICOM person name (PS3.5 6.2.1)."""

from __future__ import annotations

from medviewer.core.plain_text import readable_name
from medviewer.io.report_fhir_values import Resource, filled

_KIND = "http://hl7.org/fhir/StructureDefinition/iso21090-EN-representation"
_GROUPS = ("ABC", "IDE", "SYL")  # letters, ideographs, sounds: the order of DICOM
_PARTS = 5  # family, given, middle, prefix, suffix


def human_names(name: str) -> list[Resource]:
    """The names of "Doe^Jane^^Dr=..." or of its readable form; parts only where it is plain which is which."""
    groups = [group.strip() for group in name.replace("\n", " ").split("=")]
    told = [(kind, group) for kind, group in zip(_GROUPS, groups, strict=False) if readable_name(group)]
    if len(groups) > len(_GROUPS):  # no person name: whole, as it is
        return [{"text": readable_name(name)}]
    several = len(told) > 1
    return [_human_name(group) | (_representation(kind) if several else {}) for kind, group in told]


def _human_name(group: str) -> Resource:
    parts = [part.strip() for part in group.split("^")]
    if len(parts) == 1:
        parts = [part.strip() for part in group.split(", ")]
        parts = parts if len(parts) == 2 else []
    if not 1 < len(parts) <= _PARTS:
        return {"text": readable_name(group)}
    family, given, middle, prefix, suffix = (*parts, *[""] * (_PARTS - len(parts)))
    return filled(
        text=readable_name(group),
        family=family,
        given=[*given.split(), *middle.split()],
        prefix=[prefix] if prefix else [],
        suffix=[suffix] if suffix else [],
    )


def _representation(kind: str) -> Resource:
    return {"extension": [{"url": _KIND, "valueCode": kind}]}
