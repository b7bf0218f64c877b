"""Line icons from `resources/icons`, tinted by the theme."""

from __future__ import annotations

import hashlib
from functools import lru_cache

from PySide6.QtCore import QByteArray, QRectF, Qt
from PySide6.QtGui import QIcon, QPainter, QPixmap
from PySide6.QtSvg import QSvgRenderer

from medviewer.gui.theme.tokens import Tokens
from medviewer.io.atomic import write_text_atomic
from medviewer.services.folders import user_folder
from medviewer.services.resources import resource_path

_SCALES = (1.0, 1.25, 1.5, 2.0, 3.0)


def icon(name: str, tokens: Tokens, size: int = 16) -> QIcon:
    """Icon with normal, chosen and disabled colours. Raises UserError for an unknown name."""
    result = QIcon()
    states = (
        (tokens.text, QIcon.Mode.Normal, QIcon.State.Off),
        (tokens.accent, QIcon.Mode.Normal, QIcon.State.On),
        (tokens.disabled, QIcon.Mode.Disabled, QIcon.State.Off),
        (tokens.disabled, QIcon.Mode.Disabled, QIcon.State.On),
    )
    for color, mode, state in states:
        for scale in _SCALES:
            result.addPixmap(pixmap(name, color, size, scale), mode, state)
    return result


@lru_cache(maxsize=512)
def pixmap(name: str, color: str, size: int, scale: float = 1.0) -> QPixmap:
    """A picture of `size` logical pixels at a device-pixel ratio of `scale`."""
    image = QPixmap(round(size * scale), round(size * scale))
    image.fill(Qt.GlobalColor.transparent)
    painter = QPainter(image)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    QSvgRenderer(QByteArray(_svg(name, color))).render(painter, QRectF(image.rect()))
    painter.end()
    image.setDevicePixelRatio(scale)
    return image


def tinted_file(name: str, color: str) -> str:
    """Path of a tinted SVG file, for style sheets, which take no pictures from memory."""
    data = _svg(name, color)
    folder = user_folder("cache") / "icons"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = folder / f"{name}-{hashlib.sha256(data).hexdigest()[:12]}.svg"
    if not path.is_file():
        write_text_atomic(path, data.decode("utf-8"))  # a killed start must not leave half a picture for good
    return path.as_posix()


@lru_cache(maxsize=256)
def _svg(name: str, color: str) -> bytes:
    return resource_path(f"icons/{name}.svg").read_text("utf-8").replace("currentColor", color).encode()
