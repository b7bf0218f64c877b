"""Accepted segments of one scan."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from medviewer.core.provenance import Provenance

Color = tuple[int, int, int]


@dataclass(frozen=True, eq=False)
class Segment:
    """One named mask on the grid of its volume; bool (i, j, k), read-only. Replaced, never changed in place."""

    name: str
    mask: NDArray[np.bool_]
    color: Color = (76, 194, 255)
    opacity: float = 1.0
    visible: bool = True
    term_id: str | None = None
    side: str | None = None
    side_note: str = ""  # how the side was judged, for instance "side assumed (display convention)"
    cut_edges: tuple[str, ...] = ()
    frame: int | None = None  # cine: the frame (k) it belongs to
    presence: float | None = None
    tested: str = "untested"
    provenance: Provenance = Provenance()
    id: str = field(default_factory=lambda: uuid.uuid4().hex)

    def __post_init__(self) -> None:
        if self.mask.dtype != np.bool_ or self.mask.ndim != 3:
            raise ValueError("a segment's mask must be bool (i, j, k)")
        self.mask.flags.writeable = False

    @property
    def incomplete(self) -> bool:
        return bool(self.cut_edges)

    def changed(self, **changes: object) -> Segment:
        """A copy with the same id and some fields replaced."""
        return replace(self, **changes)  # type: ignore[arg-type]


@dataclass(frozen=True)
class LabelInfo:
    """A line of a label sidecar: what integer `label` means in a label map."""

    label: int
    name: str
    color: Color
    term_id: str | None = None
