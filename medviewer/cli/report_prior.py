"""`medviewer report --prior`: the earlier study, its masks, and what the command tells of the comparison."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from medviewer.cli.options import require_path
from medviewer.core.errors import WrongUsage

if TYPE_CHECKING:
    from medviewer.api.requests import ReportRequest
    from medviewer.core.comparison import Change, Comparison, Match
    from medviewer.core.progress import Progress
    from medviewer.core.report.audit import Reviewed
    from medviewer.core.report.document import Report
    from medviewer.core.segmentation import Segment
    from medviewer.core.volume import Volume
    from medviewer.services.report_drafting import DraftedReport

Prior = Annotated[
    Path | None, typer.Option("--prior", metavar="PATH", help="An earlier study of this patient to compare with.")
]
PriorMasks = Annotated[
    Path | None,
    typer.Option("--prior-masks", metavar="FILE", help="Masks of the prior; without, the model is asked for them."),
]
PriorReason = Annotated[
    str, typer.Option("--prior-reason", metavar="TEXT", help="Why a prior with another ID, birth date or sex is used.")
]
PriorSeries = Annotated[str | None, typer.Option("--prior-series", metavar="ID", help="Id of the prior's series.")]


@dataclass(frozen=True)
class PriorCall:
    """The options about the prior."""

    path: Path
    masks: Path | None = None
    reason: str = ""
    series: str | None = None


@dataclass(frozen=True, eq=False)
class OpenedPrior:
    """The prior, checked against the scan, and the masks of the file. `ask`: the model is asked for its masks."""

    call: PriorCall
    volume: Volume
    segments: tuple[Segment, ...]

    @property
    def ask(self) -> bool:
        return self.call.masks is None


def prior_call(path: Path | None, masks: Path | None, reason: str, series: str | None) -> PriorCall | None:
    """The options as one, None without a prior. Raises WrongUsage for options that need one, InputRefused for a path
    that does not exist."""
    if path is None:
        if masks is not None or reason or series is not None:
            raise WrongUsage("--prior-masks, --prior-reason and --prior-series belong to a prior.", "Add --prior PATH.")
        return None
    require_path(path)
    return PriorCall(path, None if masks is None else require_path(masks), reason, series)


def opened_prior(
    call: PriorCall | None, volume: Volume, modality: str | None, progress: Progress
) -> OpenedPrior | None:
    """The prior as a volume; whose it is is checked before the model does any work. Raises WrongUsage for the same
    study and for another patient without a reason, and what opening raises."""
    if call is None:
        return None
    from medviewer.services.comparison import allowed_prior
    from medviewer.services.open_data import open_volume
    from medviewer.services.save_data import read_mask

    prior = open_volume(call.path, call.series, progress, modality)
    allowed_prior(volume, prior, call.reason)
    segments = () if call.masks is None else tuple(read_mask(call.masks, prior))
    return OpenedPrior(call, prior, segments)


def with_prior(
    logic: Any, volume: Volume, drafted: DraftedReport, request: ReportRequest, prior: OpenedPrior, progress: Progress
) -> DraftedReport:
    """The draft again, with the comparison: the prior's masks are found by the template of the draft, where no file
    gives them, and both studies are measured, registered and compared. Raises Cancelled, ModelMissing."""
    from medviewer.services.comparison import CompareRequest

    template = drafted.report.template
    asked = replace(request, segments=prior.segments, template=template, ask=prior.ask, answers=())
    masks = logic.prior_masks(prior.volume, asked, progress.part(0.0, 0.5))
    compare = CompareRequest(
        drafted.segments, masks.segments, prior.call.reason, request.language, template, accepted=request.accepted
    )
    comparison = logic.compare(volume, prior.volume, compare, progress.part(0.5, 0.8))
    again = replace(
        request, segments=drafted.segments, answers=drafted.answers, template=template, ask=False,
        prior_study=comparison.study,
    )  # fmt: skip
    found: DraftedReport = logic.run(volume, again, progress.part(0.8, 1.0))
    seconds = {**drafted.seconds, **{k: v for k, v in found.seconds.items() if k != "segment"}}
    warnings = (*drafted.warnings, *(f"Prior: {line}" for line in masks.warnings))
    return replace(found, warnings=tuple(dict.fromkeys(warnings)), seconds=seconds)


def with_trail(content: Report | Reviewed, comparison: Comparison | None) -> Report | Reviewed:
    """The report with an entry of the prior, and of the reason where its identity differs, in the audit trail."""
    if comparison is None:
        return content
    from medviewer.core.report.audit import Reviewed
    from medviewer.services.comparison_draft import prior_entry
    from medviewer.services.report_drafting import now

    reviewed = content if isinstance(content, Reviewed) else Reviewed(content)
    return reviewed.with_report(reviewed.report, prior_entry(reviewed, comparison, now()))


def prior_document(call: PriorCall | None, comparison: Comparison | None) -> dict[str, Any]:
    """What the JSON output tells of the comparison; nothing without a prior."""
    if call is None or comparison is None:
        return {}
    study, registration = comparison.study, comparison.registration
    placed = None if registration is None else {
        "quality": registration.quality, "statement": registration.statement(),
        "prior_to_current_lps_mm": registration.matrix.tolist(), "turn_deg": round(registration.turn_deg, 2),
        "shift_mm": round(registration.shift_mm, 1), "overlap": registration.overlap,
        "metric_before": registration.metric_before, "metric_after": registration.metric_after,
        "same_frame_of_reference": registration.same_frame,
    }  # fmt: skip
    return {"comparison": {
        "prior": str(call.path), "date": study.facts.date, "modality": study.facts.modality,
        "slice_thickness_mm": study.facts.slice_thickness_mm, "phase": study.facts.phase or None,
        "identity_differs": list(study.differing), "identity_unknown": list(study.unknown), "reason": study.reason,
        "later_than_current": study.later, "text": comparison.text, "mismatches": list(comparison.mismatches),
        "registration": placed, "changes": [_change(change) for change in comparison.changes],
        "not_compared": [_unmatched(match) for match in comparison.unmatched],
    }}  # fmt: skip


def _change(change: Change) -> dict[str, Any]:
    return {
        "structure": change.match.name, "term": change.match.term_id, "side": change.current.side or change.match.side,
        "matched_by": change.match.how, "quantity": change.quantity, "unit": change.unit,
        "current": change.current.value, "prior": change.prior.value, "difference": change.difference,
        "percent": change.percent, "error": change.error, "verdict": change.verdict, "reason": change.reason,
        "text": change.text,
    }  # fmt: skip


def _unmatched(match: Match) -> dict[str, Any]:
    return {"structure": match.name, "side": match.side, "reason": match.reason, "text": match.reason_text}


def prior_lines(comparison: Comparison | None) -> tuple[str, ...]:
    """What the command prints of the comparison beside the sentences of the report."""
    return () if comparison is None else (f"Comparison: {comparison.text}",)
