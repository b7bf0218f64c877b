"""Reference ranges with their method (a data file, read by the caller): one applies only where everything it states
matches.

A range flags, it never diagnoses. Unknown or estimated facts, an age below 18 and a mask cut by the edge of the scan
mean that there is none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from medviewer.core.measure.facts import Examination
from medviewer.core.report.document import Language, Measurement

_ADULT = 18.0


@dataclass(frozen=True)
class ReferenceRange:
    """One entry. Limits are in the unit of the quantity; a limit that is None is not checked. `inclusive`: a value
    equal to a limit is flagged. `contrast`, `projection`, `position` are empty where the source does not depend on
    them; the file has to state the first even so."""

    id: str
    quantity: str
    unit: str
    terms: tuple[str, ...]
    modalities: tuple[str, ...]
    methods: tuple[str, ...]
    age: tuple[float, float]
    sex: tuple[str, ...]
    text: Mapping[str, str]
    population: str
    source: str
    doi: str
    low: float | None = None
    high: float | None = None
    inclusive: bool = False
    side: str | None = None
    contrast: tuple[str, ...] = ()
    projection: tuple[str, ...] = ()
    position: tuple[str, ...] = ()
    whole: bool = True

    def fits(self, measurement: Measurement, examination: Examination) -> bool:
        """Whether every condition matches."""
        return self._fits_measurement(measurement) and self._fits_patient(examination)

    def _fits_measurement(self, measurement: Measurement) -> bool:
        whole = "incomplete" not in measurement.flags or not self.whole
        return (
            measurement.quantity == self.quantity
            and measurement.unit == self.unit
            and measurement.term_id in self.terms
            and measurement.method in self.methods
            and (self.side is None or measurement.side == self.side)
            and whole
        )

    def _fits_patient(self, examination: Examination) -> bool:
        age, sex = examination.age, examination.sex
        if age is None or age < _ADULT or sex is None:
            return False
        wanted = (
            (self.contrast, examination.contrast),
            (self.projection, examination.projection),
            (self.position, examination.position),
        )
        return (
            examination.modality in self.modalities
            and self.age[0] <= age <= self.age[1]
            and sex in self.sex
            and all(not allowed or stated in allowed for allowed, stated in wanted)
        )

    def flag(self, value: float) -> str:
        """ "above range", "below range" or nothing."""
        if self.high is not None and (value > self.high or (self.inclusive and value == self.high)):
            return "above range"
        if self.low is not None and (value < self.low or (self.inclusive and value == self.low)):
            return "below range"
        return ""


def reference_ranges(data: Mapping[str, Any]) -> tuple[ReferenceRange, ...]:
    """The entries of the ranges file. Raises ValueError for one that lacks its conditions, its source or its DOI."""
    return tuple(_entry(entry) for entry in data["ranges"])


def _entry(entry: Mapping[str, Any]) -> ReferenceRange:
    try:
        found = _read(entry)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"reference range {entry.get('id')}: {error}") from error
    stated = (found.quantity, found.unit, found.population, found.source, found.doi, *found.text.values())
    conditions = (found.terms, found.modalities, found.methods, found.sex)
    limited = found.low is not None or found.high is not None
    if not all(stated) or not all(conditions) or not {"en", "de"} <= found.text.keys() or not limited:
        raise ValueError(f"reference range {found.id}: a limit, a condition, a text, the source or the DOI is missing")
    return found


def _read(entry: Mapping[str, Any]) -> ReferenceRange:
    first, last = entry["age"]
    return ReferenceRange(
        id=str(entry["id"]),
        quantity=str(entry["quantity"]),
        unit=str(entry["unit"]),
        terms=tuple(entry["terms"]),
        modalities=tuple(entry["modalities"]),
        methods=tuple(entry["methods"]),
        age=(float(first), float(last)),
        sex=tuple(entry["sex"]),
        text=dict(entry["text"]),
        population=str(entry["population"]),
        source=str(entry["source"]),
        doi=str(entry["doi"]),
        low=_limit(entry, "low"),
        high=_limit(entry, "high"),
        inclusive=bool(entry.get("inclusive", False)),
        side=entry.get("side"),
        contrast=tuple(entry["contrast"]),
        projection=tuple(entry.get("projection", ())),
        position=tuple(entry.get("position", ())),
        whole=bool(entry.get("whole", True)),
    )


def _limit(entry: Mapping[str, Any], name: str) -> float | None:
    return None if entry.get(name) is None else float(entry[name])


def with_range(
    measurement: Measurement, examination: Examination, ranges: Sequence[ReferenceRange], language: Language = "en"
) -> Measurement:
    """The measurement with the text of the range that applies, and "above range" or "below range" among its flags."""
    if measurement.value is None:
        return measurement
    for entry in ranges:
        if entry.fits(measurement, examination):
            text = f"{entry.text[language]} ({entry.source}, doi:{entry.doi})"
            flag = entry.flag(measurement.value)
            return replace(measurement, range_text=text, flags=(*measurement.flags, *([flag] if flag else [])))
    return measurement
