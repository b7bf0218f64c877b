"""A report's FHIR bundle, written and taken apart, for the tests of FHIR."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from report_dicom_kit import term_map, words_of

from medviewer.core.report.document import Report
from medviewer.core.volume import Volume
from medviewer.io import report_fhir

Found = dict[str, list[dict[str, Any]]]


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
