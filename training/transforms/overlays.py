"""Things drawn over a picture: letters, markers, calipers, leads and tubes, collimation.

Every function takes a picture (rows, cols), float32 in 0..1, a strength and a random generator, and returns a new array
of the same shape. What lies below a drawn thing is hidden, not moved.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Picture = NDArray[np.float32]
Rng = np.random.Generator
_WORDS = ("L", "R", "AP", "PA", "SUPINE", "ERECT", "PORTABLE", "12:40", "LT", "RT", "MOBILE", "120 kV", "2.4 cm", "B")
_SYMBOLS = "ABCDEFGHJKLMNPRSTUVWX0123456789"


@functools.lru_cache(maxsize=64)
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _drawing(picture: Picture) -> tuple[Image.Image, ImageDraw.ImageDraw, float]:
    image = Image.fromarray(np.array(picture, np.float32))
    return image, ImageDraw.Draw(image), max(picture.shape) / 256


def characters(picture: Picture, count: float, rng: Rng) -> NDArray[Any]:
    """`count` words or letters, mostly near the border, bright or with a dark plate below."""
    image, draw, scale = _drawing(picture)
    for _ in range(round(count)):
        size = max(6, round(scale * rng.uniform(8, 16 + count)))
        x, y = _near_border(picture, rng)
        text = _text(rng)
        box = draw.textbbox((x, y), text, font=_font(size))
        if rng.random() < 0.3:
            draw.rectangle(box, fill=float(rng.choice([0.0, 0.1])))
        draw.text((x, y), text, fill=float(rng.uniform(0.75, 1.0)), font=_font(size))
    return np.asarray(image)


def _text(rng: Rng) -> str:
    if rng.random() < 0.6:
        return str(rng.choice(_WORDS))
    return "".join(rng.choice(list(_SYMBOLS), int(rng.integers(1, 8))))


def _near_border(picture: Picture, rng: Rng) -> tuple[int, int]:
    """(x, y) of a text: three times in four within the outer fifth of the picture."""
    rows, cols = picture.shape
    x, y = rng.uniform(0, 0.85), rng.uniform(0, 0.92)
    if rng.random() < 0.75:
        edge = rng.uniform(0, 0.12) if rng.random() < 0.5 else rng.uniform(0.8, 0.92)
        x, y = (edge, y) if rng.random() < 0.5 else (x, edge)
    return round(x * cols), round(y * rows)


def calipers(picture: Picture, count: float, rng: Rng) -> NDArray[Any]:
    """Pairs of measuring crosses joined by a dotted line, as sonographers leave them in the picture."""
    image, draw, scale = _drawing(picture)
    rows, cols = picture.shape
    for _ in range(round(count)):
        ends = rng.uniform(0.15, 0.85, (2, 2)) * (cols, rows)
        value = float(rng.uniform(0.7, 1.0))
        for x, y in ends:
            arm = 3.5 * scale
            draw.line((x - arm, y, x + arm, y), fill=value)
            draw.line((x, y - arm, x, y + arm), fill=value)
        if rng.random() < 0.6:
            steps = np.arange(0, 1, 4 * scale / (np.hypot(*(ends[1] - ends[0])) + 1e-6))[:, None]
            dots = ends[0] + steps * (ends[1] - ends[0])
            draw.point([(float(x), float(y)) for x, y in dots], fill=value)
    return np.asarray(image)


def black_corner(picture: Picture, share: float, rng: Rng) -> NDArray[Any]:
    """Collimation: black beyond one to three oblique edges that each take up to `share` of the picture's width from
    a corner or a side, and never the middle."""
    rows, cols = picture.shape
    y = np.linspace(-1, 1, rows, dtype=np.float32)[:, None]
    x = np.linspace(-1, 1, cols, dtype=np.float32)[None, :]
    open_part = np.ones(picture.shape, bool)
    for _ in range(int(rng.integers(1, 4))):
        angle = np.pi / 2 * int(rng.integers(4)) + (np.pi / 4 if rng.random() < 0.6 else rng.normal(0, 0.06))
        across = np.cos(angle) * x + np.sin(angle) * y
        corner = abs(np.cos(angle)) + abs(np.sin(angle))
        open_part &= across < corner - 2 * share * rng.uniform(0.5, 1.0) * (1.6 if corner > 1.3 else 1.0)
    return np.where(open_part, picture, 0.0)


def device_lines(picture: Picture, count: float, rng: Rng) -> NDArray[Any]:
    """Leads, tubes and wires: bright curves across the picture, some with a darker core or an electrode at the end."""
    image, draw, scale = _drawing(picture)
    rows, cols = picture.shape
    for _ in range(round(count)):
        knots = rng.uniform(-0.1, 1.1, (3, 2)) * (cols, rows)
        t = np.linspace(0, 1, 40)[:, None]
        curve = (1 - t) ** 2 * knots[0] + 2 * t * (1 - t) * knots[1] + t**2 * knots[2]
        points = [(float(px), float(py)) for px, py in curve]
        width = max(1, round(scale * rng.uniform(0.8, 2.6)))
        base = float(picture.mean())
        draw.line(points, fill=min(1.0, base + float(rng.uniform(0.15, 0.45))), width=width)
        if width > 2 and rng.random() < 0.5:
            draw.line(points, fill=base, width=width - 2)
        if rng.random() < 0.4:
            (ex, ey), radius = points[-1], scale * rng.uniform(2, 5)
            draw.ellipse((ex - radius, ey - radius, ex + radius, ey + radius), fill=float(rng.uniform(0.75, 1.0)))
    drawn = np.asarray(image)
    return np.maximum(drawn, picture) if rng.random() < 0.5 else 0.5 * drawn + 0.5 * np.maximum(drawn, picture)


def grid_lines(picture: Picture, strength: float, rng: Rng) -> NDArray[Any]:
    """Fine parallel lines of an anti-scatter grid, or a band of dead detector columns."""
    rows, cols = picture.shape
    lengthwise = rng.random() < 0.7
    side, scale = (cols if lengthwise else rows), max(rows, cols) / 256
    lines = np.cos(2 * np.pi * np.arange(side) / (scale * rng.uniform(2.3, 7.0)))
    if rng.random() < 0.4:
        start, width = int(rng.integers(side)), max(1, round(scale * rng.uniform(0.6, 2)))
        lines[start : start + width] += float(rng.choice([-4.0, 4.0]))
    return picture + strength * np.expand_dims(lines, 0 if lengthwise else 1)
