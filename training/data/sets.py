"""What each set annotates (`configs/sets.toml`), and which structures are known to be absent from a picture."""

from __future__ import annotations

import fnmatch
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

CONFIG = Path(__file__).parents[1] / "configs" / "sets.toml"


@dataclass(frozen=True)
class SetConfig:
    """One set: what is annotated, what is shown. Names are trained names (without a side)."""

    name: str
    modality: str
    shows: frozenset[str]
    throughout: frozenset[str]
    weight: float
    merge: Mapping[str, tuple[str | int, ...]]
    ignore: frozenset[str]
    flip: float
    lung_rule: bool
    elsewhere: tuple[str, ...]  # structures known not to be there (other part of the body, or modality)
    tumours: float = 0.0  # chance of a tumour planted into a label map
    recolour: float = 0.0  # chance of another contrast between the labelled regions
    resampled: bool = False  # labels hold lines that the publisher's resampling left behind
    turn: float = 10.0  # degrees, standard deviation of the random rotation

    def values(self, labels: Mapping[int, str]) -> dict[str, list[int]]:
        """Trained name to the mask values that make it up, for one row's `labels` (mask value to label)."""
        if not self.merge:
            return {name: [value] for value, name in _clean(labels).items() if name not in self.ignore}
        found = {}
        for name, patterns in self.merge.items():
            values = [v for v, label in labels.items() if any(_matches(p, v, label) for p in patterns)]
            if values:
                found[name] = values
        return found


def _clean(labels: Mapping[int, str]) -> dict[int, str]:
    return {value: name for value, name in labels.items() if name}


def _matches(pattern: str | int, value: int, label: str) -> bool:
    return value == pattern if isinstance(pattern, int) else fnmatch.fnmatchcase(label, pattern)


def load_sets(path: Path = CONFIG) -> dict[str, SetConfig]:
    """Set name to its configuration. Raises KeyError for a structure without a place in the body."""
    with path.open("rb") as file:
        data = tomllib.load(file)
    places = {name: frozenset(parts) for name, parts in data["structures"].items()}
    return {name: _set(name, fields, places) for name, fields in data["sets"].items()}


def structures(path: Path = CONFIG) -> dict[str, frozenset[str]]:
    """Trained name to the parts of the body it lies in."""
    with path.open("rb") as file:
        return {name: frozenset(parts) for name, parts in tomllib.load(file)["structures"].items()}


def _set(name: str, fields: dict[str, object], places: Mapping[str, frozenset[str]]) -> SetConfig:
    shows = frozenset(_strings(fields["shows"]))
    throughout = frozenset(_strings(fields["throughout"]))
    merge = fields.get("merge", {})
    assert isinstance(merge, dict)
    for structure in (*throughout, *merge):
        places[structure]  # a KeyError here names the structure that is missing from [structures]
    return SetConfig(
        name=name,
        modality=str(fields["modality"]),
        shows=shows,
        throughout=throughout,
        weight=float(str(fields["weight"])),
        merge={key: tuple(value) for key, value in merge.items()},
        ignore=frozenset(_strings(fields.get("ignore", []))),
        lung_rule=bool(fields.get("lung_rule", False)),
        flip=float(str(fields.get("flip", 0.12))),
        elsewhere=tuple(sorted(_elsewhere(str(fields["modality"]), shows, throughout, places))),
        tumours=float(str(fields.get("tumours", 0.0))),
        recolour=float(str(fields.get("recolour", 0.0))),
        turn=float(str(fields.get("turn", 10.0))),
        resampled=bool(fields.get("resampled", False)),
    )


def _elsewhere(
    modality: str, shows: frozenset[str], throughout: frozenset[str], places: Mapping[str, frozenset[str]]
) -> set[str]:
    """Structures that lie in no part of the body shown. A projection or an ultrasound picture has no outline of what
    was only ever outlined on sections: there, all that the set does not annotate counts as not to be found."""
    if modality in ("XR", "US"):
        return set(places) - throughout
    return {name for name, parts in places.items() if not parts & shows}


def _strings(value: object) -> list[str]:
    assert isinstance(value, list)
    return [str(item) for item in value]
