"""Hebrew and Arabic as they are seen."""

from __future__ import annotations

import unicodedata

import pytest

from medviewer.io.visual_order import has_right_to_left, joined, visual

SHALOM, OLAM = "שלום", "עולם"


@pytest.mark.parametrize(
    ("line", "seen"),
    [
        ("Leber: 12,3 mm (Länge)", "Leber: 12,3 mm (Länge)"),
        (SHALOM, SHALOM[::-1]),
        (f"{SHALOM} {OLAM}", f"{OLAM[::-1]} {SHALOM[::-1]}"),
        (f"Name: {SHALOM} {OLAM}.", f"Name: {OLAM[::-1]} {SHALOM[::-1]}."),
        (f"{SHALOM}.", f".{SHALOM[::-1]}"),
        (f"{SHALOM} 123", f"123 {SHALOM[::-1]}"),
        (f"{SHALOM} 12.5 {OLAM}", f"{OLAM[::-1]} 12.5 {SHALOM[::-1]}"),
        (f"({SHALOM})", f"({SHALOM[::-1]})"),
        (f"{SHALOM} CT {OLAM}", f"{OLAM[::-1]} CT {SHALOM[::-1]}"),
    ],
)
def test_lines_are_turned_into_the_order_in_which_they_are_seen(line: str, seen: str) -> None:
    assert visual(line) == seen


def test_marks_stay_on_their_letter() -> None:
    assert visual("שָׁם") == "םשָׁ"


def test_arabic_letters_join() -> None:
    assert joined("بيت") == "\ufe91\ufef4\ufe96"  # initial beh, medial yeh, final teh
    assert joined("دار") == "\ufea9\ufe8d\ufead"  # dal, alef and reh join to nothing that follows
    assert joined("سلام") == "\ufeb3\ufefc\ufee1"  # lam and alef are one


def test_joined_letters_are_the_same_letters() -> None:
    text = "مرحبا بالعالم السلام"
    assert unicodedata.normalize("NFKC", joined(text)) == text


def test_other_scripts_are_left_alone() -> None:
    for text in ("", "Ärztlich Ω Ж 山", "a (b) 12"):
        assert not has_right_to_left(text)
        assert visual(text) == text
