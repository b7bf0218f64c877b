"""Reading a template from the text of its TOML file. A mistake is told with file, line and what was expected."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from medviewer.core.errors import InputRefused
from medviewer.core.report.document import Language
from medviewer.core.report.patterns import placeholders, says_normal
from medviewer.core.report.template import OTHER, Choice, Heading, Sex, Template, TermRule
from medviewer.core.report.words import LANGUAGES

PLACEHOLDERS = frozenset({"structure", "value", "unit", "method", "quantity", "side", "other"})
_ENTRIES = {
    "key", "title", "choose", "headings", "terms", "prompts", "technique", "technique_stated", "patterns",
    "limitations",
}  # fmt: skip
_KEY = re.compile(r"[a-z][a-z0-9_]{0,63}\Z")
_HINT = "Mend the file, or remove it to use the shipped template."


def read_template(text: str, known_terms: Collection[str], source: str = "template") -> Template:
    """The template of a TOML text. `known_terms`: ids of the terminology; `source`: the file's name for messages.

    Raises InputRefused with file and line for anything that is not understood: no TOML, an unknown entry, heading,
    structure or placeholder, a missing language, a key that occurs twice, a pattern that calls something normal.
    """
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        place = re.search(r"line (\d+)", str(error))
        line = int(place[1]) if place else text.count("\n") + 1
        raise refused(source, line, f"it is no valid TOML ({str(error).split(' (at')[0]})") from error
    return _Reading(data, text, source, frozenset(known_terms)).template()


def refused(source: str, line: int, reason: str) -> InputRefused:
    """The error for a mistake in a template."""
    return InputRefused(f"{source}, line {line}: {reason}.", _HINT, code="template-refused")


@dataclass(frozen=True)
class _Reading:
    data: Mapping[str, Any]
    text: str
    source: str
    known_terms: frozenset[str]

    def template(self) -> Template:
        for name in self.data.keys() - _ENTRIES:
            self.refuse(f"the entry {name!r} is not known", name)
        headings = self.headings()
        terms = self.terms({heading.key for heading in headings})
        patterns = self.patterns()
        self.check_quantities(terms, patterns)
        return Template(
            self.key_of(self.data, "the template"), self.languages(self.data.get("title"), "title"), headings, terms,
            self.prompts(terms), patterns, self.limitations(), self.strings(self.data, "technique"),
            self.strings(self.data, "technique_stated"), self.choice(),
        )  # fmt: skip

    def refuse(self, reason: str, *words: str, nth: int = 1) -> NoReturn:
        raise refused(self.source, self.line_of(words, nth), reason)

    def line_of(self, words: tuple[str, ...], nth: int = 1) -> int:
        """The nth line in which all these words stand as whole words (comments left out); the first line where none."""
        seen = 0
        for number, line in enumerate(self.text.splitlines(), 1):
            bare = line.split("#")[0]
            if words and all(re.search(rf"(?<![\w-]){re.escape(word)}(?![\w-])", bare) for word in words):
                seen += 1
                if seen == nth:
                    return number
        return 1 if nth == 1 else self.line_of(words)

    # -- parts ---------------------------------------------------------------------
    def headings(self) -> tuple[Heading, ...]:
        found: dict[str, Heading] = {}
        for entry in self.tables("headings"):
            key = self.key_of(entry, "a heading")
            if key in found:
                self.refuse(f"the heading {key!r} occurs twice", "key", key, nth=2)
            self.only(entry, {"key", "title", "sex"}, f"the heading {key!r}", key)
            titles = self.languages(entry.get("title"), f"the heading {key!r}", "key", key)
            found[key] = Heading(key, titles, self.sex(entry, key))
        if OTHER not in found:
            self.refuse(f"the heading {OTHER!r} is missing (for structures that no heading is for)", "headings")
        return tuple(found.values())

    def terms(self, headings: set[str]) -> dict[str, TermRule]:
        found: dict[str, TermRule] = {}
        for entry in self.tables("terms"):
            id_ = str(entry.get("id", ""))
            if id_ not in self.known_terms:
                self.refuse(f"the structure {id_!r} is not in the terminology", id_)
            if id_ in found:
                self.refuse(f"the structure {id_!r} occurs twice", "id", id_, nth=2)
            known = {"id", "heading", "quantities", "name", "sex", "flair", "contrast"}
            self.only(entry, known, f"the structure {id_!r}", id_)
            heading = str(entry.get("heading", ""))
            if heading not in headings:
                self.refuse(f"the structure {id_!r} is under the heading {heading!r}, which is not there", "id", id_)
            found[id_] = self.rule(entry, id_, heading)
        return found

    def rule(self, entry: Mapping[str, Any], id_: str, heading: str) -> TermRule:
        names = self.languages(entry["name"], f"the structure {id_!r}", "id", id_) if "name" in entry else {}
        flair = str(entry.get("flair", ""))
        if flair and flair not in self.known_terms:
            self.refuse(f"the structure {flair!r} is not in the terminology", flair)
        if not isinstance(entry.get("contrast", False), bool):
            self.refuse(f"'contrast' of {id_!r} is true or false", "id", id_)
        return TermRule(
            id_, heading, self.strings(entry, "quantities"), names, self.sex(entry, id_), flair,
            entry.get("contrast", False),
        )  # fmt: skip

    def patterns(self) -> dict[Language, dict[str, str]]:
        tables = self.data.get("patterns", {})
        if not isinstance(tables, dict) or set(tables) - set(LANGUAGES):
            self.refuse("patterns are tables named patterns.en and patterns.de", "patterns")
        found: dict[Language, dict[str, str]] = {}
        for language in LANGUAGES:
            table = tables.get(language)
            if not isinstance(table, dict):
                self.refuse(f"the patterns have no {language}", "patterns")
            found[language] = {key: self.pattern(key, pattern) for key, pattern in table.items()}
        for key in found["en"].keys() ^ found["de"].keys():
            missing = "de" if key in found["en"] else "en"
            self.refuse(f"the pattern {key!r} has no {missing}", key)
        return found

    def pattern(self, key: str, pattern: Any) -> str:
        if not isinstance(pattern, str) or not pattern.strip():
            self.refuse(f"the pattern {key!r} is no text", key)
        self.check_not_normal(pattern)
        try:
            unknown = placeholders(pattern) - PLACEHOLDERS
        except ValueError:
            self.refuse(f"the pattern {key!r} has a brace that belongs to no placeholder", *_start(pattern))
        if unknown:
            allowed = ", ".join(sorted(PLACEHOLDERS))
            self.refuse(f"the placeholder {{{sorted(unknown)[0]}}} is not known (known: {allowed})", sorted(unknown)[0])
        return pattern

    def check_not_normal(self, text: str) -> None:
        word = says_normal(text)
        if word:
            self.refuse(f"{word!r} is for a person to write, never for a template", *_start(text))

    def check_quantities(self, terms: Mapping[str, TermRule], patterns: Mapping[Language, Mapping[str, str]]) -> None:
        for rule in terms.values():
            for quantity in rule.quantities:
                if quantity not in patterns["en"]:
                    self.refuse(f"{quantity!r} of {rule.id!r} has no pattern", quantity)

    def prompts(self, terms: Mapping[str, TermRule]) -> tuple[str, ...]:
        prompts = self.strings(self.data, "prompts")
        for id_ in prompts:
            if id_ not in self.known_terms:
                self.refuse(f"the structure {id_!r} is not in the terminology", id_)
            if id_ not in terms:
                self.refuse(f"the prompt {id_!r} has no entry under terms", id_)
            if prompts.count(id_) > 1:
                self.refuse(f"the prompt {id_!r} occurs twice", "prompts")
        return prompts

    def limitations(self) -> dict[Language, tuple[str, ...]]:
        table = self.data.get("limitations", {"en": [], "de": []})
        if not isinstance(table, dict) or set(table) != set(LANGUAGES):
            self.refuse("limitations need a list for en and one for de", "limitations")
        found = {language: self.strings(table, language) for language in LANGUAGES}
        if len(found["en"]) != len(found["de"]):
            self.refuse("limitations have another number of lines in de than in en", "limitations")
        for line in (*found["en"], *found["de"]):
            self.check_not_normal(line)
        return found

    def choice(self) -> Choice:
        entry = self.data.get("choose", {})
        if not isinstance(entry, dict):
            self.refuse("'choose' is no table", "choose")
        self.only(entry, {"modalities", "body_parts", "terms"}, "'choose'", "choose")
        terms = self.strings(entry, "terms")
        for id_ in terms:
            if id_ not in self.known_terms:
                self.refuse(f"the structure {id_!r} is not in the terminology", id_)
        return Choice(self.strings(entry, "modalities"), self.strings(entry, "body_parts"), terms)

    # -- values ----------------------------------------------------------------------
    def tables(self, name: str) -> list[dict[str, Any]]:
        entries = self.data.get(name, [])
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            self.refuse(f"{name!r} is no list of tables ([[{name}]])", name)
        return entries

    def only(self, entry: Mapping[str, Any], known: set[str], what: str, key: str) -> None:
        for name in entry.keys() - known:
            self.refuse(f"{what} has the unknown entry {name!r}", name)

    def key_of(self, entry: Mapping[str, Any], what: str) -> str:
        key = entry.get("key")
        if not isinstance(key, str) or not _KEY.match(key):
            self.refuse(f"{what} needs a key of small letters, digits and _ (not {key!r})", "key")
        return key

    def sex(self, entry: Mapping[str, Any], key: str) -> Sex:
        sex = entry.get("sex", "")
        if sex not in ("", "F", "M"):
            self.refuse(f"the sex of {key!r} is F or M, not {sex!r}", key)
        return "F" if sex == "F" else "M" if sex == "M" else ""

    def languages(self, table: Any, what: str, *place: str) -> dict[Language, str]:
        """A text in both languages."""
        texts = table if isinstance(table, dict) else {}
        for language in LANGUAGES:
            if not isinstance(texts.get(language), str) or not texts[language].strip():
                self.refuse(f"{what} has no text in {language}", *(place or (what,)))
        for language in texts.keys() - set(LANGUAGES):
            self.refuse(f"{what} has the unknown language {language!r}", language)
        return {language: texts[language] for language in LANGUAGES}

    def strings(self, entry: Mapping[str, Any], name: str) -> tuple[str, ...]:
        values = entry.get(name, [])
        if not isinstance(values, list) or not all(isinstance(value, str) and value.strip() for value in values):
            self.refuse(f"{name!r} is no list of texts", name)
        return tuple(values)


def _start(text: str) -> tuple[str, ...]:
    """The first words of a text, by which its line is found."""
    return tuple(re.findall(r"[\w]+", text)[:4])
