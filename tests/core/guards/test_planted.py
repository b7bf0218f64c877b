"""What the guards find among planted errors, and how often they cry wolf; both halves of the templates."""

from __future__ import annotations

import hashlib
import sys
import tomllib
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))  # as `python -m tests.core.guards.table` runs

from tests.core.guards import measuring
from tests.core.guards.planted.cases import GUARDS, cases

PLANTED = Path(__file__).parent / "planted"
TEMPLATES = PLANTED / "templates"
FAMILIES = ("study", "final")  # disjoint; 210 cases of each kind and language


@pytest.mark.parametrize("guard", GUARDS)
@pytest.mark.parametrize("half", measuring.HALVES)
def test_enough_planted_errors_are_found(guard: str, half: str) -> None:
    score = measuring.measure(guard, half)
    assert score.planted >= 200
    assert score.clean >= 200
    assert score.recall >= measuring.TARGETS[guard], score.missed[:5]
    assert score.false_alarms <= measuring.MOST_FALSE_ALARMS, score.wrongly[:5]


@pytest.mark.parametrize("guard", GUARDS)
@pytest.mark.parametrize("language", measuring.LANGUAGES)
def test_clean_sentences_about_one_thing_are_not_marked_by_the_guard_of_another(guard: str, language: str) -> None:
    score = measuring.measure(guard, "final", language)
    assert score.others <= measuring.MOST_FALSE_ALARMS * score.clean, score.wrongly[:5]


@pytest.mark.parametrize("guard", GUARDS)
@pytest.mark.parametrize("language", measuring.LANGUAGES)
@pytest.mark.parametrize("half", FAMILIES)
def test_each_guard_meets_its_target_in_english_and_in_german(guard: str, language: str, half: str) -> None:
    score = measuring.measure(guard, half, language)
    assert score.planted >= 200
    assert score.clean >= 200
    assert score.recall >= measuring.TARGETS[guard], score.missed[:5]
    assert score.false_alarms <= measuring.MOST_FALSE_ALARMS, score.wrongly[:5]


@pytest.mark.parametrize("half", measuring.HALVES)
def test_clean_sentences_are_clean_for_the_other_guards_as_well(half: str) -> None:
    scores = measuring.scores(half)
    marked = sum(score.others for score in scores)
    assert marked <= measuring.MOST_FALSE_ALARMS * sum(score.clean for score in scores)


def test_the_cases_are_the_same_at_every_call() -> None:
    first, second = ([case.text for case in cases("measurement", "dev")] for _ in range(2))
    assert first == second
    assert len(set(first)) > 100


def test_the_two_halves_share_no_template() -> None:
    for path in TEMPLATES.glob("*.toml"):
        halves = tomllib.loads(path.read_text(encoding="utf-8"))
        dev, held = (
            {str(t) for lists in halves[half].values() for kind in lists.values() for t in kind}
            for half in ("dev", "held")
        )
        assert not dev & held, path.name


def templates_of(family: str, guard: str) -> set[str]:
    half = tomllib.loads((PLANTED / family / f"{guard}.toml").read_text(encoding="utf-8"))[family]
    return {str(text) for lists in half.values() for kind in lists.values() for text in kind}


def test_the_families_share_no_template() -> None:
    for path in (PLANTED / "final").glob("*.toml"):
        assert not templates_of("study", path.stem) & templates_of("final", path.stem), path.name


def test_the_guards_do_not_read_the_templates(repository: Path) -> None:
    """Neither as files nor as copied sentences."""
    lists = "\n".join(
        path.read_text(encoding="utf-8") for path in (repository / "resources/report/guards").glob("*.toml")
    )
    code = "\n".join(path.read_text(encoding="utf-8") for path in (repository / "medviewer/core/guards").glob("*.py"))
    assert "planted" not in code
    for path in sorted(PLANTED.glob("*/*.toml")):
        for half in tomllib.loads(path.read_text(encoding="utf-8")).values():
            texts = [str(t) for lists_ in half.values() for kind in lists_.values() for t in kind]
            assert not [text for text in texts if len(text) > 12 and text in lists]


def test_the_held_templates_are_those_that_were_written_before_the_guards() -> None:
    digest = hashlib.sha256(b"".join(p.read_bytes() for p in sorted(TEMPLATES.glob("*.toml")))).hexdigest()
    assert digest == "a78e5680cc4558e476090e0fabc0b5647f9d0da4e48894ee2a6e4fbf02343a20", (
        "the templates were changed: measure again and say so in the report"
    )


def test_the_final_family_is_the_one_that_was_written_before_the_guards_were_worked_on_again() -> None:
    digest = hashlib.sha256(b"".join(p.read_bytes() for p in sorted((PLANTED / "final").glob("*.toml")))).hexdigest()
    assert digest == "b5769b88dbd41985080dd5a77ec42e261aa7e16aef979f95f44f6850afd9fd02", (
        "the templates were changed: measure again and say so in the report"
    )
