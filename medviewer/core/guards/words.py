"""The guards' word lists as data: read from files by the caller, checked and compiled here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from medviewer.core.guards.phrases import Phrases
from medviewer.core.report.document import Language, Mark

LANGUAGES = ("en", "de")
FILES = ("laterality", "prior", "measurement", "modality", "sex", "contradiction", "normal", "reading", "reasons")


@dataclass(frozen=True, eq=False)
class GuardWords:
    """Phrase lists by their path ("prior.phrases"), settings by theirs, and the sentences that tell a reason.

    A list holds the phrases of both languages: a model may answer in either, whatever the report's language is.
    """

    lists: Mapping[str, Phrases] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    reasons: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    @classmethod
    def from_dict(cls, data: Mapping[str, Mapping[str, Any]]) -> GuardWords:
        """From the parsed files, by file name without ending. Raises ValueError where one is missing or malformed."""
        missing = sorted(set(FILES) - set(data))
        if missing:
            raise ValueError(f"the guards' word lists lack {', '.join(missing)}")
        lists: dict[str, Phrases] = {}
        settings: dict[str, Any] = {}
        for name, table in data.items():
            if name != "reasons":
                _collect(name, table, lists, settings)
        return cls(lists, settings, _checked_reasons(data["reasons"]))

    def phrases(self, path: str) -> Phrases:
        """The list at a path; KeyError if there is none."""
        return self.lists[path]

    def below(self, path: str) -> dict[str, Phrases]:
        """The lists directly below a path, by their last name."""
        start = f"{path}."
        return {name[len(start) :]: found for name, found in self.lists.items() if name.startswith(start)}

    def mark(self, guard: str, key: str, language: Language, span: tuple[int, int], **parameters: str) -> Mark:
        """A mark whose reason is the sentence `key` in the report's language."""
        return Mark(guard, self.reasons[key][language].format_map(parameters), span)


def _collect(path: str, table: Mapping[str, Any], lists: dict[str, Phrases], settings: dict[str, Any]) -> None:
    if table and set(table) <= set(LANGUAGES) and all(isinstance(value, list) for value in table.values()):
        lists[path] = Phrases(phrase for language in LANGUAGES for phrase in table.get(language, ()))
        return
    for name, value in table.items():
        settings[f"{path}.{name}"] = value
        if isinstance(value, Mapping):
            _collect(f"{path}.{name}", value, lists, settings)


def _checked_reasons(table: Mapping[str, Any]) -> dict[str, Mapping[str, str]]:
    for key, sentences in table.items():
        if set(sentences) != set(LANGUAGES):
            raise ValueError(f"reason {key} is not told in both languages")
    return dict(table)
