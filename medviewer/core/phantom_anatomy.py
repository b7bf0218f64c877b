"""The organs of the generated torso, painted in order onto a canvas of CT-like HU.

Everything here is a mean adult's anatomy in millimetres around the right diaphragm dome: x left, y posterior,
z superior; random variation comes from `Body`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from medviewer.core.phantom_shapes import (
    Field,
    Grid,
    both,
    either,
    ellipsoid,
    profile,
    rotation,
    smooth_noise,
    superellipse,
    tube,
    without,
)

# z, half width, half depth of the rib cage's and abdominal cavity's inner face
_CAGE = (
    (-260, 118, 74),
    (-190, 126, 76),
    (-120, 130, 82),
    (-50, 134, 88),
    (40, 130, 86),
    (95, 112, 76),
    (140, 88, 62),
    (170, 62, 48),
    (190, 40, 36),
    (230, 30, 30),
)
_SHOULDER = ((-260, 24), (-190, 8), (-120, 0), (60, 0), (110, 14), (140, 38), (165, 66), (195, 88), (260, 40))
_SPINE_Y = ((-260, 46), (-180, 34), (-110, 38), (-40, 50), (60, 60), (130, 52), (200, 34))

# HU without contrast, arterial, portal venous
_HU = {
    "liver": (57, 72, 112), "spleen": (47, 118, 122), "cortex": (33, 185, 178), "medulla": (29, 80, 165),
    "aorta": (42, 310, 158), "vein": (40, 95, 150), "myocardium": (46, 98, 104), "blood": (42, 250, 148),
    "muscle": (54, 57, 63), "pancreas": (40, 98, 92), "wall": (38, 62, 74), "portal": (41, 90, 172),
}  # fmt: skip


@dataclass
class Body:
    """The random choices of one phantom, drawn in a fixed order so that one seed is one person on every grid."""

    rng: np.random.Generator
    contrast: int = 0  # 0 none, 1 arterial, 2 portal venous
    fat: float = 16.0
    muscle: float = 14.0
    wide: float = 1.0
    hu_shift: dict[str, float] = field(default_factory=dict)

    @classmethod
    def draw(cls, rng: np.random.Generator, contrast: int | None) -> Body:
        picked = int(rng.choice(3, p=(0.35, 0.2, 0.45)))
        body = cls(rng, picked if contrast is None else contrast)
        body.fat = float(rng.uniform(9, 30))
        body.muscle = float(rng.uniform(11, 17))
        body.wide = float(rng.uniform(0.96, 1.06))
        body.hu_shift = {name: float(rng.normal(0, 3 + 0.05 * values[body.contrast])) for name, values in _HU.items()}
        if body.contrast == 0 and rng.random() < 0.2:
            body.hu_shift["liver"] -= float(rng.uniform(10, 30))  # fatty liver
        return body

    def hu(self, tissue: str) -> float:
        return _HU[tissue][self.contrast] + self.hu_shift[tissue]

    def about(self, value: ArrayLike, spread: float) -> NDArray[np.float64]:
        """`value` moved by a normal deviate of `spread`, at most two spreads away."""
        base = np.asarray(value, float)
        return np.asarray(base + np.clip(self.rng.normal(0, 1, base.shape), -2, 2) * spread)

    def scaled(self, value: ArrayLike, spread: float = 0.06) -> NDArray[np.float64]:
        """`value` times a common random factor around 1."""
        return np.asarray(value, float) * (1 + float(np.clip(self.rng.normal(0, spread), -2 * spread, 2 * spread)))


@dataclass
class Canvas:
    """HU and labels being painted. `axes` are unbent mm along i, j, k; `grid` the bent coordinates of every voxel."""

    axes: Grid
    grid: Grid
    hu: Field
    labels: NDArray[np.uint8]
    edge: float  # mm over which a boundary's voxels are mixed
    z: Field  # bent-free heights, shape (1, 1, n)

    def box(self, low: ArrayLike, high: ArrayLike, margin: float = 26.0) -> tuple[slice, slice, slice]:
        """The voxels whose unbent mm lie between `low` and `high`, with room for the bending."""
        found = []
        for axis, a, b in zip(self.axes, np.asarray(low, float), np.asarray(high, float), strict=True):
            line = axis.ravel()
            first, last = np.searchsorted(line, (a - margin, b + margin))
            found.append(slice(int(first), max(int(last), int(first))))
        return found[0], found[1], found[2]

    def lines(self, box: tuple[slice, slice, slice]) -> Grid:
        """Unbent mm along the axes of a box."""
        return self.axes[0][box[0]], self.axes[1][:, box[1]], self.axes[2][:, :, box[2]]

    def cut(self, box: tuple[slice, slice, slice]) -> Grid:
        x, y, z = self.grid
        return x[box], y[box], z[box]

    def paint(
        self, shape: Field, hu: float | Field, label: int | None = None, box: tuple[slice, slice, slice] | None = None
    ) -> None:
        """Blend `hu` in where `shape` is negative, with partial volume at its edge."""
        where = box if box is not None else (slice(None),) * 3
        share = np.clip(np.float32(0.5) - shape / np.float32(self.edge), 0, 1)
        self.hu[where] += share * (np.asarray(hu, np.float32) - self.hu[where])
        if label is not None:
            self.labels[where][shape < 0] = label

    def paint_tube(self, points: ArrayLike, radii: ArrayLike, hu: float, label: int | None = None) -> None:
        p, r = np.asarray(points, float), float(np.max(radii))
        box = self.box(p.min(0) - r, p.max(0) + r)
        if all(s.stop > s.start for s in box):
            self.paint(tube(self.cut(box), p, np.broadcast_to(radii, len(p))), hu, label, box)


@dataclass
class Frame:
    """Surfaces that several organs are fitted to (whole grid)."""

    cage: Field
    skin: Field
    dome: Field  # height above the diaphragm: positive is chest
    spine_y: Field
    grain: Field  # fine tissue texture of unit variance


def frame(canvas: Canvas, body: Body) -> Frame:
    """Cage, skin and diaphragm of this body."""
    x, y, z = canvas.grid
    w = np.float32(body.wide)
    half_x, half_y = profile(canvas.z, _CAGE, 1) * w, profile(canvas.z, _CAGE, 2)
    cage = superellipse(x, y, half_x, half_y, 2.5)
    wall = np.float32(8 + body.muscle + body.fat)
    shoulder = profile(canvas.z, _SHOULDER)
    flat = np.where(y > 0, np.float32(6), np.float32(0)) + np.float32(0.25 * body.fat)
    skin = superellipse(x, y - 5, half_x + wall + shoulder, half_y + wall + 0.25 * shoulder + flat, 2.5)
    lift = body.about([0, -14], 5)
    right = lift[0] - _sag(x + 72, y + 8, 78, 92)
    left = lift[1] - _sag(x - 72, y + 4, 80, 92)
    middle = np.float32(-16) - 0.0020 * (y + 20) ** 2 - 0.0030 * x * x
    top = -either(-right, -left, -middle, blend=18)
    grain = smooth_noise(body.rng, canvas.axes, 9, (45, 41, 49))
    return Frame(cage, skin, z - top, profile(canvas.z, _SPINE_Y), grain)


def _sag(x: Field, y: Field, rx: float, ry: float) -> Field:
    """How far a diaphragm dome has fallen at (x, y) from its top: flat in the middle, steep at the wall."""
    q = (x / np.float32(rx)) ** 2 + (np.where(y > 0, y * np.float32(1.12), y) / np.float32(ry)) ** 2
    return np.asarray(46 * q + 22 * q * q, np.float32)


def paint_trunk(canvas: Canvas, body: Body, f: Frame, label: int) -> None:
    """Skin, fat, muscle, cavities."""
    x, y, _ = canvas.grid
    texture = smooth_noise(body.rng, canvas.axes, 14, (33, 33, 41))
    canvas.paint(f.skin, -20.0, label)
    canvas.paint(f.skin + 2.5, -104 + 7 * texture)
    flank = 1 + 0.5 * np.clip(y / 90, -0.6, 1) * np.clip(1 - canvas.z / 60, 0.2, 1)
    shoulder = 0.8 * profile(canvas.z, _SHOULDER) * (canvas.z > 0)
    muscle = both(
        f.skin + np.float32(body.fat) * flank, f.cage - np.float32(9 + 1.15 * body.muscle) - shoulder, blend=4
    )
    back = either(
        *(superellipse(x + s * 34, y - f.spine_y - 48, np.float32(30), np.float32(22), 2.6) for s in (-1, 1)), blend=6
    )
    back = both(back, f.skin + 7)
    stripes = smooth_noise(body.rng, canvas.axes, 30, (15, 15, 19))
    clefts = np.where(np.abs(stripes) < 0.09, np.float32(-45), 0)
    canvas.paint(either(muscle, back, blend=6), body.hu("muscle") + 5 * texture + clefts)
    canvas.paint(f.cage + 1.5, -92 + 9 * texture)


def paint_lungs(canvas: Canvas, body: Body, f: Frame, left: int, right: int) -> None:
    """Both lungs with their vessels, trachea and main bronchi."""
    x, y, z = canvas.grid
    apex = z - np.float32(176) + 0.010 * (np.abs(x) - 40) ** 2
    spine = superellipse(x, y - f.spine_y - 4, np.float32(24), np.float32(30), 2)
    heart = ellipsoid(canvas.grid, (16, -34, 18), (66, 52, 56), rotation(0, 14, 24))
    upper = superellipse(x - 2, y + 12, 26 + np.clip((canvas.z - 60) * 0.05, 0, 8), np.float32(66), 2.4)
    chest = both(f.cage + 4, -f.dome + 2, apex, blend=10)
    lungs = without(chest, spine, heart, upper, blend=8)
    slope = 0.45 * (y + 10)  # the dependent part is denser
    lung_hu = -862 + slope + 16 * f.grain + float(body.rng.normal(0, 12))
    canvas.paint(lungs, lung_hu)
    canvas.labels[(lungs < 0) & (x > 0)] = left
    canvas.labels[(lungs < 0) & (x <= 0)] = right
    canvas.paint(both(np.abs(f.dome + 1) - 2, f.cage + 2), 48.0)
    tree = np.zeros_like(canvas.hu)
    for side in (-1, 1):
        scatter_tree(canvas, body, tree, np.array([side * 34, 2, 62.0]), side, 46)
    vessel = np.clip(tree, 0, 1) * (lungs < -1)
    canvas.hu += vessel * (np.float32(body.hu("blood")) - canvas.hu)


def scatter_tree(canvas: Canvas, body: Body, tree: Field, root: NDArray[np.float64], side: int, count: int) -> None:
    """Add vessel volume (share of a voxel) along curves from `root` to random places of one lung or lobe."""
    rng = body.rng
    ends = np.stack(
        [side * rng.uniform(30, 118, count), rng.uniform(-75, 80, count), rng.uniform(-45, 165, count)], 1
    )
    t = np.linspace(0, 1, 160)[:, None]
    step = [float(a.ravel()[1] - a.ravel()[0]) for a in canvas.axes]
    first = np.array([a.ravel()[0] for a in canvas.axes])
    for end in ends:
        bend = rng.normal(0, 12, 3)
        path = root + (end - root) * t + bend * np.sin(np.pi * t) + 3 * np.sin(6 * t + bend)
        radius = (4.2 * (1 - t) ** 0.8 + 0.7).ravel()
        length = float(np.linalg.norm(end - root)) / len(t)
        share = np.pi * radius**2 * length / np.prod(step)
        place = (path - first) / step
        for corner in np.ndindex(2, 2, 2):
            index = np.floor(place).astype(int) + corner
            weight = np.prod(1 - np.abs(place - index), axis=1) * share
            inside = np.all((index >= 0) & (index < canvas.hu.shape), axis=1)
            np.add.at(tree, tuple(index[inside].T), weight[inside].astype(np.float32))


def paint_airways(canvas: Canvas, body: Body, label: int) -> None:
    """Trachea and main bronchi, and the oesophagus behind them."""
    oesophagus = [(2, 26, 200), (6, 28, 120), (8, 34, 60), (12, 24, 0), (28, 4, -32)]
    canvas.paint_tube(oesophagus, 7.5, 38)
    if body.rng.random() < 0.6:
        canvas.paint_tube([(5, 26, 100), (6, 27, 84)], 2.6, -500)
    trunk = [(0, 6, 200), (-1, 10, 140), (-2, 14, 98)]
    branches = [[(-2, 14, 98), (-18, 14, 82), (-36, 14, 64)], [(-2, 14, 98), (20, 16, 82), (42, 16, 66)]]
    for points, radius in [(trunk, 9.5), *((b, 7.5) for b in branches)]:
        canvas.paint_tube(points, radius + 1.8, 30)
    for points, radius in [(trunk, 9.5), *((b, 7.0) for b in branches)]:
        canvas.paint_tube(points, radius, -985, label)
