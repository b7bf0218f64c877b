"""Writes the words of a view onto a picture, for pictures made without a window. Pillow only."""

from __future__ import annotations

from functools import cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from medviewer.render import labels
from medviewer.render.raster import Bytes
from medviewer.render.slice_view import Pick, SliceView

TEXT, ORIENTATION, MUTED, WARN = "#e6eaf0", "#ffd479", "#93a1b1", "#ffb454"
CROSSHAIR = {"axial": "#ff6b6b", "coronal": "#3ddc97", "sagittal": "#4cc2ff", "native": "#4cc2ff"}
_FONTS = ("Inter-Regular.otf", "Inter-Regular.ttf", "NotoSans-Regular.ttf", "DejaVuSans.ttf", "arial.ttf")
_EDGE = 8


@cache
def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """The interface's font if the machine has it, else the one Pillow brings."""
    for name in _FONTS:
        try:
            return ImageFont.truetype(name, size)
        except OSError:
            continue
    return ImageFont.load_default(size)


class Canvas:
    """A picture being written on; uint8 (h, w, 3)."""

    def __init__(self, picture: Bytes) -> None:
        self.image = Image.fromarray(np.ascontiguousarray(picture))
        self.draw = ImageDraw.Draw(self.image)
        self.width, self.height = self.image.size
        self.size = 10 if self.width < 300 else 13 if self.width < 700 else 15

    def text(self, x: float, y: float, text: str, anchor: str, color: str = TEXT, room: float | None = None) -> None:
        """Text with a dark edge, shortened to the room."""
        face = font(self.size)
        while room is not None and len(text) > 1 and self.draw.textlength(text, face) > room:
            text = text[:-2].rstrip(" ·") + "…" if len(text) > 2 else ""
        if text:
            self.draw.text((x, y), text, color, face, anchor, stroke_width=2, stroke_fill="#000000")

    def line(self, x0: float, y0: float, x1: float, y1: float, color: str, width: int = 1) -> None:
        self.draw.line((x0, y0, x1, y1), color, width)

    def pixels(self) -> Bytes:
        return np.asarray(self.image)


def annotate_slice(picture: Bytes, view: SliceView, *, crosshair: bool, identity: bool = False) -> Bytes:
    """The picture (h, w, 3) with crosshair, letters, corner text, scale bar and the research notice.

    The line that names the patient is written only if `identity` is asked for.
    """
    canvas = Canvas(picture)
    if crosshair:
        _crosshair(canvas, view)
    step = canvas.size + 4
    half = canvas.width * 0.5 - 2.5 * _EDGE
    canvas.text(_EDGE, _EDGE, labels.plane_line(view), "la", room=half)
    canvas.text(canvas.width - _EDGE, _EDGE, labels.window_line(view), "ra", room=half)
    _facts(canvas, view, step, identity)
    _bottom(canvas, view, step, crosshair)
    _letters(canvas, view, step)
    return canvas.pixels()


def annotate_volume(picture: Bytes, title: str, identity: str) -> Bytes:
    """The 3D picture with its title and the research notice."""
    canvas = Canvas(picture)
    step = canvas.size + 4
    canvas.text(_EDGE, _EDGE, title, "la", room=canvas.width - 2 * _EDGE)
    canvas.text(_EDGE, _EDGE + step, identity, "la", MUTED, canvas.width - 2 * _EDGE)
    canvas.text(_EDGE, canvas.height - 4, labels.RESEARCH_USE, "ld", WARN, canvas.width - 2 * _EDGE)
    return canvas.pixels()


def _facts(canvas: Canvas, view: SliceView, step: int, identity: bool) -> None:
    if view.volume is None:
        return
    who = labels.identity_line(view.volume) if identity else ""
    lines = [(who, MUTED), (labels.pacs_line(view), MUTED)]
    lines.append((" · ".join(labels.badges(view)), WARN))
    y = _EDGE + step
    for text, color in lines:
        if text:
            canvas.text(_EDGE, y, text, "la", color, canvas.width - 2 * _EDGE)
            y += step


def _bottom(canvas: Canvas, view: SliceView, step: int, position: bool) -> None:
    base = canvas.height - 4
    canvas.text(_EDGE, base, labels.RESEARCH_USE, "ld", WARN, canvas.width - 2 * _EDGE)
    note = view.volume.spacing_note if view.volume is not None else ""
    bar = labels.scale_bar(view.mm_per_pixel(), canvas.width, note)
    room: float = canvas.width - 2 * _EDGE
    if bar is not None:
        length, text = bar
        right, y = canvas.width - _EDGE, base - step - 2
        canvas.line(right - length, y, right, y, TEXT, 2)
        wide = max(length, canvas.draw.textlength(text, font(canvas.size)))
        canvas.text(right - wide / 2, y - 3, text, "md")
        room -= wide + 2 * _EDGE
    if position and view.volume is not None:
        nearest = np.floor(view.voxel + 0.5).astype(int)
        voxel = (int(nearest[0]), int(nearest[1]), int(nearest[2]))
        line = labels.position_line(view.volume, Pick(view.position(), voxel), view.layers_at(voxel))
        canvas.text(_EDGE, base - step, line, "ld", room=room)


def _letters(canvas: Canvas, view: SliceView, step: int) -> None:
    letters = view.letters()
    if not letters:
        return
    middle_x, middle_y = canvas.width / 2, canvas.height / 2
    top = _EDGE + 4 * step
    canvas.text(_EDGE, middle_y, letters["left"], "lm", ORIENTATION)
    canvas.text(canvas.width - _EDGE, middle_y, letters["right"], "rm", ORIENTATION)
    canvas.text(middle_x, top, letters["top"], "ma", ORIENTATION)
    canvas.text(middle_x, canvas.height - 4 - 2.6 * step, letters["bottom"], "md", ORIENTATION)


def _crosshair(canvas: Canvas, view: SliceView) -> None:
    across, along = crosshair_planes(view)
    (x0, y0), (x1, y1), (x2, y2), (x3, y3) = view.crosshair()
    canvas.line(x0, y0, x1, y1, CROSSHAIR[across])
    canvas.line(x2, y2, x3, y3, CROSSHAIR[along])


def crosshair_planes(view: SliceView) -> tuple[str, str]:
    """Which plane the line along u shows, and which the line along v."""
    plane = view.grid.plane if view.grid is not None else "native"
    return {
        "axial": ("coronal", "sagittal"),
        "coronal": ("axial", "sagittal"),
        "sagittal": ("axial", "coronal"),
    }.get(plane, ("native", "native"))
