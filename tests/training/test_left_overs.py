"""Labels that a publisher's resampling left behind are not trained, not measured, not taken for absence."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from training.data.dev_cases import manifest_cases
from training.data.samples import is_line, load_picture
from training.data.sets import load_sets

RIGHT, MUSCLE, LEFT = 1, 2, 3


def heart(folder: Path, name: str, *, line: bool) -> dict[str, str]:
    """A slice with a left ventricle, and a right one that is a blob or a line of one pixel at the border."""
    label = np.zeros((64, 64), np.uint8)
    label[20:40, 20:40] = LEFT
    if line:
        label[5:40, 63] = RIGHT
    else:
        label[20:40, 5:15] = RIGHT
    Image.fromarray(label * 60).save(folder / f"{name}.png")
    Image.fromarray(label).save(folder / f"{name}_label.png")
    labels = {str(RIGHT): "right ventricle", str(MUSCLE): "left ventricular myocardium", str(LEFT): "left ventricle"}
    return {
        "path": f"{name}.png", "label_path": f"{name}_label.png", "set": "mr/cardiac_acdc",
        "labels": json.dumps(labels),
        "mask_encoding": "index", "use": "dev", "licence_tier": "B", "licence": "", "source": "",
        "source_path": f"{name}.png",
    }


@pytest.mark.parametrize(("rows", "cols", "line"), [(1, 30, True), (30, 2, True), (2, 2, True), (3, 3, False),
                                                    (3, 30, False), (0, 0, False)])
def test_a_line_is_nowhere_three_pixels_wide(rows: int, cols: int, line: bool) -> None:
    mask = np.zeros((40, 40), bool)
    mask[4 : 4 + rows, 4 : 4 + cols] = True
    assert is_line(mask) is line


@pytest.mark.parametrize("line", [True, False])
def test_lines_are_not_trained(tmp_path: Path, line: bool) -> None:
    sample = load_picture(tmp_path, heart(tmp_path, "a", line=line), load_sets()["mr/cardiac_acdc"])
    shown = {name: int(table[sample.label].sum()) for name, table in sample.tables.items()}
    assert shown["left ventricle"] == 400
    assert shown["right ventricle"] == (0 if line else 200)


def test_other_sets_keep_their_thin_labels(tmp_path: Path) -> None:
    sample = load_picture(tmp_path, heart(tmp_path, "a", line=True), load_sets()["mr/heart_hvsmr2"])
    assert sample.tables["right ventricle"][sample.label].sum() == 35


def test_lines_are_neither_asked_for_nor_taken_to_be_absent(tmp_path: Path) -> None:
    rows = [heart(tmp_path, "line", line=True), heart(tmp_path, "blob", line=False)]
    with_line, with_blob = manifest_cases(tmp_path, rows)
    assert set(with_line.truths) == {"left ventricle"}
    assert "right ventricle" not in with_line.absent
    assert set(with_blob.truths) == {"left ventricle", "right ventricle"}
