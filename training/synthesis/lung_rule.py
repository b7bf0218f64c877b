"""Lungs of chest CT pictures by rule, for sets that label something else: air enclosed by the body."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

LUNG_CODE = 200
AIR_BELOW = 55  # of 255, between lung and soft tissue in the wide window of these pictures
LEAST_SHARE = 0.02  # of the body; smaller pockets are airways or bowel gas
VESSEL_SHARE = 0.004


def lungs_by_rule(picture: NDArray[Any]) -> NDArray[np.bool_]:
    """uint8 picture (rows, columns) to a mask; vessels inside are filled, the edge is smoothed."""
    tissue = ndimage.binary_opening(picture >= AIR_BELOW, iterations=2)
    pieces, count = ndimage.label(tissue)
    if count == 0:
        return np.zeros(picture.shape, bool)
    body = pieces == 1 + int(np.argmax(ndimage.sum_labels(tissue, pieces, range(1, count + 1))))
    body = ndimage.binary_fill_holes(ndimage.binary_closing(body, iterations=3))
    air = ndimage.binary_opening(body & (picture < AIR_BELOW), iterations=1)
    pockets, number = ndimage.label(air)
    if number == 0:
        return np.zeros(picture.shape, bool)
    sizes = ndimage.sum_labels(air, pockets, range(1, number + 1))
    large = np.isin(pockets, 1 + np.flatnonzero(sizes >= LEAST_SHARE * body.sum()))
    return _without_vessels(ndimage.binary_closing(large, iterations=3) & body, VESSEL_SHARE * float(body.sum()))


def _without_vessels(lungs: NDArray[np.bool_], most: float) -> NDArray[np.bool_]:
    """Holes of at most `most` pixels filled; larger ones are the domes of liver and spleen."""
    holes, number = ndimage.label(ndimage.binary_fill_holes(lungs) & ~lungs)
    if number == 0:
        return lungs
    sizes = ndimage.sum_labels(holes > 0, holes, range(1, number + 1))
    return np.asarray(lungs | np.isin(holes, 1 + np.flatnonzero(sizes <= most)))
