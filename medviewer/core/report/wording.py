"""Numbers, names and sentences of a report, in the language of its template. No rule of medicine is in here."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from medviewer.core.plain_text import one_line
from medviewer.core.prediction import Answer
from medviewer.core.report.document import Language, Measurement, readable_date
from medviewer.core.report.patterns import fill
from medviewer.core.report.template import Template
from medviewer.core.report.words import Words
from medviewer.core.terminology import Term
from medviewer.core.volume import Fact, Volume

_WHOLE = {"HU": 0.0, "mm": 10.0, "ml": 10.0, "mm2": 100.0, "cm2": 10.0, "%": 10.0, "px": 0.0, "g": 10.0, "": 0.0}
SIZES = ("voxel_size", "pixel_size")  # numbers in a text
SIDE_OF_RESULT = ("length_difference", "asymmetry_index", "side_share", "offset_left_right")  # which is longer ...
_DATES = ("acquisition_date",)
_COUNTS = ("parts", "count")
_SHORTEST = 3  # decimals, for what is small
INCOMPLETE, ABOVE, BELOW = "incomplete", "above range", "below range"


def decimals(value: float, unit: str) -> int:
    """How many decimals a reader wants: whole numbers from a size on, one below it, two for ratios; always enough for
    two significant digits of a small value."""
    if unit == "1":
        return 2
    size = abs(value)
    if size >= _WHOLE.get(unit, 100.0):
        return 0
    if size >= 1 or size == 0:
        return 1
    return min(_SHORTEST, 1 - math.floor(math.log10(size)))


def number(value: float, unit: str, words: Words, quantity: str = "") -> str:
    """The number as a report writes it. `value` is finite."""
    places = 0 if quantity in _COUNTS else decimals(value, unit)
    text = f"{value:.{places}f}"
    return words.number("0" if text.strip("-0.") == "" and places == 0 else text)


def unit_text(unit: str) -> str:
    """The unit as it is written: nothing for a ratio."""
    return "" if unit == "1" else unit


def structure_name(term: Term | None, fallback: str, side: str | None, words: Words, template: Template) -> str:
    """What a report calls a mask: the template's own name, else the terminology's, else the name of the segment; with
    its side where the structure comes in pairs. Sentence case."""
    if term is None:
        return capital(one_line(fallback) or words.phrase("structure"))
    rule = template.terms.get(term.id)
    name = (rule.names if rule else {}).get(words.language) or _own_name(term, words.language)
    if side in ("left", "right") and term.laterality == "paired":
        name = words.phrase("sided", name=name, side=words.named("sides", side))
    return capital(name)


def _own_name(term: Term, language: Language) -> str:
    return term.name_de if language == "de" else term.name


def capital(text: str) -> str:
    """The first letter large, as a sentence starts."""
    return text[:1].upper() + text[1:]


def sentence_of(
    measurement: Measurement,
    structure: str,
    words: Words,
    template: Template,
    edges: Sequence[str] = (),
    other: str = "",
) -> str:
    """The sentence of one measurement. `edges`: where its masks are cut; then it has no reference range. `other`: the
    name of a second structure that it relates to."""
    values = {
        "structure": structure, "other": other, "quantity": words.named("quantities", measurement.quantity),
        "method": words.translated(one_line(measurement.method)), "unit": unit_text(measurement.unit),
        "side": words.named("sides", measurement.side) if measurement.side else "",
    }  # fmt: skip
    if measurement.value is None or not math.isfinite(measurement.value):
        reason = words.translated(one_line(measurement.reason)) or words.named("origins", "unknown")
        return _joined(
            [words.phrase("not_measured", **values | {"reason": reason}), cut_text(edges, measurement.flags, words)]
        )
    values["value"] = number(measurement.value, measurement.unit, words, measurement.quantity)
    pattern = pattern_of(measurement.quantity, words, template)
    return _joined([capital(fill(pattern, values)), *tails(measurement, words, edges)])


def pattern_of(quantity: str, words: Words, template: Template) -> str:
    """The template's pattern, else the common one."""
    return template.patterns[words.language].get(quantity, words.tables["phrases"]["measured"])


def tails(measurement: Measurement, words: Words, edges: Sequence[str] = ()) -> list[str]:
    """What follows the number: that the mask is cut, or the range that applies and which side of it the number lies."""
    cut = cut_text(edges, measurement.flags, words)
    if cut:
        return [cut]
    told = [words.phrase("tail_range", range=one_line(measurement.range_text))] if measurement.range_text else []
    if measurement.range_text and ABOVE in measurement.flags:
        told.append(words.phrase("tail_above"))
    if measurement.range_text and BELOW in measurement.flags:
        told.append(words.phrase("tail_below"))
    return told


def cut_text(edges: Sequence[str], flags: Sequence[str], words: Words) -> str:
    """That a mask is incomplete, and where the scan cuts it; empty for a complete one."""
    if edges:
        return words.phrase("incomplete", edges=listed([words.named("edges", edge) for edge in edges], words))
    return words.phrase("incomplete_flag") if INCOMPLETE in flags else ""


def listed(parts: Iterable[str], words: Words) -> str:
    """ "upper, left and front"."""
    known = list(dict.fromkeys(parts))
    if len(known) < 2:
        return "".join(known)
    return f"{', '.join(known[:-1])} {words.phrase('and')} {known[-1]}"


def _joined(parts: Iterable[str]) -> str:
    return " ".join(part for part in parts if part)


def image_place(volume: Volume, slice_index: int | None, words: Words) -> str:
    """Series and instance number as the PACS shows them; empty where the scan has none."""
    numbers = volume.source.instance_numbers
    if slice_index is None or not 0 <= slice_index < len(numbers) or numbers[slice_index] is None:
        return ""
    series = volume.facts.get("series_number")
    image = str(numbers[slice_index])
    if series is None or series.value is None:
        return words.phrase("tail_image_only", image=image)
    return words.phrase("tail_image", series=str(series.value), image=image)


def fact_text(fact: Fact | None) -> str:
    """ "PA (DICOM)"; "unknown" for what is not recorded, never a guess. For rules: the same in every language."""
    if fact is None or fact.value is None or fact.origin == "unknown":
        return "unknown"
    return f"{one_line(str(fact.value), 120)} ({fact.origin})"


def value_text(value: str | float | int, words: Words) -> str:
    """A recorded value as it is written."""
    return words.number(f"{value:g}") if isinstance(value, (int, float)) else one_line(str(value), 120)


def technique_text(facts: Mapping[str, Fact], template: Template, words: Words) -> str:
    """The technique: facts with their origin; those that decide about rules are named even where they are unknown."""
    told = []
    for name in dict.fromkeys((*template.technique, *template.stated)):
        fact = facts.get(name)
        label = words.named("facts", name)
        if fact is not None and fact.value is not None and fact.origin != "unknown":
            origin, value = words.named("origins", fact.origin), value_text(fact.value, words)
            shown = words.number(value) if name in SIZES else readable_date(value) if name in _DATES else value
            told.append(words.phrase("technique_item", label=label, value=shown, origin=origin))
        elif name in template.stated:
            told.append(words.phrase("technique_unknown", label=label))
    return " ".join(told)


def score_text(answer: Answer, presence: float | None, words: Words) -> str:
    """The model's score beside "not found"; empty for the other answers."""
    if answer is not Answer.NOT_FOUND or presence is None:
        return ""
    return words.phrase("score", score=words.number(f"{presence:.2f}"))
