"""Frames: what assembly needs to know of every single-frame file or frame of a multi-frame file."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from medviewer.io.dicom_header import Header

Floats = tuple[float, ...]


@dataclass(slots=True)
class Frame:
    """One picture and its place. `index` is its 0-based frame in the file; `extra` overrides header values."""

    header: Header
    index: int = 0
    position: Floats | None = None  # ImagePositionPatient, LPS mm
    orientation: Floats | None = None  # ImageOrientationPatient: row direction, column direction
    spacing: Floats | None = None  # PixelSpacing: between rows, between columns, mm
    slope: float = 1.0
    intercept: float = 0.0
    extra: dict[str, Any] = field(default_factory=dict)

    def get(self, keyword: str) -> Any:
        """A value of the frame's functional groups, else of the file's header."""
        return self.extra[keyword] if keyword in self.extra else self.header.get(keyword)

    @property
    def placed(self) -> bool:
        """Has it position, orientation and pixel spacing at all (right or wrong)?"""
        return self.position is not None and self.orientation is not None and self.spacing is not None


def classic_frame(header: Header) -> Frame:
    """The one frame of a classic (not enhanced) file."""
    return Frame(
        header,
        0,
        numbers(header.get("ImagePositionPatient"), 3),
        numbers(header.get("ImageOrientationPatient"), 6),
        numbers(header.get("PixelSpacing"), 2),
        _rescale(header, "RescaleSlope", 1.0),
        _rescale(header, "RescaleIntercept", 0.0),
    )


def _rescale(header: Header, keyword: str, absent: float) -> float:
    """The recorded number; NaN, which is refused later, where something is recorded that is none."""
    value = header.get(keyword)
    if value is None:
        return math.nan if header.has(keyword) else absent
    return float(value)


def numbers(values: Any, count: int) -> Floats | None:
    """`values` if they are exactly `count` numbers; they may still be infinite, which geometry checks."""
    return values if values is not None and len(values) == count else None


def is_finite(values: Floats | None) -> bool:
    return values is not None and all(math.isfinite(value) for value in values)


def is_localizer(frame: Frame) -> bool:
    """A scout image: a projection or a planning slice, not part of a volume."""
    kinds = frame.get("ImageType") or ()
    return any(kind.upper() in ("LOCALIZER", "SCOUT", "TOPOGRAM") for kind in kinds)
