"""Trained names as terminology ids, and what the bundle says about each."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from medviewer.core.terminology import Terminology
from medviewer.core.user_terms import Entry, user_entry, user_term_id

from .samples import Sample
from .sets import CONFIG, structures

TERMINOLOGY = Path(__file__).parents[2] / "resources" / "terminology" / "structures.json"
_OTHER_NAMES = {"autochthonous back muscle": "autochthon", "iliopsoas muscle": "iliopsoas"}


def load_terminology(path: Path = TERMINOLOGY) -> Terminology:
    """The terminology the program ships."""
    return Terminology.from_dict(json.loads(path.read_text(encoding="utf-8")))


def term_id(name: str, terminology: Terminology) -> str:
    """The terminology id of a trained name. Raises KeyError if it has none."""
    match = terminology.find(_OTHER_NAMES.get(name, name))
    if match is None:
        raise KeyError(name)
    return match.term.id


def trained_modalities(samples: Iterable[Sample]) -> dict[str, dict[str, int]]:
    """Trained name to modality to the number of pictures or volumes that show it."""
    counts: dict[str, dict[str, int]] = {}
    for sample in samples:
        for name, table in sample.tables.items():
            if table[sample.label].any():
                per = counts.setdefault(name, {})
                per[sample.config.modality] = per.get(sample.config.modality, 0) + 1
    return counts


def describe_terms(
    counts: dict[str, dict[str, int]], results: dict[str, dict[str, dict[str, Any]]], terminology: Terminology
) -> dict[str, dict[str, Any]]:
    """Entries of the bundle's `terms` by id. `results`: name to modality to {"dice", "n"}."""
    with CONFIG.open("rb") as file:
        config = tomllib.load(file)
    places = structures()
    entries = {}
    for name in places:
        if name in counts:
            measured = {m: results.get(name, {}).get(m, {"dice": None, "n": 0}) for m in sorted(counts[name])}
            entries[term_id(name, terminology)] = {
                "text": name, "results": measured, "parts": config["parts"].get(name, 0),
                "regions": sorted(places[name]), "note": "",
            }
    for name in sorted(set(counts) - set(places)):
        found = terminology.find(name)
        entries[found.term.id if found else user_term_id(name)] = {
            "text": name, "results": {m: {"dice": None, "n": 0} for m in sorted(counts[name])}, "parts": 0,
            "regions": [], "note": "",
        }
    for other, answer in config["answered_by"].items():
        trained = entries.get(term_id(answer["name"], terminology))
        if trained is not None:
            entries[other] = trained | {"note": answer["note"]}
    return entries


def user_terms(counts: dict[str, dict[str, int]], terminology: Terminology) -> list[Entry]:
    """What the bundle says of trained names that are no terms of the terminology, under "user_terms"."""
    own = sorted(set(counts) - set(structures()))
    return [user_entry(name, counts[name]) for name in own if terminology.find(name) is None]
