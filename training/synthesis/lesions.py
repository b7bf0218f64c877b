"""Tumours planted into label slices of the brain, so that "brain tumor" can be learned from label maps.

A glioma-like tumour has a core and oedema that spreads along white matter; a meningioma-like one sits at the surface,
is round and pushes. Both displace the tissue around them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from .fields import smooth_field

OEDEMA, CORE = 900, 901
WHITE = (2, 41, 7, 46)
BRAIN = (2, 3, 7, 8, 10, 11, 12, 13, 16, 17, 18, 26, 28, 41, 42, 46, 47, 49, 50, 51, 52, 53, 54, 58, 60, 85, 25, 57, 77)
INSIDE = (*BRAIN, 4, 5, 14, 15, 43, 44, 72, 30, 62, 136, 137, 163, 164, OEDEMA, CORE)
LEAST_BRAIN = 900  # pixels of brain in a slice that takes a tumour
_TABLE_SIZE = 1024

Mask = NDArray[np.bool_]
Rng = np.random.Generator


def _table(codes: tuple[int, ...]) -> Mask:
    table = np.zeros(_TABLE_SIZE, bool)
    table[list(codes)] = True
    return table


_IS_BRAIN, _IS_WHITE, _IS_INSIDE, _IN_SKULL = (_table(codes) for codes in (BRAIN, WHITE, INSIDE, (*INSIDE, 24)))


def brain_mask(label: NDArray[Any]) -> Mask:
    """Where a slice (rows, cols) of FreeSurfer numbers below 1024 shows brain, with ventricles and tumours, without the
    fluid around it."""
    return np.asarray(_IS_INSIDE[label])


@dataclass(frozen=True)
class _Plan:
    """Centre (row, col), radius of the core in pixels, outline roughness, and how many times larger the oedema is."""

    centre: tuple[float, float]
    radius: float
    rough: float
    oedema: float  # 0: none
    push: float  # pixels that tissue at the edge is displaced


def plant_tumour(label: NDArray[Any], rng: Rng) -> NDArray[Any]:
    """A copy of a label slice (rows, cols) with a tumour: OEDEMA and CORE in place of brain, the rest pushed aside.

    The slice is returned unchanged (the same array) where it shows less than LEAST_BRAIN pixels of brain.
    """
    brain = _IS_BRAIN[label]
    if int(brain.sum()) < LEAST_BRAIN:
        return label
    plan = _plan(brain, rng)
    moved = _pushed(label, plan)
    distance = _distance(label.shape, plan, rng)
    brain = _IS_BRAIN[moved]
    room = ndimage.binary_closing(_IS_INSIDE[moved], iterations=2) & _IN_SKULL[label]
    core = (distance < 1) & room
    out = moved.copy()
    if plan.oedema > 0:
        white = ndimage.gaussian_filter(_IS_WHITE[moved].astype(np.float32), 1.5)
        rough = distance + 0.25 * smooth_field(_shape(label), 24.0, rng) + 0.5 * (1 - white)
        out[(rough < plan.oedema) & (brain | core)] = OEDEMA
    out[core] = CORE
    return out


def add_tumour(label: NDArray[Any], picture: NDArray[Any], rng: Rng) -> tuple[NDArray[np.uint8], NDArray[Any], Mask]:
    """A tumour painted into a given brain picture: (picture, label, mask of the whole tumour), all (rows, cols).

    `picture` is uint8 and shows `label` (FreeSurfer numbers). Tissue is not displaced. Levels are drawn bright or dark
    against the brain tissue of this picture; its grain is kept. For a picture synthesised from the label use
    `plant_tumour` before `synthetic_picture`: bias, noise and resolution then apply to the tumour too.
    """
    planted = plant_tumour(label, rng)
    mask = (planted == OEDEMA) | (planted == CORE)
    still = np.where(mask, planted, label)  # without the displacement, which the picture has not seen
    if not mask.any():
        return np.array(picture, np.uint8), still, mask
    unit = np.asarray(picture, np.float32) / 255.0
    target = _levels(unit[_IS_BRAIN[label]], still, rng)
    soft = ndimage.gaussian_filter(mask.astype(np.float32), rng.uniform(0.6, 1.6))
    local = ndimage.gaussian_filter(unit, 2.5)
    grain = (unit - local) * rng.uniform(0.4, 1.0)
    painted = unit * (1 - soft) + (ndimage.gaussian_filter(target, 0.8) + grain) * soft
    return (painted * 255).clip(0, 255).astype(np.uint8), still, mask


def _levels(tissue: NDArray[Any], label: NDArray[Any], rng: Rng) -> NDArray[np.float32]:
    """Level per pixel: oedema and core off the middle of the brain's greys, a rim between."""
    middle, spread = float(np.median(tissue)), max(float(np.std(tissue)), 0.05)
    sign = 1.0 if rng.random() < 0.65 else -1.0
    field = smooth_field(_shape(label), 14.0, rng) * 0.3 * spread
    oedema = middle + sign * rng.uniform(1.2, 2.4) * spread
    core = middle + rng.choice([-1.0, 1.0]) * rng.uniform(1.4, 2.8) * spread
    out = np.where(label == CORE, core, oedema) + field
    if rng.random() < 0.5:
        out[rim(label == CORE, rng)] = middle + rng.uniform(1.8, 3.2) * spread
    return np.asarray(out.clip(0.0, 1.0), np.float32)


