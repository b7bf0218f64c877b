"""What a recipe trains on: fixed shares, one's own cases, the sources on record, and bad rows that stop everything."""

from __future__ import annotations

import csv
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from medviewer.core.errors import InputRefused
from training.arguments import DataArguments
from training.data.corpus import Sources, load_corpus, manifest_sources, read_sources, write_sources
from training.data.dataset import choose_rows, fixed_share, load_all
from training.data.samples import read_rows

COLUMNS = (
    "path", "label_path", "set", "modality", "labels", "mask_encoding", "use", "licence_tier", "licence", "source",
)  # fmt: skip


def picture(path: Path, values: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values.astype(np.uint8)).save(path)


def manifest(folder: Path, count: int = 8, tiers: str = "A") -> Path:
    """A manifest of ultrasound pictures with a square "breast tumor" each."""
    rows = []
    for number in range(count):
        image = np.full((40, 48), 60 + number)
        mask = np.zeros((40, 48))
        mask[10:30, 12:30] = 1
        image[mask > 0] = 160
        picture(folder / f"images/{number}.png", image)
        picture(folder / f"labels/{number}.png", mask)
        rows.append(
            {
                "path": f"images/{number}.png", "label_path": f"labels/{number}.png", "set": "us/breast_busi",
                "modality": "US", "labels": json.dumps({"1": "benign breast tumor"}), "mask_encoding": "index",
                "use": "train" if number else "dev", "licence_tier": tiers[number % len(tiers)],
                "licence": "CC0", "source": "here",
            }
        )
    with (folder / "manifest.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    return folder


def test_rows_of_dev_and_of_other_tiers_are_never_trained_on(tmp_path: Path) -> None:
    data = manifest(tmp_path, 8, "AB")
    assert [row["path"] for row in choose_rows(data, ("A",))[0]] == [f"images/{n}.png" for n in (2, 4, 6)]
    assert manifest_sources(DataArguments(str(data), ("A",))).tiers == ("A",)
    assert manifest_sources(DataArguments(str(data))).tiers == ("A", "B")


def test_a_share_is_fixed_and_nested() -> None:
    rows = [{"path": f"{n}.png", "label_path": f"{n}"} for n in range(101)]
    quarter, half = fixed_share(rows, 0.25), fixed_share(rows, 0.5)
    assert (len(quarter), len(half), len(fixed_share(rows, 1.0))) == (26, 51, 101)
    assert [row for row in half if row in quarter] == quarter
    assert fixed_share(list(reversed(rows)), 0.25) == list(reversed(quarter))
    assert len(fixed_share(rows[:1], 0.01)) == 1


def test_a_share_takes_cases_of_every_set_and_leaves_the_checks_alone(shared_data: Path) -> None:
    every, held = choose_rows(shared_data)
    quarter, same = choose_rows(shared_data, share=0.25)
    assert same == held
    counts, part = (Counter(row["set"] for row in rows) for rows in (every, quarter))
    assert all(part[name] == -(-count // 4) for name, count in counts.items())


def test_the_open_tiers_hold_no_row_of_a_non_commercial_licence(shared_data: Path) -> None:
    kept, held = choose_rows(shared_data, ("A", "A-"))
    licences = {row["licence"] for row in (*kept, *held)}
    assert licences
    assert not [text for text in licences if "NC" in text or "research" in text.lower()]
    closed = {row["set"] for row in read_rows(shared_data, "train", ("B",))}
    assert not closed & {row["set"] for row in (*kept, *held)}


def test_sources_are_joined_and_come_back(tmp_path: Path) -> None:
    one = Sources(("A",), ("a: CC0; x",), ())
    other = Sources(("B",), ("a: CC0; x", "b: NC; y"), ("",))
    joined = one.joined(other)
    assert joined == Sources(("A", "B"), ("a: CC0; x", "b: NC; y"), ("",))
    write_sources(tmp_path, joined)
    assert read_sources(tmp_path) == joined
    assert read_sources(tmp_path / "none") is None
    (tmp_path / "sources.json").write_text("[]")
    with pytest.raises(InputRefused, match="not readable"):
        read_sources(tmp_path)


def test_cases_of_ones_own(tmp_path: Path) -> None:
    for number in range(6):
        rng = np.random.default_rng(number)
        mask = np.zeros((40, 48))
        mask[8 : 20 + number, 10:30] = 255
        picture(tmp_path / f"images/{number}.png", rng.integers(20, 90, (40, 48)) + mask // 3)
        picture(tmp_path / f"masks/{number}.png", mask)
    data = DataArguments(phantoms=0, cases=(str(tmp_path),), prompt="my structure")
    corpus = load_corpus(data)
    assert (len(corpus.kept), len(corpus.held)) == (5, 1)
    assert corpus.names[-1] == "my structure"
    assert corpus.sources.own == ("",)
    assert "cases of one's own" in corpus.sources.lines[0]
    with pytest.raises(InputRefused):
        load_corpus(replace(data, prompt=""))


def test_nothing_to_train_on_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputRefused, match="no case to train on"):
        load_corpus(DataArguments(phantoms=0))
    data = manifest(tmp_path)
    with pytest.raises(InputRefused, match="no case to train on") as caught:
        load_corpus(DataArguments(str(data), phantoms=0, tiers=("B",)))
    assert "tiers B" in caught.value.hint


def test_bad_rows_stop_with_the_files_name_and_what_was_expected(tmp_path: Path) -> None:
    data = manifest(tmp_path)
    assert len(load_all(data, 0)[0]) == 7
    picture(data / "labels/3.png", np.zeros((40, 47)))
    with pytest.raises(InputRefused, match=r"labels/3\.png is 40x47, expected the 40x48 of images/3\.png"):
        load_all(data, 0)
    picture(data / "labels/3.png", np.full((40, 48), 7))
    with pytest.raises(InputRefused, match=r"labels/3\.png holds the value 7, expected 0 or one of 1"):
        load_all(data, 0)
    (data / "labels/3.png").write_bytes(b"no picture")
    with pytest.raises(InputRefused, match=r"labels/3\.png cannot be read"):
        load_all(data, 0)
    (data / "labels/3.png").unlink()
    with pytest.raises(InputRefused, match=r"labels/3\.png cannot be read"):
        load_all(data, 0)


def test_a_volume_with_nan_is_refused(tmp_path: Path) -> None:
    data = manifest(tmp_path, 2)
    values = np.zeros((8, 8, 8), np.float32)
    values[4, 4, 4] = np.nan
    nib.save(nib.Nifti1Image(values, np.eye(4)), data / "a.nii.gz")
    nib.save(nib.Nifti1Image((values == 0).astype(np.uint8), np.eye(4)), data / "b.nii.gz")
    text = (data / "manifest.csv").read_text().replace("images/1.png", "a.nii.gz").replace("labels/1.png", "b.nii.gz")
    (data / "manifest.csv").write_text(text.replace("us/breast_busi", "mr3d/hippocampus_msd"))
    with pytest.raises(InputRefused, match=r"a\.nii\.gz holds NaN"):
        load_all(data, 0)


def test_a_manifest_without_rows_or_columns_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputRefused, match=r"holds no manifest\.csv"):
        read_rows(tmp_path, "train")
    (tmp_path / "manifest.csv").write_text("path,set\n")
    with pytest.raises(InputRefused, match="has no rows"):
        read_rows(tmp_path, "train")
    (tmp_path / "manifest.csv").write_text("path,set\na,b\n")
    with pytest.raises(InputRefused, match="lacks the column label_path"):
        read_rows(tmp_path, "train")
