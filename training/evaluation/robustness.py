"""How much Dice falls when pictures are corrupted: per modality, corruption and severity, on development pictures.

A fixed few pictures per set are asked for every structure that they show, clean and corrupted. What falls is told as
the relative drop (clean - corrupted) / clean of the same prompts, in the manner of the relative errors of MedMNIST-C
(Di Salvo et al. 2024, arXiv 2406.17536). A structure that is not found counts 0.
"""

from __future__ import annotations

import csv
import io
import zlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from medviewer.core.errors import InputRefused, WrongUsage
from medviewer.core.progress import Progress, silent
from medviewer.core.prompts import parse_prompt
from medviewer.core.terminology import Terminology
from medviewer.core.volume import Volume
from medviewer.io.atomic import write_text_atomic
from medviewer.models.pipeline import TextSegmenter
from medviewer.models.preprocessing import robust_range

from ..data.dev_cases import Case, dev_cases
from ..data.samples import read_rows
from ..data.terms import load_terminology, term_id
from ..transforms.corruptions import CORRUPTIONS, SEVERITIES, corrupt, names_for

CLEAN = "clean"
PICTURES_PER_SET = 6
Mask = NDArray[np.bool_]


class Predictor(Protocol):
    """What is measured."""

    def predict(self, picture: Volume, text: str) -> Mask:
        """The mask of what `text` names, on the grid (i, j, k) of `picture`; empty where it was not found."""


class TextPredictor:
    """A segmenter of the program as a predictor. Give it a segmenter without a store: every picture is seen once."""

    def __init__(self, segmenter: TextSegmenter, terminology: Terminology | None = None) -> None:
        self.segmenter, self.terminology = segmenter, terminology or load_terminology()

    def predict(self, picture: Volume, text: str) -> Mask:
        """The mask (i, j, k) of one prompt; raises what `TextSegmenter.segment` raises."""
        return self.segmenter.segment(picture, parse_prompt(text, self.terminology)).mask


@dataclass(frozen=True)
class RobustnessRow:
    """One cell of the table. `severity` is 0 for `corruption` "clean"; `n` prompts on `pictures` pictures; `drop` is
    relative to the clean Dice of the same prompts (0.1: a tenth is lost; below 0: better than clean)."""

    modality: str
    corruption: str
    severity: int
    dice: float
    drop: float
    n: int
    pictures: int


def robustness_rows(
    segmenter: Predictor | TextSegmenter,
    data: Path,
    *,
    most: int = PICTURES_PER_SET,
    sets: Sequence[str] | None = None,
    corruptions: Sequence[str] | None = None,
    severities: Sequence[int] = SEVERITIES,
    progress: Progress | None = None,
) -> list[RobustnessRow]:
    """Measure on at most `most` 2D development pictures of every set, always the same ones (chosen by a hash).

    `data`: folder of the manifest. `corruptions`: names to take, where they apply; default all. About 110 predictions
    per picture and structure with all corruptions and severities. Runs on any thread, in the calling one.
    Raises WrongUsage for an unknown corruption or severity, InputRefused without pictures, Cancelled.
    """
    _check(corruptions, severities)
    names = picture_sets(data) if sets is None else [name for name in picture_sets(data) if name in sets]
    cases = list(dev_cases(data, names, most)) if names else []
    return rows_of_cases(segmenter, cases, corruptions, severities, progress)


def rows_of_cases(
    segmenter: Predictor | TextSegmenter,
    cases: Sequence[Case],
    corruptions: Sequence[str] | None = None,
    severities: Sequence[int] = SEVERITIES,
    progress: Progress | None = None,
) -> list[RobustnessRow]:
    """The same for given cases, each a single 2D picture. Raises WrongUsage, InputRefused, Cancelled."""
    _check(corruptions, severities)
    pictures = [case for case in cases if case.volume.shape[2] == 1 and case.truths]
    if not pictures:
        raise InputRefused(
            "There is no 2D development picture to measure robustness on.",
            "Give the folder of a manifest with rows of use dev that are pictures.",
        )
    predictor = TextPredictor(segmenter) if isinstance(segmenter, TextSegmenter) else segmenter
    progress = progress or silent()
    table = _Table()
    for number, case in enumerate(pictures):
        part = progress.part(number / len(pictures), (number + 1) / len(pictures))
        _measure(predictor, case, number, _plan(case.modality, corruptions, severities), table, part)
    return table.rows()


