"""The model card: licences, figures with intervals, looks at dev, failures with pictures, who the data show."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from training.card_tables import figures_table, interval_text, robustness_table, table
from training.failure_pictures import Failure
from training.licences import SetUse
from training.model_card import Extras, Look, card, intended_use, read_extras, read_looks, worst_rows

TERMS = {"liver": {"results": {"CT": {}, "MR": {}}}, "lung": {"results": {"XR": {}}}}
CONFIG: dict[str, Any] = {
    "id": "default", "version": "2", "licence": "non-commercial research weights", "commercial_use": False,
    "terms": TERMS, "sources": ["us/one: CC0; somewhere", "generated torso phantoms"],
}
ROWS = [
    {"set": "us/one", "structure": "breast tumor", "dice": 0.75, "low": 0.7, "high": 0.8, "n": 84, "units": 84,
     "nsd": 0.8, "hd95": 4.25, "length": "px", "found": 80},
    {"set": "ct/two", "structure": "liver", "dice": 0.5, "low": None, "high": None, "n": 3, "found": 2},
    {"set": "ct/two", "structure": "spleen", "dice": 0.25, "low": 0.1, "high": 0.3, "n": 3, "found": 1},
]
SETS = [SetUse("ct/two", "B", "CC BY-NC 4.0", "elsewhere", 7), SetUse("us/one", "A", "CC0", "somewhere", 20)]
EXTRAS = Extras(
    SETS,
    [Look("before", "choices", count=3), Look("2026-11-23", "report", ("bars", "absent"))],
    [Failure("1_us_one.png", "us/one", "breast tumor", 0.0, "CC0", "somewhere", "Nothing was found.")],
    {"us/one": {"people": "women", "scanner": "LOGIQ E9"}},
)


def section(text: str, title: str) -> str:
    found = re.search(rf"^## {re.escape(title)}.*?(?=^## |\Z)", text, re.DOTALL | re.MULTILINE)
    assert found, title
    return found.group()


def test_non_commercial_rows_make_it_non_commercial_and_are_named() -> None:
    text = card(CONFIG, {}, EXTRAS)
    assert "**Licence: non-commercial research weights.**" in text
    assert "neither they nor products made of them may be used commercially" in text
    data = section(text, "Data and licences")
    assert "the reason for the licence: ct/two." in data
    assert "| ct/two | 7 | B | CC BY-NC 4.0 | elsewhere |" in data
    assert "- generated torso phantoms" in data


def test_an_open_card_does_not_call_itself_non_commercial() -> None:
    config = CONFIG | {"licence": "CC BY-SA 4.0, commercial use allowed", "commercial_use": True}
    text = card(config, {}, Extras(SETS[1:]))
    assert "may be used commercially" in text
    assert "non-commercial research" not in text
    assert "the reason for the licence" not in text


def test_figures_have_intervals_where_there_are_enough_cases() -> None:
    figures = section(card(CONFIG, {"rows": ROWS}, EXTRAS), "Figures on development cases")
    assert "| us/one | breast tumor | 0.750 (0.700 to 0.800) | 0.800 | 4.2 px | 84 | 84 |" in figures
    assert "| ct/two | spleen | 0.250 |" in figures  # three cases: no interval, also where one was computed
    assert "looked at 4 times on record" in figures
    assert "- 2026-11-23 (bars, absent): report" in figures


def test_rows_of_the_first_layout_are_understood() -> None:
    lines = figures_table([{"set": "a", "structure": "b", "dice": 0.5, "n": 9}])
    assert lines[-1] == "| a | b | 0.500 | 9 | 9 |"


def test_failures_are_pictured_or_described() -> None:
    failures = section(card(CONFIG, {"rows": ROWS}, EXTRAS), "Failure cases")
    assert "(failures/1_us_one.png)" in failures
    assert "breast tumor, Dice 0.00. Nothing was found. Outlines in one slice;" in failures
    assert "source: somewhere; licence: CC0." in failures
    assert "No part of a scan is shown." in failures
    assert "The worst structures of the sets that are not drawn" in failures
    assert "- ct/two: spleen, mean Dice 0.25, found in 1 of 3" in failures
    assert worst_rows(ROWS, {"us/one", "ct/two"}) == []
    undrawn = section(card(CONFIG, {"rows": ROWS}, Extras(SETS)), "Failure cases")
    assert "The worst structures of every set, in words:" in undrawn
    assert "outlines" not in undrawn


def test_unknown_is_called_unknown() -> None:
    people = section(card(CONFIG, {}, EXTRAS), "Who the data show")
    assert "| ct/two | unknown | unknown | unknown |" in people
    assert "| us/one | women | LOGIQ E9 | unknown |" in people


def test_presence_clicks_and_robustness_have_their_parts() -> None:
    results = {
        "presence": [{"group": "all", "present": 9, "absent": 20, "false_mask_rate": 0.05, "false_low": 0.01,
                      "false_high": 0.1, "auc": 0.97, "auc_low": None, "auc_high": None, "ece": 0.04}],
        "clicks": [{"set": "us/one", "n": 9, "fall": 0.4, "fall_low": 0.3, "fall_high": 0.5,
                    "dice_0": 0.7, "dice_1": 0.8, "dice_2": 0.85, "dice_5": 0.9}],
        "bars": [{"what": "lungs", "target": 0.97, "at_least": True, "result": 0.96, "low": 0.95, "high": 0.98, "n": 39,
                  "verdict": "fail", "note": ""}],
        "sides": [{"set": "phantom", "asked": 4, "swapped": 0}],
        "wordings": [
            {"structure": "liver", "wording": "hepar", "dice": 0.9, "dice_unseen": 0.9, "drop": 0.0},
            {"structure": "liver", "wording": "livr", "dice": 0.9, "dice_unseen": 0.0, "drop": 0.9},
        ],
        "unknown": [{"term": "x", "trained": False, "refused": True}, {"term": "y", "trained": False, "refused": False},
                    {"term": "liver", "trained": True, "refused": False}],
        "reading": [{"list": "seen synonyms", "n": 9, "right": 9, "missed": ["secret"]}],
        "endless": [{"a": n} for n in range(200)],
        "questions": [{"set": "us/one", "dice": 0.1}],
        "robustness": [
            {"modality": "CT", "corruption": "clean", "severity": 0, "dice": 0.8, "drop": 0.0, "n": 12},
            {"modality": "CT", "corruption": "blur", "severity": 1, "dice": 0.6, "drop": 0.25, "n": 12},
            {"modality": "CT", "corruption": "noise", "severity": 1, "dice": 0.4, "drop": 0.5, "n": 12},
        ],
    }
    text = card(CONFIG, results, EXTRAS)
    assert "| all | 9 | 20 | 0.050 (0.010 to 0.100) | 0.970 | 0.040 |" in section(text, "Presence")
    assert "| us/one | 9 | 0.400 (0.300 to 0.500) | 0.700 | 0.800 | 0.900 |" in section(text, "Corrections by clicks")
    assert "| lungs | >= 0.97 | 0.960 (0.950 to 0.980) | 39 | fail |" in section(text, "Targets")
    assert "| phantom | 4 | 0 |" in section(text, "Left and right")
    assert "## Questions" not in text
    assert "## Endless" not in text
    assert "| liver | 2 | 0.900 | 0.450 | 0.450 |" in section(text, "Unseen wordings")
    assert "| never trained | 2 | 1 | 50 % |" in section(text, "Terms that were never trained")
    assert "| trained | 1 | 0 | 0 % |" in section(text, "Terms that were never trained")
    assert "| seen synonyms | 9 | 9 |" in section(text, "How texts are read")
    assert "| CT | 0.800 | 12 | 38 % | noise 50 %; blur 25 % |" in section(text, "Robustness")


def test_a_card_without_results_says_so() -> None:
    text = card(CONFIG, {})
    assert "Not measured." in text
    assert "- us/one: CC0; somewhere" in text
    for title in ("Intended use", "Out of scope", "Trained structures"):
        assert section(text, title)
    assert "no medical device" in text


@pytest.mark.parametrize(
    ("commercial", "said"),
    [
        (True, "Draft masks on CT, MR and X-ray that a person checks."),
        (False, "Draft masks on CT, MR and X-ray that a person checks; non-commercial research only."),
    ],
)
def test_the_intended_use_is_one_sentence(commercial: bool, said: str) -> None:
    assert intended_use(TERMS, commercial) == said


def test_cells_cannot_break_a_table() -> None:
    assert table([{"a": "x | y\nz", "b": None, "c": True, "d": 0.12345}])[-1] == "| x / y z | – | yes | 0.123 |"
    assert interval_text(None) == "–"
    assert robustness_table([])[0] == "|  |"


def test_the_record_of_looks_is_read() -> None:
    assert sum(look.count for look in read_looks()) >= 3
    assert all(look.date and look.purpose for look in read_looks())


def test_the_extras_come_from_the_manifest(shared_data: Path) -> None:
    everything, permissive = read_extras(shared_data), read_extras(shared_data, ["A", "A-"])
    assert {one.tier for one in everything.sets} == {"A", "A-", "B"}
    assert {one.tier for one in permissive.sets} == {"A", "A-"}
    assert not any("xray" in one.name for one in permissive.sets)
    assert set(everything.people) <= {one.name for one in everything.sets}
