"""Sentences as they are dictated: what each guard marks and what it leaves alone."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from medviewer.core.guards import GuardContext, GuardWords, KnownSegment, Structures, check_report
from medviewer.core.report.document import Evidence, Finding, Identity, Measurement, Report, Section

from .planted.cases import listed_terms

LISTS = tomllib.loads(Path(__file__).with_name("plain_sentences.toml").read_text(encoding="utf-8"))["lists"]
NAMES = [" ".join([entry["guard"], entry.get("language", ""), entry.get("template", "")]).strip() for entry in LISTS]
RANGE = "reference range 81.1 to 322 ml (Kim 2021)"
FACTS = ("language", "modality", "template", "contrast", "sex")


def report_of(text: str, entry: dict[str, Any]) -> tuple[Report, dict[str, Any]]:
    """The sentences between "|", those after "!" in the impression; and the facts they are held against."""
    held = [
        Measurement("x", value, unit, "by hand", range_text=RANGE if unit == "ml" else "", id=str(n))
        for n, (value, unit) in enumerate(entry.get("measured", ()))
    ]
    facts: dict[str, Any] = {"contrast": "yes"} | {name: entry[name] for name in FACTS if name in entry}
    facts["measurements"] = {m.id: m for m in held}
    evidence = [Evidence("measurement", measurement_id=m.id) for m in held] or [Evidence("slice", slice_index=1)]
    if "segment" in entry:
        facts["segments"] = {"s": KnownSegment("s", *entry["segment"])}
        evidence = [Evidence("segment", segment_id="s")]
    if "template" in entry:
        facts["listed"] = listed_terms(entry["template"])
    origin = "model" if held else "human"
    parts = [part.strip() for part in text.split("|")]
    made = [Finding(part.lstrip("!"), "body", tuple(evidence), origin) for part in parts]  # type: ignore[arg-type]
    told = [part.startswith("!") for part in parts]
    body = tuple(f for f, in_impression in zip(made, told, strict=True) if not in_impression)
    impression = tuple(f for f, in_impression in zip(made, told, strict=True) if in_impression)
    sections = (Section("body", "Body", body),)
    return Report("general", entry.get("language", "en"), Identity(), sections=sections, impression=impression), facts


def marked(text: str, entry: dict[str, Any], structures: Structures, words: GuardWords) -> bool:
    report, facts = report_of(text, entry)
    checked = check_report(report, GuardContext(structures, **facts), words)
    return any(mark.guard == entry["guard"] for finding in checked.findings for mark in finding.marks)


@pytest.mark.parametrize("entry", LISTS, ids=NAMES)
def test_plain_sentences_with_an_error_are_marked(entry: dict[str, Any], structures: Any, words: GuardWords) -> None:
    assert [text for text in entry["marked"] if not marked(text, entry, structures, words)] == []


@pytest.mark.parametrize("entry", LISTS, ids=NAMES)
def test_plain_sentences_without_an_error_are_not(entry: dict[str, Any], structures: Any, words: GuardWords) -> None:
    assert [text for text in entry["clean"] if marked(text, entry, structures, words)] == []
