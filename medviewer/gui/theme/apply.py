"""Puts a theme on the application: font, palette, style sheet."""

from __future__ import annotations

from PySide6.QtGui import QColor, QFont, QPalette
from PySide6.QtWidgets import QApplication

from medviewer.gui.theme.stylesheet import stylesheet
from medviewer.gui.theme.tokens import DARK, FAMILIES, LIGHT, TEXT_PX, Tokens

_current: list[Tokens] = [DARK]


def current_tokens() -> Tokens:
    """The tokens of the theme that is on."""
    return _current[0]


def apply_theme(application: QApplication, name: str) -> Tokens:
    """Switch to "dark" or "light"; returns its tokens. GUI thread."""
    tokens = LIGHT if name == "light" else DARK
    _current[0] = tokens
    application.setStyle("Fusion")
    application.setFont(interface_font())
    application.setPalette(_palette(tokens))
    application.setStyleSheet(stylesheet(tokens))
    return tokens


def interface_font(pixel_size: int = TEXT_PX) -> QFont:
    """The interface's font with tabular figures."""
    font = QFont()
    font.setFamilies(list(FAMILIES))
    font.setPixelSize(pixel_size)
    if hasattr(font, "setFeature"):  # Qt >= 6.7
        font.setFeature(QFont.Tag("tnum"), 1)
    return font


def _palette(t: Tokens) -> QPalette:
    role = QPalette.ColorRole
    palette = QPalette()
    pairs = {
        role.Window: t.panel,
        role.WindowText: t.text,
        role.Base: t.card,
        role.AlternateBase: t.panel,
        role.Text: t.text,
        role.Button: t.raised,
        role.ButtonText: t.text,
        role.BrightText: t.bad,
        role.Highlight: t.accent,
        role.HighlightedText: t.on_accent,
        role.ToolTipBase: t.card,
        role.ToolTipText: t.text,
        role.PlaceholderText: t.muted,
        role.Link: t.accent,
        role.Mid: t.line,
        role.Dark: t.line_strong,
        role.Light: t.raised,
    }
    for key, color in pairs.items():
        palette.setColor(key, QColor(color))
    for key in (role.WindowText, role.Text, role.ButtonText):
        palette.setColor(QPalette.ColorGroup.Disabled, key, QColor(t.disabled))
    return palette
