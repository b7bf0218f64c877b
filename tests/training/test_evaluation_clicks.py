"""Simulated clicks, sides and the rows they make, with segmenters whose answers are known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from medviewer.core.geometry import voxel_to_lps
from medviewer.core.phantom import torso_phantom
from medviewer.core.prediction import Answer, PointPrompt, Prediction
from medviewer.core.prompts import ParsedPrompt
from medviewer.core.terminology import Terminology
from medviewer.core.volume import Volume
from training.data.dev_cases import Case
from training.data.terms import load_terminology
from training.evaluation.asking import prompt_of, score_case, wording_of
from training.evaluation.clicks import click_runs, click_table, error_centre, simulate
from training.evaluation.sides import TURNS, side_answers, side_table, turned

Mask = NDArray[np.bool_]
STEP = (1.0, 1.0, 1.0)


@pytest.fixture(scope="module")
def words() -> Terminology:
    return load_terminology()


class Told:
    """Answers with what a function makes of the prompt; remembers what it was asked."""

    def __init__(self, answer: Callable[[ParsedPrompt, Sequence[PointPrompt], Mask | None], Mask | Answer]) -> None:
        self.answer = answer
        self.asked: list[tuple[ParsedPrompt, tuple[PointPrompt, ...], Mask | None]] = []

    def segment(
        self, volume: Volume, prompt: ParsedPrompt, *, points: Sequence[PointPrompt] = (), previous: Mask | None = None
    ) -> Prediction:
        self.asked.append((prompt, tuple(points), previous))
        made = self.answer(prompt, points, previous)
        if isinstance(made, Answer):
            return Prediction(prompt.text, made, np.zeros(volume.shape, bool))
        return Prediction(prompt.text, Answer.FOUND if made.any() else Answer.NOT_FOUND, made, presence=0.8)


def box(low: tuple[int, int, int], high: tuple[int, int, int], shape: tuple[int, int, int]) -> Mask:
    mask = np.zeros(shape, bool)
    mask[low[0] : high[0], low[1] : high[1], low[2] : high[2]] = True
    return mask


SHAPE = (30, 24, 12)
TRUTH = box((5, 5, 2), (15, 15, 9), SHAPE)
AFFINE = np.array([[-1.0, 0, 0, 20], [0, 2.0, 0, -7], [0, 0, 3.0, 1], [0, 0, 0, 1]])


def case(truth: Mask = TRUTH) -> Case:
    volume = Volume(np.zeros(truth.shape, np.int16), AFFINE, "CT", "HU")
    return Case("ct/some", "CT", volume, {"liver": truth}, ["hippocampus"], "scan 1", "patient 1")


# -- where a click goes ------------------------------------------------------------------------------------------------
def test_the_click_goes_to_the_middle_of_the_largest_error() -> None:
    mask = TRUTH.copy()
    mask[5:14, 5:14, 2:9] = False  # much is missing
    mask[25:28, 2:5, 4:7] = True  # less is surplus
    place = error_centre(mask, TRUTH, STEP)
    assert place is not None
    assert place[0] in (8, 9, 10)
    assert place[1] in (8, 9, 10)
    assert place[2] == 5
    assert error_centre(TRUTH, TRUTH, STEP) is None


def test_missing_and_surplus_that_touch_are_two_pieces() -> None:
    truth = box((5, 5, 0), (11, 11, 1), (40, 40, 1))
    mask = box((11, 5, 0), (30, 11, 1), (40, 40, 1))
    place = error_centre(mask, truth, STEP)
    assert place is not None
    assert not truth[place], "the surplus is larger than what is missing"
    assert place[1] in (7, 8)
    assert 13 <= place[0] <= 27


def test_at_the_border_of_a_picture_the_click_keeps_away_from_it() -> None:
    place = error_centre(np.zeros((20, 20, 1), bool), box((0, 0, 0), (9, 9, 1), (20, 20, 1)), STEP)
    assert place == (4, 4, 0)


def test_depth_is_in_mm() -> None:
    truth = box((2, 2, 2), (9, 9, 9), (12, 12, 12))
    truth[4:7, 4:7, 9:12] = True  # a stalk along k, thin in mm if k is short
    long_slices = error_centre(np.zeros_like(truth), truth, (1.0, 1.0, 10.0))
    assert long_slices is not None
    assert long_slices[:2] == (5, 5)


# -- runs --------------------------------------------------------------------------------------------------------------
def test_a_click_that_mends_everything(words: Terminology) -> None:
    half = TRUTH & box((0, 0, 0), (10, 24, 12), SHAPE)
    told = Told(lambda prompt, points, previous: TRUTH if points else half)
    run = simulate(told, words, case(), "liver")
    assert run is not None
    assert run.fall == 1.0
    assert run.dice == (pytest.approx(2 / 3), 1.0, 1.0, 1.0, 1.0, 1.0)
    assert run.errors == (TRUTH.sum() // 2, 0, 0, 0, 0, 0)
    assert len(told.asked) == 2, "nothing is clicked where nothing is wrong"
    point = told.asked[1][1][0]
    assert point.positive
    place = np.linalg.solve(AFFINE[:3, :3], np.array(point.position) - AFFINE[:3, 3])
    assert TRUTH[tuple(np.rint(place).astype(int))]


def test_clicks_add_up_and_correct_the_mask_that_is_shown(words: Terminology) -> None:
    def answer(prompt: ParsedPrompt, points: Sequence[PointPrompt], previous: Mask | None) -> Mask:
        return box((5, 5, 2), (10 + len(points), 15, 9), SHAPE)

    told = Told(answer)
    run = simulate(told, words, case(), "liver")
    assert run is not None
    assert run.fall == pytest.approx(0.2)
    assert [len(points) for _, points, _ in told.asked] == [0, 1, 2, 3, 4, 5]
    for number, (_, points, previous) in enumerate(told.asked[1:]):
        assert previous is not None
        assert previous.sum() == answer(told.asked[0][0], points[:number], None).sum()


def test_a_click_after_no_mask_corrects_nothing_that_is_there(words: Terminology) -> None:
    told = Told(lambda prompt, points, previous: np.zeros(SHAPE, bool))
    run = simulate(told, words, case(), "liver")
    assert run is not None
    assert run.fall == 0.0
    assert all(previous is None for _, _, previous in told.asked)


def test_untrained_terms_are_not_clicked(words: Terminology) -> None:
    told = Told(lambda prompt, points, previous: Answer.NOT_TRAINED)
    assert list(click_runs(told, words, case(), 3)) == []


def test_the_table_of_clicks(words: Terminology) -> None:
    half = TRUTH & box((0, 0, 0), (10, 24, 12), SHAPE)
    mends = simulate(Told(lambda p, points, m: TRUTH if points else half), words, case(), "liver")
    keeps = simulate(Told(lambda p, points, m: half), words, replace(case(), set="b", key="2", patient="2"), "liver")
    assert mends is not None
    assert keeps is not None
    rows = {row["set"]: row for row in click_table([mends, keeps])}
    assert set(rows) == {"ct/some", "b", "all"}
    assert rows["all"]["fall"] == pytest.approx(0.5)
    assert rows["all"]["fall_pooled"] == pytest.approx(0.5)
    assert rows["b"]["dice_5"] == pytest.approx(2 / 3)
    assert rows["all"]["fall_low"] is None, "two patients"
    assert click_table([]) == []


# -- questions ---------------------------------------------------------------------------------------------------------
def test_every_structure_is_asked_and_scored(words: Terminology) -> None:
    told = Told(lambda prompt, points, previous: TRUTH if prompt.term and prompt.term.id == "liver" else TRUTH & False)
    liver, hippocampus = score_case(told, words, case())
    assert (liver.dice, liver.nsd, liver.hd95, liver.length, liver.found) == (1.0, 1.0, 0.0, "mm", True)
    assert (hippocampus.dice, hippocampus.found, hippocampus.absent) == (None, False, True)
    assert (liver.unit, liver.unit_kind, liver.kind) == ("ct/some patient 1", "patients", "volume")
    assert [asked[0].text for asked in told.asked] == ["liver", "hippocampus"]


def test_a_structure_that_is_not_found_counts_nothing(words: Terminology) -> None:
    score = next(score_case(Told(lambda *_: np.zeros(SHAPE, bool)), words, case()))
    assert (score.dice, score.nsd, score.hd95, score.found) == (0.0, 0.0, None, False)


def test_names_are_asked_as_the_terminology_spells_them(words: Terminology) -> None:
    assert wording_of("left kidney", words) == "left kidney"
    assert wording_of("my own structure", words) == "my own structure"
    assert prompt_of("left ventricle", words).term is not None
    assert prompt_of("left ventricle", words).side is None


# -- sides -------------------------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def kidneys() -> Case:
    phantom = torso_phantom(0, (40, 36, 40), (9.0, 9.0, 9.0))
    left, right = phantom.mask("kidney", "left"), phantom.mask("kidney", "right")
    return Case("phantom", "CT", phantom.volume, {"kidney": left | right}, [], "p", "p", {"kidney": (left, right)})


def test_swapped_sides_are_counted(words: Terminology, kidneys: Case) -> None:
    scan = kidneys
    left, right = scan.sides["kidney"]
    honest = Told(lambda prompt, points, previous: left if prompt.side == "left" else right)
    swapped = Told(lambda prompt, points, previous: right if prompt.side == "left" else left)
    unsure = Told(lambda prompt, points, previous: Answer.SIDE_UNKNOWN)
    counts = [side_table(list(side_answers(told, words, scan)))[-1] for told in (honest, swapped, unsure)]
    assert [row["asked"] for row in counts] == [2, 2, 2]
    assert [row["swapped"] for row in counts] == [0, 2, 0]
    assert [row["side_unknown"] for row in counts] == [0, 0, 2]


@pytest.mark.parametrize("turn", TURNS)
def test_a_turned_scan_is_the_same_patient(
    turn: tuple[tuple[int, int, int], tuple[bool, bool, bool]], kidneys: Case
) -> None:
    scan = kidneys
    other = turned(scan, *turn)
    for number in (0, 1):
        centres = []
        for one in (scan, other):
            assert one.volume.affine is not None
            voxels = np.argwhere(one.sides["kidney"][number])
            centres.append(voxel_to_lps(one.volume.affine, voxels).mean(axis=0))
            values = one.volume.array[tuple(voxels.T)]
            centres[-1] = np.append(centres[-1], values.mean())
        assert centres[0] == pytest.approx(centres[1])
    assert other.volume.spacing_mm == pytest.approx((9.0, 9.0, 9.0))
