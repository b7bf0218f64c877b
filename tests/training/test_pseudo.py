"""Structures that an earlier model is sure of join the training rows, and overwrite nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from medviewer.core.errors import InputRefused
from training.data.pseudo import PseudoLabels, read_pseudo, with_pseudo, write_pseudo
from training.data.samples import Sample
from training.data.sets import load_sets
from training.pseudo_labels import judged


def sample() -> Sample:
    label = np.zeros((1, 8, 8), np.uint16)
    label[0, :4, :4] = 1
    tables = {"spleen": np.arange(1024) == 1}
    return Sample("a.png", load_sets()["ct/spleen_msd"], np.zeros((1, 8, 8), np.uint8), label, tables)


def labels() -> PseudoLabels:
    codes = np.zeros((1, 8, 8), np.uint8)
    codes[0, 2:6, 2:6] = 2
    return PseudoLabels(("kidney", "liver", "aorta"), {"a.png": codes}, {"a.png": ("liver", "aorta")})


def test_masks_join_and_annotations_stay(tmp_path: Path) -> None:
    write_pseudo(tmp_path / "p.npz", labels())
    (joined,) = with_pseudo([sample()], read_pseudo(tmp_path / "p.npz"))
    masks = {name: table[joined.label] for name, table in joined.tables.items()}
    assert set(masks) == {"spleen", "liver", "aorta"}
    assert masks["spleen"].sum() == 16
    assert masks["liver"].sum() == 16 - 4
    assert not (masks["spleen"] & masks["liver"]).any()
    assert not masks["aorta"].any()  # judged to be absent


def test_other_samples_and_other_grids_are_left_alone() -> None:
    another, larger = replace(sample(), key="b.png"), replace(sample(), label=np.zeros((1, 9, 8), np.uint16))
    assert with_pseudo([another, larger], labels()) == [another, larger]


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x05\x06" + bytes(18)])
def test_another_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "p.npz").write_bytes(content)
    with pytest.raises(InputRefused, match=r"p\.npz"):
        read_pseudo(tmp_path / "p.npz")


def test_only_what_all_views_agree_on_is_taken() -> None:
    mask = np.zeros((3, 40, 40), np.float32)
    mask[:, 10:30, 10:30] = 0.9
    other = mask.copy()
    other[0, 10:30, 10:22] = 0.0
    taken = judged(mask, 0.9)
    assert taken is not None
    assert taken.sum() == 400
    assert judged(other, 0.9) is None
    assert judged(mask, 0.3) is None
    empty = judged(np.zeros((3, 40, 40), np.float32), 0.01)
    assert empty is not None
    assert not empty.any()
    assert judged(np.zeros((3, 40, 40), np.float32), 0.2) is None
