"""Which quantities may be measured of which structure in which modality (a data file, read by the caller)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

ANY = "*"


@dataclass(frozen=True)
class AllowedTable:
    """modality -> term id -> quantities. The row "*" of a modality stands for structures that have none of their own;
    the modality "*" for scans whose modality is not known. What is in no row is refused."""

    rows: Mapping[str, Mapping[str, tuple[str, ...]]]

    def quantities(self, modality: str, term_id: str | None) -> tuple[str, ...]:
        """The allowed quantities in the order of the table; none for a modality that is not listed."""
        table = self.rows.get(modality or ANY, {})
        return table.get(term_id or ANY, table.get(ANY, ()))

    def allows(self, modality: str, term_id: str | None, quantity: str) -> bool:
        """Whether the quantity may be measured."""
        return quantity in self.quantities(modality, term_id)


def allowed_table(data: Mapping[str, Any], known: Sequence[str]) -> AllowedTable:
    """The table of the allowed-measurements file. Entries starting with "@" name a group of structures or a set of
    quantities.

    Raises ValueError for a group or set that is not defined and for a quantity that is not `known`.
    """
    groups: Mapping[str, Sequence[str]] = data.get("groups", {})
    sets: Mapping[str, Sequence[str]] = data.get("sets", {})
    rows: dict[str, dict[str, tuple[str, ...]]] = {}
    for modality, table in data["allowed"].items():
        rows[modality] = {}
        for name, entries in table.items():
            found = tuple(dict.fromkeys(_expanded(entries, sets)))
            unknown = [quantity for quantity in found if quantity not in known]
            if unknown:
                raise ValueError(f"{modality}, {name}: unknown quantity {unknown[0]}")
            rows[modality] |= dict.fromkeys(_expanded([name], groups), found)
    return AllowedTable(rows)


def _expanded(entries: Sequence[str], named: Mapping[str, Sequence[str]]) -> list[str]:
    found: list[str] = []
    for entry in entries:
        if not entry.startswith("@"):
            found.append(entry)
        elif entry[1:] in named:
            found += _expanded(named[entry[1:]], named)
        else:
            raise ValueError(f"{entry} is not defined")
    return found
