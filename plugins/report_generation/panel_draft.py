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
    another scan was shown. `recovered`: id of the report that came back after a crash."""

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
    prior: Any = None  # PriorWork: what it is compared with
    kept: Reviewed | None = None  # the one that a session would save
    recovered: str = ""

    @property
    def study(self) -> Any:
        """The study that it is compared with; None without one."""
        return self.prior.study if self.prior is not None else None

    @property
    def is_recovered(self) -> bool:
        """Whether the report that is shown came back after a crash."""
        return self.reviewed is not None and self.reviewed.report.id == self.recovered

    @property
    def is_touched(self) -> bool:
        """Whether a person did anything to the report that a new draft would lose."""
        told = self.reviewed.trail if self.reviewed is not None else ()
        images = self.reviewed.report.key_images if self.reviewed is not None else ()
        return bool(images) or any(entry.action not in ("seen", "numbers_changed") for entry in told)

    @property
    def was_signed(self) -> bool:
        """Whether a version of the report was signed: it is kept, and what follows is a version of it."""
        return self.reviewed is not None and bool(self.reviewed.report.signatures or self.reviewed.earlier)

    @property
    def is_open(self) -> bool:
        """Whether the report may be changed."""
        return self.reviewed is not None and self.reviewed.report.status == "draft"


def restored(scan: Any) -> Draft | None:
    """The report that a session or the journal of a crash kept with a scan (`Scene.scans`); None where neither did.
    After a crash its masks may be newer than its numbers: they are measured again, unless the report compares with an
    earlier study, which has to be loaded first. Raises InputRefused."""
    text = scan.notes.get(PLUGIN, "")
    if not text:
        return None
    kept = reports.kept_report(text, scan.volume)
    report = kept.reviewed.report
    crashed = PLUGIN in scan.recovered_notes
    compares = any(m.quantity.endswith(("_before", "_change")) for m in report.measurements)
    return Draft(
        kept.template, report.language, report.indication, kept.reviewed, kept.answers,
        {s.id: s.mask for s in scan.segments}, set(kept.added), kept.sides_confirmed, kept=kept.reviewed,
        is_stale=crashed and not compares, recovered=report.id if crashed else "",
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
