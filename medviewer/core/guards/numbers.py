"""Numbers with a unit in a sentence: decimal marks by language, units, ranges, "x by y", percentages, inequalities.

Dates, levels (L3), series and image numbers, section numbers and Roman segments have no unit and are no measurements.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from medviewer.core.guards.phrases import Span
from medviewer.core.guards.sentence import Reading
from medviewer.core.guards.words import GuardWords
from medviewer.core.report.document import Language

Relation = Literal["equal", "below", "above", "about"]
# unit -> (what it measures, factor to that dimension's base unit)
UNITS: Mapping[str, tuple[str, float]] = {
    "mm": ("length", 1), "cm": ("length", 10), "um": ("length", 0.001), "m": ("length", 1000), "px": ("pixels", 1),
    "mm2": ("area", 1), "cm2": ("area", 100), "ml": ("volume", 1), "cm3": ("volume", 1), "l": ("volume", 1000),
    "mm3": ("volume", 0.001), "HU": ("HU", 1), "%": ("share", 1), "1": ("share", 100), "deg": ("angle", 1),
    "ms": ("time", 1), "g": ("mass", 1), "kg": ("mass", 1000), "g/m2": ("mass index", 1),
    "ml/m2": ("volume index", 1), "cm/s": ("speed", 1),
}  # fmt: skip
_ENGLISH_THOUSANDS = re.compile(r"[1-9]\d{0,2}(?:,\d{3})+(?:\.\d+)?")
_GERMAN_THOUSANDS = re.compile(r"[1-9]\d{0,2}(?:\.\d{3})+(?:,\d+)?")
_CHAINED = frozenset({"x", "by", "mal", "to", "bis", "and", "und"})


@dataclass(frozen=True)
class Quantity:
    """A number as it is written. `step`: the value of its last digit. `span`: tokens of the number and its unit."""

    value: float
    step: float
    unit: str
    span: Span
    relation: Relation = "equal"


def read_number(text: str, language: Language) -> tuple[float, float] | None:
    """Value and value of the last digit; None for what is no single number ("12.03.2024")."""
    thousands, mark = (_GERMAN_THOUSANDS, ".") if language == "de" else (_ENGLISH_THOUSANDS, ",")
    if thousands.fullmatch(text):
        text = text.replace(mark, "")
    text = text.replace(",", ".")
    if text.count(".") > 1 or len(text) > 24:
        return None
    decimals = len(text.partition(".")[2])
    return float(text), 10.0**-decimals


def quantities(reading: Reading, language: Language, words: GuardWords) -> list[Quantity]:
    """Every number with a unit, in order; the numbers of a chain ("23 x 17 mm") share its last unit."""
    reader = _Numbers(reading, language, words)
    found = [*reader.with_units(), *reader.ratios()]
    return sorted(found, key=lambda q: q.span)


class _Numbers:
    def __init__(self, reading: Reading, language: Language, words: GuardWords) -> None:
        self._reading, self._tokens, self._language = reading, reading.tokens, language
        self._words = words
        found = [(span, name) for name, phrases in words.below("measurement.units").items()
                 for span in reading.find(phrases) if not self._tokens[span.first].slash]  # fmt: skip
        units = (self._with_divisor(span, name) for span, name in found)
        self._units = {span.first: (name, span.last) for span, name in units if name}
        self._named = {span.last for span in reading.find(words.phrases("measurement.named"))}
        self._spelled = words.settings["measurement.number_words"]
        relations = {name: reading.find(words.phrases(f"measurement.{name}")) for name in ("below", "above", "about")}
        self._relations: dict[int, Relation] = {
            span.last + 1: name  # type: ignore[misc]
            for name, spans in relations.items()
            for span in spans
        }
        exempt = reading.find(words.phrases("measurement.exempt"))
        self._exempt = {n for span in exempt for n in range(span.first, span.last + 1)}

    def with_units(self) -> Iterator[Quantity]:
        chain: list[int] = []
        for n in range(len(self._tokens)):
            if self._value(n) is None or n in self._exempt:
                continue
            chain = [*chain, n] if chain and self._joins(chain[-1], n) else [n]
            unit = self._units.get(n + 1) or (("HU", n) if n in self._named else None)
            if unit and unit[1] == n:
                yield from self._chain([n], *unit)
            elif unit and self._tokens[n + 1].sentence == self._tokens[n].sentence:
                yield from self._chain(chain, *unit)
                chain = [n]
            elif len(chain) > 8:
                chain = [n]

    def _with_divisor(self, span: Span, name: str) -> tuple[Span, str]:
        """ "g/m2" is a unit of its own; a rate like "3 ml/s" is none that a mask is measured in."""
        following = self._tokens[span.last + 1 : span.last + 2]
        if not following or not following[0].slash or following[0].is_number or following[0].start > self._end(span):
            return span, name
        name = f"{name}/{following[0].text}"
        return Span(span.first, span.last + 1), name if name in UNITS else ""

    def _end(self, span: Span) -> int:
        """The furthest character at which what stands behind a slash may begin."""
        return self._tokens[span.last].end + 3

    def ratios(self) -> Iterator[Quantity]:
        """A number without unit after "ratio" or "index"."""
        for span in self._reading.find(self._words.phrases("measurement.ratios")):
            for n in range(span.last + 1, min(span.last + 5, len(self._tokens))):
                value = self._value(n)
                if value is None or self._tokens[n].sentence != self._tokens[span.last].sentence:
                    continue
                if n + 1 not in self._units and value[1] < 1:
                    yield Quantity(value[0], value[1], "1", Span(n, n), self._relation(n))
                break

    def _chain(self, chain: list[int], unit: str, last: int) -> Iterator[Quantity]:
        for n in chain:
            if n != chain[-1] and n + 1 in self._units:
                continue  # has been told with its own unit
            value = self._value(n)
            assert value is not None
            sign = -1 if self._is_negative(n) else 1
            yield Quantity(sign * value[0], value[1], unit, Span(n, max(n, last)), self._relation(n))

    def _relation(self, n: int) -> Relation:
        signs: dict[str, Relation] = {"<": "below", ">": "above"}
        return self._relations.get(n) or signs.get(self._tokens[n].relation, "equal")

    def _value(self, n: int) -> tuple[float, float] | None:
        token = self._tokens[n]
        if token.is_number:
            return read_number(token.text, self._language)
        spelled = self._told(token.text)
        if spelled is None or n + 1 not in self._units:
            return None
        tens = self._told(self._tokens[n - 1].text) if n else None
        return (spelled + (tens if tens and tens >= 20 and tens % 10 == 0 and spelled < 10 else 0), 1.0)

    def _told(self, word: str) -> float | None:
        """A number in words: "twenty", "zwanzig", "dreiundzwanzig"."""
        ones, joined, tens = word.partition("und")
        if joined and ones in self._spelled and tens in self._spelled:
            return float(self._spelled[ones] + self._spelled[tens])
        return float(self._spelled[word]) if word in self._spelled else None

    def _joins(self, before: int, n: int) -> bool:
        """Whether a number goes on from the one before: "23 x 17", "23 mm by 17", "10-12", "-100 to -50"."""
        after = self._units[before + 1][1] + 1 if before + 1 in self._units else before + 1
        if self._tokens[before].clause != self._tokens[n].clause:
            return False
        if n == after:
            return self._tokens[n].dash
        return n == after + 1 and self._tokens[after].text in _CHAINED

    def _is_negative(self, n: int) -> bool:
        return self._tokens[n].minus or (n > 0 and self._tokens[n - 1].text == "minus")
