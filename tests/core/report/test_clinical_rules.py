"""The rules that every sentence, number and export of a report obeys: each has tests, and docs/clinical-rules.md names
them. Rules that have no test elsewhere are tested here."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import numpy as np
import pytest
from report_kit import draft, model_sentence, reviewed, scan, segment, template_of, texts, words_of

from medviewer.core.comparison.recist import RecistInput, TargetLesion, TimePoint, recist
from medviewer.core.report.checklist import before_signing, blocking
from medviewer.core.report.document import Evidence, Language
from medviewer.services.report_notes import notes_of

ROOT = Path(__file__).resolve().parents[3]
RULES = (3, 4, 5, *range(14, 21), 26, 27, 28, 29)
BASELINE, NOW = TimePoint("baseline", "20250101", 1.0), TimePoint("now", "20260101", 1.0)
TARGETS = (
    TargetLesion("1", "liver", 40.0, 40.0, 28.0, marked_by="A"),
    TargetLesion("2", "lung", 20.0, 20.0, 14.0, marked_by="A"),
)


def rows() -> dict[int, list[str]]:
    """Rule -> the tests that the document names, as "path::name"."""
    text = (ROOT / "docs" / "clinical-rules.md").read_text(encoding="utf-8")
    found = re.findall(r"^\| (\d+) \|[^|]+\|([^|]+)\|([^|]+)\|$", text, re.MULTILINE)
    return {int(rule): re.findall(r"`(tests/[^`]+)`", tests) for rule, _, tests in found}


@pytest.mark.parametrize("rule", RULES)
def test_each_rule_names_tests_that_exist(rule: int) -> None:
    named = rows()[rule]
    assert named
    for one in named:
        path, name = one.split("::")
        tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
        assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}, one


def test_each_rule_names_modules_that_exist() -> None:
    text = (ROOT / "docs" / "clinical-rules.md").read_text(encoding="utf-8")
    for row in re.findall(r"^\| \d+ \|[^|]+\|([^|]+)\|", text, re.MULTILINE):
        for name in re.findall(r"`([^`]+)`", row):
            assert (ROOT / name).exists() or (ROOT / "medviewer" / name).exists(), name


def test_4_each_structure_names_its_tested_performance_or_untested() -> None:
    from medviewer.models.bundle import TestResult

    assert TestResult(0.91, 24).text() == "dev Dice 0.91, n = 24"
    assert TestResult().text() == "untested"


def test_15_a_sentence_that_only_a_map_supports_keeps_the_report_from_being_signed() -> None:
    shown = model_sentence(evidence=(Evidence("map", volume_id="scan"),), seen=True, state="accepted")
    checks = blocking(before_signing(reviewed(shown).report, words_of("en")))
    assert shown.id in {id_ for check in checks if check.key == "unsupported" for id_ in check.finding_ids}


def case(**changes: object) -> RecistInput:
    values = {"current": NOW, "baseline": BASELINE, "nadir": BASELINE, "lesions": TARGETS, "new_lesions": False,
              "non_target": "none"} | changes  # fmt: skip
    return RecistInput(**values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "lacking",
    [{"baseline": None}, {"nadir": None}, {"lesions": ()}, {"new_lesions": None}, {"non_target": ""},
     {"lesions": (TargetLesion("1", "liver", 40.0, 40.0, 28.0),)},
     {"lesions": (TargetLesion("1", "liver", 9.0, 9.0, 5.0, marked_by="A"),)},
     {"current": TimePoint("now", "20260101", 8.0)}],
)  # fmt: skip
def test_16_no_recist_category_without_all_that_it_needs(lacking: dict[str, object]) -> None:
    found = recist(case(**lacking))
    assert found.category == ""
    assert found.reasons


def test_16_partial_response_and_progression_have_their_limits() -> None:
    assert recist(case()).category == "PR"  # exactly 30 % below baseline
    grown = TargetLesion("1", "liver", 40.0, 20.0, 24.9, marked_by="A")
    assert recist(case(lesions=(grown,))).category != "PD"  # 24.5 %, but 4.9 mm
    assert recist(case(lesions=(TargetLesion("1", "liver", 40.0, 20.0, 25.0, marked_by="A"),))).category == "PD"


@pytest.mark.parametrize("language", ["en", "de"])
def test_16_a_draft_names_no_category(language: Language) -> None:
    report = draft(language)
    said = " ".join((*texts(report), *report.limitations, report.technique))
    assert not re.search(r"\bRECIST\b|\b[CPS]R\b|\bPD\b|partial response|progressive disease|stable disease", said)


def test_26_gas_inside_an_organ_is_listed_and_not_averaged_away() -> None:
    array = np.full((20, 20, 20), 60, np.int16, order="F")
    array[5:7, 5:7, 5] = -700
    liver = segment("liver")
    wanted = (("en", "Voxels to look at, not averaged away: Liver down"), ("de", "Leber hinab bis -700 HU"))
    for language, told in wanted:
        lines = notes_of(scan().with_changes(array=array), [liver], template_of("ct_abdomen"), words_of(language))  # type: ignore[arg-type]
        assert any(told in line for line in lines), language


@pytest.mark.parametrize(("language", "told"), [("en", "Display not"), ("de", "Bildschirm nicht kalibriert")])
def test_29_every_draft_says_that_the_display_is_not_calibrated(language: Language, told: str) -> None:
    assert any(line.startswith(told) for line in draft(language).limitations)
