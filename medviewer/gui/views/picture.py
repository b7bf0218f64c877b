"""Arrays as Qt images."""

from __future__ import annotations

import numpy as np
from PySide6.QtGui import QImage

from medviewer.render.raster import Bytes


class Picture:
    """A B, G, R, A array shown as a Qt image; keeps the array alive as long as the image."""

    def __init__(self, pixels: Bytes, ratio: float) -> None:
        self.pixels = np.ascontiguousarray(pixels)
        height, width = self.pixels.shape[:2]
        self.image = QImage(self.pixels.data, width, height, width * 4, QImage.Format.Format_RGB32)
        self.image.setDevicePixelRatio(ratio)


def image_to_rgb(image: QImage) -> Bytes:
    """A Qt image as uint8 (height, width, 3)."""
    plain = image.convertToFormat(QImage.Format.Format_RGB888)
    rows = np.frombuffer(plain.constBits(), np.uint8).reshape(plain.height(), plain.bytesPerLine())
    return rows[:, : plain.width() * 3].reshape(plain.height(), plain.width(), 3).copy()
