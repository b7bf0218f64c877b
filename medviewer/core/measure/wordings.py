"""Names of quantities, phrases of methods and reasons in the report's language (a data file, read by the caller)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from medviewer.core.report.document import Language, Measurement

_SECTIONS = ("quantities", "methods", "reasons", "flags")


@dataclass(frozen=True)
class Wordings:
    """Texts by section and key, each in English and German."""

    texts: Mapping[str, Mapping[str, Mapping[str, str]]]

    def name(self, quantity: str, language: Language) -> str:
        """The name of a quantity, for instance "volume"."""
        return self.texts["quantities"][quantity][language]

    def method(self, measurement: Measurement, language: Language) -> str:
        """How it was measured; empty where there is no number."""
        return self.texts["methods"][measurement.method][language] if measurement.method else ""

    def reason(self, measurement: Measurement, language: Language) -> str:
        """Why there is no number; empty where there is one."""
        return self.texts["reasons"][measurement.reason][language] if measurement.reason else ""

    def flag(self, flag: str, language: Language) -> str:
        """What a flag says."""
        return self.texts["flags"][flag][language]


def wordings(data: Mapping[str, Any]) -> Wordings:
    """The texts of the quantities file. Raises ValueError where a section or one of the two languages is missing."""
    for section in _SECTIONS:
        for key, text in data.get(section, {}).items():
            if not text.get("en") or not text.get("de"):
                raise ValueError(f"{section}.{key}: a language is missing")
    missing = [section for section in _SECTIONS if section not in data]
    if missing:
        raise ValueError(f"section {missing[0]} is missing")
    return Wordings({section: data[section] for section in _SECTIONS})
