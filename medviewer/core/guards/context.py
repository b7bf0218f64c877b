"""What is known about the scan when a sentence is checked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from medviewer.core.guards.structures import Structures
from medviewer.core.measure.facts import examination_of
from medviewer.core.report.document import Finding, Language, Measurement, Report
from medviewer.core.report.template import Template
from medviewer.core.segmentation import Segment
from medviewer.core.volume import Volume

Contrast = Literal["yes", "no", "unknown"]
_CONTRASTS: Mapping[str | None, Contrast] = {"enhanced": "yes", "unenhanced": "no"}


@dataclass(frozen=True)
class KnownSegment:
    """A segment of the scan: which structure it is and on which side ("left", "right", "both" or unknown)."""

    segment_id: str
    term_id: str = ""
    side: str | None = None


@dataclass(frozen=True)
class GuardContext:
    """Facts that sentences are held against; what is unknown is empty and then checks nothing.

    `template` is the template's key ("ct_abdomen"), `listed` the structures (term ids) that it names itself; `sex`
    DICOM's "M" or "F"; `contrast` "yes" only where it is a fact.
    `sides_confirmed` is False while left and right of the file are in doubt (`laterality.orientation_check`).
    """

    structures: Structures
    language: Language = "en"
    modality: str = ""
    template: str = "general"
    sex: str = ""
    has_prior: bool = False
    contrast: Contrast = "unknown"
    segments: Mapping[str, KnownSegment] = field(default_factory=dict)
    measurements: Mapping[str, Measurement] = field(default_factory=dict)
    sides_confirmed: bool = True
    listed: frozenset[str] = frozenset()

    def segments_of(self, finding: Finding) -> tuple[KnownSegment, ...]:
        """The segments that the sentence points at, also through a measurement; unknown ids are left out."""
        ids = [e.segment_id for e in finding.evidence if e.segment_id]
        ids += [one for m in self.linked_measurements(finding) for one in m.segment_ids]
        return tuple(self.segments[one] for one in dict.fromkeys(ids) if one in self.segments)

    def linked_measurements(self, finding: Finding) -> tuple[Measurement, ...]:
        """The measurements that the sentence points at itself."""
        ids = [e.measurement_id for e in finding.evidence if e.measurement_id]
        return tuple(self.measurements[one] for one in dict.fromkeys(ids) if one in self.measurements)

    def measurements_of(self, finding: Finding) -> tuple[Measurement, ...]:
        """The measurements that the sentence points at, then those of the segments it points at."""
        linked = self.linked_measurements(finding)
        segments = {e.segment_id for e in finding.evidence if e.segment_id}
        known = {m.id for m in linked}
        return (*linked, *(m for m in self.measurements.values()
                           if m.id not in known and segments & set(m.segment_ids)))  # fmt: skip


def context_of(
    report: Report,
    structures: Structures,
    *,
    volume: Volume | None = None,
    template: Template | None = None,
    segments: Iterable[Segment] = (),
    has_prior: bool = False,
    sides_confirmed: bool = True,
) -> GuardContext:
    """What is known when a report's sentences are checked: language, sex, modality and measurements of the report.

    `volume` adds what its file records where the report's identity is silent, and whether contrast medium is a fact: it
    is not where it was estimated or is unknown. `segments`: the masks of the scan, with those of the prior where
    sentences point at them. `has_prior`: an earlier study is loaded and accepted for this patient. `sides_confirmed` is
    False while left and right of the file are in doubt. Any thread.
    """
    identity = report.identity
    contrast = examination_of(volume).contrast if volume is not None else None
    return GuardContext(
        structures, report.language,
        modality=identity.modality or (volume.modality if volume is not None else "") or "",
        template=report.template,
        sex=identity.sex or (volume.patient.sex if volume is not None else ""),
        has_prior=has_prior,
        contrast=_CONTRASTS.get(contrast, "unknown"),
        segments={s.id: KnownSegment(s.id, s.term_id or "", s.side) for s in segments},
        measurements={m.id: m for m in report.measurements},
        sides_confirmed=sides_confirmed,
        listed=terms_of(template) if template is not None else frozenset(),
    )  # fmt: skip


def terms_of(template: Template) -> frozenset[str]:
    """The structures that a template lists, by term id: they may be named in its reports."""
    return frozenset(template.terms) | frozenset(template.prompts)
