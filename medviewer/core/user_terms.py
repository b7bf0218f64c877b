"""Structures that only a user's own model knows, as terms of the terminology."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable, Mapping
from typing import Any

from medviewer.core.plain_text import one_line
from medviewer.core.terminology import Term, Terminology

PREFIX = "user:"
_ID = re.compile(rf"{PREFIX}[a-z0-9-]{{1,64}}\Z")
_MOST_TERMS, _MOST_WORDINGS = 200, 20
_ANATOMICAL_STRUCTURE = {"value": "123037004", "scheme": "SCT", "meaning": "Anatomical structure"}
_COLORS = ((232, 124, 84), (96, 178, 212), (150, 196, 92), (206, 132, 196), (222, 184, 74), (110, 148, 226))
Entry = dict[str, Any]


def user_term_id(name: str) -> str:
    """The id of a structure that the terminology does not know: "user:my-structure"."""
    slug = re.sub(r"[^a-z0-9]+", "-", name.casefold()).strip("-")[:48]
    return PREFIX + (slug if slug and name.isascii() else f"{slug or 'structure'}-{zlib.crc32(name.encode()):08x}")


def user_entry(name: str, modalities: Iterable[str] = (), *, paired: bool = False) -> Entry:
    """What a bundle says of such a structure, under "user_terms". `paired`: a side may select one of two."""
    return {
        "id": user_term_id(name), "name": name, "synonyms": [], "laterality": "paired" if paired else "none",
        "modalities": sorted(modalities),
    }  # fmt: skip


def user_term(entry: Any) -> Term | None:
    """The term that such an entry describes; None where it is damaged."""
    fields = _term(entry)
    return None if fields is None else Term.from_dict(fields)


def with_user_terms(data: Mapping[str, Any], entries: Iterable[Any]) -> Terminology:
    """The terminology of the parsed file `data` and the user's terms. Entries of bundles are not trusted: what is
    damaged, has an id twice or claims a wording that means something else already is left out."""
    terms: dict[str, Entry] = {}
    for entry in list(entries)[:_MOST_TERMS]:
        term = _term(entry)
        if term is not None:
            terms.setdefault(term["id"], term)
    try:
        return _joined(data, terms.values())
    except ValueError:  # one claims another's wording: find out which
        return _joined(data, _agreeing(data, terms.values()))


def _joined(data: Mapping[str, Any], terms: Iterable[Entry]) -> Terminology:
    return Terminology.from_dict({**data, "structures": [*data["structures"], *terms]})


def _agreeing(data: Mapping[str, Any], terms: Iterable[Entry]) -> list[Entry]:
    kept: list[Entry] = []
    for term in terms:
        try:
            _joined(data, [*kept, term])
        except ValueError:
            continue
        kept.append(term)
    return kept


def _term(entry: Any) -> Entry | None:
    """An entry of the terminology file; None for what is not a user's term."""
    if not isinstance(entry, Mapping) or not _ID.match(str(entry.get("id"))):
        return None
    name = one_line(str(entry.get("name", "")), 120)
    if not re.search(r"\w", name):
        return None
    synonyms = entry.get("synonyms", [])
    modalities = entry.get("modalities", [])
    return {
        "id": entry["id"], "name": name, "name_de": name, "snomed": None, "category": _ANATOMICAL_STRUCTURE,
        "laterality": "paired" if entry.get("laterality") == "paired" else "none",
        "color": _COLORS[zlib.crc32(entry["id"].encode()) % len(_COLORS)],
        "synonyms": [one_line(str(text), 120) for text in synonyms[:_MOST_WORDINGS]] if _is_list(synonyms) else [],
        "modalities": [str(name)[:8] for name in modalities[:8]] if _is_list(modalities) else [],
    }  # fmt: skip


def _is_list(value: Any) -> bool:
    return isinstance(value, list)
