"""Measurements that need two masks of one scan."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from medviewer.core.measure import chest_x_ray, intensity, place, size
from medviewer.core.measure.facts import modality_of
from medviewer.core.measure.measuring import Context
from medviewer.core.measure.outcome import Outcome
from medviewer.core.measure.target import Target
from medviewer.core.report.document import Measurement
from medviewer.core.segmentation import Segment

_EQUAL_MM, _EQUAL_PERCENT = 0.05, 0.5  # shown as 0: neither side is the larger one
Relation = Callable[[Target, Target], Outcome]
_RELATIONS: dict[str, Relation] = {
    "distance": place.distance,
    "offset_left_right": place.offset_sideways,
    "offset_up_down": place.offset_upwards,
}


def both_masks(context: Context, segments: Sequence[Segment]) -> list[Measurement]:
    """Side differences, liver minus spleen, and heart to chest width, of those that the table allows here."""
    found = []
    for quantity, work in (("length_difference", _length_difference), ("asymmetry_index", _asymmetry)):
        for pair in _side_pairs(context, segments, quantity):
            found.append(context.measured(quantity, pair, partial(work, context, *pair)))
    return [*found, *_liver_minus_spleen(context, segments), *_heart(context, segments)]


def _side_pairs(context: Context, segments: Sequence[Segment], quantity: str) -> list[tuple[Segment, Segment]]:
    """(left, right) of every structure with one mask on either side."""
    terms = dict.fromkeys(s.term_id for s in segments)
    allowed = context.rules.allowed
    pairs = []
    for term in terms:
        if term is not None and allowed.allows(modality_of(context.volume), term, quantity):
            left, right = (_of(segments, term, side) for side in ("left", "right"))
            if len(left) == 1 and len(right) == 1:
                pairs.append((left[0], right[0]))
    return pairs


def _of(segments: Sequence[Segment], term: str, side: str | None = None) -> list[Segment]:
    return [s for s in segments if s.term_id == term and (side is None or s.side == side)]


def _length_difference(context: Context, left: Segment, right: Segment) -> Outcome:
    """Longer minus shorter, pole to pole; `side` is that of the longer one, None where they are equal."""
    one, other = (size.pole_to_pole(context.target(segment)) for segment in (left, right))
    difference = abs(one.value - other.value)
    larger = None if difference < _EQUAL_MM else "left" if one.value > other.value else "right"
    return Outcome(difference, "mm", "longer_minus_shorter", (*one.points, *other.points), side=larger)


def _asymmetry(context: Context, left: Segment, right: Segment) -> Outcome:
    """Difference of the volumes in % of their mean; `side`: of the larger one, None where they are equal."""
    one, other = (size.volume(context.target(segment)) for segment in (left, right))
    index = 100.0 * abs(one.value - other.value) / ((one.value + other.value) / 2)
    larger = None if index < _EQUAL_PERCENT else "left" if one.value > other.value else "right"
    return Outcome(index, "%", "difference_of_mean", (*one.points, *other.points), side=larger)


def _liver_minus_spleen(context: Context, segments: Sequence[Segment]) -> list[Measurement]:
    livers, spleens = _of(segments, "liver"), _of(segments, "spleen")
    allowed = context.rules.allowed.allows(modality_of(context.volume), "liver", "liver_minus_spleen")
    if not allowed or len(livers) != 1 or len(spleens) != 1:
        return []
    pair = (livers[0], spleens[0])

    def work() -> Outcome:
        liver, spleen = (intensity.parenchyma(context.target(segment)) for segment in pair)
        return Outcome(liver.value - spleen.value, "HU", "mean_without_rim", (*liver.points, *spleen.points))

    return [context.measured("liver_minus_spleen", pair, work)]


def _heart(context: Context, segments: Sequence[Segment]) -> list[Measurement]:
    """The cardiothoracic ratio, or the reason why there is none and the bare ratio of widths."""
    hearts, lungs = _of(segments, "heart"), _of(segments, "lung")
    allowed = context.rules.allowed.allows(modality_of(context.volume), "heart", "cardiothoracic_ratio")
    if not allowed or len(hearts) != 1 or not lungs:
        return []
    chosen = (hearts[0], *lungs)
    ratio = context.measured("cardiothoracic_ratio", chosen, lambda: _ratio(context, chosen, named=True))
    if ratio.value is not None:
        return [ratio]
    return [ratio, context.measured("width_ratio", chosen, lambda: _ratio(context, chosen, named=False))]


def _ratio(context: Context, chosen: tuple[Segment, ...], *, named: bool) -> Outcome:
    heart, *lungs = (context.target(segment) for segment in chosen)
    measure = chest_x_ray.cardiothoracic_ratio if named else chest_x_ray.width_ratio
    return measure(heart, lungs, context.examination)


def related(context: Context, one: Segment, other: Segment) -> list[Measurement]:
    """Distance and how `one` lies to `other`: to the left or right, above or below."""
    return [
        context.measured(quantity, (one, other), partial(_related, context, work, one, other))
        for quantity, work in _RELATIONS.items()
    ]


def _related(context: Context, work: Relation, one: Segment, other: Segment) -> Outcome:
    return work(context.target(one), context.target(other))
