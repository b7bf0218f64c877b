"""What is wrong with a mask, in one computed sentence."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Mask = NDArray[np.bool_]
PIECE = 0.05  # of a structure's size, from which a part that hangs together counts as a piece of it
LEAST_SHIFT = 0.15  # of the structure's extent: from here it is told where a part lies
_IN_PATIENT = (("right", "left"), ("front", "back"), ("feet", "head"))
_IN_PICTURE = (("left", "right"), ("top", "bottom"), ("", ""))


def in_words(truth: Mask, mask: Mask, in_patient: bool) -> str:
    """For instance "38 % of it missed, mostly towards the patient's left; 4 % surplus."

    Masks (x, y, z) with x to the patient's left, y to the back, z to the head; without `in_patient` columns and rows of
    a picture as displayed. Shares are of the structure's size.
    """
    missed, surplus = truth & ~mask, mask & ~truth
    if not truth.any() or not mask.any():
        return "Nothing was found." if not mask.any() else "Found where there is nothing."
    names = _IN_PATIENT if in_patient else _IN_PICTURE
    owner = "the patient's" if in_patient else "the picture's"
    parts = [_missed(truth, mask, missed, names, owner), _pieces(truth, mask), _surplus(truth, surplus)]
    return "; ".join(part for part in parts if part) + "."


def _missed(truth: Mask, mask: Mask, missed: Mask, names: tuple[tuple[str, str], ...], owner: str) -> str:
    if not (truth & mask).any():
        return "All of it missed, another place was marked"
    where = _towards(missed, truth, names)
    towards = f", mostly towards {owner} {' and '.join(where)}" if where else ""
    share = _percent(float(missed.sum() / truth.sum()))
    return f"{share} of it missed{towards}"


def _surplus(truth: Mask, surplus: Mask) -> str:
    """How much was marked beside the structure, and whether most of that does not even touch it."""
    if not surplus.any():
        return "no surplus"
    share = float(surplus.sum() / truth.sum())
    pieces, _ = ndimage.label(surplus)
    touching = np.unique(pieces[ndimage.binary_dilation(truth)])
    apart = surplus & ~np.isin(pieces, touching[touching > 0])
    far = ", most of it apart from the structure" if 2 * apart.sum() > surplus.sum() else ""
    return f"{_percent(share)} surplus{far}"


def _pieces(truth: Mask, mask: Mask) -> str:
    """How many of the structure's separate pieces were not found at all, for instance one of two lungs."""
    labels, count = ndimage.label(truth)
    sizes = np.bincount(labels.reshape(-1), minlength=count + 1)[1:]
    found = np.bincount(labels[mask], minlength=count + 1)[1:]
    large = sizes >= PIECE * truth.sum()
    lost = int((large & (found < PIECE * sizes)).sum())
    whole = int(large.sum())
    return f"{lost} of its {whole} pieces not found" if 0 < lost < whole else ""


def _towards(part: Mask, truth: Mask, names: tuple[tuple[str, str], ...]) -> list[str]:
    """Names of up to two directions in which the part lies off the middle of the structure, the farthest first."""
    if not part.any():
        return []
    shift = (_middle(part) - _middle(truth)) / _extent(truth)
    order = [int(axis) for axis in np.argsort(-np.abs(shift))[:2]]
    return [names[axis][int(shift[axis] > 0)] for axis in order if abs(shift[axis]) >= LEAST_SHIFT]


def _middle(mask: Mask) -> NDArray[np.float64]:
    return np.array([np.mean(index) for index in np.nonzero(mask)])


def _extent(mask: Mask) -> NDArray[Any]:
    return np.array([np.ptp(index) + 1 for index in np.nonzero(mask)])


def _percent(share: float) -> str:
    """Whole percents; never 0 for what is only close to it."""
    if share == 0.0:
        return "none"
    return "less than 1 %" if share < 0.01 else f"{round(100 * share)} %"
