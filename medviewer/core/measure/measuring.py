"""The entry: measurements of one mask, and of all masks of a scan with those that need two."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from medviewer.core.measure.allowed import AllowedTable
from medviewer.core.measure.facts import Examination, examination_of, modality_of
from medviewer.core.measure.outcome import NotMeasurable, Outcome
from medviewer.core.measure.quantities import PAIRED, SINGLE
from medviewer.core.measure.ranges import ReferenceRange, with_range
from medviewer.core.measure.target import Target, target_of
from medviewer.core.report.document import Language, Measurement
from medviewer.core.segmentation import Segment
from medviewer.core.volume import Volume


@dataclass(frozen=True)
class Rules:
    """What measurements are held against: the table of allowed quantities, reference ranges, and the language of
    their text."""

    allowed: AllowedTable
    ranges: Sequence[ReferenceRange] = ()
    language: Language = "en"


@dataclass(frozen=True, eq=False)
class Context:
    """One scan being measured: its facts, and the targets made so far (by segment, side and mask)."""

    volume: Volume
    rules: Rules
    examination: Examination
    spine: NDArray[np.bool_] | None = None
    targets: dict[tuple[str, str | None], Target | str] = field(default_factory=dict)

    def target(self, segment: Segment) -> Target:
        """The segment ready to be measured; NotMeasurable with its reason where that cannot be."""
        key = (segment.id, segment.side)
        if key not in self.targets:
            try:
                self.targets[key] = target_of(self.volume, segment)
            except NotMeasurable as refusal:
                self.targets[key] = refusal.reason
        found = self.targets[key]
        if isinstance(found, str):
            raise NotMeasurable(found)
        found.cache.setdefault("spine", self.spine)
        return found

    def measured(self, quantity: str, segments: tuple[Segment, ...], work: Callable[[], Outcome]) -> Measurement:
        """The measurement of one quantity, by its first segment's name: a number, or None with the reason."""
        first = segments[0]
        ids = tuple(dict.fromkeys(segment.id for segment in segments))
        if not self.rules.allowed.allows(modality_of(self.volume), first.term_id, quantity):
            return self._refused(quantity, first, ids, "not_allowed")
        try:
            outcome = work()
            flags = dict.fromkeys(flag for segment in segments for flag in self.target(segment).flags)
        except NotMeasurable as refusal:
            return self._refused(quantity, first, ids, refusal.reason)
        both = {segment.side for segment in segments} >= {"left", "right"}  # a number of both sides is of neither
        found = Measurement(
            quantity, outcome.value, outcome.unit, outcome.method, ids, first.term_id or "",
            outcome.side or (None if both else first.side), outcome.points, outcome.slice_index, "",
            (*flags, *outcome.flags),
        )  # fmt: skip
        return with_range(found, self.examination, self.rules.ranges, self.rules.language)

    def _refused(self, quantity: str, segment: Segment, ids: tuple[str, ...], reason: str) -> Measurement:
        unit = SINGLE[quantity][1] if quantity in SINGLE else PAIRED[quantity]
        flags = ("incomplete",) if segment.incomplete or reason == "cut_by_edge" else ()
        return Measurement(
            quantity, None, unit, "", ids, segment.term_id or "", segment.side, reason=reason, flags=flags
        )


def measure_quantity(
    volume: Volume, segment: Segment, quantity: str, rules: Rules, *, examination: Examination | None = None
) -> Measurement:
    """One quantity of one mask; None with the reason "not_allowed" where the table does not list it. KeyError for a
    quantity that does not exist or needs two masks."""
    return _single(_context(volume, rules, examination), segment, quantity)


def measure_segment(
    volume: Volume,
    segment: Segment,
    rules: Rules,
    *,
    examination: Examination | None = None,
    spine: NDArray[np.bool_] | None = None,
) -> tuple[Measurement, ...]:
    """Every allowed quantity of one mask (bool i, j, k on the volume's grid), in the order of the table.

    Lengths in mm of the patient (px where the pixel size is unknown), points in LPS mm (voxel indices without a place
    in the patient). What the scan does not allow has value None and a reason. `examination` overrules what the scan
    records; `spine` (same grid) improves the middle of the body. Any thread. Raises ValueError for a mask on another
    grid.
    """
    return _of_segment(_context(volume, rules, examination, spine), segment)


def _context(
    volume: Volume, rules: Rules, examination: Examination | None, spine: NDArray[np.bool_] | None = None
) -> Context:
    return Context(volume, rules, examination or examination_of(volume), spine)


def _of_segment(context: Context, segment: Segment) -> tuple[Measurement, ...]:
    quantities = context.rules.allowed.quantities(modality_of(context.volume), segment.term_id)
    return tuple(_single(context, segment, quantity) for quantity in quantities if quantity in SINGLE)


def _single(context: Context, segment: Segment, quantity: str) -> Measurement:
    measure = SINGLE[quantity][0]
    return context.measured(quantity, (segment,), lambda: measure(context.target(segment)))


def measure_scan(
    volume: Volume,
    segments: Sequence[Segment],
    rules: Rules,
    *,
    examination: Examination | None = None,
    relate: Sequence[tuple[str, str]] = (),
) -> tuple[Measurement, ...]:
    """Every allowed quantity of every mask, then those of two: side differences, liver minus spleen, heart to chest
    width, and for each pair of segment ids in `relate` their distance and how they lie to each other.

    A mask of both sides of a paired organ is divided at the middle of the body where the scan shows it. Otherwise as
    `measure_segment`. Raises ValueError for a mask on another grid, KeyError for an unknown id in `relate`.
    """
    from medviewer.core.measure.pairs import both_masks, related
    from medviewer.core.measure.sides import divided

    spine = next((s.mask for s in segments if s.term_id == "spine"), None)
    context = _context(volume, rules, examination, spine)
    parts = [part for segment in segments for part in divided(volume, segment, rules.allowed, spine)]
    found = [measurement for part in parts for measurement in _of_segment(context, part)]
    found += both_masks(context, parts)
    named = {segment.id: segment for segment in segments}
    for one, other in relate:
        found += related(context, named[one], named[other])
    return tuple(found)
