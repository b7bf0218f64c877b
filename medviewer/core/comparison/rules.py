"""The data file of comparisons: its words in two languages, and the numbers that rules rest on, with their reasons."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from medviewer.core.report.document import Language
from medviewer.core.report.patterns import fill

LANGUAGES: tuple[Language, ...] = ("en", "de")
_NUMBERS = ("half_voxel", "least_overlap", "farthest_mm", "thickness_mm")


@dataclass(frozen=True)
class ComparisonRules:
    """`texts`: patterns by language and key. `quantities`: what may be compared, in the order of the sentences.

    `numbers`: "half_voxel" (share of a voxel by which a surface is uncertain), "least_overlap" (Dice from which two
    masks are the same one), "farthest_mm" (distance of centres beyond which two single masks are not taken for the
    same), "thickness_mm" (difference of slice thickness that counts as one).
    """

    texts: Mapping[Language, Mapping[str, str]]
    quantities: tuple[str, ...]
    numbers: Mapping[str, float]

    def text(self, language: Language, key: str, **values: str) -> str:
        """A filled pattern; KeyError for one that the file lacks."""
        return fill(self.texts[language][key], values)

    def listed(self, language: Language, keys: Iterable[str]) -> str:
        """Names of several keys, joined by commas and "and"."""
        names = list(dict.fromkeys(self.texts[language].get(key, key) for key in keys))
        if len(names) < 2:
            return "".join(names)
        return f"{', '.join(names[:-1])} {self.texts[language]['and']} {names[-1]}"


def comparison_rules(data: Mapping[str, Any]) -> ComparisonRules:
    """The rules of the comparison file. Raises ValueError where a number is missing or a text is in one language
    only."""
    missing = [name for name in _NUMBERS if name not in data.get("numbers", {})]
    if missing:
        raise ValueError(f"the number {missing[0]} is missing")
    texts = {language: dict(data.get(language, {})) for language in LANGUAGES}
    different = texts["en"].keys() ^ texts["de"].keys()
    if different or not texts["en"]:
        raise ValueError(f"{', '.join(sorted(different)) or 'the text'} is not in both languages")
    numbers = {name: float(value) for name, value in data["numbers"].items()}
    return ComparisonRules(texts, tuple(data["quantities"]), numbers)