def picture_sets(data: Path) -> list[str]:
    """Sets whose development rows are all 2D pictures with an outline."""
    flat: dict[str, bool] = {}
    for row in read_rows(data, "dev"):
        is_picture = row["path"].endswith(".png") and row["label_path"].endswith(".png")
        flat[row["set"]] = flat.get(row["set"], True) and is_picture
    return sorted(name for name, value in flat.items() if value)


def corrupted(volume: Volume, name: str, severity: int, seed: int) -> Volume:
    """A single picture (k = 1) corrupted on its own grid and in its own range and type; colour becomes grey.

    Integers of 8 bits span 0..255, other values their robust percentiles (values beyond them are clipped).
    """
    values = volume.luminance()[:, :, 0]
    low, high = (0.0, 255.0) if volume.array.dtype == np.uint8 else robust_range(values)
    unit = ((values.T.astype(np.float32) - low) / (high - low)).clip(0, 1)
    changed = corrupt(unit, name, severity, np.random.default_rng(seed)) * (high - low) + low
    whole = np.issubdtype(volume.array.dtype, np.integer)
    array = np.asfortranarray((np.rint(changed) if whole else changed).T[:, :, None].astype(volume.array.dtype))
    return volume.with_changes(array=array)


class _Table:
    """Dice of every prompt by (modality, corruption, severity), in the order of the prompts."""

    def __init__(self) -> None:
        self._dice: dict[tuple[str, str, int], list[float]] = defaultdict(list)
        self._pictures: dict[str, set[int]] = defaultdict(set)

    def add(self, case: Case, number: int, corruption: str, severity: int, values: Iterable[float]) -> None:
        self._dice[case.modality, corruption, severity].extend(values)
        self._pictures[case.modality].add(number)

    def rows(self) -> list[RobustnessRow]:
        found = []
        for (modality, corruption, severity), values in self._dice.items():
            clean = float(np.mean(self._dice[modality, CLEAN, 0]))
            mean = float(np.mean(values))
            drop = (clean - mean) / clean if clean > 0 else 0.0
            count = len(self._pictures[modality])
            found.append(RobustnessRow(modality, corruption, severity, mean, drop, len(values), count))
        order = {name: place for place, name in enumerate((CLEAN, *CORRUPTIONS))}
        return sorted(found, key=lambda row: (row.modality, order[row.corruption], row.severity))


def _plan(
    modality: str, corruptions: Sequence[str] | None, severities: Sequence[int]
) -> list[tuple[str, int]]:
    names = [name for name in names_for(modality) if corruptions is None or name in corruptions]
    return [(name, severity) for name in names for severity in sorted(set(severities))]


def _measure(
    predictor: Predictor, case: Case, number: int, plan: Sequence[tuple[str, int]], table: _Table, progress: Progress
) -> None:
    terminology = load_terminology()
    texts = {name: terminology.get(term_id(name, terminology)).name for name in case.truths}
    table.add(case, number, CLEAN, 0, _dices(predictor, case.volume, case, texts))
    voxels = zlib.crc32(np.ascontiguousarray(case.volume.array).tobytes())
    for done, (name, severity) in enumerate(plan):
        progress.report(done / len(plan), f"{case.set}: {name} {severity}")
        seed = zlib.crc32(name.encode(), voxels)  # one seed for all severities: only the strength differs
        picture = corrupted(case.volume, name, severity, seed)
        table.add(case, number, name, severity, _dices(predictor, picture, case, texts))


