"""Numbers, names and sentences of a report, in the language of its template. No rule of medicine is in here."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence

from medviewer.core.plain_text import one_line
from medviewer.core.prediction import Answer
from medviewer.core.report.document import Language, Measurement, readable_date
from medviewer.core.report.grouping import HIGH, LOW, MEDIAN
from medviewer.core.report.patterns import fill
from medviewer.core.report.template import Template
from medviewer.core.report.words import Words
from medviewer.core.terminology import Term
from medviewer.core.volume import Fact, Volume

_WHOLE = {
    "HU": 0.0, "mm": 10.0, "ml": 10.0, "mm2": 100.0, "cm2": 10.0, "%": 10.0, "deg": 10.0, "px": 0.0, "g": 10.0, "": 0.0,
}  # fmt: skip
SIZES = ("voxel_size", "pixel_size")  # numbers in a text
SIDE_OF_RESULT = ("length_difference", "asymmetry_index", "side_share", "offset_left_right")  # which is longer ...
_DATES = ("acquisition_date",)
_COUNTS = ("parts", "count")
_BEGIN = "{structure}: "  # of the patterns whose numbers may stand in one sentence
_PERCENTILES = (LOW, HIGH)  # stand beside the median
_SHORTEST = 3  # decimals, for what is small
UP_DOWN = "offset_up_down"  # a flag says which of the two: "above", "below"
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
    """The unit as it is written: nothing for a ratio, the sign for degrees."""
    return {"1": "", "deg": "°"}.get(unit, unit)


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
    if not is_number(measurement):
        return _not_measured([measurement], structure, words, edges)
    if is_by_hand(measurement):
        return words.phrase("by_hand_measured", **_values(measurement, structure, words))
    values = _values(measurement, structure, words, other)
    pattern = pattern_of(measurement.quantity, words, template)
    return _joined([capital(fill(pattern, values)), *tails(measurement, words, edges)])


def _values(measurement: Measurement, structure: str, words: Words, other: str = "") -> dict[str, str]:
    """What is filled into a pattern. The measurement has a number."""
    return {
        "structure": structure, "other": other, "quantity": words.named("quantities", measurement.quantity),
        "method": words.translated(one_line(measurement.method)), "unit": unit_text(measurement.unit),
        "side": words.named("sides", measurement.side) if measurement.side else "",
        "direction": next((words.translated(flag) for flag in measurement.flags if flag in ("above", "below")), ""),
        "value": number(measurement.value or 0.0, measurement.unit, words, measurement.quantity),
    }  # fmt: skip


def sentences_of(
    group: Sequence[Measurement],
    structure: str,
    words: Words,
    template: Template,
    edges: Sequence[str] = (),
    other: str = "",
) -> str:
    """One sentence of several numbers of one mask: "Liver: length 34 mm and volume 20 ml.", a median with its
    percentiles, or what has no number for the same reason. Numbers whose pattern does not begin with the structure and
    a colon get a sentence of their own. Ranges follow, each with its quantity; for a cut mask there are none."""
    if not is_number(group[0]):
        return _not_measured(group, structure, words, edges)
    around = _percentiles(group, words)
    shown = [m for m in group if not around or m.quantity not in _PERCENTILES]
    clauses = {m.id: _clause(m, around, words, template) for m in shown}
    together = [m for m in shown if clauses[m.id]]
    apart = [m for m in shown if not clauses[m.id]]
    told = [f"{structure}: {listed((clauses[m.id] for m in together), words)}."] if together else []
    told += _group_tails(together, words, edges)
    told += [sentence_of(m, structure, words, template, () if together else edges, other) for m in apart]
    told += [f"{capital(around)}." for m in apart if around and m.quantity == MEDIAN]
    return _joined(told)


def is_by_hand(measurement: Measurement) -> bool:
    """Whether a person drew it: it rests on no mask, and is always written."""
    return not measurement.segment_ids and measurement.method.startswith("by_hand")


def is_number(measurement: Measurement) -> bool:
    """Whether there is a finite value."""
    return measurement.value is not None and math.isfinite(measurement.value)


def _not_measured(group: Sequence[Measurement], structure: str, words: Words, edges: Sequence[str]) -> str:
    reason = words.translated(one_line(group[0].reason)) or words.named("origins", "unknown")
    names = listed((words.named("quantities", m.quantity) for m in group), words)
    text = words.phrase("not_measured", structure=structure, quantity=names, reason=reason)
    return _joined([text, cut_text(edges, group[0].flags, words)])


def _percentiles(group: Sequence[Measurement], words: Words) -> str:
    """ "35 HU at the 5th and 88 HU at the 95th percentile"; empty where they are not there."""
    known = {m.quantity: m for m in group if m.value is not None}
    if not {MEDIAN, *_PERCENTILES} <= known.keys():
        return ""
    low, high = (number(known[name].value or 0.0, known[name].unit, words) for name in _PERCENTILES)
    return words.phrase("percentiles", low=low, high=high, unit=unit_text(known[MEDIAN].unit))


def _clause(measurement: Measurement, around: str, words: Words, template: Template) -> str:
    """What the pattern says after "{structure}: ", without the full stop, and the percentiles of a median; empty for
    another kind of pattern."""
    pattern = "" if is_by_hand(measurement) else pattern_of(measurement.quantity, words, template)
    clause = pattern.removeprefix(_BEGIN).removesuffix(".")
    if len(pattern) - len(clause) != len(_BEGIN) + 1 or re.search(r"\{(structure|other)\}|\. ", clause):
        return ""
    text = fill(clause, _values(measurement, "", words))
    return f"{text} ({around})" if around and measurement.quantity == MEDIAN else text


def _group_tails(group: Sequence[Measurement], words: Words, edges: Sequence[str]) -> list[str]:
    """What follows the numbers: that the mask is cut, or the ranges that apply, each with the name of its quantity."""
    cut = next((text for m in group if (text := cut_text(edges, m.flags, words))), "")
    if cut or len(group) == 1:
        return [cut] if cut else tails(group[0], words)
    told: list[str] = []
    for measurement in (m for m in group if m.range_text):
        name = words.named("quantities", measurement.quantity)
        told.append(words.phrase("tail_range_of", quantity=name, range=one_line(measurement.range_text)))
        told += tails(measurement, words)[1:]
    return told


def pattern_of(quantity: str, words: Words, template: Template) -> str:
    """The template's pattern, else the common one."""
    common = words.tables["phrases"][UP_DOWN if quantity == UP_DOWN else "measured"]
    return template.patterns[words.language].get(quantity, common)


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
