"""Logits of slices of other planes, brought to the acquisition's slices and averaged with theirs."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from medviewer.models.image_encoder import FINE
from medviewer.models.views import View

# chosen on held-out train volumes and phantoms
MAIN_WEIGHT = 0.65  # of the acquisition plane; the others share the rest
PICTURE_WEIGHT = 0.4  # of a picture's main view; its other sizes share the rest
OTHER_EDGE = 3.0  # logits of the others are clipped to +-this: they see less, and may miss what is small
Logits = NDArray[np.float32]


def fused(main: Logits, others: Iterable[Logits], count: int, weight: float = MAIN_WEIGHT) -> Logits:
    """Weighted mean of logits on one grid, `count` of them others that share 1 - `weight`; taken one after the other,
    and kept in `main`."""
    if count:
        main *= weight
    for other in others:
        np.clip(other, -OTHER_EDGE, OTHER_EDGE, out=other)
        other *= (1.0 - weight) / count
        main += other
    return main


def brought(logits: Logits, source: View, target: View) -> Logits:
    """Logits (slices, s/2, s/2) of one view at the places of another one's (slices, t/2, t/2) of the same volume.

    Both lie along the volume's axes, so that linear interpolation goes axis by axis. Beyond the source's outermost
    values those are repeated.
    """
    order = [source.plan.axes.index(axis) for axis in target.plan.axes]
    out = logits.transpose(order)
    for dim, own in enumerate(order):
        wanted = _voxels(target, dim, _size(target, dim))
        weights = _weights(source, own, wanted, logits.shape[own])
        out = np.moveaxis(np.tensordot(weights, out, (1, dim)), 0, dim)
    return np.ascontiguousarray(out, np.float32)


def _size(view: View, dim: int) -> int:
    return view.count if dim == 0 else view.box.size // FINE


def _line(view: View, dim: int) -> tuple[float, float, int]:
    """(start, step) of a view's values along a dimension of its stack, in stack positions; and the stack's last one."""
    last = view.plan.shape[dim] - 1
    if dim == 0:
        return float(view.first), float(view.step), last
    box = view.box
    pixels, filled, before = (box.rows, box.height, box.top) if dim == 1 else (box.cols, box.width, box.left)
    step = FINE * pixels / filled
    return (FINE / 2 - before) * pixels / filled - 0.5, step, last


def _voxels(view: View, dim: int, count: int) -> NDArray[np.float64]:
    """Voxel positions of a view's values along a dimension, kept inside the volume."""
    start, step, last = _line(view, dim)
    places = np.clip(start + step * np.arange(count), 0, last)
    return np.asarray(last - places if view.plan.reversed[dim] else places)


def _weights(view: View, dim: int, voxels: NDArray[np.float64], count: int) -> NDArray[np.float32]:
    """(wanted voxel positions, values of the view) of linear interpolation along a dimension."""
    start, step, last = _line(view, dim)
    places = last - voxels if view.plan.reversed[dim] else voxels
    index = np.clip((places - start) / step, 0, count - 1)
    return np.maximum(0.0, 1.0 - np.abs(index[:, None] - np.arange(count))).astype(np.float32)
