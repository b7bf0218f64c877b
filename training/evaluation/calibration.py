"""Presence as a probability: Platt's map per kind of scan, and the thresholds, from train rows held out of training.

`python -m training.evaluation.calibration --bundle DIR --data ../shared/data --write`. Every question goes through the
program's own pipeline, by text alone on the whole scan, present and absent names in the evaluation's proportion.
Platt 1999, "Probabilistic outputs for support vector machines", with its smoothed targets.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize

from medviewer.io.atomic import write_text_atomic
from medviewer.models.bundle import CONFIG, read_info
from medviewer.models.pipeline import TextSegmenter

from ..data.dev_cases import HELD_PHANTOMS, Case, chosen_rows, manifest_cases, phantom_cases
from ..data.terms import load_terminology
from .asking import score_case
from .scores import Score

KINDS = ("picture", "volume")
CALIBRATED = ("calibration", "threshold", "slice_threshold", "calibrated_on")  # fields of config.json
KEPT, FALSE = 0.98, 0.05  # share of present structures that is kept; of absent ones that may get a mask
SLICE_GRID = (0.15, 0.25, 0.35, 0.5)  # raw presence from which a slice of a volume gets a mask
VOLUMES_FOR_SLICES = 6
_LEAST_SLOPE = 0.05
_EDGE = 1e-6
Values = NDArray[np.float64]


def main() -> None:
    """Parse the command line, fit, print, and with --write update the bundle's config.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--most", type=int, default=10_000, help="scans per set")
    parser.add_argument("--write", action="store_true", help="update the bundle's config.json")
    options = parser.parse_args()
    torch.set_num_threads(1)
    fitted = calibrate(options.bundle, options.data, options.device, options.most)
    print(json.dumps(fitted, indent=1))
    if options.write:
        write_calibration(options.bundle, fitted)


def calibrate(bundle: Path, data: Path, device: str = "cpu", most: int = 10_000) -> dict[str, Any]:
    """{"calibration", "threshold", "slice_threshold", "calibrated_on"} of a bundle, from held-out train rows of the
    licence tiers it was trained on, and from phantoms that training never drew."""
    segmenter = TextSegmenter.load(bundle, device)
    segmenter.info = replace(segmenter.info, calibration={})  # then `presence` is the network's own
    rows = chosen_rows(data, "held", most=most, tiers=segmenter.info.trained_tiers)
    held = chain(manifest_cases(data, rows), phantom_cases(HELD_PHANTOMS[:most]))
    scores, volumes = _ask_all(segmenter, held)
    fitted = fit(scores)
    fitted["slice_threshold"] = choose_slice_threshold(segmenter, volumes, raw_limit(fitted))
    return fitted


def _ask_all(segmenter: TextSegmenter, cases: Iterable[Case]) -> tuple[list[Score], list[Case]]:
    """All answers, and a few volumes of every set to choose the slices' threshold with."""
    terminology = load_terminology()
    scores: list[Score] = []
    kept: dict[str, list[Case]] = {}
    for case in cases:
        scores += list(score_case(segmenter, terminology, case))
        group = kept.setdefault(case.set, [])
        if case.kind == "volume" and len(group) < (VOLUMES_FOR_SLICES if case.set != "phantom" else 1):
            group.append(case)
    return scores, [case for group in kept.values() for case in group]


def fit(scores: Sequence[Score]) -> dict[str, Any]:
    """Map and threshold from answers whose `presence` is the network's own, and how many questions they rest on."""
    asked = [s for s in scores if s.presence is not None]
    maps: dict[str, list[float]] = {}
    counts: dict[str, dict[str, int]] = {}
    probability = np.array([s.presence for s in asked], float)
    present = np.array([not s.absent for s in asked], bool)
    for kind in KINDS:
        here = np.array([s.kind == kind for s in asked], bool)
        counts[kind] = {"present": int((here & present).sum()), "absent": int((here & ~present).sum()),
                        "scans": len({s.key for s in asked if s.kind == kind})}
        if counts[kind]["present"] and counts[kind]["absent"]:
            slope, shift = fit_platt(probability[here], present[here])
            maps[kind] = [round(slope, 5), round(shift, 5)]
            probability[here] = apply_platt(probability[here], slope, shift)
    return {"calibration": maps, "threshold": choose_threshold(probability, present), "calibrated_on": counts}


