"""From slice predictions to one 3D mask: neighbouring slices agree, structures have as many parts as they have."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

SMOOTH_MM = 3.0  # slices closer than about this speak for each other
_CONNECT = ndimage.generate_binary_structure(3, 1)
SPECK_SHARE = 0.02  # of the largest piece; smaller pieces are dropped from structures with known parts
PICTURE_SHARE = 0.1  # of the largest piece in one picture; smaller pieces are dropped
LONE_SHARE = 0.3  # the same for structures of one part, which a slice may still show in pieces
SECOND_SHARE = 0.05  # a second kidney or lung has at least this share of the first


def smooth_along(values: NDArray[np.float32], spacing: float) -> NDArray[np.float32]:
    """Gaussian over neighbouring slices (axis 0), wider for thin slices; thick slices and 2D stay as they are."""
    if len(values) < 3 or spacing <= 0:
        return values
    sigma = min(SMOOTH_MM / spacing, 4.0) * 0.6
    if sigma < 0.25:
        return values
    return np.asarray(ndimage.gaussian_filter1d(values, sigma, axis=0, mode="nearest"), np.float32)


def volume_presence(presence: NDArray[np.float32]) -> float:
    """Presence of a volume from that of its slices (n,): the mean of the best few, so that one slice cannot decide."""
    count = min(len(presence), max(1, min(3, len(presence) // 6)))
    return float(np.sort(presence)[-count:].mean())


def visible_slices(presence: NDArray[np.float32], threshold: float) -> NDArray[np.bool_]:
    """Slices that get a mask: at least the threshold, or weaker (60 % of it) but connected to such a slice."""
    weak = presence >= 0.6 * threshold
    runs, _ = ndimage.label(weak)
    strong = np.unique(runs[presence >= threshold])
    return np.asarray(weak & np.isin(runs, strong[strong > 0]))


def around(mask: NDArray[np.bool_]) -> tuple[slice, ...]:
    """The smallest box that holds a mask; an empty one where nothing is set."""
    box = []
    for axis in range(mask.ndim):
        hit = np.flatnonzero(mask.any(tuple(other for other in range(mask.ndim) if other != axis)))
        box.append(slice(int(hit[0]), int(hit[-1]) + 1) if len(hit) else slice(0, 0))
    return tuple(box)


def keep_parts(logits: NDArray[np.float32], parts: int) -> NDArray[np.bool_]:
    """The `parts` strongest connected pieces (0: all but single specks) of logits > 0 (slices, rows, columns).

    A piece's strength is the sum of its squared logits: size counts, and so does how sure the model is of it.
    """
    mask = logits > 0
    pieces, count = ndimage.label(mask, _CONNECT)
    if count <= 1:
        return mask
    flat = pieces.reshape(-1)
    sizes = np.bincount(flat, weights=np.square(logits.reshape(-1))) / np.square(logits[mask]).mean()
    sizes[0] = 0
    order = np.argsort(sizes)[::-1]
    if parts == 0:
        kept = np.flatnonzero(sizes >= max(4, SPECK_SHARE * 0.25 * sizes[order[0]]))
    else:
        kept = np.array([p for p in order[:parts] if sizes[p] >= SECOND_SHARE * sizes[order[0]] and sizes[p] > 0])
    return np.asarray(np.isin(pieces, kept))


def drop_specks(mask: NDArray[np.bool_], share: float = PICTURE_SHARE) -> NDArray[np.bool_]:
    """A mask (1, rows, columns) of one picture without pieces smaller than that share of the largest."""
    pieces, count = ndimage.label(mask, _CONNECT)
    if count <= 1:
        return mask
    sizes = np.bincount(pieces.reshape(-1))
    sizes[0] = 0
    return np.asarray(np.isin(pieces, np.flatnonzero(sizes >= share * sizes.max())))
