"""One structure of the terminology and its codes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Laterality = Literal["paired", "none", "name"]
Side = Literal["left", "right"]


@dataclass(frozen=True)
class Code:
    """A coded concept (DICOM PS3.3 8.8): value, scheme designator ("SCT" is SNOMED CT), meaning."""

    value: str
    scheme: str
    meaning: str


@dataclass(frozen=True)
class IntensityRange:
    """CT numbers (HU) expected in a structure, and who says so; voxels outside are worth a look."""

    low: float
    high: float
    source: str


@dataclass(frozen=True)
class Term:
    """One structure.

    `laterality`: "paired" (a side selects: left kidney, left subdural hemorrhage), "none", or "name" (the side is part
    of the name: left ventricle). `snomed` is None where no code was found; `snomed_broader` marks a parent concept's
    code. `aliases` are data set label names: understood, never offered. `parts` are ids of narrower terms.
    """

    id: str
    name: str
    name_de: str
    laterality: Laterality
    snomed: Code | None
    category: Code
    color: tuple[int, int, int]
    modalities: tuple[str, ...] = ()
    region: tuple[str, ...] = ()
    synonyms_en: tuple[str, ...] = ()
    synonyms_de: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    sided_synonyms: Mapping[str, Side] = field(default_factory=dict)  # "RUL" -> "right"
    parts: tuple[str, ...] = ()
    snomed_broader: bool = False
    ct_hu_range: IntensityRange | None = None

    @property
    def synonyms(self) -> tuple[str, ...]:
        """Every further name a reader may use, English first."""
        return (*self.synonyms_en, *self.synonyms_de)

    @property
    def wordings(self) -> tuple[str, ...]:
        """Every wording that means this term without a side: names, synonyms, aliases."""
        return (self.name, self.name_de, *self.synonyms, *self.aliases)

    @classmethod
    def from_dict(cls, entry: Mapping[str, Any]) -> Term:
        """From one entry of the terminology file. Raises KeyError or ValueError for a malformed entry."""
        if entry["laterality"] not in ("paired", "none", "name"):
            raise ValueError(f"{entry['id']}: laterality {entry['laterality']!r}")
        red, green, blue = entry["color"]
        hu = entry.get("ct_hu_range")
        return cls(
            entry["id"],
            entry["name"],
            entry["name_de"],
            entry["laterality"],
            _code(entry["snomed"]) if entry.get("snomed") else None,
            _code(entry["category"]),
            (int(red), int(green), int(blue)),
            tuple(entry.get("modalities", ())),
            tuple(entry.get("regions", ())),
            tuple(entry.get("synonyms", ())),
            tuple(entry.get("synonyms_de", ())),
            tuple(entry.get("aliases", ())),
            dict(entry.get("sided_synonyms", {})),
            tuple(entry.get("parts", ())),
            bool(entry.get("snomed_broader", False)),
            IntensityRange(float(hu["low"]), float(hu["high"]), str(hu["source"])) if hu else None,
        )


def _code(entry: Mapping[str, Any]) -> Code:
    return Code(str(entry["value"]), str(entry["scheme"]), str(entry["meaning"]))
