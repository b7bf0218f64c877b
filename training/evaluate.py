"""Measure a bundle on the development rows: `python -m training.evaluate --data ../shared/data --out results.json`.

Every row goes through the readers, the prompt parser and `medviewer.models.pipeline`, as a user's scan would. Dice is
taken where a structure is labelled and visible; "not found" counts 0. Absence: how often the model finds structures
that the set annotates throughout and that are not there, or that lie in another part of the body.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from medviewer.core.phantom import torso_phantom
from medviewer.core.prompts import parse_prompt
from medviewer.core.terminology import Terminology
from medviewer.core.volume import Volume
from medviewer.io.atomic import write_text_atomic
from medviewer.models.pipeline import TextSegmenter

from .data.dev_cases import Case, dev_cases
from .data.samples import read_rows, row_labels
from .data.sets import load_sets
from .data.terms import load_terminology, term_id
from .export import RESOURCES

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Score:
    """One prompt on one scan; `dice` is None where the structure is absent."""

    set: str
    modality: str
    structure: str
    dice: float | None
    presence: float | None
    found: bool
    answer: str


def main() -> None:
    """Parse the command line, measure, print, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--bundle", type=Path, default=RESOURCES / "models" / "default")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--sets", nargs="*", help="only these sets")
    parser.add_argument("--most", type=int, default=10_000, help="rows per set")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    start = time.monotonic()
    with ProcessPoolExecutor(options.workers, get_context("spawn")) as pool:
        parts = pool.map(score_part, [options] * options.workers, range(options.workers))
        report = summarise([score for part in parts for score in part])
    report["overall"] = overall(report, train_counts(options.data))
    print_report(report, time.monotonic() - start)
    if options.out:
        write_text_atomic(options.out, json.dumps(report, indent=1))


def score_part(options: argparse.Namespace, number: int) -> list[Score]:
    """The share of one worker process: every n-th dev row; the last worker also takes the phantom."""
    torch.set_num_threads(1)
    segmenter = TextSegmenter.load(options.bundle, options.device)
    terminology = load_terminology()
    scores = []
    for case in dev_cases(options.data, options.sets, options.most, (number, options.workers)):
        scores += list(score_case(segmenter, terminology, case))
    if number == options.workers - 1 and (not options.sets or "phantom" in options.sets):
        scores += list(score_phantom(segmenter, terminology))
    return scores


def dice(mask: Mask, truth: Mask) -> float:
    """Dice coefficient; 1 where both are empty."""
    total = int(mask.sum()) + int(truth.sum())
    return 1.0 if total == 0 else 2.0 * int((mask & truth).sum()) / total


def score_case(segmenter: TextSegmenter, terminology: Terminology, case: Case) -> Iterator[Score]:
    """Every labelled structure of a scan, and some that are known to be absent."""
    for name, truth in case.truths.items():
        yield _ask(segmenter, terminology, case.set, case.modality, case.volume, name, truth)
    for name in case.absent:
        yield _ask(segmenter, terminology, case.set, case.modality, case.volume, name, None)


def _ask(
    segmenter: TextSegmenter, terminology: Terminology, set_name: str, modality: str, volume: Volume, name: str,
    truth: Mask | None,
) -> Score:
    wording = terminology.get(term_id(name, terminology)).name
    answer = segmenter.segment(volume, parse_prompt(wording, terminology))
    value = None if truth is None else dice(answer.mask, truth)
    return Score(set_name, modality, name, value, answer.presence, answer.found, str(answer.answer))


def score_phantom(segmenter: TextSegmenter, terminology: Terminology) -> Iterator[Score]:
    """The demonstration's phantom, never trained on."""
    phantom = torso_phantom(0)
    for text in ("liver", "lung", "left lung", "right lung", "kidney", "left kidney", "right kidney", "spleen", "heart",
                 "aorta", "spine", "stomach", "rib"):
        prompt = parse_prompt(text, terminology)
        assert prompt.term is not None
        answer = segmenter.segment(phantom.volume, prompt)
        value = dice(answer.mask, phantom.mask(prompt.term.id, prompt.side))
        yield Score("phantom", "CT", text, value, answer.presence, answer.found, str(answer.answer))


def summarise(scores: list[Score]) -> dict[str, Any]:
    """Rows per set and structure; per trained name and modality ("terms", without the phantom); absence figures."""
    groups: dict[tuple[str, str], list[Score]] = defaultdict(list)
    terms: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for score in scores:
        groups[score.set, score.structure].append(score)
        if score.dice is not None and score.set != "phantom":
            terms[score.structure][score.modality].append(score.dice)
    rows = [_row(key, group) for key, group in sorted(groups.items())]
    absent = [s for s in scores if s.dice is None]
    return {
        "rows": [row for row in rows if row["n"]],
        "absent": {"n": len(absent), "found": sum(s.found for s in absent)},
        "absent_rows": [row for row in rows if row["absent_n"]],
        "terms": {t: {m: {"dice": round(float(np.mean(v)), 4), "n": len(v)} for m, v in per.items()}
                  for t, per in sorted(terms.items())},
    }


def train_counts(data: Path) -> dict[str, int]:
    """Trained name to the number of train rows (pictures, volumes) labelled with it."""
    sets = load_sets()
    counts: dict[str, int] = defaultdict(int)
    for row in read_rows(data, "train"):
        if row["set"] in sets and isinstance(json.loads(row["labels"] or "{}"), dict):
            for name in sets[row["set"]].values(row_labels(row)):
                counts[name] += 1
    return counts


def overall(report: dict[str, Any], counts: dict[str, int], least: int = 10) -> dict[str, Any]:
    """Mean over structures with at least `least` train rows of their mean Dice over all dev rows that show them."""
    means = {}
    for name, per_modality in report["terms"].items():
        if counts.get(name, 0) >= least:
            weights = [entry["n"] for entry in per_modality.values()]
            means[name] = float(np.average([entry["dice"] for entry in per_modality.values()], weights=weights))
    mean = float(np.mean(list(means.values()))) if means else None
    return {"least_train_rows": least, "structures": means, "mean_dice": mean}


def _row(key: tuple[str, str], group: list[Score]) -> dict[str, Any]:
    values = [s.dice for s in group if s.dice is not None]
    absent = [s for s in group if s.dice is None]
    return {
        "set": key[0], "structure": key[1], "n": len(values),
        "dice": round(float(np.mean(values)), 4) if values else None,
        "found": sum(s.found for s in group if s.dice is not None),
        "absent_n": len(absent), "absent_found": sum(s.found for s in absent),
    }


def print_report(report: dict[str, Any], seconds: float) -> None:
    """A table for people."""
    for row in report["rows"]:
        print(f"{row['set']:28} {row['structure']:32} Dice {row['dice']:.3f}  n {row['n']:4}  found {row['found']}")
    if report["overall"]["mean_dice"] is not None:
        names = report["overall"]["structures"]
        print(f"mean over {len(names)} structures with >= 10 train rows: {report['overall']['mean_dice']:.3f}")
    print(f"absent: {report['absent']['found']} of {report['absent']['n']} wrongly found; {seconds:.0f} s")


if __name__ == "__main__":
    main()
