"""The design tokens. Every colour, space and radius of the window is one of these."""

from __future__ import annotations

from dataclasses import dataclass, fields

FAMILIES = ("Inter", "Noto Sans", "Segoe UI", "Helvetica Neue", "DejaVu Sans")
TEXT_PX = 13
SMALL_PX = 12
HEADING_PX = 11
TITLE_PX = 18

S1, S2, S3, S4, S6 = 4, 8, 12, 16, 24  # steps of spacing
RADIUS_SMALL, RADIUS = 6, 8


@dataclass(frozen=True)
class Tokens:
    """The colours of one theme, "#rrggbb"."""

    name: str
    background: str
    panel: str
    card: str
    field: str  # the prompt line
    raised: str  # buttons, chips, selected rows
    hover: str
    line: str
    line_strong: str  # borders of fields and scroll handles
    text: str
    muted: str
    accent: str
    on_accent: str
    selected: str  # background of the chosen tool or row
    warn: str
    warn_back: str
    bad: str
    bad_back: str
    orientation: str
    disabled: str

    def colors(self) -> dict[str, str]:
        """Token name to colour."""
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name != "name"}


DARK = Tokens(
    name="dark",
    background="#0f1317",
    panel="#171c22",
    card="#1d242c",
    field="#0f1317",
    raised="#28313b",
    hover="#323c48",
    line="#262d36",
    line_strong="#45515f",
    text="#e6eaf0",
    muted="#93a1b1",
    accent="#4cc2ff",
    on_accent="#06222f",
    selected="#1c3a4c",
    warn="#ffb454",
    warn_back="#2e2618",
    bad="#ff8a8a",
    bad_back="#331f22",
    orientation="#ffd479",
    disabled="#6b7785",
)

LIGHT = Tokens(
    name="light",
    background="#e4e9ee",
    panel="#f4f6f9",
    card="#ffffff",
    field="#ffffff",
    raised="#e6ebf1",
    hover="#d8e0e8",
    line="#d5dce4",
    line_strong="#a3afbc",
    text="#16202a",
    muted="#51606f",
    accent="#0067a3",
    on_accent="#ffffff",
    selected="#d3e8f6",
    warn="#7d4a00",
    warn_back="#fdf1dc",
    bad="#b3261e",
    bad_back="#fde8e6",
    orientation="#ffd479",
    disabled="#8a95a1",
)

# Text on what it stands on: the pairs whose contrast must reach 4.5:1.
TEXT_PAIRS: tuple[tuple[str, str], ...] = (
    ("text", "background"),
    ("text", "panel"),
    ("text", "card"),
    ("text", "field"),
    ("muted", "field"),
    ("text", "raised"),
    ("text", "hover"),
    ("text", "selected"),
    ("muted", "background"),
    ("muted", "panel"),
    ("muted", "card"),
    ("muted", "selected"),
    ("accent", "panel"),
    ("accent", "card"),
    ("accent", "selected"),
    ("on_accent", "accent"),
    ("warn", "panel"),
    ("warn", "card"),
    ("warn", "warn_back"),
    ("text", "warn_back"),
    ("bad", "panel"),
    ("bad", "card"),
    ("bad", "bad_back"),
    ("text", "bad_back"),
)


def luminance(color: str) -> float:
    """WCAG 2.1 relative luminance of "#rrggbb"."""
    channels = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    """WCAG 2.1 contrast ratio, 1..21."""
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)
