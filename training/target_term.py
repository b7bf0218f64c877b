"""The structure that a fine-tuning teaches: which term a prompt names, and under which text the network learns it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import ndimage

from medviewer.core.errors import WrongUsage
from medviewer.core.prompts import parse_prompt
from medviewer.core.terminology import Terminology
from medviewer.core.user_terms import user_term_id
from medviewer.models.text_sam import TextSam

from .data.samples import Sample
from .lora import row_of

_MOST_CHARACTERS = 100
_PIECE = 0.15  # of the whole, from which a piece counts
_AGREE = 0.8  # of the cases, which must have the same number of pieces


@dataclass(frozen=True)
class Target:
    """What is taught. `name`: as users write it. `text`: given to the text encoder. `is_new`: the terminology does not
    know it. `was_trained`: the base model knows it already."""

    id: str
    name: str
    text: str
    is_new: bool
    was_trained: bool


def target_of(prompt: str, terminology: Terminology, terms: Mapping[str, Any], network: TextSam) -> Target:
    """The target of a prompt; `terms`: those of the base model by id, each with its "text".

    Raises WrongUsage for a prompt that is empty, too long, negated, names one side of a pair, or is only nearly a
    known name: what is meant must be certain, for the answer will go by this name.
    """
    name = " ".join(prompt.split())
    parsed = parse_prompt(name, terminology)
    if len(name) > _MOST_CHARACTERS:
        hint = f"Name the structure in {_MOST_CHARACTERS} or fewer."
        raise WrongUsage(f"The prompt has {len(name)} characters.", hint)
    if parsed.negated:
        raise WrongUsage("The prompt asks for an absence.", "Name the structure itself.")
    if parsed.term is None:
        return Target(user_term_id(name), name, _free_text(name, terms, network), True, False)
    if parsed.corrected:
        raise WrongUsage(
            f'"{name}" reads like "{parsed.term.name}", which the program knows.',
            f'Write "{parsed.term.name}" if you mean it, else a name that differs more.',
        )
    if parsed.side is not None:
        raise WrongUsage(
            f'"{name}" is one side of "{parsed.term.name}"; the program tells sides by their place in the body.',
            f'Outline both sides and train "{parsed.term.name}".',
        )
    known = terms.get(parsed.term.id)
    shared = known is not None and sum(entry["text"] == known["text"] for entry in terms.values()) > 1
    if known is not None and not shared:
        return Target(parsed.term.id, parsed.term.name, str(known["text"]), False, True)
    return Target(parsed.term.id, parsed.term.name, _free_text(parsed.term.name, terms, network), False, False)


def _free_text(name: str, terms: Mapping[str, Any], network: TextSam) -> str:
    """The name, with words added while its row in the text encoder's table belongs to another structure."""
    taken: Collection[int] = {row_of(str(entry["text"]), network) for entry in terms.values()}
    text = name
    while row_of(text, network) in taken:
        text += " structure"
    return text


def pieces_of(samples: list[Sample], name: str) -> int:
    """How many separate pieces the structure has in most cases that show it; 0 where they differ."""
    counts = [count for sample in samples if (count := _pieces(sample.tables[name][sample.label]))]
    if not counts:
        return 0
    usual = int(np.bincount(counts).argmax())
    return usual if np.mean(np.array(counts) == usual) >= _AGREE and usual <= 4 else 0


def _pieces(mask: np.ndarray[Any, np.dtype[np.bool_]]) -> int:
    """Pieces of some size; 0 for an empty mask."""
    labels, count = ndimage.label(mask)
    if count == 0:
        return 0
    sizes = np.bincount(labels.reshape(-1))[1:]
    return int((sizes >= _PIECE * sizes.sum()).sum())
