"""In what two studies differ that a change may come from instead of the patient: told in words, never corrected for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from medviewer.core.comparison.matching import Match
from medviewer.core.comparison.rules import ComparisonRules
from medviewer.core.comparison.study import PriorStudy, StudyFacts
from medviewer.core.provenance import Provenance
from medviewer.core.report.document import Language
from medviewer.core.report.words import Words
from medviewer.core.segmentation import Segment


def mismatches_of(
    current: StudyFacts, prior: PriorStudy, matches: Iterable[Match], segments: Sequence[Segment],
    rules: ComparisonRules, words: Words,
) -> tuple[str, ...]:  # fmt: skip
    """Sentences: date order, modality, slice thickness, phase, weighting, and who drew the masks."""
    told = [*_of_dates(current, prior), *_of_facts(current, prior.facts, rules, words)]
    lines = [rules.text(words.language, key, **values) for key, values in told]
    return (*lines, *_of_origins(matches, segments, prior, rules, words.language))


def _of_dates(current: StudyFacts, prior: PriorStudy) -> Iterator[tuple[str, dict[str, str]]]:
    if not (current.date and prior.facts.date):
        yield "undated", {}
    elif prior.facts.date > current.date:
        yield "later", {}


def _of_facts(
    current: StudyFacts, prior: StudyFacts, rules: ComparisonRules, words: Words
) -> Iterator[tuple[str, dict[str, str]]]:
    unknown = words.named("origins", "unknown")
    if current.modality != prior.modality:
        yield "modality_differs", {"one": current.modality or unknown, "other": prior.modality or unknown}
    one, other = current.slice_thickness_mm, prior.slice_thickness_mm
    if one is None or other is None:
        if one is not other:
            yield "thickness_differs", {"one": thickness(current, words), "other": thickness(prior, words)}
    elif abs(one - other) > rules.numbers["thickness_mm"]:
        yield "thickness_differs", {"one": thickness(current, words), "other": thickness(prior, words)}
    for name in ("phase", "weighting"):
        a, b = getattr(current, name), getattr(prior, name)
        if a.casefold() != b.casefold():
            yield f"{name}_differs", {"one": words.translated(a) or unknown, "other": words.translated(b) or unknown}


def thickness(facts: StudyFacts, words: Words) -> str:
    """ "5 mm", or the word for unknown."""
    if facts.slice_thickness_mm is None:
        return words.named("origins", "unknown")
    return f"{words.number(f'{facts.slice_thickness_mm:g}')} mm"


def _of_origins(
    matches: Iterable[Match], segments: Sequence[Segment], prior: PriorStudy, rules: ComparisonRules,
    language: Language,
) -> Iterator[str]:  # fmt: skip
    """Pairs whose masks were not drawn by the same model, each pair of origins once with its structures."""
    ours, theirs = {s.id: s for s in segments}, {s.id: s for s in prior.segments}
    found: dict[tuple[str, str], list[str]] = {}
    for match in matches:
        if match.is_pair:
            one, other = ours[match.current_id].provenance, theirs[match.prior_id].provenance
            if _origin(one) != _origin(other):
                pair = origin_text(one, rules, language), origin_text(other, rules, language)
                found.setdefault(pair, []).append(match.name)
    for (one_text, other_text), names in found.items():
        yield rules.text(language, "model_differs", one=one_text, other=other_text,
                         list=rules.listed(language, names))  # fmt: skip


def _origin(provenance: Provenance) -> tuple[str, str, bool, str]:
    edited = bool(provenance.edits) or provenance.algorithm == "SEMIAUTOMATIC"
    return provenance.model_text, provenance.weights_sha256, edited, provenance.algorithm if edited else ""


def origin_text(provenance: Provenance, rules: ComparisonRules, language: Language) -> str:
    """ "default 3", "default 3, changed by hand", "drawn by hand" or "origin unknown"."""
    if not provenance.model_text:
        by_hand = provenance.algorithm == "MANUAL" or bool(provenance.edits)
        return rules.text(language, "by_hand" if by_hand else "origin_unknown")
    changed = bool(provenance.edits)
    return rules.text(language, "model_edited", model=provenance.model_text) if changed else provenance.model_text
