"""Which numbers of a mask stand in one sentence: its sizes, its heights, its median with the percentiles around it.

One sentence for each size of each mask would repeat the structure's name four times; a reader wants it once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from medviewer.core.report.document import Measurement

MEDIAN, LOW, HIGH = "intensity_median", "intensity_p5", "intensity_p95"
_GROUPS = {
    "size": (
        "length", "long_axis", "short_axis", "axial_diameter", "longest_diameter", "volume", "area", "parts",
        "z_extent", "extent_left_right", "extent_front_back", "extent_feet_head",
    ),
    "height": ("height_front", "height_middle", "height_back"),
    "values": (MEDIAN, LOW, HIGH),
}  # fmt: skip
_GROUP_OF = {quantity: name for name, quantities in _GROUPS.items() for quantity in quantities}


def group_of(quantity: str) -> str:
    """The group of a quantity ("size"); the quantity itself where it stands alone."""
    return _GROUP_OF.get(quantity, quantity)


def grouped(measurements: Iterable[Measurement]) -> list[list[Measurement]]:
    """Numbers of one group and one mask together, in their order; what has no number stands with what has none for the
    same reason. Numbers of several masks and those drawn by hand stand alone."""
    groups: dict[tuple[object, ...], list[Measurement]] = {}
    for count, measurement in enumerate(measurements):
        groups.setdefault(_key(measurement, count), []).append(measurement)
    return list(groups.values())


def _key(measurement: Measurement, count: int) -> tuple[object, ...]:
    if len(measurement.segment_ids) != 1:
        return (count,)
    where = (measurement.segment_ids[0], measurement.side)
    if measurement.value is None:
        return (*where, None, measurement.reason)
    return (*where, group_of(measurement.quantity), "")


def with_percentiles(group: Sequence[Measurement], known: Iterable[Measurement]) -> list[Measurement]:
    """The group and, beside a median, the 5th and 95th percentile of the same mask, in this order."""
    medians = {(m.segment_ids, m.side) for m in group if m.quantity == MEDIAN and m.value is not None}
    beside = {
        m.quantity: m
        for m in known
        if m.quantity in (LOW, HIGH) and m.value is not None and (m.segment_ids, m.side) in medians
    }
    if not {LOW, HIGH} <= beside.keys():
        return list(group)
    return [*(m for m in group if m.quantity not in beside), beside[LOW], beside[HIGH]]
