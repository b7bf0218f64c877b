"""Left and right: how often the mask of a named side lies on the other one.

Scans whose truth tells the sides apart, and phantoms stored in several orientations. A mask counts as swapped when it
covers more of the other side's structure than of the named one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from medviewer.core.prompts import parse_prompt
from medviewer.core.terminology import Terminology

from ..data.dev_cases import Case, Mask
from .asking import Segmenter, wording_of

# voxel axes in a new order, and which of them are then reversed
TURNS: tuple[tuple[tuple[int, int, int], tuple[bool, bool, bool]], ...] = (
    ((0, 1, 2), (False, False, False)),
    ((0, 1, 2), (True, True, False)),  # as NIfTI files are usually stored
    ((1, 2, 0), (False, True, True)),  # sagittal slices
)


@dataclass(frozen=True)
class SideAnswer:
    """One prompt with a side: voxels of the mask in the named and in the other side's truth."""

    set: str
    structure: str
    side: str
    key: str
    found: bool
    answer: str
    named: int
    other: int

    @property
    def swapped(self) -> bool:
        return self.found and self.other > self.named


def side_answers(segmenter: Segmenter, terminology: Terminology, case: Case) -> Iterator[SideAnswer]:
    """Both sides of every structure of a scan whose sides are labelled apart."""
    for name, halves in case.sides.items():
        for number, side in enumerate(("left", "right")):
            prompt = parse_prompt(f"{side} {wording_of(name, terminology)}", terminology)
            if prompt.side == side and halves[number].any():
                answer = segmenter.segment(case.volume, prompt)
                named, other = (int((answer.mask & half).sum()) for half in (halves[number], halves[1 - number]))
                yield SideAnswer(case.set, name, side, case.key, answer.found, str(answer.answer), named, other)


def turned(case: Case, order: tuple[int, int, int], back: tuple[bool, bool, bool]) -> Case:
    """The same scan with its voxel axes stored in another order and direction; nothing moves in the patient."""
    affine = case.volume.affine
    assert affine is not None
    steps = tuple(slice(None, None, -1 if flip else 1) for flip in back)

    def turn(array: Mask) -> Mask:
        return np.ascontiguousarray(array.transpose(order)[steps])

    moved = affine.copy()
    for axis, (old, flip) in enumerate(zip(order, back, strict=True)):
        moved[:3, axis] = affine[:3, old] * (-1 if flip else 1)
        moved[:3, 3] += affine[:3, old] * (case.volume.shape[old] - 1) * flip
    volume = case.volume.with_changes(array=turn(case.volume.array), affine=moved, spacing_mm=None)
    sides = {name: (turn(left), turn(right)) for name, (left, right) in case.sides.items()}
    return replace(case, volume=volume, truths={n: turn(m) for n, m in case.truths.items()}, sides=sides,
                   key=f"{case.key} {''.join(map(str, order))}{''.join('-' if flip else '+' for flip in back)}")


def side_table(answers: Sequence[SideAnswer]) -> list[dict[str, Any]]:
    """One row per set and structure, and one for all."""
    groups: dict[tuple[str, str], list[SideAnswer]] = defaultdict(list)
    for answer in answers:
        groups[answer.set, answer.structure].append(answer)
    rows = [_row(name, structure, group) for (name, structure), group in sorted(groups.items())]
    return [*rows, _row("all", "", list(answers))] if rows else []


def _row(name: str, structure: str, answers: Sequence[SideAnswer]) -> dict[str, Any]:
    return {
        "set": name, "structure": structure, "asked": len(answers), "found": sum(a.found for a in answers),
        "swapped": sum(a.swapped for a in answers), "scans": len({a.key for a in answers}),
        "side_unknown": sum(a.answer == "side unknown" for a in answers),
    }
