"""Which scans are measured, and everything that is asked of one: by one process or by several."""

from __future__ import annotations

import json
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from multiprocessing import get_context
from pathlib import Path

import torch

from medviewer.core.terminology import Terminology
from medviewer.core.user_terms import with_user_terms
from medviewer.models.bundle import CONFIG
from medviewer.models.pipeline import TextSegmenter

from ..data.cases import CaseFile
from ..data.dev_cases import (
    DEV_PHANTOMS,
    HELD_PHANTOMS,
    Case,
    chosen_rows,
    manifest_cases,
    phantom_cases,
    stated,
)
from ..data.samples import Row
from ..data.terms import TERMINOLOGY
from .asking import Segmenter, score_case, score_sides
from .clicks import CASES_PER_SET, ClickRun, click_runs
from .options import Options
from .own_cases import case_of, own_cases
from .scores import Score
from .sides import TURNS, SideAnswer, side_answers, turned

MOST_PER_SCAN = 4  # structures of one scan that are corrected by clicks
SIDE_PHANTOMS = (9101,)


@dataclass(frozen=True)
class Job:
    """One scan: how to get it, and how many of its structures are corrected by clicks. `only_sides`: nothing else."""

    row: Row | None = None
    phantom: int | None = None
    own: CaseFile | None = None
    clicks: int = 0
    only_sides: bool = False

    def load(self, data: Path) -> Case:
        """The scan with its truth. Raises InputRefused for a user's file that cannot be read."""
        if self.own is not None:
            return case_of(self.own)
        if self.phantom is not None:
            return next(phantom_cases([self.phantom]))
        assert self.row is not None
        return next(manifest_cases(data, [self.row]))


@dataclass
class Measured:
    """Everything that was answered."""

    scores: list[Score] = field(default_factory=list)
    clicks: list[ClickRun] = field(default_factory=list)
    sides: list[SideAnswer] = field(default_factory=list)

    def add(self, other: Measured) -> None:
        self.scores += other.scores
        self.clicks += other.clicks
        self.sides += other.sides


def plan_jobs(options: Options) -> list[Job]:
    """Every scan of a run, the same in every process."""
    if options.is_own:
        return _with_clicks([Job(own=case) for case in own_cases(options)], lambda job: "own")
    rows = chosen_rows(options.data, options.split, options.sets or None, options.most, options.tiers)
    jobs = _with_clicks([Job(row=row) for row in rows], lambda job: job.row["set"] if job.row else "")
    if options.sets and "phantom" not in options.sets:
        return jobs
    seeds = DEV_PHANTOMS if options.split == "dev" else HELD_PHANTOMS
    return [*jobs, *(Job(phantom=s) for s in seeds), *(Job(phantom=s, only_sides=True) for s in SIDE_PHANTOMS)]


def _with_clicks(jobs: Sequence[Job], group_of: Callable[[Job], str]) -> list[Job]:
    """Up to twelve corrected structures per set: one per scan, more where a set has few scans."""
    groups: dict[str, list[Job]] = defaultdict(list)
    for job in jobs:
        groups[group_of(job)].append(job)
    planned = []
    for group in groups.values():
        share = max(1, min(MOST_PER_SCAN, CASES_PER_SET // len(group)))
        planned += [replace(job, clicks=share if n < CASES_PER_SET else 0) for n, job in enumerate(group)]
    return planned


def measure(options: Options) -> Measured:
    """All jobs, in this process or in `options.parts` processes."""
    if options.parts <= 1:
        return measure_part(options, 0)
    total = Measured()
    given = replace(options, say=print)  # what a caller prints with may not travel to another process
    with ProcessPoolExecutor(options.parts, get_context("spawn")) as pool:
        for part in pool.map(measure_part, [given] * options.parts, range(options.parts)):
            total.add(part)
    return total


def measure_part(options: Options, number: int) -> Measured:
    """The share of one process: every n-th job."""
    torch.set_num_threads(options.threads)
    segmenter = TextSegmenter.load(options.bundle, options.device)
    jobs = plan_jobs(options)[number :: max(1, options.parts)]
    return measure_jobs(options, segmenter, terminology_of(options.bundle), jobs)


def terminology_of(bundle: Path) -> Terminology:
    """The program's terminology with the terms that the bundle brings along."""
    stated = json.loads((bundle / CONFIG).read_text(encoding="utf-8")).get("user_terms", [])
    return with_user_terms(json.loads(TERMINOLOGY.read_text(encoding="utf-8")), stated)


def measure_jobs(options: Options, segmenter: Segmenter, terminology: Terminology, jobs: Iterable[Job]) -> Measured:
    """Ask everything of each scan while its embedding is at hand. Raises InputRefused for a user's unreadable case."""
    found = Measured()
    chosen, start = list(jobs), time.monotonic()
    for number, job in enumerate(chosen):
        case = job.load(options.data)
        case = stated(case) if options.state_modality else case
        measure_case(found, options, segmenter, terminology, case, job)
        if (number + 1) % 25 == 0 and options.parts <= 1:
            print(f"{number + 1} of {len(chosen)} scans, {time.monotonic() - start:.0f} s", file=sys.stderr)
    return found


def measure_case(
    found: Measured, options: Options, segmenter: Segmenter, terminology: Terminology, case: Case, job: Job
) -> None:
    """The tables that ask about one scan."""
    if options.asks("bars", "absent", "calibration") and not job.only_sides:
        found.scores += list(score_case(segmenter, terminology, case, options.asks("absent", "calibration")))
        if job.phantom is not None:
            found.scores += list(score_sides(segmenter, terminology, case))
    if options.asks("clicks") and job.clicks:
        found.clicks += list(click_runs(segmenter, terminology, case, job.clicks))
    if options.asks("sides"):
        for order, back in TURNS if job.only_sides else TURNS[:1]:
            here = case if (order, back) == TURNS[0] else turned(case, order, back)
            found.sides += list(side_answers(segmenter, terminology, here))
