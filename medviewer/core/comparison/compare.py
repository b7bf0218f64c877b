"""The whole comparison of two studies: matches, changes, mismatches, and what the report says of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from medviewer.core.comparison.changes import Change, changes_of
from medviewer.core.comparison.matching import Match, match_segments
from medviewer.core.comparison.mismatches import mismatches_of
from medviewer.core.comparison.sentences import Wording, Writer, comparison_text, notes_of
from medviewer.core.comparison.sizes import sizes_of
from medviewer.core.comparison.study import PriorStudy, Registration, StudyFacts, facts_of
from medviewer.core.report.document import Finding, Measurement
from medviewer.core.segmentation import Segment
from medviewer.core.volume import Volume


@dataclass(frozen=True, eq=False)
class Comparison:
    """Two studies side by side. `study` is the earlier one with everything needed to compare again; `current` the facts
    of the other one. `mismatches` and `notes` are sentences, `text` is the comparison paragraph of a report,
    `findings` and `measurements` are what its sections take over."""

    study: PriorStudy
    current: StudyFacts
    matches: tuple[Match, ...] = ()
    changes: tuple[Change, ...] = ()
    mismatches: tuple[str, ...] = ()
    text: str = ""
    notes: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    measurements: tuple[Measurement, ...] = ()

    @property
    def registration(self) -> Registration | None:
        return self.study.registration

    @property
    def unmatched(self) -> tuple[Match, ...]:
        """Masks without a counterpart, with the reason."""
        return tuple(match for match in self.matches if not match.is_pair)


def compare(
    volume: Volume, segments: Sequence[Segment], prior: PriorStudy, wording: Wording,
    known: Iterable[Measurement] = (),
) -> Comparison:  # fmt: skip
    """Compare the masks of `volume` (bool i, j, k on its grid) with those of an earlier study.

    Every number is measured on the grid of its own study; masks are never resampled for it. `known`: measurements of
    `segments` that were made already; their ids are kept. Only masks that sentences may rest on are to be given. Any
    thread. Raises ValueError for a mask on another grid.
    """
    current = facts_of(volume)
    sizes = sizes_of(volume, segments, wording.measuring, wording.rules, known)
    matches = tuple(_explained(m, prior, wording) for m in match_segments(volume, segments, prior, wording.rules))
    changes = changes_of(matches, sizes, prior, wording.rules)
    named = [replace(m, name=wording.name(m.term_id, m.name, m.side)) for m in matches]
    told = Writer(volume, segments, current, prior.facts, wording).told(changes)
    mismatches = mismatches_of(current, prior, named, segments, wording.rules, wording.words)
    text = comparison_text(current, prior, mismatches, wording)
    notes = tuple(notes_of(matches, prior, wording))
    return Comparison(
        prior, current, matches, told.changes, mismatches, text, notes, told.findings, told.measurements
    )


def _explained(match: Match, prior: PriorStudy, wording: Wording) -> Match:
    """The match with the sentence that says why it has no counterpart."""
    if not match.reason:
        return match
    name = wording.name(match.term_id, match.name, match.side)
    return replace(match, reason_text=wording.text(match.reason, list=name, prior_date=wording.date(prior.facts)))
