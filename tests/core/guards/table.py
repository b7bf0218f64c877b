"""Prints what each guard finds: `python -m tests.core.guards.table [dev] [held] ... [final] [--errors] [--only GUARD]`.

Run it in the root of the repository. One line for each guard and language.
"""

from __future__ import annotations

import sys

from .measuring import FIRST_RUNS, GUARDS, HALVES, LANGUAGES, TARGETS, Score, scores

HEAD = (
    f"{'guard':<14}{'half':<6}{'lang':<5}{'templates':>9}{'found':>9}{'target':>19}{'false alarms':>16}{'others':>15}"
    f"{'first run: found, alarms (both languages)':>43}"
)


def row(score: Score) -> str:
    """One line: as it is now, and what the first run of the half found."""
    first = FIRST_RUNS.get(score.half, {}).get(score.guard)
    n = 2 * score.planted
    told = f"{first[0] / n:>9.1%}{first[1] / n:>7.1%}" if first else f"{'-':>9}{'-':>7}"
    found = f"{score.found:>7} / {score.planted:<5}{score.recall:>7.1%}{TARGETS[score.guard]:>7.0%}"
    alarms = f"{score.alarms:>7} / {score.clean:<5}{score.false_alarms:>6.1%}{score.others:>8}"
    return f"{score.guard:<14}{score.half:<6}{score.language:<5}{score.templates:>9}{found}{alarms}{told}"


def errors(score: Score) -> list[str]:
    """What was missed or wrongly marked, each text once."""
    found = [f"    missed: {text}" for text in sorted(set(score.missed))]
    return found + [f"    wrongly: {text}" for text in sorted(set(score.wrongly))]


def main(arguments: list[str]) -> None:
    """Print the halves that were named, else all; with --errors what was missed or wrongly marked."""
    only = arguments[arguments.index("--only") + 1] if "--only" in arguments else ""
    print(HEAD)
    for half in [half for half in HALVES if half in arguments] or HALVES:
        for score in scores(half, LANGUAGES, (only,) if only else GUARDS):
            print("\n".join([row(score), *(errors(score) if "--errors" in arguments else ())]))


if __name__ == "__main__":
    main(sys.argv[1:])
