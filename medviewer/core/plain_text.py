"""Text from files as one harmless line: nothing that moves a cursor, turns the reading direction or never ends."""

from __future__ import annotations

import unicodedata

LONGEST = 256
# Marks that join letters of real scripts; the other format characters steer how text is laid out.
_JOINERS = "\u200c\u200d"


def one_line(text: str, longest: int = LONGEST) -> str:
    """The text without control and direction characters (a space for each run of them), cut with "…" if longer."""
    head = text[: 4 * longest]
    if not (head.isascii() and head.isprintable()):
        head = "".join(char if _is_shown(char) else " " for char in head)
    line = " ".join(head.split())
    return line if len(line) <= longest and len(text) <= 4 * longest else line[: longest - 1].rstrip() + "…"


def readable_name(text: str) -> str:
    """A DICOM person name for people: "Doe^Jane^^Dr" is "Doe, Jane, Dr", and "Yamada^Tarou=山田^太郎" is
    "Yamada, Tarou = 山田, 太郎". What is readable already stays as it is."""
    groups = (", ".join(part.strip() for part in group.split("^") if part.strip()) for group in text.split("="))
    return " = ".join([group.strip() for group in groups if group.strip()])


def _is_shown(char: str) -> bool:
    """Letters, marks, numbers, signs and spaces; no control, format, surrogate, private or line separator."""
    return char in _JOINERS or unicodedata.category(char) not in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")


def printable(text: str) -> str:
    """The text for a terminal: control and direction characters replaced by "?", lines and tabs kept."""
    if text.isascii() and text.replace("\n", "").replace("\t", "").isprintable():
        return text
    return "".join(char if char in "\n\t" or _is_shown(char) else "?" for char in text)
