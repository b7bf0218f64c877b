"""What a report says of its limits: what was not found, not asked or not usable, and what the scan does not allow."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from medviewer.core.prediction import Answer, Prediction
from medviewer.core.report.template import GENERAL
from medviewer.core.report.wording import listed, score_text, structure_name
from medviewer.core.segmentation import Segment
from medviewer.core.volume import Volume

if TYPE_CHECKING:
    from medviewer.core.report.drafting import DraftSource

_ASSUMED = "side assumed"  # how `laterality.keep_side` begins its note on a side that nothing records
_ANSWERS = {
    Answer.NOT_FOUND: "limit_not_found", Answer.OUTSIDE: "limit_outside", Answer.NOT_TRAINED: "limit_not_trained",
    Answer.NOT_ASSESSABLE: "limit_not_assessable", Answer.SIDE_UNKNOWN: "limit_side_unknown",
    Answer.NEGATION: "limit_negation",
}  # fmt: skip


def limits_of(source: DraftSource) -> tuple[str, ...]:
    """The lines, in an order: what was looked at, the scan, the template's own, answers, masks."""
    words = source.words
    lines = [words.phrase("limit_scope"), *source.notes]
    if not any(source.usable(segment) for segment in source.segments):
        lines.append(words.phrase("limit_no_masks"))
    if source.template.key == GENERAL:
        lines.append(words.phrase("limit_general"))
    lines += [words.phrase(key) for key in _scan_limits(source.volume)]
    lines += [*source.template.limitations.get(words.language, ()), *_answer_limits(source), *_mask_limits(source)]
    lines.append(words.phrase("limit_display"))
    return tuple(dict.fromkeys(lines))


def _scan_limits(volume: Volume) -> list[str]:
    lossy = volume.facts.get("lossy_compression")
    told = {
        "limit_no_modality": not volume.modality,
        "limit_single_slice": volume.kind == "volume" and min(volume.shape) == 1,
        "limit_no_spacing": volume.spacing_mm is None and not volume.calibrated_regions,
        "limit_no_orientation": not volume.orientation_recorded and volume.patient_orientation is None,
        "limit_resampled": volume.regularisation is not None,
        "limit_lossy": lossy is not None and lossy.value == "yes",
        "limit_not_hu": volume.modality == "CT" and volume.units != "HU",
    }
    return [key for key, applies in told.items() if applies]


def _answer_limits(source: DraftSource) -> Iterable[str]:
    """One line for each kind of answer that is not "found", with the structures it was given for, unless they have a
    mask by now."""
    masks = {(s.term_id, s.side) for s in source.segments}
    for answer, key in _ANSWERS.items():
        given = [p for p in source.answers if p.answer is answer and (p.term_id, p.side) not in masks]
        without = [prediction for prediction in given if _is_scored_present(prediction)]
        for phrase, told in ((key, [p for p in given if p not in without]), ("limit_no_mask", without)):
            if told:
                yield source.words.phrase(phrase, list=listed((_asked(source, p) for p in told), source.words))


def _is_scored_present(prediction: Prediction) -> bool:
    """Not found although the score reaches the model's threshold: it drew nothing that lasts."""
    threshold = prediction.provenance.parameters.get("threshold")
    if prediction.answer is not Answer.NOT_FOUND or prediction.presence is None:
        return False
    return isinstance(threshold, (int, float)) and prediction.presence >= threshold


def _asked(source: DraftSource, prediction: Prediction) -> str:
    term = source.term(prediction.term_id)
    side = None if source.sides_doubtful else prediction.side  # a doubtful side is not named
    name = structure_name(term, prediction.title or prediction.prompt, side, source.words, source.template)
    score = score_text(prediction.answer, prediction.presence, source.words)
    return f"{name} ({score})" if score else name


def _mask_limits(source: DraftSource) -> Iterable[str]:
    below = [s for s in source.segments if not source.usable(s) and not (source.sides_doubtful and s.side)]
    sided = [s for s in source.segments if source.sides_doubtful and s.side]
    cut = [s for s in source.segments if s.incomplete and source.usable(s)]
    assumed = [s for s in source.segments if s.side_note.startswith(_ASSUMED) and source.usable(s)]
    kinds = {"limit_below": below, "limit_incomplete": cut, "limit_sides": sided, "limit_assumed_sides": assumed}
    for key, segments in kinds.items():
        if segments:
            yield source.words.phrase(key, list=listed((_name(source, s) for s in segments), source.words))


def _name(source: DraftSource, segment: Segment) -> str:
    side = None if source.sides_doubtful else segment.side
    return structure_name(source.term(segment.term_id), segment.name, side, source.words, source.template)
