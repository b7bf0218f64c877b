"""What one measurement of one mask gives: a number with its points, or the reason why there is none."""

from __future__ import annotations

from dataclasses import dataclass

from medviewer.core.report.document import Point


class NotMeasurable(Exception):
    """The scan or the mask does not allow the number. `reason` is a key of the reasons in the quantities file."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class Outcome:
    """A number: `unit` as in `Measurement`, `method` a key of the methods in the quantities file, `points` LPS mm or,
    where the scan has no place in the patient, voxel indices."""

    value: float
    unit: str
    method: str
    points: tuple[Point, ...] = ()
    slice_index: int | None = None
    side: str | None = None
    flags: tuple[str, ...] = ()
