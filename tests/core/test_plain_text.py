"""Text from files becomes one harmless line; what people write stays as it is."""

from __future__ import annotations

import pytest

from medviewer.core.plain_text import LONGEST, one_line, printable, readable_name

KEPT = (
    "Thorax 1.0 B70f", "Übelhör, Jürgen", "Иванов, Иван", "山田, 太郎", "김희중", "ماهر الخطيب", "نیم‌فاصله",
    "e\u0301", "🫁 lung",
    "=cmd|'/C calc'!A0", "<img src=x>", "%n%s", "Tom & Jerry",
)  # fmt: skip


@pytest.mark.parametrize("text", KEPT)
def test_what_people_write_stays(text: str) -> None:
    assert one_line(text) == text
    assert printable(text) == text


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a\0b", "a b"), ("a\r\n\t b ", "a b"), ("abc\u202egnp.exe", "abc gnp.exe"), ("\x1b[31mred", "[31mred"),
        ("\u2066x\u2069", "x"), ("a\u2028b\u2029c", "a b c"), ("\x9b31m", "31m"), ("", ""), ("\ud800x", "x"),
    ],
)  # fmt: skip
def test_what_steers_is_taken_out(text: str, line: str) -> None:
    assert one_line(text) == line


def test_long_text_is_cut_and_says_so() -> None:
    line = one_line("L" * 65_000)
    assert len(line) == LONGEST
    assert line.endswith("…")
    assert one_line(" " * 65_000 + "end") == "…"
    assert one_line("L" * LONGEST) == "L" * LONGEST


def test_a_terminal_gets_no_escape_but_keeps_lines_and_tabs() -> None:
    assert printable("one\ttwo\nthree\x1b]0;title\x07\u202e") == "one\ttwo\nthree?]0;title??"


def test_a_name_of_dicom_becomes_one_for_people() -> None:
    """PS3.5 6.2.1: components of up to three groups; what is readable stays as it is."""
    shown = {
        "Doe^Jane": "Doe, Jane",
        "Doe^Jane^^Dr.": "Doe, Jane, Dr.",
        "Yamada^Tarou=山田^太郎=やまだ^たろう": "Yamada, Tarou = 山田, 太郎 = やまだ, たろう",
        "=山田^太郎": "山田, 太郎",
        "Jane Doe": "Jane Doe",
        "Doe, Jane": "Doe, Jane",
        "^^^^": "",
        "": "",
    }
    for name, told in shown.items():
        assert readable_name(name) == told
        assert readable_name(told) == told
