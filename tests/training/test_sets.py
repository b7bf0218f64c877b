"""What is trained on is described, and what is known to be absent is truly known."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from training.data.samples import in_validation
from training.data.sets import load_sets, structures
from training.data.terms import load_terminology, term_id
from training.synthesis.lung_rule import lungs_by_rule
from training.synthesis.phantoms import phantom_samples
from training.transforms.wording import load_wordings


def rows_of(data: Path, use: str) -> list[dict[str, str]]:
    with (data / "manifest.csv").open(newline="", encoding="utf-8") as file:
        return [row for row in csv.DictReader(file) if row["use"] == use]


def test_every_train_set_is_described(shared_data: Path) -> None:
    trained = {row["set"] for row in rows_of(shared_data, "train") if not row["set"].startswith("text")}
    assert trained <= set(load_sets())


def test_every_train_row_gives_trained_names(shared_data: Path) -> None:
    sets, known = load_sets(), structures()
    for row in rows_of(shared_data, "train"):
        labels = json.loads(row["labels"] or "{}")
        if row["set"] in sets and isinstance(labels, dict) and labels:
            named = sets[row["set"]].values({int(v): n for v, n in labels.items()})
            assert set(named) <= set(known), row["path"]
            if "brodmann" not in row["label_path"]:
                assert named, row["path"]


def test_all_names_of_the_2d_sets_are_trained_or_merged(shared_data: Path) -> None:
    sets = load_sets()
    for row in rows_of(shared_data, "train"):
        if row["label_path"].endswith(".png"):
            labels = {int(v): n for v, n in json.loads(row["labels"]).items()}
            values = sets[row["set"]].values(labels)
            assert {v for group in values.values() for v in group} == set(labels), row["path"]


def test_throughout_and_elsewhere_do_not_overlap() -> None:
    for config in load_sets().values():
        assert not config.throughout & set(config.elsewhere), config.name


def test_absence_by_body_part() -> None:
    sets = load_sets()
    assert "liver" in sets["mr/brain_ms_flair"].elsewhere
    assert "hippocampus" in sets["ct/abdomen_curvas"].elsewhere
    assert "spleen" not in sets["ct/abdomen_curvas"].elsewhere  # not annotated there, but it may be in view
    assert "spleen" not in sets["ct/abdomen_curvas"].throughout


def test_every_trained_name_is_a_term_of_its_own() -> None:
    terminology = load_terminology()
    ids = [term_id(name, terminology) for name in structures()]
    assert len(ids) == len(set(ids))


def test_wordings_of_different_names_differ() -> None:
    seen: dict[str, str] = {}
    for name, texts in load_wordings(list(structures())).items():
        assert texts[0] == name
        for text in texts:
            assert seen.setdefault(text.lower(), name) == name, text


def test_the_held_out_phantom_cannot_be_trained_on() -> None:
    with pytest.raises(ValueError, match="held out"):
        phantom_samples(load_sets()["phantom"], [1, 0])


def test_validation_rows_are_few_and_fixed() -> None:
    share = np.mean([in_validation(f"image{n}.png", 500) for n in range(3000)])
    assert 0.05 < share < 0.12
    assert not any(in_validation(f"image{n}.png", 29) for n in range(300))


def test_lungs_by_rule_leave_out_the_outside_and_solid_domes() -> None:
    rows, columns = np.mgrid[:120, :160]
    body = ((rows - 60) / 50) ** 2 + ((columns - 80) / 70) ** 2 < 1
    right, left = ((rows - 60) ** 2 + (columns - c) ** 2 < 26**2 for c in (48, 112))
    dome = (rows - 60) ** 2 + (columns - 48) ** 2 < 12**2
    vessel = (rows - 60) ** 2 + (columns - 112) ** 2 < 3**2
    picture = np.where(body, 110, 2).astype(np.uint8)
    picture[(right & ~dome) | (left & ~vessel)] = 20
    lungs = lungs_by_rule(picture)
    truth = (right & ~dome) | left
    assert 2 * (lungs & truth).sum() / (lungs.sum() + truth.sum()) > 0.95
    assert not lungs[dome].any() or lungs[dome].mean() < 0.2
    assert not lungs[~body].any()
