"""Tables beside the scans: unseen wordings, terms that were never trained, corrupted pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import torch

from medviewer.core.terminology import Terminology
from medviewer.core.volume import Volume
from medviewer.models.bundle import BundleInfo
from medviewer.models.pipeline import TextSegmenter

from ..data.dev_cases import Case, chosen_rows, manifest_cases
from ..data.terms import term_id
from .asking import Segmenter
from .jobs import Measured, terminology_of
from .options import Options
from .scores import Score
from .wordings import resolving_table, trained_rows, unknown_rows, unseen_rows_of, unseen_wordings

Tables = dict[str, list[dict[str, Any]]]
PICTURES, SEVERITIES = 2, (1, 3, 5)  # of every set, for the table of robustness
_SIDE = 64


def more_tables(options: Options, info: BundleInfo, measured: Measured) -> Tables:
    """The wanted ones of "wordings", "unknown", "reading" and "robustness"."""
    if options.is_own or not options.asks("wordings", "robustness"):
        return {}
    torch.set_num_threads(options.threads)
    segmenter = TextSegmenter.load(options.bundle, options.device)
    found: Tables = {}
    if options.asks("wordings"):
        found |= wording_tables(segmenter, info, terminology_of(options.bundle), measured.scores)
    if options.asks("robustness"):
        found |= {"robustness": robustness(options, segmenter)}
    return found


def wording_tables(
    segmenter: Segmenter, info: BundleInfo, terminology: Terminology, scores: Sequence[Score]
) -> Tables:
    """Dice under unseen wordings (of scans measured already), and what is answered to terms, trained and not."""
    real = [score for score in scores if score.set != "phantom"]
    unseen = unseen_rows_of(real, terminology)
    case = plain_case([name for name in unseen_wordings() if term_id(name, terminology) in info.terms])
    unknown = unknown_rows(segmenter, case.volume, terminology) + trained_rows(segmenter, [case], terminology)
    return {"wordings": unseen, "unknown": unknown, "reading": resolving_table(terminology)}


def plain_case(names: Sequence[str]) -> Case:
    """A small picture of nothing, of no stated modality, that may be asked for every name: whether a term is refused
    does not depend on what a picture shows."""
    ramp = np.add.outer(np.arange(_SIDE), np.arange(_SIDE)).astype(np.uint8)[:, :, None]
    picture = Volume(ramp, None, kind="image")
    return Case("none", "unknown", picture, {name: np.zeros(picture.shape, bool) for name in names}, key="none")


def robustness(options: Options, segmenter: TextSegmenter) -> list[dict[str, Any]]:
    """Relative drop of Dice per modality, corruption and severity, on a few pictures of every set."""
    from .robustness import picture_sets, rows_of_cases

    rows = chosen_rows(options.data, options.split, options.sets or None, PICTURES, options.tiers)
    pictures = [row for row in rows if row["path"].endswith(".png")]
    if options.split == "dev":
        allowed = picture_sets(options.data)
        pictures = [row for row in pictures if row["set"] in allowed]
    cases = [replace(case, absent=[]) for case in manifest_cases(options.data, pictures) if case.truths]
    return [asdict(row) for row in rows_of_cases(segmenter, cases, severities=SEVERITIES)] if cases else []