def _dices(predictor: Predictor, picture: Volume, case: Case, texts: dict[str, str]) -> list[float]:
    return [_dice(predictor.predict(picture, texts[name]), truth) for name, truth in case.truths.items()]


def _dice(mask: Mask, truth: Mask) -> float:
    total = int(mask.sum()) + int(truth.sum())
    return 2.0 * int((mask & truth).sum()) / total if total else 1.0


def _check(corruptions: Sequence[str] | None, severities: Sequence[int]) -> None:
    unknown = [name for name in corruptions or () if name not in CORRUPTIONS]
    if unknown:
        raise WrongUsage(f"There is no corruption named {unknown[0]!r}.", f"Known are: {', '.join(CORRUPTIONS)}.")
    if not severities or any(severity not in SEVERITIES for severity in severities):
        raise WrongUsage("The severities of corruptions are 1 to 5.", "Leave them out for all five.")


def mean_relative_drop(rows: Sequence[RobustnessRow]) -> float:
    """Mean over severities, then corruptions, then modalities of the relative drop; 0 for rows without corruptions."""
    per_modality: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        if row.corruption != CLEAN:
            per_modality[row.modality][row.corruption].append(row.drop)
    means = [np.mean([np.mean(drops) for drops in per.values()]) for per in per_modality.values()]
    return float(np.mean(means)) if means else 0.0


def to_markdown(rows: Sequence[RobustnessRow]) -> str:
    """One table per modality: mean Dice per corruption and severity, and the mean relative drop."""
    parts = [f"Mean relative drop of Dice over all corruptions: {mean_relative_drop(rows):.1%}."]
    for modality in sorted({row.modality for row in rows}):
        parts += _section(modality, [row for row in rows if row.modality == modality])
    return "\n".join(parts) + "\n"


def _section(modality: str, rows: Sequence[RobustnessRow]) -> list[str]:
    clean = next(row for row in rows if row.corruption == CLEAN)
    severities = sorted({row.severity for row in rows if row.corruption != CLEAN})
    lines = [
        "",
        f"### {modality}",
        "",
        f"Clean Dice {clean.dice:.3f}; {clean.n} prompts on {clean.pictures} pictures; "
        f"mean relative drop {mean_relative_drop(rows):.1%}.",
        "",
        "| corruption | " + "".join(f"severity {severity} | " for severity in severities) + "mean drop |",
        "|---" * (len(severities) + 2) + "|",
    ]
    names = list(dict.fromkeys(row.corruption for row in rows if row.corruption != CLEAN))
    return lines + [_line(name, [row for row in rows if row.corruption == name], severities) for name in names]


def _line(name: str, rows: Sequence[RobustnessRow], severities: Sequence[int]) -> str:
    dice = {row.severity: f"{row.dice:.3f}" for row in rows}
    cells = [dice.get(severity, "") for severity in severities]
    return f"| {name.replace('_', ' ')} | " + " | ".join(cells) + f" | {mean_relative_drop(rows):.1%} |"


def to_csv(rows: Sequence[RobustnessRow]) -> str:
    """Columns modality, corruption, severity, dice, drop, n, pictures."""
    text = io.StringIO()
    writer = csv.DictWriter(text, [field.name for field in fields(RobustnessRow)], lineterminator="\n")
    writer.writeheader()
    for row in rows:
        values: dict[str, Any] = asdict(row)
        writer.writerow(values | {"dice": f"{row.dice:.4f}", "drop": f"{row.drop:.4f}"})
    return text.getvalue()


def write_markdown(rows: Sequence[RobustnessRow], path: Path) -> None:
    """The tables as a Markdown file. Raises OutputNotWritten."""
    write_text_atomic(path, to_markdown(rows))


def write_csv(rows: Sequence[RobustnessRow], path: Path) -> None:
    """The rows as a CSV file. Raises OutputNotWritten."""
    write_text_atomic(path, to_csv(rows))
