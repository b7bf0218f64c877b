"""Pictures for cards: outlines and a scale without any part of a scan, small, and one computed sentence each."""

from __future__ import annotations

import inspect
import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from training.data.samples import Row, read_rows
from training.failure_pictures import (
    BOTH,
    GROUND,
    INDEX,
    MODEL,
    MOST,
    MOST_BYTES,
    SCALE,
    SIDE,
    TRUTH,
    Wrong,
    draw,
    may_be_shown,
    png_of,
    read_failures,
    round_length,
    worst_questions,
    write_pictures,
)
from training.failure_words import in_words

GREEN, MAGENTA, WHITE, PLAIN = (0, 220, 90), (255, 0, 220), (255, 255, 255), (24, 24, 28)


def row(name: str = "us/one", tier: str = "A", licence: str = "CC0", path: str = "1.png") -> Row:
    return {"set": name, "licence_tier": tier, "licence": licence, "source": "somewhere", "path": path}


@pytest.mark.parametrize(
    ("tier", "licence", "allowed"),
    [
        ("A", "CC BY 4.0 (stated in README)", True), ("B", "CC BY-NC-SA 4.0", True), ("B", "not stated", True),
        ("A", "CC BY-ND 4.0", False), ("B", "CC BY-NC-ND 4.0", False), ("B", "no derivatives allowed", False),
    ],
)  # fmt: skip
def test_only_licences_without_derivatives_are_left_out(tier: str, licence: str, allowed: bool) -> None:
    assert may_be_shown(row(tier=tier, licence=licence)) is allowed


def test_a_set_without_derivatives_is_never_shown() -> None:
    assert not may_be_shown(row("ct/liver_ircad", licence="CC BY 4.0"))


def test_the_rows_of_the_manifest_that_may_be_shown(shared_data: Path) -> None:
    shown = {one["set"] for one in read_rows(shared_data, "dev") if may_be_shown(one)}
    assert shown >= {"us/breast_busi", "ct/abdomen_curvas", "mr/cardiac_acdc", "xray/jsrt_scr", "mr3d/brats2013"}
    assert "ct/liver_ircad" not in shown


def question(name: str, key: str, structure: str, dice: float | None) -> dict[str, object]:
    return {"set": name, "key": key, "structure": structure, "dice": dice}


def test_the_worst_of_every_set_are_chosen() -> None:
    rows = [row(path=f"{n}.png") for n in range(4)] + [row("ct/closed", licence="CC BY-ND 4.0", path="closed.png")]
    rows += [row(f"us/{n}", path=f"other{n}.png") for n in range(20)]
    questions = [question("us/one", f"{n}.png", "liver", 0.1 * n) for n in (3, 1, 2)]
    questions += [question("us/one", "1.png", "spleen", 0.05), question("us/one", "0.png", "spleen", None)]
    questions += [question("ct/closed", "closed.png", "liver", 0.0)]
    chosen = worst_questions(questions, rows)
    assert [(one["path"], name) for one, name in chosen] == [("1.png", "spleen"), ("2.png", "liver")]
    many = questions + [question(f"us/{n}", f"other{n}.png", "liver", 0.5) for n in range(20)]
    assert len(worst_questions(many, rows)) == MOST


