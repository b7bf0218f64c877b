"""Sentence patterns of data files: "{structure}: volume {value} {unit} ({method}).". Only plain names are filled in."""

from __future__ import annotations

import re
from collections.abc import Mapping

_PLACE = re.compile(r"\{([a-z_]+)\}")
_GAPS = re.compile(r"[ \t]+([.,;:)])")
_EMPTY = re.compile(r"\(\s*\)")
# The program measures and lists; that something is as it should be is for a person to say.
_NORMAL = re.compile(
    r"\bnormal|\bunremarkable\b|within (?:the )?(?:normal|usual) limits|\bno (?:evidence|sign|signs|indication) of\b"
    r"|\bhealthy\b|\bunauffällig|\bregelrecht|\bregelhaft|\bo\. ?B\.|ohne (?:pathologischen )?Befund|\bgesund"
    r"|\bkein(?:e|en|erlei)? (?:Anhalt|Nachweis|Hinweis|Zeichen)",
    re.IGNORECASE,
)


def placeholders(pattern: str) -> frozenset[str]:
    """The names in braces. Raises ValueError where a brace belongs to no name."""
    if re.search(r"[{}]", _PLACE.sub("", pattern)):
        raise ValueError("a brace without a plain name")
    return frozenset(_PLACE.findall(pattern))


def fill(pattern: str, values: Mapping[str, str]) -> str:
    """The pattern with its names replaced, once and as they are; a missing value leaves nothing behind, not even the
    brackets around it."""
    text = _PLACE.sub(lambda place: values.get(place[1], ""), pattern)
    if any(not values.get(name) for name in _PLACE.findall(pattern)):
        text = re.sub(r"[ \t]{2,}", " ", _GAPS.sub(r"\1", _EMPTY.sub("", text)))
    return text.strip()


def says_normal(text: str) -> str:
    """The words that only a person may write ("unremarkable", "kein Nachweis"); empty where there are none."""
    match = _NORMAL.search(text)
    return match[0] if match else ""