def fit_platt(raw: Values, present: NDArray[np.bool_]) -> tuple[float, float]:
    """(slope, shift) of sigmoid(slope * logit(raw) + shift) that make `present` (n,) most likely; slope > 0."""
    yes, no = int(present.sum()), int((~present).sum())
    target = np.where(present, (yes + 1) / (yes + 2), 1 / (no + 2))
    logit = _logit(raw)

    def loss(values: Values) -> float:
        score = values[0] * logit + values[1]
        return float(np.mean(np.logaddexp(0.0, score) - target * score))

    bounds = [(_LEAST_SLOPE, 20.0), (-20.0, 20.0)]
    found = minimize(loss, np.array([1.0, 0.0]), method="L-BFGS-B", bounds=bounds)
    return float(found.x[0]), float(found.x[1])


def apply_platt(raw: Values, slope: float, shift: float) -> Values:
    """Calibrated probability (n,) of raw presence (n,)."""
    return np.asarray(1.0 / (1.0 + np.exp(-slope * _logit(raw) - shift)))


def choose_threshold(probability: Values, present: NDArray[np.bool_]) -> float:
    """The largest threshold that keeps 95 % of the present structures while at most 5 % of the absent ones reach it.

    Where none does both, the one that misses its two limits least (the worse of the two, relative to its limit).
    """
    grid = np.round(np.arange(0.02, 0.981, 0.005), 3)
    missed = np.array([(probability[present] < t).mean() if present.any() else 0.0 for t in grid])
    false = np.array([(probability[~present] >= t).mean() if (~present).any() else 0.0 for t in grid])
    good = np.flatnonzero((missed <= 1 - KEPT + 1e-9) & (false <= FALSE + 1e-9))
    if len(good):
        return float(grid[good[-1]])
    worse = np.maximum(missed / (1 - KEPT), false / FALSE)
    return float(grid[int(np.argmin(worse))])


def raw_limit(fitted: dict[str, Any]) -> float:
    """The lowest raw presence that reaches the threshold in any kind: slices may not ask for more."""
    logit = float(_logit(np.array([fitted["threshold"]]))[0])
    raw = [1.0 / (1.0 + np.exp(-(logit - shift) / slope)) for slope, shift in fitted["calibration"].values()]
    return float(min([fitted["threshold"], *raw]) if not raw else min(raw))


def choose_slice_threshold(segmenter: TextSegmenter, volumes: Sequence[Case], limit: float) -> float:
    """Of a few values at most `limit`, the one with the best mean Dice on held-out volumes; `limit` without any."""
    grid = sorted({round(min(value, limit), 4) for value in SLICE_GRID})
    if not volumes or len(grid) == 1:
        return grid[-1]
    terminology, info = load_terminology(), segmenter.info
    means = {}
    for value in grid:
        segmenter.info = replace(info, threshold=0.0, slice_threshold=value)
        answers = [s for case in volumes for s in score_case(segmenter, terminology, case, absent=False)]
        means[value] = float(np.mean([s.dice for s in answers if s.dice is not None]))
    segmenter.info = info
    return max(means, key=lambda value: (round(means[value], 3), value))


def write_calibration(bundle: Path, fitted: Mapping[str, Any]) -> None:
    """Put the fitted values into the bundle's config.json; what else stands there, stays. Raises ModelMissing,
    OutputNotWritten."""
    read_info(bundle)
    config = json.loads((bundle / CONFIG).read_text(encoding="utf-8"))
    config.update(fitted)
    write_text_atomic(bundle / CONFIG, json.dumps(config, indent=1, ensure_ascii=False) + "\n")


def description_of(bundle: Path) -> dict[str, Any]:
    """The config.json of a bundle as it is, of any layout; empty where there is none that can be read."""
    try:
        config = json.loads((bundle / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return config if isinstance(config, dict) else {}


def keep_fitted(bundle: Path, before: Mapping[str, Any]) -> list[str]:
    """Put what was fitted for the description `before`, which was replaced, into the bundle, where the weights are the
    same; returns what to tell of it."""
    config = description_of(bundle)
    lost = {"calibration": CALIBRATED, "picture_kind": ("picture_kind",)}
    found = {name: fields for name, fields in lost.items() if before.get(name) and not config.get(name)}
    if before.get("weights_sha256") != config.get("weights_sha256"):
        return [f"The {name.replace('_', ' ')} of the bundle before was dropped: it belongs to other weights."
                for name in found]
    kept = {field: before[field] for fields in found.values() for field in fields if field in before}
    if kept:
        write_calibration(bundle, kept)
    return [f"The {name.replace('_', ' ')} of the bundle before was kept: the weights are the same." for name in found]


def _logit(raw: Values) -> Values:
    inside = np.clip(np.asarray(raw, float), _EDGE, 1 - _EDGE)
    return np.asarray(np.log(inside / (1 - inside)))


if __name__ == "__main__":
    main()
