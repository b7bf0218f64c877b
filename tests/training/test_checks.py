"""Bad data stops before training, with the file's name and what was expected, and every fault is told at once."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

import own_cases as own

from medviewer.core.errors import Cancelled, InputRefused
from medviewer.core.progress import Progress
from training.data.cases import CaseFile, CasesRefused, split_cases
from training.data.checks import check_cases
from training.data.folders import read_cases

NAME = "my structure"
Change = Callable[[Path], object]


def checked(folder: Path, prompt: str | None = NAME, **options: object):
    return check_cases(read_cases(folder, prompt), **options)


def problems(folder: Path, prompt: str | None = NAME, **options: object) -> str:
    with pytest.raises(CasesRefused) as caught:
        checked(folder, prompt, **options)
    assert isinstance(caught.value, InputRefused)
    assert caught.value.exit_status == 3
    assert "Nothing was trained" in caught.value.hint
    return caught.value.message


def test_good_cases_come_back_as_samples_in_order(tmp_path: Path) -> None:
    cases = read_cases(own.pictures(tmp_path, 5, empty=(3,)), NAME)
    train, held = split_cases(cases, 0.3, seed=1)
    found = check_cases(train, held)
    assert [sample.key for sample in found.samples] == [case.key for case in train]
    assert [sample.key for sample in found.held] == [case.key for case in held]
    assert found.warnings == ()


def constant(folder: Path) -> None:
    own.save_picture(folder / "images" / "p1.png", np.full((12, 16), 7, np.uint8))


def damaged(folder: Path) -> None:
    path = folder / "images" / "p1.png"
    path.write_bytes(path.read_bytes()[:60])


def colour_mask(folder: Path) -> None:
    own.save_picture(folder / "masks" / "p1.png", own.picture(3, (12, 16, 3)))


def odd_values(folder: Path) -> None:
    own.save_picture(folder / "masks" / "p1.png", own.square(value=7))


def twice(folder: Path) -> None:
    (folder / "images" / "p1.png").write_bytes((folder / "images" / "p2.png").read_bytes())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda f: own.save_picture(f / "masks" / "p1.png", own.square((12, 15))),
         "p1.png has 15 x 12 pixels, expected 16 x 12"),
        (odd_values, "p1.png holds the values 0, 7, expected 0 and 1 or 0 and 255"),
        (constant, "p1.png has the same value everywhere"),
        (damaged, "images/p1.png: p1.png"),
        (colour_mask, "p1.png is a colour picture, expected one value per structure"),
        (twice, "images/p2.png: p2.png has the same pixels as images/p1.png; expected each image once"),
    ],
)  # fmt: skip
def test_one_bad_picture(tmp_path: Path, change: Change, words: str) -> None:
    change(own.pictures(tmp_path / "set", empty=(3,)))
    told = problems(tmp_path / "set")
    assert words in told
    assert "set cannot be trained on: 1 problem." in told


def volumes(folder: Path, count: int = 3) -> Path:
    affine = own.affine_of("RAS")
    for number in range(count):
        own.save_nifti(folder / "images" / f"v{number}.nii.gz", own.coded(affine, number), affine)
        own.save_nifti(folder / "masks" / f"v{number}.nii.gz", own.blob(affine).astype(np.uint8), affine)
    return own.describe(folder, labels={"1": NAME, "2": "other"}, modality="CT", units="HU")


def with_nan(folder: Path, bad: float) -> None:
    affine = own.affine_of("RAS")
    values = own.coded(affine, 1).astype(np.float32)
    values[2, 2, 2] = bad
    own.save_nifti(folder / "images" / "v1.nii.gz", values, affine)


def mask_of(folder: Path, change: Callable[[np.ndarray], np.ndarray]) -> None:
    affine = own.affine_of("RAS")
    own.save_nifti(folder / "masks" / "v1.nii.gz", change(own.blob(affine).astype(np.uint8)), affine)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda f: with_nan(f, np.nan), "v1.nii.gz holds NaN or infinite values, expected numbers"),
        (lambda f: with_nan(f, np.inf), "v1.nii.gz holds NaN or infinite values, expected numbers"),
        (lambda f: mask_of(f, lambda m: m * 3), "unknown label value 3, expected 0, 1 (my structure), 2 (other)"),
        (lambda f: mask_of(f, lambda m: m * 0.5), "v1.nii.gz holds fractions, expected whole label values"),
        (lambda f: mask_of(f, lambda m: m.astype(np.int16) - 5), "expected labels from 0"),
        (lambda f: mask_of(f, lambda m: np.where(m > 0, np.nan, 0).astype(np.float32)),
         "v1.nii.gz holds values that are no numbers (NaN or infinite), expected labels"),
        (lambda f: mask_of(f, lambda m: m[:-1]), "has 10 x 9 x 7 voxels, expected 11 x 9 x 7"),
        (lambda f: (f / "images" / "v1.nii.gz").write_bytes(b"no scan"), "images/v1.nii.gz: v1.nii.gz"),
    ],
)  # fmt: skip
def test_one_bad_volume(tmp_path: Path, change: Change, words: str) -> None:
    change(volumes(tmp_path / "set"))
    told = problems(tmp_path / "set")
    assert words in told
    assert "1 problem." in told


def test_all_faults_are_told_at_once_ten_of_them_in_words(tmp_path: Path) -> None:
    folder = own.pictures(tmp_path / "set", 14)
    for number in range(12):
        own.save_picture(folder / "masks" / f"p{number}.png", own.square(value=9 + number))
    with pytest.raises(CasesRefused) as caught:
        checked(folder)
    assert len(caught.value.problems) == 12
    assert caught.value.message.count("\n- ") == 11
    assert "- and 2 more" in caught.value.message


def test_too_few_cases(tmp_path: Path) -> None:
    assert "it has 2 cases, expected at least 3" in problems(own.pictures(tmp_path / "set", 2, empty=(1,)))
    assert len(checked(tmp_path / "set", least=2).samples) == 2


def test_an_empty_set_is_refused(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "masks").mkdir()
    for folder in (tmp_path, tmp_path / "images", tmp_path / "absent"):
        with pytest.raises(InputRefused):
            read_cases(folder, NAME)
    with pytest.raises(CasesRefused, match="0 cases, expected at least 3"):
        check_cases([])


def test_one_class_only(tmp_path: Path) -> None:
    none = problems(own.pictures(tmp_path / "none", empty=(0, 1, 2, 3)))
    assert "the masks are empty in all 4 cases (one class only)" in none
    full = own.pictures(tmp_path / "full")
    for number in range(4):
        own.save_picture(full / "masks" / f"p{number}.png", np.full((12, 16), 255, np.uint8))
    assert "cover the whole image in all 4 cases (one class only)" in problems(full)
    every = own.pictures(tmp_path / "every")
    (warning,) = checked(every).warnings
    assert "in every picture" in warning
    assert "Add pictures without it" in warning
    assert "in every picture (one class only), expected some pictures without it" in problems(every, need_absent=True)
    assert checked(own.pictures(tmp_path / "both", empty=(1,)), need_absent=True).warnings == ()


def test_slices_without_the_structure_count_as_absent(tmp_path: Path) -> None:
    assert checked(volumes(tmp_path), need_absent=True).warnings == ()


def test_the_same_picture_in_both_parts(tmp_path: Path) -> None:
    folder = own.pictures(tmp_path / "set", 6, empty=(5,))
    (folder / "images" / "p4.png").write_bytes((folder / "images" / "p0.png").read_bytes())
    cases = read_cases(folder, NAME)
    with pytest.raises(CasesRefused) as caught:
        check_cases(cases[:4], cases[4:])
    (problem,) = caught.value.problems
    assert "p4.png has the same pixels as images/p0.png" in problem
    assert "in the training part while this is in the held-out part" in problem


def test_a_patient_in_both_parts_and_a_case_twice(tmp_path: Path) -> None:
    found = read_cases(own.pictures(tmp_path, empty=(3,)), NAME)
    cases = [replace(case, patient=who) for case, who in zip(found, "aabb", strict=True)]
    with pytest.raises(CasesRefused, match="its patient also is in the training part"):
        check_cases([cases[0], *cases[2:]], cases[1:2])
    with pytest.raises(CasesRefused, match="the case is given twice"):
        check_cases([*cases, cases[0]])


def test_colour_beside_grey_is_a_warning(tmp_path: Path) -> None:
    folder = own.pictures(tmp_path, empty=(3,))
    own.save_picture(folder / "images" / "p1.png", own.picture(1, (12, 16, 3)))
    (warning,) = checked(folder).warnings
    assert "1 colour pictures (such as images/p1.png) stand beside 3 grey ones" in warning


def test_it_can_be_cancelled(tmp_path: Path) -> None:
    cases: list[CaseFile] = read_cases(own.pictures(tmp_path), NAME)
    told: list[float] = []
    progress = Progress(lambda fraction, text: told.append(fraction), lambda: len(told) >= 2)
    with pytest.raises(Cancelled):
        check_cases(cases, progress=progress)
    assert told == [0.0, 0.25]
