"""Text as DICOM holds it: no control characters, no value separators, no longer than the attribute allows (PS3.5 6.2).

Lengths are counted in bytes of UTF-8, which no reader can find too long, whether it counts characters or bytes.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any

from medviewer.core.plain_text import one_line

LONG_STRING, SHORT_TEXT, LONG_TEXT = 64, 1024, 10240  # LO, ST, LT
UTF_8 = "ISO_IR 192"


def line(text: str, limit: int = LONG_STRING) -> str:
    """One value of a string attribute (LO, SH, UT): one line, and a slash for the backslash, which separates values."""
    return cut(_clean(text).replace("\\", "/"), limit)


def block(text: str, limit: int = SHORT_TEXT) -> str:
    """One paragraph of text (ST, LT)."""
    return cut(_clean(text), limit)


def cut(text: str, limit: int) -> str:
    """As many whole characters as `limit` bytes hold."""
    data = text.encode("utf-8", "ignore")
    return text if len(data) <= limit else data[:limit].decode("utf-8", "ignore").rstrip()


def charset_for(sources: Sequence[Any], dataset: Any) -> str:
    """The sources' own character set where it holds every text of `dataset`, else UTF-8.

    A patient's name is then stored as in the source, byte by byte, also for archives that compare bytes.
    """
    from pydicom.charset import python_encoding

    own = sources[0].get("SpecificCharacterSet")
    if not isinstance(own, str) or not own.startswith("ISO_IR ") or own not in python_encoding:
        return UTF_8
    try:
        for text in _texts(dataset):
            text.encode(python_encoding[own])
    except UnicodeError:
        return UTF_8
    return own


def _clean(text: str) -> str:
    """Composed characters in one line, without controls, direction overrides and halves of characters."""
    composed = unicodedata.normalize("NFC", text)
    return one_line(composed, len(composed) + 1)


def _texts(dataset: Any) -> Iterable[str]:
    for element in dataset.iterall():
        if element.VR in ("LO", "LT", "PN", "SH", "ST", "UC", "UT"):
            yield str(element.value)