def wrong(of: Row | None = None, shape: tuple[int, int, int] = (300, 200, 1)) -> Wrong:
    truth, mask = np.zeros(shape, bool), np.zeros(shape, bool)
    truth[40:160, 40:120, shape[2] // 2] = True
    mask[150:250, 100:180, shape[2] // 2] = True
    return Wrong(of or row(), "liver", 0.1, None, truth, mask)


def test_a_picture_is_small_and_holds_outlines_and_a_scale_alone() -> None:
    data = png_of(wrong())
    assert len(data) <= MOST_BYTES // 10
    with Image.open(io.BytesIO(data)) as picture:
        assert picture.size == (SIDE, SIDE)
        assert not picture.info
        colours = {colour: count for count, colour in picture.convert("RGB").getcolors()}
    assert set(colours) == {GREEN, MAGENTA, WHITE, PLAIN, (170, 170, 170)}
    assert colours[PLAIN] > 0.9 * SIDE * SIDE


def test_nothing_that_draws_is_given_the_scan() -> None:
    assert list(inspect.signature(draw).parameters) == ["truth", "mask", "affine"]
    assert "volume" not in Wrong.__dataclass_fields__


def test_a_noisy_mask_still_fits() -> None:
    noise = np.random.default_rng(0).random((500, 500, 1)) > 0.5
    assert len(png_of(Wrong(row(), "liver", 0.1, None, noise, ~noise))) <= MOST_BYTES


def test_a_volume_is_drawn_axially_as_displayed_where_the_error_is() -> None:
    affine = np.array([[0, 0, -2.0, 0], [-1.0, 0, 0, 0], [0, 1.0, 0, 0], [0, 0, 0, 1]])  # axes are P-, S, R
    shape = (20, 30, 10)
    truth, mask = np.zeros(shape, bool), np.zeros(shape, bool)
    truth[:, 25, :] = True  # 20 mm front to back, 10 times 2 mm right to left
    mask[10:, 25, 5:] = True  # front (j decreases to the back), the patient's right
    truth[0, 2, 0] = True  # a slice with a smaller error
    numbers = draw(truth, mask, affine)
    rows, cols = np.nonzero((numbers == MODEL) | (numbers == BOTH))
    assert rows.max() <= SIDE / 2
    assert cols.max() <= SIDE / 2
    rows, cols = np.nonzero((numbers == TRUTH) | (numbers == BOTH))
    assert abs(np.ptp(rows) - np.ptp(cols)) <= 2  # true proportions
    assert np.ptp(rows) + 1 == pytest.approx(SIDE * 20 / 32, abs=2)  # 16 voxels of 2 mm are the least that is shown


def test_the_scale_is_as_long_as_it_says() -> None:
    truth = np.zeros((200, 200, 1), bool)
    truth[50:150, 60:140] = True  # 100 wide, so the picture is 130 wide
    numbers = draw(truth, truth, None)
    bar = numbers[SIDE - 14] == SCALE
    assert bar.sum() == pytest.approx(20 / 130 * SIDE, abs=2)
    assert round_length(130 / 3) == 20
    assert [round_length(most) for most in (1.0, 4.9, 50.0, 0.3, 999.0)] == [1.0, 2.0, 50.0, 0.2, 500.0]
    assert (numbers == GROUND).sum() > 0


def test_the_sides_are_marked_where_they_are_known() -> None:
    truth = np.zeros((60, 60, 1), bool)
    truth[20:40, 20:40] = True
    middle = slice(SIDE // 2 - 20, SIDE // 2 + 20)
    assert (draw(truth, truth, np.eye(4))[middle] == SCALE).any()
    assert not (draw(truth, truth, None)[middle] == SCALE).any()


def box(x: slice, y: slice = slice(20, 40), z: slice = slice(20, 40)) -> np.ndarray:
    mask = np.zeros((60, 60, 60), bool)
    mask[x, y, z] = True
    return mask


TRUE = box(slice(20, 40))
LUNGS = box(slice(2, 22)) | box(slice(38, 58))


@pytest.mark.parametrize(
    ("truth", "mask", "said"),
    [
        (TRUE, box(slice(20, 32)), "40 % of it missed, mostly towards the patient's left; no surplus."),
        (TRUE, box(slice(20, 40), z=slice(20, 30)),
         "50 % of it missed, mostly towards the patient's head; no surplus."),
        (TRUE, box(slice(20, 42)), "none of it missed; 10 % surplus."),
        (TRUE, TRUE | box(slice(50, 60)), "none of it missed; 50 % surplus, most of it apart from the structure."),
        (TRUE, box(slice(50, 60)),
         "All of it missed, another place was marked; 50 % surplus, most of it apart from the structure."),
        (LUNGS, box(slice(38, 58)),
         "50 % of it missed, mostly towards the patient's right; 1 of its 2 pieces not found; no surplus."),
        (TRUE, box(slice(0, 0)), "Nothing was found."),
        (box(slice(0, 0)), TRUE, "Found where there is nothing."),
        (TRUE, TRUE & ~box(slice(20, 21), slice(20, 21)), "less than 1 % of it missed, mostly towards the patient's"),
    ],
)
def test_what_is_wrong_is_told(truth: np.ndarray, mask: np.ndarray, said: str) -> None:
    assert in_words(truth, mask, True).startswith(said)


def test_in_a_picture_directions_are_those_of_the_picture() -> None:
    truth, mask = TRUE[:, :, 30:31], box(slice(20, 40), slice(30, 40))[:, :, 30:31]
    assert in_words(truth, mask, False) == "50 % of it missed, mostly towards the picture's top; no surplus."


def test_what_may_not_be_shown_is_not_drawn(tmp_path: Path) -> None:
    failures = write_pictures(tmp_path / "out", [wrong(), wrong(of=row("ct/closed", licence="CC BY-NC-ND 4.0"))])
    assert [failure.set for failure in failures] == ["us/one"]
    assert read_failures(tmp_path / "out") == failures
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == sorted(["1_us_one_liver.png", INDEX])
    caption = failures[0].caption
    assert all(word in caption for word in ("us/one", "liver", "0.10", "98 % of it missed", "CC0", "somewhere"))
    assert json.loads((tmp_path / "out" / INDEX).read_text())[0]["licence"] == "CC0"
