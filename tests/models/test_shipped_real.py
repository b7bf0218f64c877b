"""The shipped bundle on real development scans (never trained on); skipped where they are absent."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from medviewer.core.prompts import parse_prompt
from medviewer.core.terminology import Terminology
from medviewer.models.pipeline import TextSegmenter
from training.data.dev_cases import Case, dev_cases
from training.evaluate import dice


def cases(data: Path, name: str, most: int) -> list[Case]:
    found = list(dev_cases(data, [name], most))
    assert len(found) == most
    return found


def test_lungs_on_chest_x_rays(shipped: TextSegmenter, terminology: Terminology, shared_data: Path) -> None:
    prompt = parse_prompt("lungs", terminology)
    values = []
    for case in cases(shared_data, "xray/jsrt_scr", 6):
        values.append(dice(shipped.segment(case.volume, prompt).mask, case.truths["lung"]))
    assert np.mean(values) >= 0.93


def test_side_of_a_chest_x_ray_picture_is_assumed_and_said_so(
    shipped: TextSegmenter, terminology: Terminology, shared_data: Path
) -> None:
    volume = cases(shared_data, "xray/jsrt_scr", 1)[0].volume
    both = shipped.segment(volume, parse_prompt("lungs", terminology)).mask
    left = shipped.segment(volume, parse_prompt("left lung", terminology))
    assert left.found
    assert "side assumed" in left.side_note
    assert (left.mask <= both).all()
    assert np.argwhere(left.mask)[:, 0].mean() > np.argwhere(both)[:, 0].mean()


def liver_dice(shipped: TextSegmenter, terminology: Terminology, shared_data: Path) -> list[float]:
    prompt = parse_prompt("hepatic parenchyma", terminology)
    found = [case for case in cases(shared_data, "ct/abdomen_curvas", 8) if "liver" in case.truths]
    return [dice(shipped.segment(case.volume, prompt).mask, case.truths["liver"]) for case in found]


def test_liver_on_an_abdominal_ct(shipped: TextSegmenter, terminology: Terminology, shared_data: Path) -> None:
    values = liver_dice(shipped, terminology, shared_data)
    assert np.median(values) >= 0.9
    assert np.mean(np.array(values) > 0.5) >= 0.75


def test_liver_with_its_tips(shipped: TextSegmenter, terminology: Terminology, shared_data: Path) -> None:
    assert np.mean(liver_dice(shipped, terminology, shared_data)) >= 0.75


def test_structures_of_the_head_are_not_found_in_the_breast(
    shipped: TextSegmenter, terminology: Terminology, shared_data: Path
) -> None:
    asked = [parse_prompt(text, terminology) for text in ("hippocampus", "glioma", "fetal head", "liver")]
    answers = [shipped.segment(c.volume, p).found for c in cases(shared_data, "us/breast_busi", 5) for p in asked]
    assert sum(answers) <= 0.2 * len(answers)