def rim(core: Mask, rng: Rng) -> Mask:
    """The outer 1 to 5 pixels of a core, thicker on one side than on the other."""
    where = ndimage.find_objects(core.astype(np.uint8))
    found = np.zeros(core.shape, bool)
    if not where:
        return found
    part = np.pad(core[where[0]], 1)
    depth = ndimage.distance_transform_edt(part)[1:-1, 1:-1]
    thick = rng.uniform(1.5, 4.0) * (1 + 0.5 * smooth_field(_shape(depth), 3.0, rng))
    found[where[0]] = (depth > 0) & (depth <= np.maximum(thick, 1.0))
    return found


def _shape(array: NDArray[Any]) -> tuple[int, int]:
    return array.shape[0], array.shape[1]


def _plan(brain: Mask, rng: Rng) -> _Plan:
    side = float(np.sqrt(brain.sum()))
    if rng.random() < 0.3:  # at the surface, round, no or little oedema
        edge = brain & ~ndimage.binary_erosion(brain, iterations=4)
        radius = side * rng.uniform(0.05, 0.17)
        oedema = rng.uniform(1.2, 1.7) if rng.random() < 0.35 else 0.0
        return _Plan(_any_of(edge, rng), radius, rng.uniform(0.05, 0.15), oedema, radius * rng.uniform(0.2, 0.6))
    radius = side * rng.uniform(0.04, 0.19)
    oedema = rng.uniform(1.5, 2.8) if rng.random() < 0.8 else 0.0
    return _Plan(_any_of(brain, rng), radius, rng.uniform(0.15, 0.4), oedema, radius * rng.uniform(0.0, 0.4))


def _any_of(mask: Mask, rng: Rng) -> tuple[float, float]:
    where = np.flatnonzero(mask)
    row, col = divmod(int(where[rng.integers(len(where))]), mask.shape[1])
    return float(row), float(col)


def _distance(shape: tuple[int, ...], plan: _Plan, rng: Rng) -> NDArray[np.float32]:
    """Distance from the centre in radii of a rough oblique ellipse: below 1 is core."""
    y, x = np.ogrid[: shape[0], : shape[1]]
    dy, dx = y - plan.centre[0], x - plan.centre[1]
    angle, stretch = rng.uniform(0, np.pi), rng.uniform(0.75, 1.0)
    along, across = dx * np.cos(angle) + dy * np.sin(angle), dy * np.cos(angle) - dx * np.sin(angle)
    round_part = np.hypot(along * stretch, across / stretch) / plan.radius
    knots = max(shape) / plan.radius * rng.uniform(0.9, 2.2)
    return np.asarray(round_part + plan.rough * smooth_field((shape[0], shape[1]), knots, rng), np.float32)


def _pushed(label: NDArray[Any], plan: _Plan) -> NDArray[Any]:
    """Tissue inside the skull moved away from the centre, less with distance; nearest pixels. The skull holds."""
    y, x = np.mgrid[: label.shape[0], : label.shape[1]]
    dy, dx = y - plan.centre[0], x - plan.centre[1]
    distance = np.hypot(dy, dx) + 1e-3
    back = np.minimum(plan.push * np.exp(-((distance / (2.0 * plan.radius)) ** 2)) / distance, 0.9)
    rows = np.rint(y - dy * back).clip(0, label.shape[0] - 1).astype(np.intp)
    cols = np.rint(x - dx * back).clip(0, label.shape[1] - 1).astype(np.intp)
    return np.where(_IN_SKULL[label], label[rows, cols], label)
