"""What weights may be used for, from the licence tiers of the rows they were trained on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .data.samples import Row, read_rows
from .data.sets import load_sets

OPEN_TIERS = ("A", "A-")  # permissive; believed permissive
GENERATED = "generated torso phantoms (code of this repository)"


@dataclass(frozen=True)
class Terms:
    """One line for people, and whether commercial use is allowed."""

    licence: str
    commercial_use: bool


RESEARCH = Terms("non-commercial research weights", False)
OPEN = Terms("CC BY-SA 4.0, commercial use allowed", True)  # the strictest of the open licences: share-alike


@dataclass(frozen=True)
class SetUse:
    """A data set of a model: how many rows of which licence, from where."""

    name: str
    tier: str
    licence: str
    source: str
    rows: int


def terms_of(tiers: Iterable[str]) -> Terms:
    """Open only where every tier is; a tier that is not known counts as non-commercial, and so does no tier at all."""
    found = set(tiers)
    return OPEN if found and found <= set(OPEN_TIERS) else RESEARCH


def train_rows(data: Path, tiers: Sequence[str] = ()) -> list[dict[str, str]]:
    """The train rows of the known sets, of the licence tiers (empty: all)."""
    known = set(load_sets())
    return [row for row in read_rows(data, "train", tiers) if row["set"] in known]


def sets_used(rows: Iterable[Row]) -> list[SetUse]:
    """The rows by set and licence."""
    counts = Counter((row["set"], row["licence_tier"], row["licence"], row["source"]) for row in rows)
    return [SetUse(*key, rows=count) for key, count in sorted(counts.items())]


def sources_of(sets: Iterable[SetUse]) -> list[str]:
    """One line per set, with its licence; the generated data last."""
    return [*(f"{one.name}: {one.licence}; {one.source}" for one in sets), GENERATED]


def uses_as_table(sets: Iterable[SetUse]) -> list[Mapping[str, str]]:
    """Rows for people: set, rows, tier, licence, source."""
    return [
        {"set": one.name, "train rows": str(one.rows), "tier": one.tier, "licence": one.licence, "source": one.source}
        for one in sets
    ]
