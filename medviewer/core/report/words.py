"""The words that reports share: labels, answers, notes and checks, in the two languages of a report."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from medviewer.core.errors import InputRefused
from medviewer.core.report.document import Language
from medviewer.core.report.patterns import fill

LANGUAGES: tuple[Language, ...] = ("en", "de")
TABLES = ("phrases", "quantities", "facts", "origins", "edges", "sides", "statuses", "states", "checks", "actions")
_KEY = re.compile(r"[a-z][a-z0-9_]*\Z")


@dataclass(frozen=True)
class Words:
    """The words of one language. Patterns hold names in braces. Immutable; any thread."""

    language: Language
    tables: Mapping[str, Mapping[str, str]]

    def phrase(self, key: str, **values: str) -> str:
        """A filled pattern of the table "phrases"; KeyError for a key that is not there."""
        return fill(self.tables["phrases"][key], values)

    def check(self, key: str, **values: str) -> str:
        """One line of the "before you sign" list."""
        return fill(self.tables["checks"][key], values)

    def named(self, table: str, key: str) -> str:
        """A word of a table; the key itself, in plain letters, where the table has none (a newer quantity)."""
        return self.tables.get(table, {}).get(key, key.replace("_", " "))

    def translated(self, text: str) -> str:
        """A phrase or key of another part of the program ("voxel_count"), in this language as far as it is known."""
        known = self.tables.get("translations", {}).get(text)
        return known or (text.replace("_", " ") if _KEY.match(text) else text)

    def with_structures(self, names: Mapping[str, str]) -> Words:
        """These words and the names of structures in this language, by term id."""
        return Words(self.language, {**self.tables, "structures": dict(names)})

    def with_texts(self, texts: Mapping[str, Mapping[str, Mapping[str, str]]]) -> Words:
        """These words and those of the measurements (`measure.wordings.Wordings.texts`: "quantities", "methods",
        "reasons", "flags"; key, then language)."""
        own = {section: {key: text[self.language] for key, text in table.items()} for section, table in texts.items()}
        quantities = {**self.tables["quantities"], **own.pop("quantities", {})}
        translations = dict(self.tables.get("translations", {}))
        for table in own.values():
            translations |= table
        return Words(self.language, {**self.tables, "quantities": quantities, "translations": translations})

    def number(self, text: str) -> str:
        """A number as the language writes it: a decimal comma in German."""
        return text.replace(".", self.tables["phrases"]["decimal_mark"])


def read_words(text: str, source: str = "words.toml") -> Mapping[Language, Words]:
    """Both languages of the words file. Raises InputRefused where it is damaged or a language lacks a word."""
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _refused(source, str(error)) from error
    words = {language: Words(language, _tables(data, language, source)) for language in LANGUAGES}
    for table in TABLES:
        different = words["en"].tables[table].keys() ^ words["de"].tables[table].keys()
        if different:
            raise _refused(source, f"the table {table} has {', '.join(sorted(different))} in one language only")
    return words


def _tables(data: Mapping[str, Any], language: Language, source: str) -> dict[str, dict[str, str]]:
    tables = data.get(language)
    if not isinstance(tables, dict):
        raise _refused(source, f"the language {language} is missing")
    missing = [name for name in TABLES if not isinstance(tables.get(name), dict)]
    if missing:
        raise _refused(source, f"{language} lacks {', '.join(missing)}")
    return {name: {key: str(value) for key, value in tables[name].items()} for name in TABLES}


def _refused(source: str, reason: str) -> InputRefused:
    return InputRefused(f"{source} cannot be used: {reason}.", "Install medviewer again.", code="words-refused")
