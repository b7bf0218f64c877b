"""Wordings of a trained name: synonyms, typos, case, word order."""

from __future__ import annotations

import json
import tomllib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

SYNONYMS = Path(__file__).parents[1] / "configs" / "synonyms.toml"
TERMINOLOGY = Path(__file__).parents[2] / "resources" / "terminology"
_LETTERS = "abcdefghijklmnopqrstuvwxyz"


def load_wordings(names: Sequence[str]) -> dict[str, list[str]]:
    """Trained name to its wordings, the name first; terminology entries are found by name or synonym."""
    wordings: dict[str, list[str]] = {name: [name] for name in names}
    with SYNONYMS.open("rb") as file:
        for name, others in tomllib.load(file).items():
            wordings[name].extend(others)
    terminology = _terminology_texts()
    for name in names:
        wordings[name].extend(terminology.get(name.lower(), []))
    return {name: list(dict.fromkeys(texts)) for name, texts in wordings.items()}


def _terminology_texts() -> dict[str, list[str]]:
    """Every wording in lower case to all wordings of its term, where it belongs to one term only."""
    found: dict[str, list[str]] = {}
    for path in sorted(TERMINOLOGY.glob("structures*.json")):
        for entry in json.loads(path.read_text(encoding="utf-8"))["structures"]:
            texts = [entry["name"], entry["name_de"], *entry["synonyms"], *entry["synonyms_de"], *entry["aliases"]]
            for text in texts:
                found.setdefault(text.lower(), texts)
    return found


class Wording:
    """Draws a wording of a name."""

    def __init__(self, names: Sequence[str], rng: np.random.Generator) -> None:
        self.rng = rng
        self.wordings: Mapping[str, list[str]] = defaultdict(list, load_wordings(names))

    def draw(self, name: str) -> str:
        """The name itself two times in three, else a synonym; some with a typo, case or word order changed."""
        choices = self.wordings[name] or [name]
        text = name if self.rng.random() < 0.65 else str(choices[int(self.rng.integers(len(choices)))])
        chance = self.rng.random()
        if chance < 0.08 and len(text) > 5:
            return self._typo(text)
        if chance < 0.14 and " " in text:
            return " ".join(reversed(text.split()))
        return text

    def _typo(self, text: str) -> str:
        at = int(self.rng.integers(1, len(text) - 1))
        letter = _LETTERS[int(self.rng.integers(26))]
        kind = int(self.rng.integers(3))
        if kind == 0:
            return text[:at] + text[at + 1 :]
        if kind == 1:
            return text[:at] + letter + text[at + 1 :]
        return text[:at] + text[at + 1] + text[at] + text[at + 2 :]
