"""A generated torso: CT-like HU with known organs, for the demonstration, for tests and as training data.

Smooth implicit shapes, bent by a random field, with partial volume, texture and correlated noise. Nothing in the
program recognises it: it is read, prompted and segmented like any scan.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from medviewer.core import phantom_anatomy as anatomy
from medviewer.core import phantom_organs as organs
from medviewer.core.phantom_shapes import Field, Grid, smooth_noise
from medviewer.core.volume import Fact, Volume


class PhantomLabel(NamedTuple):
    """What a label value means."""

    name: str
    term_id: str
    side: str | None


NAMES: dict[int, PhantomLabel] = {
    1: PhantomLabel("body", "body", None),
    2: PhantomLabel("liver", "liver", None),
    3: PhantomLabel("spleen", "spleen", None),
    4: PhantomLabel("left kidney", "kidney", "left"),
    5: PhantomLabel("right kidney", "kidney", "right"),
    6: PhantomLabel("left lung", "lung", "left"),
    7: PhantomLabel("right lung", "lung", "right"),
    8: PhantomLabel("heart", "heart", None),
    9: PhantomLabel("aorta", "aorta", None),
    10: PhantomLabel("spine", "spine", None),
    11: PhantomLabel("stomach", "stomach", None),
    12: PhantomLabel("trachea", "trachea", None),
    13: PhantomLabel("inferior vena cava", "inferior_vena_cava", None),
    14: PhantomLabel("pancreas", "pancreas", None),
    15: PhantomLabel("rib", "rib", None),
}
_VALUE = {label.name: value for value, label in NAMES.items()}


@dataclass(frozen=True, eq=False)
class Phantom:
    """The scan and its truth.

    `labels` is uint8 (i, j, k), disjoint by construction: 0 outside the patient, 1 ("body") the tissue that belongs to
    no other label. `names` maps label values to (name, term id, side).
    """

    volume: Volume
    labels: NDArray[np.uint8]
    names: dict[int, PhantomLabel]

    def mask(self, term_id: str, side: str | None = None) -> NDArray[np.bool_]:
        """Bool (i, j, k): all labels of a term, or of one side of it; "body" is everything inside the skin."""
        if term_id == "body":
            return np.asarray(self.labels > 0)
        values = [v for v, n in self.names.items() if n.term_id == term_id and side in (None, n.side)]
        return np.asarray(np.isin(self.labels, values))


def torso_phantom(
    seed: int = 0,
    shape: tuple[int, int, int] = (128, 104, 128),
    spacing: tuple[float, float, float] = (3.0, 3.0, 3.0),
    *,
    contrast: int | None = None,
    centre_z: float | None = None,
) -> Phantom:
    """A chest and abdomen; i grows to the patient's left, j to the back, k to the head (axis letters "LPS").

    One seed is one person: another `shape` or `spacing` scans the same body on another grid. `contrast`: 0 none,
    1 arterial, 2 portal venous, None random. `centre_z` is the height in mm of the scan's middle above the right
    diaphragm dome (None: about 0, so that 384 mm show lungs and kidneys whole).
    """
    rng = np.random.default_rng(seed)
    body = anatomy.Body.draw(rng, contrast)
    shift = rng.normal(0, 5, 3)
    middle = np.array([shift[0], shift[1], 0.5 * shift[2] if centre_z is None else centre_z])
    origin = middle - (np.array(shape) - 1) * np.array(spacing) / 2
    canvas = _canvas(rng, shape, spacing, origin)
    _paint(canvas, body)
    hu = _scanner(canvas, np.random.default_rng([seed, *shape]), spacing)
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = origin
    facts = {"description": Fact("generated torso phantom", "estimated")}
    volume = Volume(hu, affine, "CT", "HU", title=f"Torso phantom {seed}", id=f"phantom-{seed}", facts=facts)
    return Phantom(volume, canvas.labels, dict(NAMES))


def _canvas(
    rng: np.random.Generator,
    shape: tuple[int, int, int],
    spacing: tuple[float, float, float],
    origin: NDArray[np.float64],
) -> anatomy.Canvas:
    """An empty canvas whose coordinates are bent, turned and scaled by a random amount."""
    lines = [(origin[a] + np.arange(shape[a]) * spacing[a]).astype(np.float32) for a in range(3)]
    axes: Grid = (lines[0][:, None, None], lines[1][None, :, None], lines[2][None, None, :])
    bend = [smooth_noise(rng, axes, 95, (9, 9, 9)) for _ in range(3)]
    angle = float(np.radians(np.clip(rng.normal(0, 2.0), -4, 4)))
    scale = (1 + np.clip(rng.normal(0, 0.03, 3), -0.06, 0.06)).astype(np.float32)
    x = (np.cos(angle) * axes[0] + np.sin(angle) * axes[1]) * scale[0] + 2.6 * bend[0]
    y = (np.cos(angle) * axes[1] - np.sin(angle) * axes[0]) * scale[1] + 2.6 * bend[1]
    z = axes[2] * scale[2] + 3.2 * bend[2]
    hu = np.full(shape, -1000, np.float32)
    return anatomy.Canvas(axes, (x, y, z), hu, np.zeros(shape, np.uint8), float(np.mean(spacing)), axes[2] * scale[2])


def _paint(canvas: anatomy.Canvas, body: anatomy.Body) -> None:
    """All organs, later ones over earlier ones."""
    value = _VALUE
    f = anatomy.frame(canvas, body)
    anatomy.paint_trunk(canvas, body, f, value["body"])
    anatomy.paint_lungs(canvas, body, f, value["left lung"], value["right lung"])
    organs.paint_bowel(canvas, body, f)
    organs.paint_psoas(canvas, body, f)
    organs.paint_liver(canvas, body, f, value["liver"])
    organs.paint_spleen(canvas, body, f, value["spleen"])
    organs.paint_kidneys(canvas, body, f, value["left kidney"], value["right kidney"])
    organs.paint_pancreas(canvas, body, value["pancreas"])
    organs.paint_stomach(canvas, body, f, value["stomach"])
    organs.paint_heart(canvas, body, value["heart"])
    organs.paint_vessels(canvas, body, f, value["aorta"], value["inferior vena cava"])
    anatomy.paint_airways(canvas, body, value["trachea"])
    organs.paint_spine(canvas, body, f, value["spine"])
    organs.paint_ribs(canvas, body, f, value["rib"])
    canvas.labels[f.skin >= 0] = 0
    _table(canvas, f)


def _table(canvas: anatomy.Canvas, f: anatomy.Frame) -> None:
    """The couch: a thin curved shell under the back."""
    x, y, _ = canvas.axes
    back = float(canvas.axes[1].ravel()[np.nonzero((f.skin < 0).any((0, 2)))[0][-1]])
    depth = y - np.float32(back - 1) + 0.0011 * x * x
    shell = np.maximum(np.abs(depth - 8) - 7, np.abs(x) - 205) + np.zeros_like(canvas.hu)
    free = canvas.hu < -900
    free &= canvas.labels == 0
    before = canvas.hu.copy()
    canvas.paint(shell, -860.0)
    canvas.paint(np.abs(shell) - 1.0, -120.0)
    canvas.hu = np.where(free, canvas.hu, before)


def _scanner(
    canvas: anatomy.Canvas, rng: np.random.Generator, spacing: tuple[float, float, float]
) -> NDArray[np.int16]:
    """Blur by the scanner's point spread and add noise with the grain of a reconstruction."""
    from scipy.ndimage import gaussian_filter

    step = np.array(spacing)
    hu: Field = gaussian_filter(canvas.hu, np.minimum(0.9 / step, 0.8))
    grain = gaussian_filter(rng.standard_normal(hu.shape, dtype=np.float32), np.minimum(1.3 / step, 1.5))
    grain /= grain.std() + np.float32(1e-6)
    strength = float(rng.uniform(7, 15))
    hu = hu + np.float32(strength) * grain
    return np.asfortranarray(np.clip(np.rint(hu), -1024, 3071).astype(np.int16))
