"""Abdominal and thoracic organs and the skeleton of the generated torso. See `phantom_anatomy` for the frame."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from medviewer.core.phantom_anatomy import Body, Canvas, Frame, scatter_tree
from medviewer.core.phantom_shapes import (
    Field,
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


def paint_bowel(canvas: Canvas, body: Body, f: Frame) -> None:
    """Small bowel as folded soft tissue in fat, and a colon with gas and stool."""
    x, y, z = canvas.grid
    rng = body.rng
    folds = smooth_noise(rng, canvas.axes, 20, (23, 19, 29))
    below = both(f.cage + 10, z + 96 + 0.10 * x, y - f.spine_y + 24, blend=8)
    loops = both(below, (np.abs(folds) - 0.55) * 11)
    inside = smooth_noise(rng, canvas.axes, 17, (25, 21, 31))
    canvas.paint(loops, 34 + 12 * inside + (body.hu("wall") - 38) * (np.abs(folds) > 0.3))
    colon = [(-92, 24, -250), (-98, 20, -190), (-96, 6, -148), (-62, -46, -142), (-10, -62, -152), (52, -52, -138),
             (96, 10, -98), (104, 30, -140), (102, 30, -200), (96, 30, -250)]  # fmt: skip
    points = body.about(colon, 4)
    radii = body.about([26, 27, 24, 21, 20, 21, 20, 15, 14, 14], 1.5)
    for n in range(len(points) - 1):
        _colon_piece(canvas, body, points[n : n + 2], radii[n : n + 2])


def _colon_piece(canvas: Canvas, body: Body, points: NDArray[np.float64], radii: NDArray[np.float64]) -> None:
    box = canvas.box(points.min(0) - 28, points.max(0) + 28)
    grid = canvas.cut(box)
    if grid[0].size == 0:
        return
    along = points[1] - points[0]
    t = sum((g - p) * d for g, p, d in zip(grid, points[0], along, strict=True)) / np.float32(along @ along)
    haustra = 2.4 * np.sin(t * float(np.linalg.norm(along)) / 26 * 2 * np.pi)
    wall = tube(grid, points, radii, 2) + haustra
    level = float(points[:, 1].mean() + body.rng.uniform(-22, 12))
    stool = 20 + 60 * smooth_noise(body.rng, canvas.lines(box), 9, (41, 37, 51))
    canvas.paint(wall, body.hu("wall"), None, box)
    canvas.paint(wall + 3, stool, None, box)
    canvas.paint(both(wall + 3, grid[1] - np.float32(level), blend=2), -930.0, None, box)


def liver_shape(canvas: Canvas, body: Body, f: Frame) -> Field:
    """A wedge under the right dome, thick on the right, thin towards the left lobe."""
    x, y, z = canvas.grid
    tip = float(body.about(-152, 10))
    reach = float(body.about(58, 12))
    under = -(z - (tip + np.clip((x + 112) * 0.66, -10, 140) + 0.10 * np.maximum(y + 10, 0)))
    edge = x - np.float32(reach) + 0.55 * np.maximum(y + 50, 0) + 0.0035 * np.maximum(y + 50, 0) ** 2
    back = y - 62 + 0.0050 * (x + 98) ** 2
    return both(f.cage + 4, f.dome + 4, under, edge, back, blend=16)


def paint_liver(canvas: Canvas, body: Body, f: Frame, label: int) -> None:
    """Liver with vessels and gallbladder."""
    shape = liver_shape(canvas, body, f)
    canvas.paint(shape, body.hu("liver") + 3.5 * f.grain, label)
    tree = np.zeros_like(canvas.hu)
    scatter_tree(canvas, body, tree, np.array([-30.0, -10, -72]), -1, 26)
    vessel = np.clip(tree, 0, 1) * (shape < -4)
    canvas.hu += vessel * (np.float32(body.hu("portal")) - canvas.hu)
    canvas.paint_tube([(-52, -40, -128), (-48, -46, -112), (-40, -36, -96)], [15, 13, 5], 9)


def paint_stomach(canvas: Canvas, body: Body, f: Frame, label: int) -> None:
    """Stomach from fundus to antrum, with fluid, food and gas in front; then the duodenum."""
    points = body.about(
        [(58, 26, -36), (66, 0, -56), (60, -30, -80), (36, -46, -102), (2, -44, -112), (-22, -30, -108)], 3
    )
    radii = body.scaled([30, 33, 28, 23, 17, 11], 0.12)
    box = canvas.box(points.min(0) - 36, points.max(0) + 36)
    wall = both(tube(canvas.cut(box), points, radii), f.cage[box] + 5, f.dome[box] + 6, blend=6)
    food = float(body.rng.uniform(8, 45))
    canvas.paint(wall, body.hu("wall"), label, box)
    canvas.paint(wall + 4, food + 9 * f.grain[box], label, box)
    level = float(body.rng.uniform(-38, -14))
    canvas.paint(both(wall + 4, canvas.cut(box)[1] - np.float32(level), blend=3), -945.0, label, box)
    canvas.paint_tube(
        [(-22, -30, -108), (-38, -14, -112), (-40, 2, -135), (-34, 10, -160), (0, 8, -166)], 11, body.hu("wall")
    )


def paint_spleen(canvas: Canvas, body: Body, f: Frame, label: int) -> None:
    """A lens along the left back wall, hollowed towards the stomach."""
    centre = body.about((118, 44, -58), 4)
    radii = body.scaled((50, 60, 56), 0.10)
    grid = canvas.grid
    lens = ellipsoid(grid, centre, radii, rotation(18, 0, -8))
    hilum = ellipsoid(grid, (52, 16, -60), (42, 44, 70))
    shape = both(lens, f.cage + 4, f.dome + 5, -hilum, blend=9)
    canvas.paint(shape, body.hu("spleen") + 3 * f.grain, label)
    canvas.paint_tube([(84, 30, -66), (56, 14, -76), (24, 4, -82)], 4.2, body.hu("vein"))


def paint_kidneys(canvas: Canvas, body: Body, f: Frame, left: int, right: int) -> None:
    """Beans on both sides of the spine in perirenal fat, with cortex, pyramids and sinus fat; adrenals above."""
    for sign, label, height in ((1, left, -116.0), (-1, right, -130.0)):
        centre = body.about((sign * 58, 44, height), 4)
        radii = body.scaled((27, 25, 55), 0.05)
        turn = rotation(-9, sign * 11, sign * -28)
        box = canvas.box(centre - 78, centre + 78)
        grid = canvas.cut(box)
        capsule = ellipsoid(grid, centre, radii, turn)
        medial = centre + turn @ np.array([-sign * 19.0, -4, 0])
        sinus = ellipsoid(grid, medial, radii * (0.56, 0.40, 0.40), turn)
        bean = both(capsule, -sinus, f.cage[box] + 5, blend=5)
        canvas.paint(both(capsule - 13, f.cage[box] + 2), -102.0, 0, box)
        canvas.labels[box][both(capsule - 13, f.cage[box] + 2) < 0] = _REST
        pyramids = np.sin(np.arctan2(grid[2] - centre[2], grid[1] - centre[1]) * 5) > -0.2
        deep = (capsule < -8) & pyramids
        canvas.paint(bean, np.where(deep, body.hu("medulla"), body.hu("cortex")).astype(np.float32), label, box)
        pelvis = ellipsoid(grid, medial, radii * (0.36, 0.2, 0.22), turn)
        canvas.paint(pelvis, 12.0 if body.contrast < 2 else 60.0, None, box)
        canvas.paint_tube([medial, (sign * 14, 26, height + 10)], 3.6, body.hu("vein"))
        canvas.paint_tube(centre + np.array([(sign * -16, -14, 66), (sign * -8, -4, 58)]), 3.6, body.hu("pancreas"))


_REST = 1


def paint_pancreas(canvas: Canvas, body: Body, label: int) -> None:
    """Head in the duodenal loop, body over the aorta, tail to the spleen."""
    points = body.about([(-26, -2, -132), (-22, -10, -112), (8, -20, -96), (40, 2, -86), (70, 20, -78)], 2)
    canvas.paint_tube(points, body.scaled([12, 13, 9, 9, 8]), body.hu("pancreas"), label)


def paint_heart(canvas: Canvas, body: Body, label: int) -> None:
    """Heart with its chambers, apex to the left and front, in pericardial fat."""
    centre = body.about((20, -36, 22), 4)
    scale = float(body.scaled(1.0, 0.06))
    turn = rotation(0, 22, 38)
    box = canvas.box(centre - 95, centre + 95)
    grid = canvas.cut(box)

    def part(offset: tuple[float, float, float], radii: tuple[float, float, float]) -> Field:
        return ellipsoid(grid, centre + turn @ (np.array(offset) * scale), np.array(radii) * scale, turn)

    ventricles = part((22, 0, -8), (50, 36, 38))
    atria = either(part((-26, -20, 8), (27, 27, 34)), part((-18, 24, 16), (33, 22, 27)), blend=8)
    whole = either(ventricles, atria, blend=12)
    canvas.paint(whole, body.hu("myocardium"), label, box)
    blood = body.hu("blood")
    right_blood = 0.8 * blood if body.contrast == 1 else blood
    canvas.paint(part((26, 13, -8), (34, 15, 19)), blood, label, box)
    canvas.paint(both(part((16, -16, -8), (40, 17, 26)), -part((26, 13, -8), (44, 25, 29))), right_blood, label, box)
    canvas.paint(part((-26, -20, 8), (23, 23, 30)), right_blood, label, box)
    canvas.paint(part((-18, 24, 16), (29, 18, 23)), blood, label, box)


def paint_vessels(canvas: Canvas, body: Body, f: Frame, aorta: int, vena_cava: int) -> None:
    """Aorta from root to fork, superior and inferior vena cava, pulmonary trunk."""
    vein = body.hu("vein")
    canvas.paint_tube([(-26, -22, 150), (-30, -26, 100), (-32, -22, 52)], 10, vein)
    canvas.paint_tube(
        [(-24, 12, -250), (-24, 12, -140), (-26, 16, -80), (-26, 14, -30), (-26, -6, 6)],
        [10, 11, 12, 13, 13],
        vein,
        vena_cava,
    )
    trunk_hu = body.hu("blood") * (0.85 if body.contrast == 1 else 1.0)
    canvas.paint_tube([(16, -52, 52), (20, -36, 74), (22, -14, 80)], 13, trunk_hu)
    canvas.paint_tube([(40, 4, 74), (16, -14, 78), (-14, -4, 74), (-34, 0, 68)], 9, trunk_hu)
    size = float(body.scaled(1.0, 0.10))
    wiggle = body.about([0.0, 0.0], 3)
    arch = [(0, -32, 44), (-12, -40, 70), (-12, -34, 98), (2, -12, 118), (20, 16, 112), (27, 30, 92)]
    down = [(26, 36, 50), (20 + wiggle[0], 33, 0), (12, 24, -60), (6 + wiggle[1], 14, -120), (4, 9, -176)]
    canvas.paint_tube(
        arch + down, np.array([16, 16, 15.5, 14, 13, 12.5, 12, 11.5, 11, 9.5, 9]) * size, body.hu("aorta"), aorta
    )
    for sign in (-1, 1):
        canvas.paint_tube([(4, 9, -174), (sign * 26, 16, -225), (sign * 46, 20, -262)], 6, body.hu("aorta"))
    canvas.paint_tube([(7, -2, -100), (7, -8, -130), (6, -14, -190)], 3.6, body.hu("aorta"))
    canvas.paint_tube([(-10, -4, -108), (-18, -8, -88), (-34, -12, -72)], 6.5, body.hu("portal"))


def paint_psoas(canvas: Canvas, body: Body, f: Frame) -> None:
    """Psoas and quadratus lumborum on both sides, crura in front of the spine."""
    for sign in (-1, 1):
        canvas.paint_tube(
            [(sign * 24, 40, -70), (sign * 34, 42, -150), (sign * 50, 26, -260)], [6, 17, 24], body.hu("muscle")
        )
        canvas.paint_tube(
            [(sign * 58, 72, -100), (sign * 68, 68, -170), (sign * 78, 62, -230)], [8, 14, 15], body.hu("muscle")
        )
        canvas.paint_tube([(sign * 6, 26, -110), (sign * 13, 22, -60), (sign * 12, 14, -28)], 4, body.hu("muscle"))


def paint_ribs(canvas: Canvas, body: Body, f: Frame, label: int) -> None:
    """Twelve sloping pairs in the chest wall, cartilage in front, and the sternum; collar bones on top."""
    x, y, z = canvas.grid
    angle = np.arctan2(np.abs(x), y + 8)  # 0 behind, pi in front
    drop = 62 * np.sin(np.minimum(angle, 2.2) / 2) ** 1.3 - 26 * np.clip(angle - 2.1, 0, 1)
    pitch = np.float32(25.5)
    level = (z + drop + float(body.about(6, 5))) / pitch
    off = np.abs(level - np.round(level)) * pitch
    bar = np.hypot(off / 1.35, np.abs(f.cage - 3.2)) - 4.0
    lowest = np.round(level) < np.where(angle > 1.25, -3, -4)
    long_enough = np.where(np.round(level) < -2, 1.75, 2.45)
    bar = np.where(lowest | (np.round(level) > 7) | (angle < 0.12), np.float32(9), bar)
    density = np.where(bar < -2.0, 260, 620)
    canvas.paint(np.where(angle < long_enough, bar, 9).astype(np.float32), density.astype(np.float32), label)
    canvas.paint(np.where((angle >= long_enough) & (np.round(level) > -3), bar + 0.5, 9).astype(np.float32), 105.0)
    front = -profile(canvas.z, ((-40, 86), (40, 88), (95, 78), (140, 64), (150, 60)))
    plate = superellipse(x, y - front + 2, 15 + np.clip((canvas.z - 95) * 0.25, 0, 9), np.float32(6.5), 2.6)
    sternum = both(plate, np.abs(z - 55) - 88, blend=3)
    canvas.paint(sternum, np.where(sternum < -2.2, 190, 430).astype(np.float32))
    for sign in (-1, 1):
        canvas.paint_tube(
            [(sign * 18, -58, 148), (sign * 60, -62, 164), (sign * 110, -38, 182), (sign * 140, -20, 190)], 6, 480
        )
        blade = [(sign * 62, 88, 172), (sign * 84, 92, 130), (sign * 92, 92, 85)]
        canvas.paint_tube(blade, [6, 5, 3.5], 420)


def paint_spine(canvas: Canvas, body: Body, f: Frame, label: int) -> None:
    """Vertebral bodies with cortex and discs, canal with cord, arches, spinous and transverse processes."""
    box = canvas.box((-75, -20, -400), (75, 140, 400))
    x, y, z = canvas.cut(box)
    y = y - f.spine_y[:, :, box[2]]
    heights = canvas.z[:, :, box[2]]
    x = x - float(body.about(0, 3)) * np.sin(heights / 120 + 1)
    step = profile(heights, ((-260, 38), (-120, 35), (-20, 27), (80, 24), (200, 19)))
    phase = _levels(heights, step) + float(body.rng.uniform(0, 1)) + (z - heights) / step
    gap = np.abs(phase - np.round(phase)) * step  # mm from the middle of the nearest disc
    half_disc = profile(heights, ((-260, 6.5), (-120, 5.5), (-20, 3.5), (200, 2.2)))
    size = profile(heights, ((-260, 26), (-120, 24), (0, 18), (100, 15.5), (200, 13)))
    waist = 1.6 * np.cos(2 * np.pi * phase)
    trunk = superellipse(x, y - 2, size - 1 + waist, size * 0.76 + waist, 2.3)
    bone = np.maximum(trunk, half_disc - gap)
    canal = superellipse(x, y - size * 0.76 - 11, np.float32(11), np.float32(8.5), 2.2)
    arch_on = 0.5 * step - gap  # mm from the middle of the vertebra
    ring = np.maximum(np.abs(canal - 3.2) - 3.2, arch_on - 0.36 * step)
    spinous = np.maximum(np.abs(x) - 3.4, np.abs(y - size * 0.76 - 32) - 15)
    spinous = np.maximum(spinous, np.abs(arch_on - 2) - 0.27 * step)
    wing = np.maximum(np.abs(y - size * 0.76 - 10) - 4.5, np.abs(x) - size - 17)
    wing = np.maximum(np.maximum(wing, 12 - np.abs(x)), arch_on - 6.0)
    posterior = without(either(ring, spinous, wing, blend=3), canal)
    whole = either(trunk, posterior)
    canvas.paint(trunk, 82.0, label, box)
    marrow = float(body.rng.uniform(110, 220))
    grain = smooth_noise(body.rng, canvas.lines(box), 7, (31, 31, 71))
    canvas.paint(posterior, np.where(posterior < -2.2, 230, 520).astype(np.float32), label, box)
    canvas.paint(bone, np.where(bone < -2.2, marrow + 22 * grain, 470).astype(np.float32), label, box)
    inside = np.minimum(whole, canal) < 0
    canvas.paint(canal, 12.0, label, box)
    canvas.paint(superellipse(x, y - size * 0.76 - 11, np.float32(6), np.float32(5), 2), 38.0, label, box)
    canvas.labels[box][inside] = label


def _levels(heights: Field, step: Field) -> Field:
    """Vertebra count from z = 0, growing upwards, where one vertebra takes `step` mm."""
    dense = np.arange(-600.0, 600.0, 2.0)
    per_mm = 1 / np.interp(dense, (-260, -120, -20, 80, 200), (38, 35, 27, 24, 19))
    count = np.cumsum(per_mm) * 2.0
    return np.asarray(np.interp(heights, dense, count - np.interp(0, dense, count)), np.float32)
