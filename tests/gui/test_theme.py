"""Tokens: both themes are complete and readable."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from medviewer.gui.theme.tokens import DARK, LIGHT, TEXT_PAIRS, Tokens, contrast

LEAST = 4.5


def test_contrast_of_black_on_white_is_21() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21.0)
    assert contrast("#777777", "#777777") == pytest.approx(1.0)


@pytest.mark.parametrize("tokens", [DARK, LIGHT], ids=lambda t: t.name)
@pytest.mark.parametrize(("text", "ground"), TEXT_PAIRS, ids=lambda n: n)
def test_text_is_readable(tokens: Tokens, text: str, ground: str) -> None:
    assert contrast(getattr(tokens, text), getattr(tokens, ground)) >= LEAST


@pytest.mark.parametrize("tokens", [DARK, LIGHT], ids=lambda t: t.name)
def test_keyboard_focus_is_seen(tokens: Tokens) -> None:
    for ground in (tokens.panel, tokens.card, tokens.background):
        assert contrast(tokens.accent, ground) >= 3.0


def test_colours_are_named_only_in_the_tokens(repository: Path) -> None:
    """No colour is written by hand in the window, except black behind pictures."""
    hexadecimal = re.compile(r"\"#[0-9a-fA-F]{6}\"")
    for path in (repository / "medviewer" / "gui").rglob("*.py"):
        if path.name == "tokens.py" or "views" in path.parts:
            continue
        found = [c for c in hexadecimal.findall(path.read_text("utf-8")) if c != '"#000000"']
        assert not found, f"{path.name}: {found}"


def test_the_style_sheet_has_no_gaps(qapp, settings) -> None:
    from medviewer.gui.theme.stylesheet import stylesheet

    for tokens in (DARK, LIGHT):
        assert "$" not in stylesheet(tokens)
