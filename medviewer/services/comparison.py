"""The comparison with an earlier study from its scan on: who it is of, its sizes on its own slices, its registration.

`compare_with_prior` is the slow whole, once for a prior; `compare_again` needs no voxel of the prior any more.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import ArrayLike

from medviewer.core.comparison import (
    Comparison,
    ComparisonRules,
    PriorCheck,
    PriorStudy,
    RecistInput,
    RecistResult,
    Registration,
    Wording,
    check_prior,
    compare,
    comparison_rules,
    facts_of,
    recist,
    sizes_of,
)
from medviewer.core.errors import WrongUsage
from medviewer.core.geometry import voxel_to_lps
from medviewer.core.plain_text import one_line
from medviewer.core.progress import Progress, silent
from medviewer.core.report.document import Language, Measurement, Point
from medviewer.core.report.drafting import BELOW_THRESHOLD
from medviewer.core.report.template import GENERAL, Template
from medviewer.core.segmentation import Segment
from medviewer.core.volume import Volume
from medviewer.services import registration
from medviewer.services.report_sides import as_shown, sides_warnings
from medviewer.services.report_templates import report_templates, report_words
from medviewer.services.resources import measure_rules, read_data_file, resource_path, terminology


@dataclass(frozen=True, eq=False)
class CompareRequest:
    """How two studies are compared. `segments` lie on the grid of the current scan, `prior_segments` on the prior's.

    `reason`: why a prior is used whose ID, birth date or sex differs. `template`: key of the report, for its words and
    choice of numbers ("" means the general one). `accepted`: ids of masks below the threshold that a person accepted.
    `sides_confirmed` and `prior_sides_confirmed`: a person confirmed left and right of the file. `register`: whether
    the prior is laid over the current scan.
    """

    segments: tuple[Segment, ...] = ()
    prior_segments: tuple[Segment, ...] = ()
    reason: str = ""
    language: str = "en"
    template: str = ""
    register: bool = True
    accepted: frozenset[str] = frozenset()
    sides_confirmed: bool = False
    prior_sides_confirmed: bool = False


@dataclass(frozen=True, eq=False)
class PriorMasks:
    """The masks of a prior: those given, then those found now. `answers` hold no masks."""

    segments: tuple[Segment, ...] = ()
    answers: tuple[object, ...] = ()
    warnings: tuple[str, ...] = ()


@cache
def rules() -> ComparisonRules:
    """The shipped words and numbers of comparisons."""
    return comparison_rules(read_data_file(resource_path("report/comparison.toml")))


def prior_check(volume: Volume, prior: Volume, language: Language = "en") -> PriorCheck:
    """Whether the two scans may be compared, by what their files record. Milliseconds; any thread."""
    return check_prior(volume, prior, rules(), language)


def compare_with_prior(
    volume: Volume, prior: Volume, request: CompareRequest, progress: Progress | None = None
) -> Comparison:
    """Compare the masks of two studies: check the person, measure the prior on its own grid, register, match.

    Worker threads; seconds. Raises WrongUsage where both are one study or the identity differs without a reason,
    Cancelled, ValueError for a mask on another grid.
    """
    progress = progress or silent()
    checked = allowed_prior(volume, prior, request.reason, _language(request.language))
    progress.report(0.0, "Measuring the prior")
    study = _study(prior, checked, request)
    progress.report(0.3, "Registering")
    if request.register:
        found = registration.register_rigid(volume, prior, progress.part(0.3, 0.8), rules())
        study = study.with_registration(found)
    progress.report(0.8, "Comparing")
    return compare_again(volume, study, request, progress.part(0.8, 1.0))


def compare_again(
    volume: Volume, study: PriorStudy, request: CompareRequest, progress: Progress | None = None
) -> Comparison:
    """The comparison with the masks of now and, after a nudge, the position of now; no voxel of the prior is read.
    Worker threads. Raises Cancelled, ValueError for a mask on another grid."""
    progress = progress or silent()
    progress.check_cancelled()
    template = report_templates().get(request.template or GENERAL)
    shown = as_shown(volume, request.segments, template)
    doubtful = not request.sides_confirmed and bool(sides_warnings(volume, shown))
    usable = [s for s in shown if _is_usable(s, request.accepted, doubtful)]
    return compared(volume, usable, study, template, _language(request.language))


def compared(
    volume: Volume, segments: Iterable[Segment], study: PriorStudy, template: Template, language: Language,
    known: Iterable[Measurement] = (),
) -> Comparison:  # fmt: skip
    """The comparison in the words of a report. `segments`: only masks that sentences may rest on; `known`: their
    measurements where those were made already."""
    wording = Wording(template, report_words(language), terminology(), rules(), measure_rules(language))
    in_order = sorted(segments, key=lambda s: {"right": 0, "left": 1}.get(s.side or "", 2))  # as reports list sides
    return compare(volume, in_order, study, wording, known)


def allowed_prior(volume: Volume, prior: Volume, reason: str, language: Language = "en") -> PriorCheck:
    """The check of a prior that may be used. Raises WrongUsage for the same study, and for another ID, birth date or
    sex without a reason."""
    checked = prior_check(volume, prior, language)
    if checked.refused:
        raise WrongUsage(rules().text("en", "same_study"), "Choose an earlier study of this patient.")
    if checked.needs_reason and not one_line(reason):
        told = rules().text("en", "identity_differs", list=rules().listed("en", checked.differing))
        hint = "Choose a study of this patient, or give the reason why this one is used (--prior-reason)."
        raise WrongUsage(told, hint)
    return checked


def nudged(study: PriorStudy, shift_mm: ArrayLike = (0, 0, 0), turn_deg: ArrayLike = (0, 0, 0)) -> PriorStudy:
    """The prior moved by hand over the current scan: LPS mm, and degrees about the patient's axes through the middle of
    the current scan (without a registration: of the prior). Its registration is "by hand" then."""
    before = study.registration or Registration(np.eye(4), "not checked", centre=_middle(study))
    return study.with_registration(registration.worded(registration.nudged(before, shift_mm, turn_deg), rules()))


def assess(case: RecistInput) -> RecistResult:
    """RECIST 1.1: see `medviewer.core.comparison.recist`; its reasons have words."""
    return recist(case, rules())


# -- parts -----------------------------------------------------------------------------
def _study(prior: Volume, checked: PriorCheck, request: CompareRequest) -> PriorStudy:
    template = report_templates().get(request.template or GENERAL)
    shown = as_shown(prior, request.prior_segments, template)
    doubtful = not request.prior_sides_confirmed and bool(sides_warnings(prior, shown))
    usable = tuple(s for s in shown if _is_usable(s, request.accepted, False))
    sizes = sizes_of(prior, usable, measure_rules(_language(request.language)), rules())
    return PriorStudy(
        facts_of(prior), usable, sizes.measurements, sizes.errors, prior.affine, prior.shape, None,
        checked.differing, checked.unknown, checked.later, one_line(request.reason), request.accepted, doubtful,
    )  # fmt: skip


def _middle(study: PriorStudy) -> Point:
    if study.affine is None:
        return 0.0, 0.0, 0.0
    x, y, z = voxel_to_lps(study.affine, [(n - 1) / 2 for n in study.shape])
    return float(x), float(y), float(z)


def _is_usable(segment: Segment, accepted: frozenset[str], sides_doubtful: bool) -> bool:
    if BELOW_THRESHOLD in segment.provenance.tags and segment.id not in accepted:
        return False
    return not (sides_doubtful and segment.side)


def _language(text: str) -> Language:
    return "de" if text == "de" else "en"

