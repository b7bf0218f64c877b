"""One report on its way, what it is made of, and what of it a session keeps. Qt-free."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

from medviewer.api import Prediction, Segment, Volume, reports
from medviewer.api.reports import DraftedReport, Evidence, Finding, KeptReport, Language, Reviewed

PLUGIN = "report_generation"


@dataclass(eq=False)
class Draft:
    """The report of one scan, and what it is made of. `masks`: those that its numbers rest on, by segment id.
    `added`: ids of segments that a draft added, and nobody accepted one by one. `waiting`: a draft that came while
    another scan was shown."""

    template: str = ""  # key; empty: chosen by the scan
    language: Language = "en"
    indication: str = ""
    reviewed: Reviewed | None = None
    answers: tuple[Prediction, ...] = ()
    masks: dict[str, Any] = field(default_factory=dict)
    added: set[str] = field(default_factory=set)
    sides_confirmed: bool = False
    waiting: tuple[DraftedReport, frozenset[str]] | None = None
    work: Literal["", "draft", "renew"] = ""
    job: Any = None
    turn: int = 0  # of the work: what an older one still says is passed over
    is_stale: bool = False  # masks changed since the numbers were measured
    problem: str = ""
    warnings: tuple[str, ...] = ()
    kept: Reviewed | None = None  # the one that a session would save

    @property
    def is_touched(self) -> bool:
        """Whether a person did anything to the report that a new draft would lose."""
        told = self.reviewed.trail if self.reviewed is not None else ()
        images = self.reviewed.report.key_images if self.reviewed is not None else ()
        return bool(images) or any(entry.action not in ("seen", "numbers_changed") for entry in told)

    @property
    def is_open(self) -> bool:
        """Whether the report may be changed."""
        return self.reviewed is not None and self.reviewed.report.status == "draft"


def restored(scan: Any) -> Draft | None:
    """The report that a session kept with a scan (`Scene.scans`); None where it kept none. Raises InputRefused."""
    text = scan.notes.get(PLUGIN, "")
    if not text:
        return None
    kept = reports.kept_report(text, scan.volume)
    report = kept.reviewed.report
    return Draft(
        kept.template, report.language, report.indication, kept.reviewed, kept.answers,
        {s.id: s.mask for s in scan.segments}, set(kept.added), kept.sides_confirmed, kept=kept.reviewed,
    )  # fmt: skip


def note_of(draft: Draft) -> str:
    """What a session keeps of a draft that has a report."""
    assert draft.reviewed is not None
    added = frozenset(draft.added)
    return reports.kept_text(KeptReport(draft.reviewed, draft.answers, draft.template, draft.sides_confirmed, added))


def place_of(evidence: Iterable[Evidence], volume: Volume) -> Evidence | None:
    """The first evidence that has a place in this scan: LPS mm, or voxel indices where the scan has no affine."""
    in_patient = volume.affine is not None
    return next((e for e in evidence if e.position is not None and e.in_patient == in_patient), None)


def segments_of(finding: Finding) -> frozenset[str]:
    """Ids of the segments that a sentence rests on."""
    return frozenset(e.segment_id for e in finding.evidence if e.segment_id)


def resting_on(reviewed: Reviewed, segment: Segment | None) -> frozenset[str]:
    """Ids of the sentences that rest on a segment."""
    if segment is None:
        return frozenset()
    return frozenset(f.id for f in reviewed.report.findings if segment.id in segments_of(f))
