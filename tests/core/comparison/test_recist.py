"""RECIST 1.1 at its borders (clinical.md 16)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from comparison_kit import block, rules, study
from report_kit import words_of

from medviewer.core.comparison import RecistInput, TargetLesion, TimePoint, recist
from medviewer.core.comparison.recist_text import recist_finding

BASELINE, NADIR, NOW = (TimePoint(n, d, 5.0) for n, d in (
    ("baseline", "2024-01-02"), ("nadir", "2025-01-02"), ("current", "2026-01-02")
))  # fmt: skip


def lesion(baseline: float | None = 50.0, nadir: float | None = 50.0, now: float | None = 50.0, **changes: Any) -> Any:
    values: dict[str, Any] = {"name": "lesion", "organ": "liver", "marked_by": "Dr. Example"} | changes
    return TargetLesion(values.pop("name"), values.pop("organ"), baseline, nadir, now, **values)


def case(*lesions: TargetLesion, **changes: Any) -> RecistInput:
    values: dict[str, Any] = {"new_lesions": False, "non_target": "none"} | changes
    return replace(RecistInput(NOW, BASELINE, NADIR, lesions or (lesion(),)), **values)


@pytest.mark.parametrize(
    ("baseline", "nadir", "now", "category"),
    [
        (100.0, 100.0, 70.0, "PR"),  # exactly 30 % below baseline
        (100.0, 100.0, 70.1, "SD"),
        (50.0, 50.0, 35.0, "PR"),
        (0.3 + 50, 50.3, 35.21, "PR"),
        (100.0, 50.0, 60.0, "PD"),  # exactly 20 % above nadir, and 10 mm; still 40 % below baseline
        (100.0, 50.0, 59.9, "PR"),
        (30.0, 20.0, 24.9, "SD"),  # 24 % but 4.9 mm
        (30.0, 20.0, 25.0, "PD"),  # exactly 5 mm
        (30.0, 25.0, 30.0, "PD"),  # exactly 20 % and exactly 5 mm
        (30.0, 25.1, 30.1, "SD"),  # 5 mm but 19.9 %
        (50.0, 50.0, 0.0, "CR"),
    ],
)
def test_the_borders_of_response_and_progression(baseline: float, nadir: float, now: float, category: str) -> None:
    assert recist(case(lesion(baseline, nadir, now))).category == category


def test_sums_and_changes_are_given() -> None:
    found = recist(case(lesion(30, 20, 25), lesion(20, 20, 15, organ="lung")))
    assert (found.baseline_sum, found.nadir_sum, found.current_sum) == (50, 40, 40)
    assert found.from_baseline_percent == pytest.approx(-20)
    assert (found.from_nadir_percent, found.from_nadir_mm) == (0, 0)


@pytest.mark.parametrize(
    ("lesions", "reason"),
    [
        ([lesion(organ=f"organ {n}") for n in range(6)], "recist_too_many"),
        ([lesion() for _ in range(3)], "recist_per_organ"),
        ([lesion(organ="Liver"), lesion(organ=" liver"), lesion(organ="liver")], "recist_per_organ"),
        ([lesion(9.9)], "recist_too_small"),
        ([lesion(14.9, node=True)], "recist_too_small"),
        ([lesion(marked_by="")], "recist_not_marked"),
        ([lesion(organ="")], "recist_no_organ"),
        ([lesion(None)], "recist_not_measured"),
        ([lesion(50, 51)], "recist_nadir"),
    ],
)
def test_targets_beyond_the_limits_give_no_category(lesions: list[TargetLesion], reason: str) -> None:
    found = recist(case(*lesions))
    assert found.category == ""
    assert reason in found.reasons


def test_targets_at_the_limits_are_allowed() -> None:
    five = [lesion(organ=f"organ {n // 2}") for n in range(5)]
    assert recist(case(*five)).category == "SD"
    assert recist(case(lesion(10.0, 10.0, 10.0))).category == "SD"
    assert recist(case(lesion(15.0, 15.0, 15.0, node=True))).category == "SD"


@pytest.mark.parametrize(("thickness", "allowed"), [(5.0, True), (5.01, False), (None, False)])
def test_slices_thicker_than_5_mm_give_no_category(thickness: float | None, allowed: bool) -> None:
    for name in ("baseline", "nadir", "current"):
        changed = replace(getattr(case(), name), slice_thickness_mm=thickness)
        found = recist(case(**{name: changed}))
        assert bool(found.category) == allowed
        assert ("recist_thickness" in found.reasons) != allowed


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"baseline": None}, "recist_no_baseline"),
        ({"nadir": None}, "recist_no_nadir"),
        ({"lesions": ()}, "recist_no_targets"),
        ({"new_lesions": None}, "recist_new_unanswered"),
        ({"non_target": ""}, "recist_non_target_unanswered"),
    ],
)
def test_a_category_needs_baseline_nadir_targets_and_answers(changes: dict[str, Any], reason: str) -> None:
    found = recist(case(**changes))
    assert (found.category, found.target, found.reasons) == ("", "", (reason,))


@pytest.mark.parametrize(
    ("now", "non_target", "new", "category"),
    [
        (0.0, "CR", False, "CR"), (0.0, "non-CR/non-PD", False, "PR"), (0.0, "NE", False, "PR"),
        (30.0, "NE", False, "PR"), (30.0, "PD", False, "PD"), (30.0, "CR", True, "PD"), (0.0, "none", True, "PD"),
        (50.0, "non-CR/non-PD", False, "SD"), (None, "CR", False, "NE"), (None, "CR", True, "PD"),
    ],
)  # fmt: skip
def test_the_overall_response_is_that_of_the_table(
    now: float | None, non_target: Any, new: bool, category: str
) -> None:
    assert recist(case(lesion(now=now), non_target=non_target, new_lesions=new)).category == category


def test_a_node_is_gone_below_10_mm_in_its_short_axis() -> None:
    assert recist(case(lesion(20, 20, 9.9, node=True))).category == "CR"
    assert recist(case(lesion(20, 20, 10.0, node=True))).category == "PR"


def test_without_a_category_the_sentence_has_mm_and_percent_only() -> None:
    told, numbers = recist_finding(case(new_lesions=None), [], study(), words_of("en"), rules())
    assert "RECIST" not in told.text
    assert not any(word in told.text for word in ("response (", "stable", "progressive"))
    assert told.text.startswith("Sum of the marked lesions 50 mm; earlier sums 50 mm and 50 mm (0")
    assert told.text.endswith("No response category: whether there are new lesions was not answered.")
    assert {m.quantity for m in numbers} >= {"recist_sum", "recist_from_nadir_mm"}


def test_the_sentence_names_baseline_and_nadir_and_points_at_the_targets() -> None:
    volume = study()
    target = block(volume, (20, 20, 20), "liver_tumor")
    marked = case(lesion(100.0, 50.0, 60.0, segment_id=target.id))
    told, numbers = recist_finding(marked, [target], volume, words_of("en"), rules())
    assert told.text == (
        "RECIST 1.1: progressive disease (sum of the target lesions 60 mm; baseline 2024-01-02 100 mm; nadir "
        "2025-01-02 50 mm; -40 % from baseline, +20 % and +10 mm from nadir)."
    )
    assert told.evidence[0].segment_id == target.id
    assert {e.measurement_id for e in told.evidence[1:]} == {m.id for m in numbers}
    german, _ = recist_finding(marked, [target], volume, words_of("de"), rules())
    assert german.text.startswith("RECIST 1.1: progrediente Erkrankung (Summe der Zielläsionen 60 mm;")
