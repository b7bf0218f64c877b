"""From scan and masks to a checked draft: choose a template, ask for its structures, measure, write. Qt-free."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from medviewer.api import ModelMissing, Prediction, Progress, ReportRequest, Segment, SegmentRequest, Volume, reports
from medviewer.api.reports import (
    CompareRequest,
    Comparison,
    DraftCase,
    DraftedReport,
    LanguageAnswer,
    LanguageModel,
    LanguageRequest,
    Moment,
    PriorMasks,
    PriorStudy,
    Report,
    Reviewed,
    Template,
    Templates,
)

from .asking import Ask, Asking
from .choosing import Choice, choose
from .language import check_ready, described, language_model
from .parameters import Parameters

_ASKED = 0.85  # share of the work that asking the model takes


def _nobody(volume: Volume, request: SegmentRequest, progress: Progress) -> Prediction:
    raise ModelMissing("There is no plugin that finds structures.", "Install medviewer again.")


class ReportGeneration:
    """Logic of the plugin. The model belongs to the text segmentation, which `connect` hands over: it is loaded once
    for both, and what it encoded of a scan serves both."""

    def __init__(self, parameters: Parameters | None = None, ask: Ask = _nobody) -> None:
        self.parameters = parameters or Parameters()
        self._ask = ask

    def connect(self, ask: Ask) -> None:
        """Called by the plugin host: `ask(volume, SegmentRequest, progress)` answers one prompt."""
        self._ask = ask

    def run(self, volume: Volume, request: ReportRequest, progress: Progress) -> DraftedReport:
        """A draft with the masks it rests on: those of the request, then those found now.

        Raises WrongUsage (unknown template or language), ModelMissing, Cancelled, ValueError for a mask on another
        grid.
        """
        begun = time.perf_counter()
        templates = reports.report_templates()
        language = reports.report_language(request.language)
        asking = Asking(self._ask, volume, self._settled(request))
        template = self._filled(templates, asking, progress.part(0.0, _ASKED))
        asked = time.perf_counter() - begun
        case = DraftCase(template, language, tuple(asking.segments), tuple(asking.answers), request.by_hand,
                         request.indication, request.prior, request.accepted, request.sides_confirmed,
                         prior_study=request.prior_study, recist=request.recist)  # fmt: skip
        drafted = reports.draft(volume, case, progress.part(_ASKED, 1.0))
        return replace(
            drafted, seconds={"segment": asked, **drafted.seconds}, warnings=(*templates.problems, *asking.warnings)
        )

    def redraft(
        self, volume: Volume, reviewed: Reviewed, request: ReportRequest, moment: Moment, progress: Progress
    ) -> Reviewed:
        """The report with the masks of now (`request.segments`, all of them): nothing is asked of the model. Sentences
        whose numbers changed are marked, a person's words stay, and every sentence is checked again."""
        template = reports.report_templates().get(reviewed.report.template)
        case = DraftCase(template, reviewed.report.language, request.segments, request.answers, request.by_hand,
                         request.indication, request.prior, request.accepted, request.sides_confirmed,
                         prior_study=request.prior_study, recist=request.recist)  # fmt: skip
        return reports.redraft(volume, reviewed, case, moment, progress)

    def check_again(
        self, volume: Volume, reviewed: Reviewed, segments: Iterable[Segment], has_prior: bool, progress: Progress
    ) -> Reviewed:
        """Fresh marks on every sentence; takes milliseconds, so that a panel may call `reports.check_again` itself."""
        progress.check_cancelled()
        return reports.check_again(volume, reviewed, segments, has_prior=has_prior)

    def prior_masks(self, prior: Volume, request: ReportRequest, progress: Progress) -> PriorMasks:
        """The masks of an earlier study: those of the request, then (with `ask`) those that the report's template asks
        for. Raises WrongUsage (unknown template), ModelMissing, Cancelled."""
        asking = Asking(self._ask, prior, self._settled(request))
        if request.ask:
            asking.fill(reports.report_templates().get(request.template or reports.GENERAL), progress)
        return PriorMasks(tuple(asking.segments), tuple(asking.answers), tuple(asking.warnings))

    def compare(self, volume: Volume, prior: Volume, request: CompareRequest, progress: Progress) -> Comparison:
        """Two studies side by side; `Comparison.study` goes into later requests. Raises WrongUsage (the same study,
        another patient without a reason), Cancelled."""
        return reports.compare_with_prior(volume, prior, request, progress)

    def compare_again(
        self, volume: Volume, study: PriorStudy, request: CompareRequest, progress: Progress
    ) -> Comparison:
        """The comparison after masks changed or the registration was nudged. Raises Cancelled."""
        return reports.compare_again(volume, study, request, progress)

    def language_model(self, folder: Path, progress: Progress) -> LanguageModel:
        """What a folder of a vision-language model holds. Raises InputRefused."""
        progress.check_cancelled()
        return language_model(folder)

    def check_language(self, language: LanguageRequest, progress: Progress) -> None:
        """Raise now what would keep the model from answering later: licence, package, device, memory."""
        progress.check_cancelled()
        check_ready(language)

    def describe(
        self, volume: Volume, report: Report, request: ReportRequest, language: LanguageRequest, progress: Progress
    ) -> LanguageAnswer:
        """Sentences of a vision-language model for a report, which `reports.add_model_sentences` puts in. The text so
        far comes with the progress, behind `language.WRITING`. Raises InputRefused, ModelMissing, Cancelled."""
        return described(self._ask, volume, report, self._settled(request), language, progress)

    def _settled(self, request: ReportRequest) -> ReportRequest:
        return replace(request, model_id=request.model_id or self.parameters.model_id)

    def _filled(self, templates: Templates, asking: Asking, progress: Progress) -> Template:
        """The template, after its structures were asked for."""
        named = asking.request.template
        if named:
            choice = Choice(templates.get(named), templates.get(named))
        else:
            choice = choose(templates, asking, progress.part(0.0, 0.4))
        if asking.request.ask:
            asking.fill(choice.asks, progress.part(0.0 if named else 0.4, 1.0))
        return choice.template
