"""Counts what the guards find among planted and clean cases."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache

from medviewer.core.guards import GuardContext, Structures, check_report
from medviewer.services.guard_words import guard_structures, guard_words

from .planted.cases import GUARDS, Case, cases

TARGETS = {"laterality": 0.95, "prior": 1.0, "measurement": 1.0, "modality": 1.0, "sex": 1.0, "contradiction": 0.9,
           "normal": 1.0, "no evidence": 1.0}  # fmt: skip
MOST_FALSE_ALARMS = 0.05
LANGUAGES = ("en", "de")
# dev: looked at while the guards were written; held: written before them, not run until they stood; fresh: written
# after that run; last: written after fresh had been run and learnt from, and run once; final: written before the
# guards were worked on again; study: written after it, and looked at all the time
HALVES = ("dev", "held", "fresh", "last", "study", "final")
# What the first run of a half found, before anything was changed because of its sentences: (found, false alarms) of 220
# each, study and final of 420. The figures of later runs say how well known wordings are read, these how well new ones
# are. Those of final were taken after the work on the word lists, before any of its sentences was looked at; before
# that work the same guards found, in the same order: 411, 363, 409, 420, 375, 391, 420, 420, with 15, 66, 14, 16, 0, 0,
# 0, 0 false alarms.
FIRST_RUNS = {
    "held": {"laterality": (217, 0), "prior": (220, 12), "measurement": (220, 8), "modality": (220, 0), "sex": (220, 0),
             "contradiction": (220, 0), "normal": (220, 0), "no evidence": (220, 0)},
    "fresh": {"laterality": (220, 19), "prior": (206, 43), "measurement": (220, 0), "modality": (220, 0),
              "sex": (211, 0), "contradiction": (202, 0), "normal": (220, 0), "no evidence": (220, 0)},
    "last": {"laterality": (190, 19), "prior": (199, 22), "measurement": (219, 0), "modality": (212, 0),
             "sex": (211, 0), "contradiction": (208, 0), "normal": (220, 0), "no evidence": (220, 0)},
    "study": {"laterality": (420, 54), "prior": (332, 99), "measurement": (420, 50), "modality": (412, 0),
              "sex": (273, 0), "contradiction": (304, 32), "normal": (420, 0), "no evidence": (420, 0)},
    "final": {"laterality": (411, 3), "prior": (420, 9), "measurement": (419, 0), "modality": (420, 3),
              "sex": (417, 0), "contradiction": (396, 20), "normal": (420, 0), "no evidence": (420, 0)},
}  # fmt: skip


@dataclass
class Score:
    """`found` of `planted`; `alarms`: clean cases that the guard itself marks, `others`: that any other guard marks."""

    guard: str
    half: str
    language: str = ""  # empty: both
    templates: int = 0
    planted: int = 0
    found: int = 0
    clean: int = 0
    alarms: int = 0
    others: int = 0
    missed: list[str] = field(default_factory=list)
    wrongly: list[str] = field(default_factory=list)

    @property
    def recall(self) -> float:
        return self.found / self.planted

    @property
    def false_alarms(self) -> float:
        return self.alarms / self.clean


@cache
def structures() -> Structures:
    return guard_structures()


def marked_by(case: Case) -> set[str]:
    """The guards that mark anything in the case's report."""
    context = GuardContext(structures(), case.language, **case.facts)  # type: ignore[arg-type]
    checked = check_report(case.report, context, guard_words())
    return {mark.guard for finding in checked.findings for mark in finding.marks}


@cache
def _run(guard: str, half: str) -> tuple[tuple[Case, frozenset[str]], ...]:
    """Every case of a half with the guards that mark it."""
    return tuple((case, frozenset(marked_by(case))) for case in cases(guard, half))


@cache
def measure(guard: str, half: str, language: str = "") -> Score:
    """The score of one guard on one half, in one language or in both."""
    score = Score(guard, half, language)
    kept = [(case, guards) for case, guards in _run(guard, half) if case.language == (language or case.language)]
    score.templates = len({(case.language, case.template) for case, _ in kept})
    for case, guards in kept:
        _count(case, guards, score)
    return score


def _count(case: Case, guards: frozenset[str], score: Score) -> None:
    if case.planted:
        score.planted += 1
        score.found += case.guard in guards
        if case.guard not in guards:
            score.missed.append(case.text)
        return
    score.clean += 1
    score.alarms += case.guard in guards
    others = guards - {case.guard}
    score.others += bool(others)
    if guards:
        score.wrongly.append(f"{sorted(guards)}: {case.text}")


def scores(half: str, languages: tuple[str, ...] = ("",), guards: tuple[str, ...] = GUARDS) -> list[Score]:
    """The guards on one half, in each of the languages ("": both together)."""
    return [measure(guard, half, language) for guard in guards for language in languages]
